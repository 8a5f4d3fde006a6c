// SPDX-License-Identifier: MIT OR Apache-2.0
//! This process's own memory as the real kernel sees it: its mappings and their pages.

use super::{pages::Marks, span::Span};
use crate::{range::PAGE, uapi::*};
use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::FileExt},
};

/// One mapping, or the part of one that a test has marked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CpuMapping {
    pub(super) span: Span,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// Private and anonymous: has no `vm_ops`.
    pub(super) anonymous: bool,
    /// VM_IO or VM_PFNMAP.
    pub(super) io: bool,
    pub(super) hugetlb: bool,
}

/// The mappings of this process, and a way to ask for their pages.
#[derive(Debug)]
pub(super) struct Process {
    mappings: Vec<CpuMapping>,
    pagemap: File,
}

impl Process {
    pub(super) fn look(marks: &Marks) -> io::Result<Process> {
        let text = fs::read_to_string("/proc/self/maps")?;
        let mut mappings = Vec::new();
        for mapping in text.lines().filter_map(parse) {
            marks.split(mapping, |part| mappings.push(part));
        }
        Ok(Process { mappings, pagemap: File::open("/proc/self/pagemap")? })
    }

    /// The mapping at `address`.
    pub(super) fn at(&self, address: u64) -> Option<&CpuMapping> {
        let found = self.mappings.get(self.index(address))?;
        found.span.contains(address).then_some(found)
    }

    /// All mappings that share an address with `span`.
    pub(super) fn over(&self, span: Span) -> impl Iterator<Item = &CpuMapping> {
        self.mappings[self.index(span.start)..].iter().take_while(move |mapping| mapping.span.start < span.end)
    }

    /// The first mapped address at or behind `address`.
    pub(super) fn next(&self, address: u64) -> Option<u64> {
        self.mappings.get(self.index(address)).map(|mapping| mapping.span.start.max(address))
    }

    /// The first mapping that ends behind `address`.
    fn index(&self, address: u64) -> usize {
        self.mappings.partition_point(|mapping| mapping.span.end <= address)
    }

    /// The real categories (PAGE_IS_…) of the real pages in `span`, of those that are present, swapped or guarded.
    pub(super) fn pages(&self, span: Span) -> io::Result<Vec<(Span, u64)>> {
        match self.scanned(span, CATEGORIES) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            answer => return answer,
        }
        match self.scanned(span, CATEGORIES & !PAGE_IS_GUARD) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTTY)) => self.counted(span),
            answer => answer,
        }
    }

    fn scanned(&self, span: Span, wanted: u64) -> io::Result<Vec<(Span, u64)>> {
        let mut pages = Vec::new();
        let mut found = [page_region::default(); 256];
        let mut scan = pm_scan_arg {
            start: span.start,
            end: span.end,
            category_anyof_mask: wanted & (PAGE_IS_PRESENT | PAGE_IS_SWAPPED),
            return_mask: wanted,
            ..Default::default()
        };
        while scan.start < span.end {
            let count = Door::KERNEL.pagemap_scan(self.pagemap.as_fd(), &mut scan, &mut found)?;
            let regions = found[..count].iter();
            pages.extend(regions.map(|region| (Span { start: region.start, end: region.end }, region.categories)));
            scan.start = scan.walk_end;
        }
        Ok(pages)
    }

    /// For kernels without PAGEMAP_SCAN (before 6.7): entry by entry.
    fn counted(&self, span: Span) -> io::Result<Vec<(Span, u64)>> {
        let mut pages: Vec<(Span, u64)> = Vec::new();
        for mapping in self.over(span) {
            let Some(part) = mapping.span.meet(span) else { continue };
            for page in (part.start..part.end).step_by(PAGE as usize) {
                let categories = categories(self.entry(page)?);
                match pages.last_mut() {
                    _ if categories == 0 => {}
                    Some((last, same)) if last.end == page && *same == categories => last.end += PAGE,
                    _ => pages.push((Span::of(page, PAGE), categories)),
                }
            }
        }
        Ok(pages)
    }

    /// The real pagemap entry of the page at `address`.
    pub(super) fn entry(&self, address: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.pagemap.read_exact_at(&mut bytes, address / PAGE * 8)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// What the simulation cares for in a real page.
const CATEGORIES: u64 =
    PAGE_IS_FILE | PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_PFNZERO | PAGE_IS_HUGE | PAGE_IS_GUARD;

fn categories(entry: u64) -> u64 {
    let bits = [
        (PM_PRESENT, PAGE_IS_PRESENT),
        (PM_SWAP, PAGE_IS_SWAPPED),
        (PM_FILE, PAGE_IS_FILE),
        (PM_GUARD_REGION, PAGE_IS_GUARD | PAGE_IS_SWAPPED),
    ];
    bits.iter().filter(|(bit, _)| entry & bit != 0).map(|(_, category)| category).sum()
}

/// Mappings that the kernel makes of its own pages: present, but neither anonymous nor files.
const SPECIAL: [&str; 3] = ["[vvar]", "[vvar_vclock]", "[vsyscall]"];

/// A line of `/proc/PID/maps`: `start-end perms offset device inode name`.
pub(super) fn parse(line: &str) -> Option<CpuMapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?.as_bytes();
    let inode = words.nth(2)?;
    let name = words.next().unwrap_or("");
    let span = Span { start: u64::from_str_radix(start, 16).ok()?, end: u64::from_str_radix(end, 16).ok()? };
    Some(CpuMapping {
        span,
        readable: permissions.first() == Some(&b'r'),
        writable: permissions.get(1) == Some(&b'w'),
        anonymous: permissions.get(3) == Some(&b'p') && inode == "0" && !SPECIAL.contains(&name) && name != "[vdso]",
        io: SPECIAL.contains(&name),
        hugetlb: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uapi::memory::Mapping;

    #[test]
    fn a_process_sees_its_own_pages() {
        let mut memory = Mapping::anonymous(64 << 10, 64 << 10, false).unwrap();
        memory.bytes_mut()[3 * 4096] = 1;
        let process = Process::look(&Marks::default()).unwrap();
        let span = Span::of(memory.start(), 64 << 10);
        let page = Span::of(memory.start() + 3 * 4096, 4096);
        let pages = process.pages(span).unwrap();
        assert_eq!(pages.iter().map(|(span, _)| *span).collect::<Vec<_>>(), [page]);
        assert_eq!(process.counted(span).unwrap()[0].0, page);
        assert!(process.at(memory.start()).unwrap().anonymous);
        assert_eq!(process.over(span).next(), process.at(memory.start()));
    }

    #[test]
    fn files_and_shared_memory_are_not_anonymous() {
        let shared = Mapping::anonymous(4096, 4096, true).unwrap();
        let process = Process::look(&Marks::default()).unwrap();
        assert!(!process.at(shared.start()).unwrap().anonymous);
        let code = a_process_sees_its_own_pages as fn() as usize as u64;
        let code = process.at(code).unwrap();
        assert!(!code.anonymous && !code.writable && code.readable);
    }
}
