// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shared library exports what the header declares, what the table holds, and what `symbols.txt` promises.
//!
//! A line that leaves `symbols.txt` is a break of the ABI.

mod common;

use common::{library, package};
use std::{collections::BTreeSet, fs, process::Command};
use xeplace_capi::FUNCTIONS;

#[test]
fn the_library_exports_what_was_promised_and_nothing_else() {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library("so")).output().expect("nm");
    let exported: BTreeSet<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split(' ').nth(2).map(str::to_owned))
        .collect();
    assert_eq!(exported, promised());
}

#[test]
fn the_header_declares_what_was_promised() {
    let header = fs::read_to_string(package().join("../include/xeplace.h")).unwrap();
    let declared: BTreeSet<String> = header
        .lines()
        .filter(|line| !line.starts_with([' ', '*', '/', '#', '}']) && !line.starts_with("static "))
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next().map(str::to_owned))
        .filter(|name| name.starts_with("xep_"))
        .collect();
    assert_eq!(declared, promised());
}

#[test]
fn the_table_holds_what_was_promised_in_that_order() {
    let text = fs::read_to_string(package().join("symbols.txt")).unwrap();
    let in_table: Vec<&str> = text.lines().filter(|name| *name != "xep_get_table").collect();
    assert_eq!(in_table, FUNCTIONS);
}

fn promised() -> BTreeSet<String> {
    let text = fs::read_to_string(package().join("symbols.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}
