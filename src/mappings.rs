// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPU's view of a range: what is mapped there, as `/proc/PID/maps` and `/proc/PID/smaps` tell.

use crate::{
    error::{Error, Result},
    files::Files,
    range::Range,
};
use std::{fmt, path::Path};

/// One mapping of a process, or the part of it that was asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mapped {
    pub(crate) range: Range,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) backing: Backing,
    /// From smaps only: locked into memory (`lo`).
    pub(crate) locked: bool,
}

/// What a mapping's pages are made of. Only private anonymous pages migrate to VRAM
/// (`xe_svm_range_needs_migrate_to_vram`, `xe_svm.c`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Backing {
    /// Private anonymous memory: malloc, mmap, the stack.
    Anonymous,
    /// A private mapping of a file.
    PrivateFile,
    /// Shared memory or a shared mapping of a file.
    Shared,
    /// Huge pages of hugetlbfs.
    Hugetlb,
    /// A device's memory or the kernel's own pages.
    Special,
}

impl fmt::Display for Backing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Backing::Anonymous => "private anonymous memory",
            Backing::PrivateFile => "a private mapping of a file",
            Backing::Shared => "shared memory",
            Backing::Hugetlb => "hugetlb pages",
            Backing::Special => "a device's or the kernel's own pages",
        })
    }
}

/// The mappings in `range` from `process/maps`, clipped to it, in order. `process` is `/proc/self` or `/proc/PID`.
pub(crate) fn mappings(files: &Files, process: &Path, range: Range) -> Result<Vec<Mapped>> {
    let path = process.join("maps");
    let text = files.read(&path).map_err(Error::file(&path))?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().filter_map(header).filter_map(|found| clipped(found, range)).collect())
}

/// The same from `process/smaps`, which the kernel takes far longer to make: with flags.
pub(crate) fn detailed_mappings(files: &Files, process: &Path, range: Range) -> Result<Vec<Mapped>> {
    let described = described_mappings(files, process)?;
    Ok(described.into_iter().filter_map(|found| clipped(found.mapped, range)).collect())
}

/// A whole mapping with all that `smaps` tells of it.
pub(crate) struct Described {
    pub(crate) mapped: Mapped,
    /// A path, a name in brackets, or nothing.
    pub(crate) name: String,
    /// Bytes that are swapped out. Pages in VRAM do not count (`smaps_pte_entry` in `fs/proc/task_mmu.c`).
    pub(crate) swapped: u64,
}

/// All mappings, with names and swapped bytes.
pub(crate) fn described_mappings(files: &Files, process: &Path) -> Result<Vec<Described>> {
    let path = process.join("smaps");
    let text = files.read(&path).map_err(Error::file(&path))?;
    let mut found: Vec<Described> = Vec::new();
    for line in String::from_utf8_lossy(&text).lines() {
        if let Some(mapped) = header(line) {
            found.push(Described { mapped, name: name(line).to_owned(), swapped: 0 });
        } else if let (Some((field, value)), Some(last)) = (line.split_once(':'), found.last_mut()) {
            last.note(field, value);
        }
    }
    Ok(found)
}

impl Described {
    /// Takes in one line of `smaps`.
    fn note(&mut self, field: &str, value: &str) {
        let mut words = value.split_ascii_whitespace();
        match field {
            "Swap" => {
                let kibibytes = words.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
                self.swapped = kibibytes.saturating_mul(1024);
            }
            "VmFlags" => words.for_each(|flag| match flag {
                "lo" => self.mapped.locked = true,
                "ht" => self.mapped.backing = Backing::Hugetlb,
                "io" | "pf" => self.mapped.backing = Backing::Special,
                _ => {}
            }),
            _ => {}
        }
    }
}

fn clipped(mapping: Mapped, range: Range) -> Option<Mapped> {
    Some(Mapped { range: mapping.range.intersection(range)?, ..mapping })
}

/// A line such as `7f12000000-7f12200000 rw-p 00000000 00:00 0   [heap]`; `None` for any other.
fn header(line: &str) -> Option<Mapped> {
    let (address, rest) = line.split_once(' ')?;
    let (start, end) = address.split_once('-')?;
    let range = Range::between(u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?)?;
    let mut fields = rest.split_ascii_whitespace();
    let permissions = fields.next()?.as_bytes();
    let (_offset, device, inode) = (fields.next()?, fields.next()?, fields.next()?);
    let name = fields.next().unwrap_or_default();
    let backing = match (permissions.get(3)?, device, inode) {
        _ if matches!(name, "[vvar]" | "[vvar_vclock]" | "[vdso]" | "[vsyscall]" | "[uprobes]") => Backing::Special,
        _ if name.starts_with("/anon_hugepage") || name.starts_with("/dev/hugepages/") => Backing::Hugetlb,
        (b'p', "00:00", "0") => Backing::Anonymous,
        (b'p', ..) => Backing::PrivateFile,
        _ if name.starts_with("/dev/dri/") => Backing::Special,
        _ => Backing::Shared,
    };
    let (readable, writable) = (permissions.first() == Some(&b'r'), permissions.get(1) == Some(&b'w'));
    Some(Mapped { range, readable, writable, backing, locked: false })
}

/// What stands behind addresses, permissions, offset, device and inode. It may have spaces in it.
fn name(line: &str) -> &str {
    let mut rest = line;
    for _ in 0..5 {
        rest = rest.split_once(' ').map_or("", |(_, behind)| behind.trim_start());
    }
    rest.trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Tree;
    use proptest::prelude::*;

    const SMAPS: &str = "\
00400000-00452000 r--p 00000000 08:02 173521 /usr/bin/dbus daemon
VmFlags: rd mr mw me
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
Size:               4096 kB
Swap:                 64 kB
SwapPss:              32 kB
VmFlags: rd wr mr mw me lo ac
7f0000400000-7f0000500000 rw-s 00000000 00:01 1029 /dev/zero (deleted)
7f0000600000-7f0000800000 rw-p 00000000 00:0f 8 /anon_hugepage (deleted)
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0 [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
";

    fn files() -> Files {
        let mut tree = Tree::default();
        tree.file("/proc/self/smaps", SMAPS);
        tree.file("/proc/self/maps", SMAPS);
        Files::tree(tree)
    }

    #[test]
    fn kinds_of_memory_are_told_apart() {
        let found = detailed_mappings(&files(), Path::new("/proc/self"), Range::ALL).unwrap();
        let kinds: Vec<_> = found.iter().map(|mapping| mapping.backing).collect();
        assert_eq!(
            kinds,
            [Backing::PrivateFile, Backing::Anonymous, Backing::Shared, Backing::Hugetlb, Backing::Special]
        );
        assert!(found[1].locked && found[1].writable && !found[0].writable);
    }

    #[test]
    fn names_and_swapped_bytes_are_told() {
        let found = described_mappings(&files(), Path::new("/proc/self")).unwrap();
        let told: Vec<_> = found.iter().map(|found| (&*found.name, found.swapped)).collect();
        assert_eq!(told[..2], [("/usr/bin/dbus daemon", 0), ("", 64 << 10)]);
    }

    #[test]
    fn mappings_are_clipped() {
        let range = Range::new(0x7f00_0030_0000, 0x20_0000).unwrap();
        let found = mappings(&files(), Path::new("/proc/self"), range).unwrap();
        assert_eq!(found.iter().map(|mapping| mapping.range.len()).collect::<Vec<_>>(), [0x10_0000, 0x10_0000]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(line in ".{0,80}") {
            let _ = (header(&line), name(&line));
        }
    }
}
