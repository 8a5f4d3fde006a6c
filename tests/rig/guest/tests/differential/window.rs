// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of a scenario: addresses of its own, where nothing else of the process is ever mapped.

#![allow(unsafe_code, reason = "maps, unmaps and touches memory at addresses that it owns")]

use crate::step::{Part, Protection, Sharing};
use std::{io, ptr};
use xeplace::{PAGE, Range, driver::Access};

/// Pages of a window: four blocks where scenarios begin, and four where mremap takes memory.
pub const PAGES: u64 = 4096;
const HALF: u64 = PAGES / 2;
/// Since Linux 6.13 (`include/uapi/asm-generic/mman-common.h`).
const MADV_GUARD_INSTALL: i32 = 102;
const MADV_GUARD_REMOVE: i32 = 103;

/// What is mapped at one page.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mapped {
    sharing: Sharing,
    protection: Protection,
    guard: bool,
}

/// Steps act on what is mapped of their part, run by run, and pass over the rest.
pub struct Window {
    base: u64,
    pages: Vec<Option<Mapped>>,
}

impl Window {
    /// The window at `base`, empty. The kernel maps from the top downwards, and never comes as far down as this by itself.
    pub fn at(base: u64) -> Window {
        Window { base, pages: vec![None; PAGES as usize] }
    }

    pub fn range(&self, part: Part) -> Range {
        Range::new(self.base + part.page * PAGE, part.pages * PAGE).expect("a part of a window")
    }

    pub fn whole(&self) -> Range {
        self.range(Part { page: 0, pages: PAGES })
    }

    /// The pages of `range` that lie in the window.
    pub fn part(&self, range: Range) -> Option<Part> {
        let found = range.intersection(self.whole())?;
        Some(Part { page: (found.start() - self.base) / PAGE, pages: found.pages() })
    }

