// SPDX-License-Identifier: MIT OR Apache-2.0
//! Learning where pages are: PAGEMAP_SCAN, `/proc/self/pagemap` and mincore (`fs/proc/task_mmu.c`, `mm/mincore.c`).

use super::{
    Answer,
    migrate::errno,
    pages::Page,
    process::Process,
    span::{Span, Spans},
    state::State,
};
use crate::{
    range::{BLOCK, PAGE, Range},
    uapi::*,
};

/// `PM_SCAN_CATEGORIES`: PAGE_IS_WPALLOWED (bit 0) to PAGE_IS_GUARD.
const KNOWN_CATEGORIES: u64 = (PAGE_IS_GUARD << 1) - 1;
/// Swap types with the usual configuration of x86-64: SWP_DEVICE_WRITE and SWP_DEVICE_READ (`include/linux/swap.h`).
const SWP_DEVICE_WRITE: u64 = 28;
const SWP_DEVICE_READ: u64 = 29;

impl State {
    /// PAGEMAP_SCAN: the runs of pages that `scan` asks for, until `found` is full.
    pub(super) fn pagemap_scan(&self, scan: &mut pm_scan_arg, found: &mut [page_region]) -> Answer<usize> {
        let masks = scan.category_inverted | scan.category_mask | scan.category_anyof_mask | scan.return_mask;
        if scan.flags != 0 || scan.start % PAGE != 0 || masks & !KNOWN_CATEGORIES != 0 {
            return Err(libc::EINVAL);
        }
        if scan.end < scan.start {
            return Err(libc::EFAULT);
        }
        let span = Span { start: scan.start, end: scan.end.next_multiple_of(PAGE) };
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        let mut out = Output { scan, found, count: 0, pages: 0 };
        for mapping in process.over(span) {
            let Some(part) = mapping.span.meet(span) else { continue };
            for (run, page) in self.pages.runs(&process, part).map_err(errno)? {
                if !out.take(run, self.categories(run, page)) {
                    return Ok(out.count);
                }
            }
        }
        out.scan.walk_end = span.end;
        Ok(out.count)
    }

    fn categories(&self, run: Span, page: Page) -> u64 {
        match page {
            Page::Absent => 0,
            Page::Real(categories) => categories,
            Page::Ram => PAGE_IS_PRESENT,
            Page::Swap => PAGE_IS_SWAPPED,
            Page::Guard => PAGE_IS_SWAPPED | PAGE_IS_GUARD,
            // Mapped as one as long as all of an aligned block is there.
            Page::Vram(_) if run.len() == BLOCK && run.start % BLOCK == 0 => PAGE_IS_SWAPPED | PAGE_IS_HUGE,
            Page::Vram(_) => PAGE_IS_SWAPPED,
        }
    }

    /// The entries of `/proc/self/pagemap` from byte `offset` on; whole entries only, as in the kernel.
    pub(super) fn pagemap_entries(&self, offset: u64, bytes: &mut [u8]) -> Answer<usize> {
        if offset % 8 != 0 || bytes.len() % 8 != 0 {
            return Err(libc::EINVAL);
        }
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        let first = offset / 8 * PAGE;
        let span = Span::of(first, bytes.len() as u64 / 8 * PAGE);
        let mut entries = Spans::default();
        for (run, page) in self.pages.runs(&process, span).map_err(errno)? {
            entries.put(run, page);
        }
        for (index, entry) in bytes.chunks_exact_mut(8).enumerate() {
            let address = first + index as u64 * PAGE;
            let page = entries.at(address).map_or(Page::Absent, |(_, page)| *page);
            entry.copy_from_slice(&self.entry(&process, address, page)?.to_le_bytes());
        }
        Ok(bytes.len())
    }

    fn entry(&self, process: &Process, address: u64, page: Page) -> Answer<u64> {
        Ok(match page {
            Page::Absent => 0,
            Page::Real(_) => process.entry(address).map_err(errno)?,
            Page::Ram => PM_PRESENT,
            Page::Swap => PM_SWAP,
            Page::Guard => PM_SWAP | PM_GUARD_REGION,
            Page::Vram(allocation) if self.privileged => {
                // Some frame of the tile; which one means nothing.
                let physical = self.pages.vram.pagemap(allocation.pagemap).physical;
                let frame = (physical.start + address % physical.len()) / PAGE;
                let writable = process.at(address).is_some_and(|mapping| mapping.writable);
                let kind = if writable { SWP_DEVICE_WRITE } else { SWP_DEVICE_READ };
                PM_SWAP | frame << PM_SWAP_TYPE_BITS | kind
            }
            Page::Vram(_) => PM_SWAP,
        })
    }

    /// mincore: pages in VRAM count as being in memory. ENOMEM where nothing is mapped.
    pub(super) fn mincore(&self, range: Range, pages: &mut [u8]) -> Answer {
        memory::mincore(range.start(), pages).map_err(errno)?;
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        for (run, page) in self.pages.runs(&process, range.into()).map_err(errno)? {
            let there = match page {
                Page::Absent | Page::Real(_) => continue,
                Page::Ram | Page::Vram(_) => 1,
                Page::Swap | Page::Guard => 0,
            };
            let first = ((run.start - range.start()) / PAGE) as usize;
            pages[first..first + (run.len() / PAGE) as usize].fill(there);
        }
        Ok(())
    }
}

/// What a scan fills in.
struct Output<'a> {
    scan: &'a mut pm_scan_arg,
    found: &'a mut [page_region],
    count: usize,
    pages: u64,
}

impl Output<'_> {
    /// Takes a run of pages of the same categories if it was asked for. False once there is no room: `walk_end` is then
    /// where to go on.
    fn take(&mut self, run: Span, categories: u64) -> bool {
        let scan = &*self.scan;
        let seen = categories ^ scan.category_inverted;
        let all = seen & scan.category_mask == scan.category_mask;
        let any = scan.category_anyof_mask == 0 || seen & scan.category_anyof_mask != 0;
        if !all || !any {
            return true;
        }
        let allowed = match scan.max_pages {
            0 => run.len(),
            limit => run.len().min((limit - self.pages) * PAGE),
        };
        let (end, categories) = (run.start + allowed, categories & scan.return_mask);
        let full = self.count == self.found.len();
        match self.found[..self.count].last_mut() {
            _ if allowed == 0 => {}
            Some(last) if last.end == run.start && last.categories == categories => last.end = end,
            _ if full => {
                self.scan.walk_end = run.start;
                return false;
            }
            _ => {
                self.found[self.count] = page_region { start: run.start, end, categories };
                self.count += 1;
            }
        }
        self.pages += allowed / PAGE;
        if end < run.end {
            self.scan.walk_end = end;
            return false;
        }
        true
    }
}
