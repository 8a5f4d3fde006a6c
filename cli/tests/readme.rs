// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command prints what the README shows.

use std::{path::Path, process::Command};

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_shows_what_the_command_prints() {
    let mut blocks =
        README.split("\n```console\n$ ").skip(1).map(|rest| rest.split_once("\n```").unwrap().0).peekable();
    assert!(blocks.peek().is_some(), "the README shows a command");
    for block in blocks {
        let (line, shown) = block.split_once('\n').unwrap();
        let command = Path::new(env!("CARGO_BIN_EXE_xeplace"));
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-c", line])
            .env("PATH", format!("{}:{path}", command.parent().unwrap().display()))
            .env_remove("XEPLACE_MACHINE")
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.trim_end(), shown, "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