    /// Maps what is not mapped yet of `part`. Pages come one by one: what huge ones do is up to khugepaged.
    pub fn map(&mut self, part: Part, sharing: Sharing) -> io::Result<()> {
        for free in self.runs(part, |page| page.is_none()) {
            let (address, length) = self.span(free);
            let kind = if sharing == Sharing::Shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
            let flags = kind | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
            // SAFETY: MAP_FIXED_NOREPLACE replaces nothing.
            let there = unsafe { libc::mmap(address, length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
            if there == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            self.set(free, Some(Mapped { sharing, protection: Protection::Write, guard: false }));
            self.madvise(free, libc::MADV_NOHUGEPAGE)?;
        }
        Ok(())
    }

    pub fn unmap(&mut self, part: Part) -> io::Result<Vec<Part>> {
        let mapped = self.mapped(part);
        for run in &mapped {
            let (address, length) = self.span(*run);
            // SAFETY: the window owns these addresses, and nobody has a reference into them.
            check(unsafe { libc::munmap(address, length) })?;
            self.set(*run, None);
        }
        Ok(mapped)
    }

    /// Where mremap takes a part: to the other half.
    pub fn elsewhere(part: Part) -> Option<Part> {
        let end = part.page + part.pages;
        if part.page >= HALF {
            Some(Part { page: part.page - HALF, ..part })
        } else {
            (end <= HALF).then_some(Part { page: part.page + HALF, ..part })
        }
    }

    /// Moves a run of equal pages to `to`, where nothing is mapped.
    pub fn remap(&mut self, from: Part, to: Part) -> io::Result<()> {
        let ((old, length), (new, _)) = (self.span(from), self.span(to));
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the window owns both places, and nobody has a reference into them.
        let there = unsafe { libc::mremap(old, length, length, flags, new) };
        if there == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pages = self.pages[at(from)].to_vec();
        self.pages[at(to)].copy_from_slice(&pages);
        self.set(from, None);
        Ok(())
    }

    /// Says what has changed: to protect what is protected so already is nothing to the kernel.
    pub fn protect(&mut self, part: Part, protection: Protection) -> io::Result<Vec<Part>> {
        let unlike = self.runs(part, |page| page.is_some_and(|page| page.protection != protection));
        let flags = match protection {
            Protection::None => libc::PROT_NONE,
            Protection::Read => libc::PROT_READ,
            Protection::Write => libc::PROT_READ | libc::PROT_WRITE,
        };
        for run in &unlike {
            let (address, length) = self.span(*run);
            // SAFETY: as for munmap.
            check(unsafe { libc::mprotect(address, length, flags) })?;
            self.pages[at(*run)].iter_mut().flatten().for_each(|page| page.protection = protection);
        }
        Ok(unlike)
    }

    pub fn discard(&mut self, part: Part) -> io::Result<Vec<Part>> {
        let mapped = self.mapped(part);
        mapped.iter().try_for_each(|run| self.madvise(*run, libc::MADV_DONTNEED))?;
        Ok(mapped)
    }

    /// The private pages of `part` that are guarded from now on, or no longer.
    pub fn guard(&mut self, part: Part, guard: bool) -> Vec<Part> {
        let changes = |page: Mapped| page.sharing == Sharing::Private && page.guard != guard;
        let runs = self.runs(part, |page| page.is_some_and(changes));
        for run in &runs {
            self.pages[at(*run)].iter_mut().flatten().for_each(|page| page.guard = guard);
        }
        runs
    }

    /// Tells the kernel of guarded pages.
    pub fn install_guards(&mut self, runs: &[Part], guard: bool) -> io::Result<()> {
        let advice = if guard { MADV_GUARD_INSTALL } else { MADV_GUARD_REMOVE };
        runs.iter().try_for_each(|run| self.madvise(*run, advice))
    }

    /// The CPU touches each page of `part` that it may.
    pub fn touch(&mut self, part: Part, access: Access) -> Vec<Part> {
        let may = |page: Option<Mapped>| match page {
            Some(Mapped { guard: true, .. }) | None => false,
            Some(Mapped { protection: Protection::Write, .. }) => true,
            Some(Mapped { protection: Protection::Read, .. }) => access == Access::Read,
            Some(Mapped { protection: Protection::None, .. }) => false,
        };
        let runs = self.runs(part, may);
        for page in runs.iter().flat_map(|run| run.page..run.page + run.pages) {
            let byte = ptr::without_provenance_mut::<u8>((self.base + page * PAGE) as usize);
            // SAFETY: mapped with this permission by this window, which lends its bytes to nobody.
            unsafe {
                let value = byte.read_volatile();
                if access != Access::Read {
                    byte.write_volatile(value.wrapping_add(1));
                }
            }
        }
        runs
    }

    /// What is mapped of `part`, in runs of equal pages.
    pub fn mapped(&self, part: Part) -> Vec<Part> {
        self.runs(part, |page| page.is_some())
    }

    /// The runs of equal pages in `part` of which `wanted` holds.
    fn runs(&self, part: Part, wanted: impl Fn(Option<Mapped>) -> bool) -> Vec<Part> {
        let mut runs: Vec<Part> = Vec::new();
        for page in part.page..part.page + part.pages {
            let now = self.pages[page as usize];
            match runs.last_mut() {
                _ if !wanted(now) => {}
                Some(last) if last.page + last.pages == page && self.pages[last.page as usize] == now => {
                    last.pages += 1
                }
                _ => runs.push(Part { page, pages: 1 }),
            }
        }
        runs
    }

    fn madvise(&self, part: Part, advice: i32) -> io::Result<()> {
        let (address, length) = self.span(part);
        // SAFETY: the window owns these addresses, and nobody has a reference into them.
        check(unsafe { libc::madvise(address, length, advice) })
    }

    fn span(&self, part: Part) -> (*mut libc::c_void, usize) {
        (ptr::without_provenance_mut((self.base + part.page * PAGE) as usize), (part.pages * PAGE) as usize)
    }

    fn set(&mut self, part: Part, page: Option<Mapped>) {
        self.pages[at(part)].fill(page);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.unmap(Part { page: 0, pages: PAGES });
    }
}

fn at(part: Part) -> std::ops::Range<usize> {
    part.page as usize..(part.page + part.pages) as usize
}

fn check(status: i32) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Forks a child that ends at once.
pub fn fork() -> io::Result<()> {
    // SAFETY: the child does nothing but end.
    unsafe {
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => libc::_exit(0),
            child => {
                libc::waitpid(child, ptr::null_mut(), 0);
                Ok(())
            }
        }
    }
}
