// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the Rust example prints. Those in C and C++ print the same: see `capi/tests/place.rs`.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs the example `place`, built as needed, on `machine`.
fn place(machine: Option<&str>, arguments: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--locked", "--example", "place", "--"]).args(arguments);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("XEPLACE_MACHINE").stdin(Stdio::null());
    command.envs(machine.map(|machine| ("XEPLACE_MACHINE", machine)));
    command.output().unwrap()
}

fn printed(output: &Output) -> &str {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Standard error of a run that fails. The compiler's warnings may stand before what the program says.
fn said(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn weights_are_spread_and_their_gpus_take_no_fault() {
    let found = place(Some("cpu=zen lnl switch(2x bmg) pvc"), &[]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/place.expected.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, printed(&found)).unwrap();
    }
    assert_eq!(printed(&found), fs::read_to_string(path).unwrap());
}

#[test]
fn gpus_without_links_get_their_parts_too() {
    let found = place(Some("cpu=client 2x bmg"), &[]);
    let rows: Vec<&str> = printed(&found).lines().filter(|line| line.starts_with("gpu ")).collect();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert!(row.contains(" 512 MiB ") && row.ends_with("            0          256"), "{row}");
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let found = place(Some("2x bmg vram=256M"), &[]);
    assert_eq!(printed(&found).matches("pushed out again").count(), 2, "{found:?}");
}

#[test]
fn a_file_is_placed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("weights");
    fs::write(&file, vec![1; (8 << 20) + 5]).unwrap();
    let found = place(Some("2x bmg"), &[&file]);
    assert!(printed(&found).starts_with("8 MiB of weights in 2 parts\n"), "{found:?}");
    let absent = place(Some("2x bmg"), &[&directory.path().join("absent")]);
    assert!(said(&absent).ends_with("place: No such file or directory (os error 2)\n"), "{absent:?}");
}

#[test]
fn a_host_without_gpus_is_told_that_it_is_simulated() {
    let usable = |gpu: &xeplace::Gpu| gpu.can_mirror() && !gpu.regions().is_empty();
    let has_gpus = xeplace::Machine::open().unwrap().gpus().iter().any(usable);
    let found = place(None, &[]);
    assert_eq!(printed(&found).starts_with("No usable xe GPU on this host: simulating"), !has_gpus, "{found:?}");
    let none = place(Some("none"), &[]);
    assert!(said(&none).ends_with("place: no GPU of this machine can be used\n"), "{none:?}");
}
