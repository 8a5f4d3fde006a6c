// SPDX-License-Identifier: MIT OR Apache-2.0
//! The walk through the page tables of one address space.
//!
//! Five levels of 512 entries; the directories are always in VRAM on a discrete GPU (`xe_pt.c`, `xe_gtt_defs.h`). The
//! 64 KiB hint in a leaf (XE_PTE_PS64) only says that sixteen entries go together, so it is not needed here.

/// Address bits that are translated; what is above them is a copy of bit 47 and ignored.
pub const ADDRESS_BITS: u64 = (1 << 48) - 1;

/// Entry bits (`xe_gtt_defs.h`): XE_PAGE_PRESENT, XE_PAGE_RW, XE_PDE_PS_2M and XE_PDPE_PS_1G, XE_PTE_NULL,
/// XE_USM_PPGTT_PTE_AE, XE_PPGTT_PTE_DM, XE_PAGE_ADDR_MASK.
const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;
const NULL: u64 = 1 << 9;
const ATOMIC: u64 = 1 << 10;
const IN_VRAM: u64 = 1 << 11;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

const LEVELS: u32 = 5;

/// How memory is touched; the numbers are those of a fault message (`xe_pagefault_types.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A read.
    Read = 0,
    /// A write.
    Write = 1,
    /// A read and a write that nothing can come between.
    Atomic = 2,
}

/// Why it could not be; the numbers are those of a fault message (`xe_pagefault_types.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No valid entry.
    NotPresent = 0,
    /// The page may not be written.
    Write = 1,
    /// The page may not be used for atomic operations.
    Atomic = 2,
}

/// An access that needs the driver's help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The address.
    pub address: u64,
    /// The level of the table whose entry ended the walk; 0 is a page.
    pub level: u32,
    /// Why.
    pub kind: Kind,
    /// What was wanted.
    pub access: Access,
}

/// Where the walk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The first byte of the page in VRAM or on the bus.
    pub target: u64,
    /// The length of the page: 4 KiB, 2 MiB or 1 GiB.
    pub length: u64,
    /// Whether the page is in this GPU's VRAM.
    pub in_vram: bool,
    /// Whether it may be written.
    pub writable: bool,
    /// Whether it may be used for atomic operations.
    pub atomic: bool,
    /// Whether it reads zero and forgets writes.
    pub null: bool,
    /// The level of the table that holds it.
    pub level: u32,
}

impl Leaf {
    /// Whether the page may be used so.
    pub fn allows(&self, access: Access) -> Result<(), Kind> {
        match access {
            Access::Atomic if !self.null && !self.atomic => Err(Kind::Atomic),
            Access::Write | Access::Atomic if !self.null && !self.writable => Err(Kind::Write),
            _ => Ok(()),
        }
    }
}

/// What ends a walk before its leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// An entry is not present: the level of its table.
    Absent(u32),
    /// A table is not in VRAM: its address.
    Lost(u64),
}

/// Looks `address` up in the tables from `root` on; `entry` reads 8 bytes of VRAM.
pub fn walk(root: u64, address: u64, entry: impl Fn(u64) -> Option<u64>) -> Result<Leaf, Miss> {
    let mut table = root & ADDRESS;
    for level in (0..LEVELS).rev() {
        let shift = 12 + 9 * level;
        let at = table + (((address & ADDRESS_BITS) >> shift) & 511) * 8;
        let found = entry(at).ok_or(Miss::Lost(table))?;
        if found & PRESENT == 0 {
            return Err(Miss::Absent(level));
        }
        if level == 0 || level <= 2 && found & LARGE != 0 {
            let length = 1u64 << shift;
            return Ok(Leaf {
                target: found & ADDRESS & !(length - 1),
                length,
                in_vram: found & IN_VRAM != 0,
                writable: found & WRITABLE != 0,
                atomic: found & ATOMIC != 0,
                null: found & NULL != 0,
                level,
            });
        }
        table = found & ADDRESS;
    }
    unreachable!("level 0 always ends the walk")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Tables at 0x1000, 0x2000, … one a level, and a leaf at the end.
    fn tables(address: u64, levels: u32, leaf: u64) -> HashMap<u64, u64> {
        let mut entries = HashMap::new();
        for step in 0..levels {
            let level = LEVELS - 1 - step;
            let index = (address >> (12 + 9 * level)) & 511;
            let next = u64::from(step + 2) << 12 | PRESENT | WRITABLE;
            entries.insert((u64::from(step + 1) << 12) + index * 8, if step + 1 == levels { leaf } else { next });
        }
        entries
    }

    const AT: u64 = 0x7f12_3456_7000;

    #[test]
    fn a_page_of_4_kib_ends_at_level_0() {
        let entries = tables(AT, 5, 0xabcd_e000 | PRESENT | WRITABLE | IN_VRAM | ATOMIC);
        let leaf = walk(0x1000, AT, |at| Some(entries.get(&at).copied().unwrap_or(0))).unwrap();
        assert_eq!((leaf.target, leaf.length, leaf.level), (0xabcd_e000, 4096, 0));
        assert!(leaf.in_vram && leaf.writable && leaf.atomic && !leaf.null);
    }

    #[test]
    fn a_large_page_ignores_the_attribute_bits_inside_its_address() {
        let entries = tables(AT, 3, 0x4000_0000 | 1 << 12 | LARGE | PRESENT);
        let leaf = walk(0x1000, AT, |at| Some(entries.get(&at).copied().unwrap_or(0))).unwrap();
        assert_eq!((leaf.target, leaf.length, leaf.level), (0x4000_0000, 1 << 30, 2));
        assert_eq!(leaf.allows(Access::Read), Ok(()));
        assert_eq!(leaf.allows(Access::Write), Err(Kind::Write));
        assert_eq!(leaf.allows(Access::Atomic), Err(Kind::Atomic));
    }

    #[test]
    fn the_level_that_is_missing_is_told() {
        let entries = tables(AT, 4, 0);
        let look = |address| walk(0x1000, address, |at| Some(entries.get(&at).copied().unwrap_or(0)));
        assert_eq!(look(AT), Err(Miss::Absent(1)));
        // Addresses of 48 bits all share the first entry of the root.
        assert_eq!(look(0), Err(Miss::Absent(3)));
        assert_eq!(walk(0x1000, AT, |_| None), Err(Miss::Lost(0x1000)));
    }

    #[test]
    fn canonical_addresses_mean_their_lower_48_bits() {
        let high = 0xffff_c001_2345_6000;
        let entries = tables(high & ADDRESS_BITS, 5, 0x5000 | PRESENT);
        assert!(walk(0x1000, high, |at| Some(entries.get(&at).copied().unwrap_or(0))).is_ok());
    }
}
