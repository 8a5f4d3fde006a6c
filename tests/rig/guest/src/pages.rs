// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which device's memory each page of this process is in, by page frame numbers and the kernel's map of physical
//! addresses. Needs CAP_SYS_ADMIN.

use std::{collections::BTreeMap, fs::File, ops::Range, os::unix::fs::FileExt};

const PAGE: u64 = 4096;
/// Bits of a page map entry (`Documentation/admin-guide/mm/pagemap.rst`).
const PRESENT: u64 = 1 << 63;
const SWAP: u64 = 1 << 62;
const FRAME: u64 = (1 << 55) - 1;
/// Swap types of pages in a device's memory, writable and read-only (`include/linux/swap.h`, as Debian builds it).
const DEVICE_PRIVATE: [u64; 2] = [28, 29];

/// Where a page is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Whereabouts {
    /// In system memory.
    System,
    /// In the memory of the device with this PCI address.
    Device(String),
    /// Nowhere.
    Absent,
}

/// Physical addresses that the kernel has given to the memory of devices.
pub struct MemoryMap(Vec<(Range<u64>, String)>);

impl MemoryMap {
    /// `/proc/iomem` as it is now.
    ///
    /// # Panics
    ///
    /// Where it cannot be read, or shows no addresses for want of privilege.
    pub fn read() -> MemoryMap {
        MemoryMap::parse(&crate::read("/proc/iomem"))
    }

    /// The lines at the top level that bear a PCI address; a device's BARs bear it too, below their bridge.
    fn parse(text: &str) -> MemoryMap {
        let lines = text.lines().filter(|line| !line.starts_with(' '));
        let found: Vec<_> = lines.filter_map(|line| line.split_once(" : ")).filter_map(entry).collect();
        assert!(found.iter().all(|(range, _)| range.end > 1), "/proc/iomem shows addresses to root only");
        MemoryMap(found)
    }

    /// Whether no device's memory has a place in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn owner(&self, address: u64) -> Option<&str> {
        self.0.iter().find(|(range, _)| range.contains(&address)).map(|(_, name)| name.as_str())
    }
}

fn entry((range, name): (&str, &str)) -> Option<(Range<u64>, String)> {
    let is_pci = name.len() == 12 && name.as_bytes()[4] == b':' && name.as_bytes()[7] == b':';
    let (start, end) = range.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    is_pci.then_some((number(start)?..number(end)? + 1, name.to_owned()))
}

/// How many bytes from `start` on are where.
///
/// # Panics
///
/// Where the page map cannot be read, or says of a device's page no frame or one in no device's memory.
pub fn count(start: u64, length: u64) -> BTreeMap<Whereabouts, u64> {
    let mut entries = vec![0; (length / PAGE * 8) as usize];
    let pagemap = File::open("/proc/self/pagemap").expect("the page map");
    pagemap.read_exact_at(&mut entries, start / PAGE * 8).expect("entries of the page map");
    let map = MemoryMap::read();
    let mut counted = BTreeMap::new();
    for entry in entries.chunks_exact(8) {
        let entry = u64::from_le_bytes(entry.try_into().expect("eight bytes"));
        *counted.entry(whereabouts(entry, &map)).or_default() += PAGE;
    }
    counted
}

fn whereabouts(entry: u64, map: &MemoryMap) -> Whereabouts {
    if entry & PRESENT != 0 {
        return Whereabouts::System;
    }
    if entry & SWAP == 0 {
        return Whereabouts::Absent;
    }
    let (kind, frame) = (entry & 31, (entry & FRAME) >> 5);
    assert!(DEVICE_PRIVATE.contains(&kind), "a swap entry of type {kind}");
    assert_ne!(frame, 0, "the page map shows frames to root only");
    let owner = map.owner(frame * PAGE);
    Whereabouts::Device(owner.unwrap_or_else(|| panic!("frame {frame:#x} is in no device's memory")).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IOMEM: &str = "\
00001000-0009fbff : System RAM
c0000000-febfffff : PCI Bus 0000:00
  fd000000-fdffffff : 0000:03:00.0
7ff0000000-7fffffffff : 0000:03:00.0
";

    #[test]
    fn memory_of_devices_is_at_the_top_level() {
        let map = MemoryMap::parse(IOMEM);
        assert_eq!(map.owner(0x7f_f000_0000), Some("0000:03:00.0"));
        assert_eq!(map.owner(0x7f_ffff_ffff), Some("0000:03:00.0"));
        assert_eq!(map.owner(0xfd00_0000), None);
    }

    #[test]
    fn an_entry_tells_where_a_page_is() {
        let map = MemoryMap::parse(IOMEM);
        let device = SWAP | (0x7f_f000_1000 / PAGE) << 5 | 29;
        assert_eq!(whereabouts(device, &map), Whereabouts::Device("0000:03:00.0".to_owned()));
        assert_eq!(whereabouts(PRESENT | 77, &map), Whereabouts::System);
        assert_eq!(whereabouts(0, &map), Whereabouts::Absent);
    }

    #[test]
    #[should_panic(expected = "in no device's memory")]
    fn a_frame_of_nobody_is_not_overlooked() {
        whereabouts(SWAP | 5 << 5 | 28, &MemoryMap::parse(IOMEM));
    }
}
