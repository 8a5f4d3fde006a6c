// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program of this host needs to run elsewhere: the bytes that its loader reads, and its libraries.

use crate::host;
use anyhow::{Context, Result};
use object::{
    Endianness,
    elf::{self, FileHeader64},
    read::elf::{FileHeader as _, ProgramHeader as _},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The libraries of `program`, its loader included, by the paths under which it looks for them.
pub fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = host::output(Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1"))
        .with_context(|| format!("asking which libraries {} needs", program.display()))?;
    // `name => path (address)` or `path (address)`.
    let paths = said.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

/// An executable without what no loader reads: symbols and debug information, most of a test binary. Anything else as it
/// is.
pub fn loadable(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = loaded_end(&bytes) {
        bytes.truncate(end);
        // e_shoff, then e_shnum and e_shstrndx: there are no sections any more.
        bytes[0x28..0x30].fill(0);
        bytes[0x3c..0x40].fill(0);
    }
    bytes
}

/// Behind the last byte that a segment maps.
fn loaded_end(bytes: &[u8]) -> Option<usize> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let loaded = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let end = loaded.map(|segment| segment.p_offset(endian) + segment.p_filesz(endian)).max()?;
    (end as usize <= bytes.len()).then_some(end as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_program_runs_without_what_no_loader_reads() {
        let own = std::env::current_exe().unwrap();
        let whole = fs::read(&own).unwrap();
        let part = loadable(whole.clone());
        assert!(part.len() < whole.len());
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("copy");
        fs::write(&copy, part).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let listed = host::output(Command::new(&copy).arg("--list")).unwrap();
        assert!(listed.contains("a_program_runs_without_what_no_loader_reads"));
    }

    #[test]
    fn what_is_no_program_stays_as_it_is() {
        assert_eq!(loadable(b"#!/bin/sh\n".to_vec()), b"#!/bin/sh\n");
        assert_eq!(loadable(b"\x7fELF".to_vec()), b"\x7fELF");
    }

    #[test]
    fn libraries_come_with_their_loader() {
        let found = libraries(&std::env::current_exe().unwrap()).unwrap();
        let named = |part: &str| found.iter().any(|path| path.to_string_lossy().contains(part));
        assert!(named("libc.so") && named("ld-linux"), "{found:?}");
    }
}
