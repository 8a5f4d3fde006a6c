// SPDX-License-Identifier: MIT OR Apache-2.0
//! C and C++ programs build against the header and run with the shared library and with the archive.

mod common;

use common::{Compiler, installed, library, package, scratch, succeeded};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// What rustc says that a program needs which is linked with the archive (`--print native-static-libs`).
const NATIVE: [&str; 6] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

#[test]
fn a_c_program_uses_every_part_of_the_library() {
    runs("walk.c", &["-std=c11"], "walked");
}

#[test]
fn a_c_program_gets_clear_errors_for_bad_input() {
    runs("misuse.c", &["-std=c11"], "refused");
}

#[test]
fn a_cxx_program_uses_every_part_of_the_library() {
    runs("walk.cc", &["-std=c++17"], "walked");
}

#[test]
fn c_programs_are_valid_cxx_consumers_of_the_header() {
    for dialect in ["-std=c99", "-std=c17"] {
        Compiler::c().check(&source("walk.c"), &[dialect]);
    }
    Compiler::cxx().check(&source("walk.cc"), &["-std=c++20"]);
}

#[test]
fn programs_are_clean_under_the_sanitizers() {
    const SANITIZE: &str = "-fsanitize=address,undefined";
    let programs: [(&str, &[&str], &str); 3] = [
        ("walk.c", &["-std=c11", SANITIZE, "-fno-sanitize-recover=all"], "walked"),
        ("misuse.c", &["-std=c11", SANITIZE, "-fno-sanitize-recover=all"], "refused"),
        ("walk.cc", &["-std=c++17", SANITIZE, "-fno-sanitize-recover=all"], "walked"),
    ];
    for (name, flags, last) in programs {
        if Compiler::of(&source(name)).has(SANITIZE) {
            runs(name, flags, last);
        } else {
            // Past the capture of the test harness: a skip is to be seen.
            let _ = writeln!(std::io::stderr(), "consumers: {name} not tried, this compiler has no {SANITIZE}");
        }
    }
}

#[test]
fn the_library_can_be_loaded_closed_and_loaded_again() {
    let program = Compiler::c().build(&source("load.c"), "load", &["-std=c11", "-pthread"], &["-ldl"]);
    let mut run = Command::new(program);
    finishes(run.arg(installed().join("libxeplace.so.0")), "loaded twice");
}

#[test]
fn structures_have_the_layout_that_programs_were_compiled_with() {
    let flags = ["-std=c11", "-Wpadded", "-Wno-error=unused-macros"];
    Compiler::c().check(&source("abi.c"), &flags);
    let header = std::fs::read_to_string(package().join("../include/xeplace.h")).unwrap();
    let asserted = std::fs::read_to_string(source("abi.c")).unwrap();
    for name in header.lines().filter_map(|line| line.strip_prefix("struct ")?.strip_suffix(" {")) {
        assert!(asserted.contains(&format!("(struct {name})")), "struct {name} is missing in abi.c");
    }
}

#[test]
fn the_library_has_its_own_name_and_is_never_unmapped() {
    let output = Command::new("readelf").arg("-d").arg(library("so")).env("LC_ALL", "C").output().expect("readelf");
    let dynamic = String::from_utf8_lossy(&output.stdout);
    assert!(dynamic.contains("[libxeplace.so.0]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

#[test]
fn the_pkg_config_file_names_what_the_archive_needs() {
    let text = std::fs::read_to_string(package().join("../pkgconfig/xeplace.pc.in")).unwrap();
    let private = text.lines().find_map(|line| line.strip_prefix("Libs.private: ")).expect("Libs.private");
    let named: Vec<&str> = private.split(' ').filter(|name| *name != "-lc").collect();
    assert_eq!(named, NATIVE);
}

fn source(name: &str) -> PathBuf {
    package().join("tests/c").join(name)
}

/// Builds a program with the shared library and with the archive; both end well and say `last`.
fn runs(name: &str, flags: &[&str], last: &str) {
    let source = source(name);
    let compiler = Compiler::of(&source);
    let sanitized = if flags.len() > 1 { "-sanitized" } else { "" };
    let program = |with: &str| format!("{}{sanitized}-{with}", name.replace('.', "-"));

    let shared = installed();
    let directory = format!("-L{}", shared.display());
    let built = compiler.build(&source, &program("shared"), flags, &[&directory, "-lxeplace"]);
    finishes(Command::new(built).env("LD_LIBRARY_PATH", &shared), last);

    let archive = library("a");
    let mut link = vec![archive.to_str().unwrap()];
    link.extend(NATIVE);
    let built = compiler.build(&source, &program("static"), flags, &link);
    finishes(&mut Command::new(built), last);
}

fn finishes(program: &mut Command, last: &str) {
    let place: &Path = &scratch("run");
    std::fs::create_dir_all(place).unwrap();
    let output = program.current_dir(place).output().unwrap();
    succeeded(&output, &format!("{program:?}"));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().last(), Some(last));
}
