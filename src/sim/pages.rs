// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where each page is: what the simulation did to it, laid over the real pages of this process.

use super::{
    process::{CpuMapping, Process},
    span::{Span, Spans},
    vram::{AllocationId, PagemapId, Vram},
};
use crate::uapi::{memory::MemoryPolicy, *};
use std::io;

/// Where a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Page {
    /// Nowhere: not touched yet, or not mapped.
    Absent,
    /// In RAM, where the real kernel has it, with its categories (PAGE_IS_…).
    Real(u64),
    /// In RAM, since the simulation put it there.
    Ram,
    /// Swapped out.
    Swap,
    /// In VRAM.
    Vram(AllocationId),
    /// A guard marker.
    Guard,
}

/// What makes memory another than this machine has: what a test has said of it, and the policies of simulated nodes.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) pinned: Spans<()>,
    pub(super) guard: Spans<()>,
    pub(super) hugetlb: Spans<()>,
    pub(super) io: Spans<()>,
    pub(super) locked: Spans<()>,
    /// Where it is not the default.
    pub(super) policies: Spans<MemoryPolicy>,
}

impl Marks {
    fn all(&mut self) -> [&mut Spans<()>; 5] {
        [&mut self.pinned, &mut self.guard, &mut self.hugetlb, &mut self.io, &mut self.locked]
    }

    /// Cuts a mapping where marks and policies begin and end that make a mapping of its own.
    pub(super) fn split(&self, mapping: CpuMapping, mut part: impl FnMut(CpuMapping)) {
        let mut cuts = vec![mapping.span.start, mapping.span.end];
        for marks in [&self.hugetlb, &self.io, &self.locked] {
            cuts.extend(marks.clipped(mapping.span).flat_map(|(span, ())| [span.start, span.end]));
        }
        cuts.extend(self.policies.clipped(mapping.span).flat_map(|(span, _)| [span.start, span.end]));
        cuts.sort_unstable();
        cuts.dedup();
        for ends in cuts.windows(2) {
            let span = Span { start: ends[0], end: ends[1] };
            let (hugetlb, io) = (self.hugetlb.any(span), self.io.any(span));
            part(CpuMapping {
                span,
                hugetlb,
                io: mapping.io || io,
                anonymous: mapping.anonymous && !hugetlb && !io,
                ..mapping
            });
        }
    }
}

/// All pages of this process.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Only `Ram`, `Swap` and `Vram`.
    moved: Spans<Page>,
    pub(super) vram: Vram,
    pub(super) marks: Marks,
}

impl Pages {
    /// The pages of `span`, all of it, in order.
    pub(super) fn runs(&self, process: &Process, span: Span) -> io::Result<Vec<(Span, Page)>> {
        let mut runs = Spans::default();
        runs.put(span, Page::Absent);
        for (part, categories) in process.pages(span)? {
            let page = match categories {
                _ if categories & PAGE_IS_GUARD != 0 => Page::Guard,
                _ if categories & PAGE_IS_PRESENT == 0 => Page::Swap,
                _ => Page::Real(categories),
            };
            runs.put(part, page);
        }
        for (part, page) in self.moved.clipped(span) {
            runs.put(part, *page);
        }
        for (part, ()) in self.marks.guard.clipped(span) {
            runs.put(part, Page::Guard);
        }
        Ok(runs.iter().map(|(part, page)| (part, *page)).collect())
    }

    /// What of `span` is in VRAM, and in which allocation.
    pub(super) fn in_vram(&self, span: Span) -> Vec<(Span, AllocationId)> {
        let held = |(part, page): (Span, &Page)| match page {
            Page::Vram(allocation) => Some((part, *allocation)),
            _ => None,
        };
        self.moved.clipped(span).filter_map(held).collect()
    }

    /// What of `span` is swapped out.
    pub(super) fn swapped(&self, span: Span) -> u64 {
        self.moved.clipped(span).filter(|(_, page)| **page == Page::Swap).map(|(part, _)| part.len()).sum()
    }

    /// Where the pages of an allocation are shown.
    pub(super) fn shown(&self, allocation: AllocationId) -> Vec<Span> {
        let homes = self.vram.allocation(allocation).map_or(&[][..], |found| &found.homes);
        let parts = homes.iter().flat_map(|home| self.in_vram(*home));
        parts.filter(|(_, found)| *found == allocation).map(|(part, _)| part).collect()
    }

    /// The pages of `span` are in RAM now, whatever they were.
    pub(super) fn put_in_ram(&mut self, span: Span) {
        self.forget(span);
        self.moved.spread(span, Page::Ram);
    }

    /// The pages of `span` are swapped out now.
    pub(super) fn put_in_swap(&mut self, span: Span) {
        self.forget(span);
        self.moved.spread(span, Page::Swap);
    }

    /// The pages of `span` are in a new allocation of its size.
    pub(super) fn put_in_vram(&mut self, span: Span, pagemap: PagemapId) {
        let allocation = self.vram.allocate(pagemap, span.len());
        self.vram.gain(allocation, span);
        self.forget(span);
        self.moved.put(span, Page::Vram(allocation));
    }

    /// Gives back what the simulation holds of `span`: from now on the real pages count.
    pub(super) fn forget(&mut self, span: Span) {
        for (part, page) in self.moved.take(span) {
            if let Page::Vram(allocation) = page {
                self.vram.lose(allocation, part.len());
            }
        }
    }

    /// The mapping at `span` has ended.
    pub(super) fn unmap(&mut self, span: Span) {
        self.forget(span);
        self.marks.all().into_iter().for_each(|marks| drop(marks.take(span)));
        self.marks.policies.take(span);
    }

    /// The mapping at `old` is at `start` now, with its pages and marks.
    pub(super) fn relocate(&mut self, old: Span, start: u64) {
        let there = |part: Span| Span::of(start + (part.start - old.start), part.len());
        let pages = self.moved.take(old);
        for (part, page) in &pages {
            if let Page::Vram(allocation) = page {
                self.vram.gain(*allocation, there(*part));
                self.vram.lose(*allocation, part.len());
            }
        }
        pages.into_iter().for_each(|(part, page)| self.moved.put(there(part), page));
        for marks in self.marks.all() {
            marks.take(old).into_iter().for_each(|(part, ())| marks.put(there(part), ()));
        }
        for (part, policy) in self.marks.policies.take(old) {
            self.marks.policies.put(there(part), policy);
        }
    }
}
