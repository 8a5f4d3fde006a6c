// SPDX-License-Identifier: MIT OR Apache-2.0
//! A PCI tree with the kernel's own answers, as lines of text: a JSON value each.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

/// One line of a recorded tree.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A directory and the files in it.
    Directory(String, BTreeMap<String, File>),
    /// A PCI function with access control, and where in its configuration space the control register is.
    Control(String, u64),
    /// What was set, and what the kernel said then.
    Round(Round),
}

/// One file.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(untagged)]
pub enum File {
    /// Text.
    Text(String),
    /// A symbolic link.
    Link {
        /// Where it leads.
        to: String,
    },
    /// Anything else.
    Bytes {
        /// How many.
        length: usize,
        /// Those rows that are not zero, by their offsets.
        rows: BTreeMap<String, String>,
    },
}

/// One state of a tree.
#[derive(Serialize, Deserialize, Clone, Default, PartialEq, Debug)]
pub struct Round {
    /// What is in the control registers of access control, by PCI address; 0 in all others.
    pub acs: BTreeMap<String, u16>,
    /// Vendor and device by PCI address, where they are not those of the recording.
    pub ids: BTreeMap<String, (u16, u16)>,
    /// `pci_p2pdma_distance()` from each GPU to each, in the order of their addresses.
    pub distances: Vec<Vec<i32>>,
}

/// What is in a recorded tree beside its files.
#[derive(Default, Debug)]
pub struct Unpacked {
    /// Where the control registers of access control are, by PCI address.
    pub controls: BTreeMap<String, u64>,
    /// The states of the tree.
    pub rounds: Vec<Round>,
}

/// Bytes in one row.
const ROW: usize = 16;

/// The files below `root`.
///
/// # Panics
///
/// Where they cannot be read.
pub fn pack(root: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    pack_directory(root, "", &mut entries);
    entries
}

fn pack_directory(root: &Path, place: &str, entries: &mut Vec<Entry>) {
    let listed = fs::read_dir(root.join(place)).expect("a directory").map(|entry| entry.expect("an entry").path());
    let (directories, files): (Vec<_>, Vec<_>) = listed.partition(|path| path.is_dir() && !path.is_symlink());
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
    if !files.is_empty() || directories.is_empty() {
        let files = files.iter().map(|path| (name(path), pack_file(path)));
        entries.push(Entry::Directory(place.to_owned(), files.collect()));
    }
    let mut below: Vec<String> = directories.iter().map(|path| name(path)).collect();
    below.sort();
    for name in below {
        let place = if place.is_empty() { name } else { format!("{place}/{name}") };
        pack_directory(root, &place, entries);
    }
}

fn pack_file(path: &Path) -> File {
    if let Ok(target) = fs::read_link(path) {
        return File::Link { to: target.to_str().expect("a plain path").to_owned() };
    }
    let content = fs::read(path).expect("a file");
    match std::str::from_utf8(&content) {
        Ok(text) if !text.contains('\0') => File::Text(text.to_owned()),
        _ => pack_bytes(&content),
    }
}

fn pack_bytes(bytes: &[u8]) -> File {
    let rows = bytes.chunks(ROW).enumerate().filter(|(_, row)| row.iter().any(|byte| *byte != 0));
    let hex = |row: &[u8]| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let rows = rows.map(|(number, row)| (format!("{:03x}", number * ROW), hex(row)));
    File::Bytes { length: bytes.len(), rows: rows.collect() }
}

/// Writes the files below `root`; the rest.
///
/// # Panics
///
/// Where that cannot be done.
pub fn unpack(entries: impl Iterator<Item = Entry>, root: &Path) -> Unpacked {
    let mut unpacked = Unpacked::default();
    for entry in entries {
        match entry {
            Entry::Directory(place, files) => unpack_directory(&root.join(place), files),
            Entry::Control(address, register) => drop(unpacked.controls.insert(address, register)),
            Entry::Round(round) => unpacked.rounds.push(round),
        }
    }
    unpacked
}

fn unpack_directory(directory: &Path, files: BTreeMap<String, File>) {
    fs::create_dir_all(directory).expect("a directory");
    for (name, file) in files {
        let path = directory.join(name);
        match file {
            File::Text(text) => fs::write(path, text),
            File::Link { to } => symlink(to, path),
            File::Bytes { length, rows } => fs::write(path, unpack_bytes(length, &rows)),
        }
        .expect("a file");
    }
}

fn unpack_bytes(length: usize, rows: &BTreeMap<String, String>) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (offset, row) in rows {
        let start = usize::from_str_radix(offset, 16).expect("an offset");
        for (place, digits) in (0..row.len()).step_by(2).enumerate() {
            bytes[start + place] = u8::from_str_radix(&row[digits..digits + 2], 16).expect("a byte");
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_as_it_was() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(one.path().join("sys/empty")).unwrap();
        fs::write(one.path().join("sys/vendor"), "0x8086\n").unwrap();
        let bytes: Vec<u8> = (0..4099).map(|place| if place % 100 == 0 { place as u8 } else { 0 }).collect();
        fs::write(one.path().join("sys/config"), &bytes).unwrap();
        symlink("../sys", one.path().join("sys/link")).unwrap();
        let entries = pack(one.path());
        let text = entries.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n").collect::<String>();
        unpack(text.lines().map(|line| serde_json::from_str(line).unwrap()), other.path());
        assert_eq!(pack(other.path()), entries);
        assert_eq!(fs::read(other.path().join("sys/config")).unwrap(), bytes);
    }
}
