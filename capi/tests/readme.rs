// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C program of README and man page compiles without a warning, and runs.

mod common;

use common::{Compiler, installed, package, scratch, succeeded};
use std::{fs, process::Command};

const README: &str = include_str!("../../README.md");
const PAGE: &str = include_str!("../../man/xeplace.3");

#[test]
fn the_c_program_of_the_readme_runs() {
    let program = block("c");
    assert!(program.lines().count() <= 30, "it is to stay short");
    let source = scratch("readme.c");
    fs::write(&source, program).unwrap();
    let directory = installed();
    let search = format!("-L{}", directory.display());
    let built = Compiler::c().build(&source, "readme", &["-std=c99"], &[&search, "-lxeplace"]);
    let output = Command::new(built).env("LD_LIBRARY_PATH", directory).output().unwrap();
    succeeded(&output, "the README's program");
    let said = String::from_utf8(output.stdout).unwrap();
    let bytes = said.strip_suffix(" bytes in place\n").and_then(|bytes| bytes.parse::<u64>().ok());
    assert!(bytes.is_some_and(|bytes| bytes >= 64 << 20), "{said}");
}

#[test]
fn the_man_page_has_the_same_program() {
    let (_, rest) = PAGE.split_once(".Bd -literal -offset indent\n#include").expect("the page has a program");
    let (program, _) = rest.split_once(".Ed\n").expect("the program ends");
    assert_eq!(format!("#include{}", program.replace("\\e", "\\")), block("c"));
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let (command, shown) = block("text").split_once('\n').unwrap();
    let machine = command.split('\'').nth(1).expect("the command names a machine");
    let source = package().join("../examples/place.c");
    let directory = installed();
    let search = format!("-L{}", directory.display());
    let built = Compiler::c().build(&source, "demo", &["-std=c11"], &[&search, "-lxeplace"]);
    let output =
        Command::new(built).env("LD_LIBRARY_PATH", directory).env("XEPLACE_MACHINE", machine).output().unwrap();
    succeeded(&output, "the demo");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown, "README.md is to show it");
}

/// The first block of that language.
fn block(language: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n```{language}\n")).expect("the README has such a block");
    rest.split_once("```").expect("the block ends").0
}
