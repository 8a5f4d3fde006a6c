// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples in C and C++ are strict, and print what the one in Rust prints.

mod common;

use common::{Compiler, installed, package};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// An example as a program.
fn built(name: &str, dialect: &str, program: &str) -> PathBuf {
    let source = package().join("../examples").join(name);
    let directory = installed();
    Compiler::of(&source).build(&source, program, &[dialect], &["-L", directory.to_str().unwrap(), "-lxeplace"])
}

fn run(program: &Path, machine: &str, arguments: &[&Path]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env("LD_LIBRARY_PATH", installed()).env("XEPLACE_MACHINE", machine);
    command.output().unwrap()
}

/// Both examples, built for the test `of`.
fn examples(of: &str) -> [PathBuf; 2] {
    [built("place.c", "-std=c99", &format!("place-c-{of}")), built("place.cc", "-std=c++17", &format!("place-cc-{of}"))]
}

#[test]
fn examples_print_what_the_one_in_rust_prints() {
    let expected = fs::read_to_string(package().join("../examples/place.expected.txt")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("weights");
    fs::write(&file, vec![1; 3 << 20]).unwrap();
    for program in examples("print") {
        let found = run(&program, "cpu=zen lnl switch(2x bmg) pvc", &[]);
        assert!(found.status.success(), "{found:?}");
        assert_eq!(String::from_utf8_lossy(&found.stdout), expected, "{}", program.display());
        let found = run(&program, "2x bmg", &[&file]);
        assert!(found.stdout.starts_with(b"3 MiB of weights in 2 parts\n"), "{found:?}");
        let found = run(&program, "2x bmg vram=256M", &[]);
        assert_eq!(String::from_utf8_lossy(&found.stdout).matches("pushed out again").count(), 2, "{found:?}");
    }
}

#[test]
fn examples_say_what_is_wrong() {
    for program in examples("refuse") {
        for (machine, arguments, expected) in [
            ("none", vec![], "place: no GPU of this machine can be used\n"),
            ("2x bmg", vec![Path::new("/nonexistent")], "place: the file cannot be read\n"),
            ("gtx", vec![], "place: machine string, column 1: "),
        ] {
            let found = run(&program, machine, &arguments);
            assert_eq!(found.status.code(), Some(1), "{found:?}");
            assert!(String::from_utf8_lossy(&found.stderr).starts_with(expected), "{found:?}");
        }
    }
}
