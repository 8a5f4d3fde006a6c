// SPDX-License-Identifier: MIT OR Apache-2.0
//! Moving pages: into VRAM, out of it, and into sight of a GPU (`drm_pagemap.c`, `drm_gpusvm.c`).

use super::{
    Answer,
    counters::End,
    groups::Owner,
    pages::{Page, Pages},
    process::Process,
    span::Span,
    state::{Event, State},
    vm::Held,
    vram::{AllocationId, PagemapId},
};
use crate::{range::BLOCK, uapi::PAGE_IS_PFNZERO};
use std::io;

/// Whose pages a collection accepts where they are, and what it demands of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Collection {
    /// VRAM of this group can be mapped; `None` lets all of it be faulted back to RAM first.
    pub(super) owner: Option<Owner>,
    /// The mirror is READONLY: pages need not be writable.
    pub(super) read_only: bool,
    /// An atomic needs VRAM: pages in RAM will not do.
    pub(super) vram_only: bool,
}

impl State {
    /// Moves the pages of one range into `target`, all or nothing: `xe_svm_alloc_vram`.
    ///
    /// What cannot be collected is faulted back to RAM and tried once more. So is a block without any page: it is moved,
    /// but the driver counts it as one page, believes that the others did not move, and copies all of it out and in
    /// again (the last loop of `drm_pagemap_migrate_to_devmem`).
    pub(super) fn move_to_vram(&mut self, process: &Process, span: Span, target: PagemapId) -> Answer {
        let there = self.pages.in_vram(span);
        let already: u64 = there.iter().filter(|(_, at)| at.pagemap == target).map(|(part, _)| part.len()).sum();
        if already == span.len() {
            return Ok(());
        }
        let unused = self.is_unused_block(process, span)?;
        match self.try_to_move(process, span, target) {
            Ok(()) if !unused => Ok(()),
            Ok(()) | Err(libc::EBUSY) => {
                // Whether all of it could be faulted back shows in the second try.
                let _ = self.fault_in(process, span);
                self.try_to_move(process, span, target)
            }
            answer => answer,
        }
    }

    /// Whether `span` is a 2 MiB block without pages, which is collected as one hole (`migrate_vma_collect_hole`).
    fn is_unused_block(&self, process: &Process, span: Span) -> Answer<bool> {
        let runs = self.pages.runs(process, span).map_err(errno)?;
        Ok(span.len() == BLOCK && runs.iter().all(|(_, page)| *page == Page::Absent))
    }

    /// `drm_pagemap_populate_mm` and `drm_pagemap_migrate_to_devmem`.
    fn try_to_move(&mut self, process: &Process, span: Span, target: PagemapId) -> Answer {
        if !self.pages.vram.pagemap(target).online {
            return Err(libc::ENODEV);
        }
        self.make_room(target, span.len())?;
        let mapping = process.at(span.start).ok_or(libc::ENOENT)?;
        if !mapping.span.covers(span) {
            return Err(libc::EINVAL);
        }
        if !mapping.anonymous || self.pages.marks.pinned.any(span) {
            self.pages.vram.pagemap_mut(target).spare = span.len();
            return Err(libc::EBUSY);
        }
        let device = self.pages.vram.pagemap(target).device;
        if let Some((source, bytes)) = self.source(process, span, target)? {
            let hops = if let End::Gpu(from) = source { self.hops(from, device) } else { 0 };
            self.counters.copied(source, End::Gpu(device), bytes, hops);
            if let End::Gpu(from) = source {
                // The source writes through the target's BAR.
                self.count_astray((device, from), target, bytes);
            }
        }
        self.counters.gpus[device].migrations += 1;
        self.pages.put_in_vram(span, target);
        self.notify(span, Event::Changed);
        Ok(())
    }

    /// The driver adds the offset in VRAM to the BAR's address and does not look whether the BAR reaches that far
    /// (`xe_page_to_pcie` in `xe_svm.c`): counts `bytes` in `pagemap` that went to addresses beyond it.
    pub(super) fn count_astray(&mut self, (user, holder): (usize, usize), pagemap: PagemapId, bytes: u64) {
        let found = self.pages.vram.pagemap(pagemap);
        let tile = self.devices[found.device].spec.tiles[found.tile];
        if tile.cpu_visible < tile.total {
            self.counters.link(user, holder).bytes_astray += bytes;
        }
    }

    /// From where how much has to be copied. EBUSY if a page cannot be collected, if a part is in the target already,
    /// or if there is more than one source.
    fn source(&self, process: &Process, span: Span, target: PagemapId) -> Answer<Option<(End, u64)>> {
        let owner = self.pages.vram.pagemap(target).owner;
        let mut found: Option<(End, u64)> = None;
        for (part, page) in self.pages.runs(process, span).map_err(errno)? {
            let end = match page {
                Page::Absent => continue,
                Page::Real(categories) if categories & PAGE_IS_PFNZERO != 0 => continue,
                Page::Real(_) | Page::Ram => End::Host,
                Page::Vram(at) if at.pagemap != target && self.pages.vram.pagemap(at.pagemap).owner == owner => {
                    End::Gpu(self.pages.vram.pagemap(at.pagemap).device)
                }
                Page::Swap | Page::Guard | Page::Vram(_) => return Err(libc::EBUSY),
            };
            match &mut found {
                None => found = Some((end, part.len())),
                Some((same, bytes)) if *same == end => *bytes += part.len(),
                Some(_) => return Err(libc::EBUSY),
            }
        }
        Ok(found)
    }

