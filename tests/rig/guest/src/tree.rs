// SPDX-License-Identifier: MIT OR Apache-2.0
//! A PCI tree with the kernel's own answers, as lines of text: one JSON value each.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

/// One line of a recorded tree.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A file of text.
    Text(String, String),
    /// Any other file: its length, and those of its rows that are not zero, by their offsets.
    Bytes(String, usize, BTreeMap<String, String>),
    /// A symbolic link and where it leads.
    Link(String, String),
    /// A directory with nothing in it.
    Directory(String),
    /// A PCI function with access control, and where in its configuration space the control register is.
    Control(String, u64),
    /// What was set, and what the kernel said then.
    Round(Round),
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
    let listed = fs::read_dir(root.join(place)).expect("a directory");
    let mut names: Vec<String> =
        listed.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name")).collect();
    names.sort();
    if names.is_empty() {
        entries.push(Entry::Directory(place.to_owned()));
    }
    for name in names {
        let place = if place.is_empty() { name } else { format!("{place}/{name}") };
        let path = root.join(&place);
        if let Ok(target) = fs::read_link(&path) {
            entries.push(Entry::Link(place, target.to_str().expect("a plain path").to_owned()));
        } else if path.is_dir() {
            pack_directory(root, &place, entries);
        } else {
            entries.push(pack_file(place, fs::read(&path).expect("a file")));
        }
    }
}

/// Bytes in one row.
const ROW: usize = 16;

fn pack_file(place: String, content: Vec<u8>) -> Entry {
    let is_text = |text: &String| text.chars().all(|found| found == '\n' || !found.is_control());
    match String::from_utf8(content).map_err(|error| error.into_bytes()) {
        Ok(text) if is_text(&text) => Entry::Text(place, text),
        Ok(text) => pack_bytes(place, text.as_bytes()),
        Err(bytes) => pack_bytes(place, &bytes),
    }
}

fn pack_bytes(place: String, bytes: &[u8]) -> Entry {
    let rows = bytes.chunks(ROW).enumerate().filter(|(_, row)| row.iter().any(|byte| *byte != 0));
    let hex = |row: &[u8]| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let rows = rows.map(|(number, row)| (format!("{:03x}", number * ROW), hex(row)));
    Entry::Bytes(place, bytes.len(), rows.collect())
}

/// What is in a recorded tree beside its files.
#[derive(Default, Debug)]
pub struct Unpacked {
    /// Where the control registers of access control are, by PCI address.
    pub controls: BTreeMap<String, u64>,
    /// The states of the tree.
    pub rounds: Vec<Round>,
}

/// Writes the files below `root`; the rest.
///
/// # Panics
///
/// Where that cannot be done.
pub fn unpack(entries: impl Iterator<Item = Entry>, root: &Path) -> Unpacked {
    let mut unpacked = Unpacked::default();
    let place = |name: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        path
    };
    for entry in entries {
        match entry {
            Entry::Text(name, text) => fs::write(place(&name), text).expect("a file"),
            Entry::Bytes(name, length, rows) => fs::write(place(&name), unpack_bytes(length, &rows)).expect("a file"),
            Entry::Link(name, target) => symlink(target, place(&name)).expect("a link"),
            Entry::Directory(name) => fs::create_dir_all(place(&name)).expect("a directory"),
            Entry::Control(address, at) => drop(unpacked.controls.insert(address, at)),
            Entry::Round(round) => unpacked.rounds.push(round),
        }
    }
    unpacked
}

fn unpack_bytes(length: usize, rows: &BTreeMap<String, String>) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (offset, row) in rows {
        let start = usize::from_str_radix(offset, 16).expect("an offset");
        for (place, byte) in (0..row.len()).step_by(2).enumerate() {
            bytes[start + place] = u8::from_str_radix(&row[byte..byte + 2], 16).expect("a byte");
        }
    }
    bytes
}
