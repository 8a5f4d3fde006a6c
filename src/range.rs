// SPDX-License-Identifier: MIT OR Apache-2.0
//! A page-aligned span of this process's addresses.

use crate::error::{Error, Result};
use std::{fmt, ops};

/// Bytes in a page. Other page sizes are refused when a machine is opened.
pub const PAGE: u64 = 4096;

/// Bytes in a block: the largest unit in which the driver maps and moves memory
/// (`SZ_2M` in `drivers/gpu/drm/xe/xe_svm.c`). Wishes whose ends lie on blocks cost nothing extra.
pub const BLOCK: u64 = 2 << 20;

/// The first address that a process cannot have: 47 bits of user addresses (x86-64, four-level paging and default hints).
pub const USER_END: u64 = 1 << 47;

/// A page-aligned span of this process's addresses: never empty, never wrapping, always below [`USER_END`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    start: u64,
    end: u64,
}

impl Range {
    /// The whole of what a process can address.
    pub const ALL: Range = Range { start: 0, end: USER_END };

    /// Exactly `length` bytes at `start`: both multiples of [`PAGE`].
    ///
    /// Refused with [`Error::Invalid`]: zero length, unaligned ends, a span that wraps or leaves the user half.
    pub fn new(start: u64, length: u64) -> Result<Range> {
        let range = Range::around(start, length)?;
        if range.start != start || range.len() != length {
            return Err(invalid(start, length, "is not aligned to pages of 4096 bytes"));
        }
        Ok(range)
    }

    /// The pages that hold any of `length` bytes at `start`: rounded outward.
    ///
    /// Refused with [`Error::Invalid`]: zero length, a span that wraps or leaves the user half.
    pub fn around(start: u64, length: u64) -> Result<Range> {
        if length == 0 {
            return Err(invalid(start, length, "is empty"));
        }
        let Some(end) = start.checked_add(length) else {
            return Err(invalid(start, length, "wraps around the end of the address space"));
        };
        if end > USER_END {
            return Err(invalid(start, length, "leaves the addresses that a process can have"));
        }
        Ok(Range { start: start & !(PAGE - 1), end: end.next_multiple_of(PAGE) })
    }

    /// The pages that hold any byte of `memory`. An empty slice is refused.
    pub fn covering<T>(memory: &[T]) -> Result<Range> {
        Range::around(memory.as_ptr().addr() as u64, size_of_val(memory) as u64)
    }

    /// First address.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// First address behind it.
    pub const fn end(self) -> u64 {
        self.end
    }

    /// Length in bytes; never zero.
    #[allow(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Number of pages; never zero.
    pub const fn pages(self) -> u64 {
        self.len() / PAGE
    }

    /// Whether `address` lies in it.
    pub fn contains(self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Whether all of `other` lies in it.
    pub fn covers(self, other: Range) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// What it shares with `other`.
    pub fn intersection(self, other: Range) -> Option<Range> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Range { start, end })
    }

    /// What of it lies before and behind `other`.
    pub fn without(self, other: Range) -> [Option<Range>; 2] {
        let before = Range { start: self.start, end: self.end.min(other.start) };
        let behind = Range { start: self.start.max(other.end), end: self.end };
        [before, behind].map(|part| (part.start < part.end).then_some(part))
    }

    /// The smallest range of whole [`BLOCK`]s around it.
    pub fn blocks(self) -> Range {
        Range { start: self.start & !(BLOCK - 1), end: self.end.next_multiple_of(BLOCK) }
    }

    /// Whether an end of it lies inside a [`BLOCK`].
    ///
    /// Advice on such a range splits the driver's mapping of that block for good, and moves what the block holds in
    /// VRAM back to system memory (`xe_svm_unmap_address_range` in `xe_svm.c`).
    pub fn cuts_blocks(self) -> bool {
        self.blocks() != self
    }

    /// Pieces of `bytes`, the first and the last ones perhaps shorter, cut on pages, or on [`BLOCK`]s if `bytes` is at
    /// least one.
    ///
    /// `bytes` is a power of two, at least a page.
    pub fn chunks(self, bytes: u64) -> impl Iterator<Item = Range> {
        assert!(bytes.is_power_of_two() && bytes >= PAGE, "a chunk is a power of two of at least a page");
        let mut start = self.start;
        std::iter::from_fn(move || {
            let end = self.end.min((start & !(bytes.min(BLOCK) - 1)) + bytes);
            let chunk = (start < end).then_some(Range { start, end })?;
            start = end;
            Some(chunk)
        })
    }

    /// As addresses, end excluded.
    pub fn addresses(self) -> ops::Range<u64> {
        self.start..self.end
    }

    /// From aligned addresses that are known to be in order, such as the kernel's own; `None` if they are not.
    pub(crate) fn between(start: u64, end: u64) -> Option<Range> {
        (start < end && start % PAGE == 0 && end % PAGE == 0 && end <= USER_END).then_some(Range { start, end })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:#x}+{:#x}", self.start, self.len())
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

fn invalid(start: u64, length: u64, why: &str) -> Error {
    Error::Invalid(format!("range {start:#x}+{length:#x} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_a_range() {
        for (start, length) in
            [(0x1000, 0), (0x1001, 0x1000), (0x1000, 0x1001), (u64::MAX - 0xfff, 0x1000), (USER_END, 0x1000)]
        {
            assert!(Range::new(start, length).is_err(), "{start:#x}+{length:#x}");
        }
        assert!(Range::new(USER_END - PAGE, PAGE).is_ok());
        assert!(Range::around(u64::MAX, u64::MAX).is_err());
    }

    #[test]
    fn rounds_outward() {
        assert_eq!(Range::around(0x1fff, 2).unwrap(), Range::new(0x1000, 0x2000).unwrap());
        assert!(Range::covering::<u8>(&[]).is_err());
    }

    #[test]
    fn chunks_are_cut_on_blocks() {
        let range = Range::new(3 * BLOCK - PAGE, 4 * BLOCK).unwrap();
        let lengths = |bytes| range.chunks(bytes).map(Range::len).collect::<Vec<_>>();
        assert_eq!(lengths(BLOCK), [PAGE, BLOCK, BLOCK, BLOCK, BLOCK - PAGE]);
        assert_eq!(lengths(2 * BLOCK), [BLOCK + PAGE, 2 * BLOCK, BLOCK - PAGE]);
    }

    proptest! {
        #[test]
        fn chunks_cover_exactly(start in 0u64..1 << 34, pages in 1u64..5000, shift in 12u32..26) {
            let range = Range::new(start * PAGE, pages * PAGE).unwrap();
            let mut at = range.start();
            for chunk in range.chunks(1 << shift) {
                prop_assert_eq!(chunk.start(), at);
                prop_assert!(chunk.len() <= 1 << shift);
                at = chunk.end();
            }
            prop_assert_eq!(at, range.end());
        }

        #[test]
        fn a_cut_loses_nothing(a in 0u64..100, b in 1u64..100, c in 0u64..100, d in 1u64..100) {
            let one = Range::new(a * PAGE, b * PAGE).unwrap();
            let two = Range::new(c * PAGE, d * PAGE).unwrap();
            let rest: u64 = one.without(two).into_iter().flatten().map(Range::len).sum();
            prop_assert_eq!(rest + one.intersection(two).map_or(0, Range::len), one.len());
        }
    }
}