    /// Evicts the oldest allocations until `bytes` are free. ENOSPC if what is left cannot be evicted.
    pub(super) fn make_room(&mut self, pagemap: PagemapId, bytes: u64) -> Answer {
        self.pages.vram.pagemap_mut(pagemap).spare = 0;
        let (device, tile) = (self.pages.vram.pagemap(pagemap).device, self.pages.vram.pagemap(pagemap).tile);
        loop {
            let total = self.devices[device].spec.tiles[tile].total;
            let taken = self.devices[device].filled[tile] + self.pages.vram.used(pagemap);
            if taken + bytes <= total {
                return Ok(());
            }
            let oldest = self.pages.vram.oldest(pagemap).ok_or(libc::ENOSPC)?;
            self.counters.gpus[device].evictions += 1;
            self.evict(oldest);
        }
    }

    /// Copies one allocation to RAM: `drm_pagemap_evict_to_ram`.
    pub(super) fn evict(&mut self, allocation: AllocationId) {
        for part in self.pages.shown(allocation) {
            self.bring_back(part, allocation.pagemap);
        }
        debug_assert!(self.pages.vram.allocation(allocation).is_none(), "all its pages were shown somewhere");
    }

    /// `part`, all of it in `pagemap`, goes to RAM.
    fn bring_back(&mut self, part: Span, pagemap: PagemapId) {
        let device = self.pages.vram.pagemap(pagemap).device;
        self.counters.copied(End::Gpu(device), End::Host, part.len(), 0);
        self.pages.put_in_ram(part);
        self.notify(part, Event::Changed);
    }

    /// The CPU touches a page in VRAM: all pages of the same kind in a window of the size of its allocation come back,
    /// as far as the mapping goes (`__drm_pagemap_migrate_to_ram`).
    pub(super) fn cpu_fault(&mut self, process: &Process, address: u64, allocation: AllocationId) {
        let Some(size) = self.pages.vram.allocation(allocation).map(|found| found.size) else { return };
        let window = Span::aligned(address, size);
        let window = process.at(address).and_then(|mapping| mapping.span.meet(window)).unwrap_or(window);
        let device = self.pages.vram.pagemap(allocation.pagemap).device;
        self.counters.cpu_fault(device);
        for (part, found) in self.pages.in_vram(window) {
            if found.pagemap == allocation.pagemap {
                self.bring_back(part, found.pagemap);
            }
        }
    }

    /// Faults the pages of `span` into RAM, each as the CPU would: `drm_gpusvm_range_evict`. EFAULT at a guard page.
    pub(super) fn fault_in(&mut self, process: &Process, span: Span) -> Answer {
        for (part, page) in self.pages.runs(process, span).map_err(errno)? {
            match page {
                Page::Real(_) | Page::Ram => {}
                Page::Absent | Page::Swap => self.pages.put_in_ram(part),
                Page::Vram(_) => self.fault_back(process, part, |_| true),
                Page::Guard => return Err(libc::EFAULT),
            }
        }
        Ok(())
    }

    /// Faults back what of `span` is in VRAM and unwanted there.
    pub(super) fn fault_back(&mut self, process: &Process, span: Span, unwanted: impl Fn(Owner) -> bool) {
        let owner = |pages: &Pages, found: AllocationId| pages.vram.pagemap(found.pagemap).owner;
        for (part, allocation) in self.pages.in_vram(span) {
            if !unwanted(owner(&self.pages, allocation)) {
                continue;
            }
            // One fault brings back a window, which need not be all of the part.
            while let Some((left, _)) = self.pages.in_vram(part).into_iter().next() {
                self.cpu_fault(process, left.start, allocation);
            }
        }
    }

    /// Finds the pages of a range for a GPU to map, faulting in what is missing: `drm_gpusvm_range_get_pages`.
    ///
    /// EFAULT: a hole, a guard page, or RAM where VRAM is demanded. EPERM: not writable. EOPNOTSUPP: a mixture, which
    /// was sent back to RAM.
    pub(super) fn collect(&mut self, process: &Process, span: Span, wanted: Collection) -> Answer<Held> {
        self.check_access(process, span, wanted.read_only)?;
        self.fault_back(process, span, |owner| Some(owner) != wanted.owner);
        let mut held: Option<(Held, Option<AllocationId>)> = None;
        for (part, page) in self.pages.runs(process, span).map_err(errno)? {
            let found = match page {
                Page::Guard => return Err(libc::EFAULT),
                Page::Vram(allocation) => (Held::Vram(allocation.pagemap), Some(allocation)),
                Page::Real(_) | Page::Ram => (Held::Ram, None),
                Page::Absent | Page::Swap => {
                    self.pages.put_in_ram(part);
                    (Held::Ram, None)
                }
            };
            if held.is_some_and(|before| before != found) {
                let _ = self.fault_in(process, span);
                return Err(libc::EOPNOTSUPP);
            }
            held = Some(found);
        }
        match held {
            Some((Held::Ram, _)) if wanted.vram_only => Err(libc::EFAULT),
            Some((held, _)) => Ok(held),
            None => Err(libc::EFAULT),
        }
    }

    /// What `hmm_range_fault` asks of the mappings.
    fn check_access(&self, process: &Process, span: Span, read_only: bool) -> Answer {
        let mut at = span.start;
        for mapping in process.over(span) {
            if mapping.span.start > at || !mapping.readable || mapping.io {
                return Err(libc::EFAULT);
            }
            if !mapping.writable && !read_only {
                return Err(libc::EPERM);
            }
            at = mapping.span.end;
        }
        if at < span.end { Err(libc::EFAULT) } else { Ok(()) }
    }
}

pub(super) fn errno(error: io::Error) -> i32 {
    crate::error::errno_of(&error)
}
