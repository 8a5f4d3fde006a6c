// SPDX-License-Identifier: MIT OR Apache-2.0
//! Residency of a gigabyte of this process's memory, from the running kernel.

use crate::{
    measure::side_by_side,
    report::{Goal, Report, Row},
};
use std::{
    hint::black_box,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
};
use xeplace::{
    BLOCK, Files, Machine, PAGE, Place, Range, Result, Space,
    driver::{Driver, Kernel, Mapping},
    uapi::{PAGE_IS_GUARD, PAGE_IS_PRESENT, PAGE_IS_SWAPPED, page_region, pm_scan_arg},
};

const BYTES: usize = 1 << 30;

/// By the library, by PAGEMAP_SCAN alone, and by `move_pages(2)`.
pub(crate) fn resident(report: &mut Report) -> Result<()> {
    let machine = Machine::open_with(Arc::new(Kernel::default()), Files::host())?;
    let space = Space::empty(&machine)?;
    let kernel = Kernel::default();
    let pagemap = kernel.open(Path::new("/proc/self/pagemap")).expect("a process may read its own");
    for (kind, advice) in [("huge pages", libc::MADV_HUGEPAGE), ("4 KiB pages", libc::MADV_NOHUGEPAGE)] {
        let mut memory = Mapping::anonymous(BYTES, BLOCK as usize, false).expect("there is a gigabyte");
        memory.madvise(0, BYTES, advice).expect("it is known to the kernel");
        for page in memory.bytes_mut().chunks_mut(PAGE as usize) {
            page[0] = 1;
        }
        let range = Range::covering(memory.bytes())?;
        let pages = range.pages() as usize;
        let mut ours = |_| {
            let residency = space.residency(range).expect("the kernel scans");
            assert_eq!(residency.bytes(|place| place == Place::System), range.len());
        };
        let mut bare = |_| assert_eq!(scan(&kernel, &pagemap, range), range.len());
        let mut nodes = vec![0; pages];
        let mut asked = |_| {
            kernel.page_nodes(range, &mut nodes).expect("the kernel has move_pages");
            assert!(black_box(&nodes).iter().all(|node| *node >= 0));
        };
        let times = side_by_side(21, [&mut ours, &mut bare, &mut asked]);
        for (other, with, goal) in [(1, "PAGEMAP_SCAN alone", 1.25), (2, "move_pages(2)", 0.1)] {
            report.add(Row {
                what: format!("residency of 1 GiB of {kind}"),
                with,
                item: "page",
                nanoseconds: (times.nanoseconds(0, pages), times.nanoseconds(other, pages)),
                ratio: times.ratio(0, other),
                excess: times.excess(0, other, pages),
                goal: Goal::Ratio(goal),
            });
        }
    }
    Ok(())
}

/// Bytes that the kernel says are somewhere.
fn scan(kernel: &Kernel, pagemap: &OwnedFd, range: Range) -> u64 {
    let mut regions = [page_region::default(); 256];
    let (mut start, mut bytes) = (range.start(), 0);
    while start < range.end() {
        let mut scan = pm_scan_arg {
            start,
            end: range.end(),
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_GUARD,
            ..Default::default()
        };
        let count = kernel.pagemap_scan(pagemap.as_fd(), &mut scan, &mut regions).expect("the kernel scans");
        bytes += regions[..count].iter().map(|region| region.end - region.start).sum::<u64>();
        start = scan.walk_end;
    }
    bytes
}
