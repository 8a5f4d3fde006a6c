// SPDX-License-Identifier: MIT OR Apache-2.0
//! An engine's memory of translations: what the driver forgets to invalidate keeps its old value.
//!
//! It never forgets by itself, unlike a real one, so that a missing invalidation shows every time. Misses are not
//! remembered: neither are they by hardware, and the driver relies on it when it makes pages present (`xe_pt.c`).

use crate::ppgtt::{ADDRESS_BITS, Leaf};
use std::collections::BTreeMap;

/// What an invalidation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// A part of one address space.
    Range {
        /// The address space.
        asid: u32,
        /// First address.
        start: u64,
        /// How many bytes.
        length: u64,
    },
}

/// Translations by address space and first address; they never overlap.
#[derive(Debug, Default)]
pub struct Tlb {
    entries: BTreeMap<(u32, u64), Leaf>,
}

impl Tlb {
    /// The translation of `address`: the first address of its page, and the page.
    pub fn find(&self, asid: u32, address: u64) -> Option<(u64, Leaf)> {
        let address = address & ADDRESS_BITS;
        let (&(_, start), leaf) = self.entries.range((asid, 0)..=(asid, address)).next_back()?;
        (address - start < leaf.length).then_some((start, *leaf))
    }

    /// Remembers that the page around `address` is `leaf`, in place of what it knew there.
    pub fn insert(&mut self, asid: u32, address: u64, leaf: Leaf) -> u64 {
        let start = address & ADDRESS_BITS & !(leaf.length - 1);
        self.invalidate(Scope::Range { asid, start, length: leaf.length });
        self.entries.insert((asid, start), leaf);
        start
    }

    /// Forgets what `scope` covers, and says how much that was.
    pub fn invalidate(&mut self, scope: Scope) -> usize {
        let before = self.entries.len();
        match scope {
            Scope::All => self.entries.clear(),
            Scope::Range { asid, start, length } => {
                let start = start & ADDRESS_BITS;
                let end = start.saturating_add(length);
                let first = self.find(asid, start).map_or(start, |(first, _)| first);
                let covered: Vec<_> = self.entries.range((asid, first)..(asid, end)).map(|(key, _)| *key).collect();
                for key in covered {
                    self.entries.remove(&key);
                }
            }
        }
        before - self.entries.len()
    }

    /// How many translations it knows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(target: u64, length: u64) -> Leaf {
        Leaf { target, length, in_vram: true, writable: true, atomic: true, null: false, level: 0 }
    }

    #[test]
    fn an_old_translation_stays_until_it_is_invalidated() {
        let mut tlb = Tlb::default();
        tlb.insert(1, 0x5000, page(0xa000, 4096));
        assert_eq!(tlb.find(1, 0x5fff).unwrap().1.target, 0xa000);
        assert_eq!(tlb.find(2, 0x5000), None);
        assert_eq!(tlb.find(1, 0x6000), None);
        assert_eq!(tlb.invalidate(Scope::Range { asid: 2, start: 0, length: 1 << 40 }), 0);
        assert_eq!(tlb.invalidate(Scope::Range { asid: 1, start: 0x5000, length: 4096 }), 1);
        assert_eq!(tlb.find(1, 0x5000), None);
    }

    #[test]
    fn an_invalidation_inside_a_large_page_takes_the_whole_page() {
        let mut tlb = Tlb::default();
        tlb.insert(1, 0x20_0000, page(0x40_0000, 2 << 20));
        tlb.insert(1, 0x40_0000, page(0x60_0000, 2 << 20));
        assert_eq!(tlb.invalidate(Scope::Range { asid: 1, start: 0x3f_f000, length: 4096 }), 1);
        assert!(tlb.find(1, 0x20_0000).is_none() && tlb.find(1, 0x40_0000).is_some());
    }

    #[test]
    fn a_new_page_replaces_those_that_it_covers() {
        let mut tlb = Tlb::default();
        for index in 0..4 {
            tlb.insert(1, index << 12, page(index << 20, 4096));
        }
        assert_eq!(tlb.insert(1, 0x1234, page(0x20_0000, 2 << 20)), 0);
        assert_eq!(tlb.len(), 1);
        assert_eq!(tlb.find(1, 0x3000).unwrap(), (0, page(0x20_0000, 2 << 20)));
    }

    #[test]
    fn an_invalidation_of_everything_leaves_nothing() {
        let mut tlb = Tlb::default();
        tlb.insert(1, 0, page(0, 4096));
        tlb.insert(2, 0, page(0, 4096));
        assert_eq!(tlb.invalidate(Scope::All), 2);
        assert!(tlb.is_empty());
    }
}
