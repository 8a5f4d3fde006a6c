// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where pages are now, measured without touching them.

use crate::{
    address::PciAddress,
    driver::Driver,
    error::{Error, Result},
    files::Files,
    location::{GpuId, Region},
    machine::Machine,
    range::{PAGE, Range},
    uapi::*,
};
use std::{
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// Where the pages of a range are: runs in order, without gaps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Residency {
    /// Neighbouring runs differ.
    pub runs: Vec<Run>,
}

/// Pages in one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The pages.
    pub range: Range,
    /// Where they are.
    pub place: Place,
}

/// Where a page is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Place {
    /// In host memory.
    System,
    /// In some GPU's VRAM.
    Vram {
        /// Which one, if that can be said.
        region: Option<Region>,
        /// How sure that is.
        confidence: Confidence,
    },
    /// In swap.
    Swapped,
    /// Nowhere: never touched, or given back.
    Absent,
    /// A guard page (`MADV_GUARD_INSTALL`): touching it is an error.
    Guard,
}

/// How a VRAM region was found out. That pages are in VRAM at all is always measured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Confidence {
    /// Nothing says which.
    Unknown = 0,
    /// It is where it was wished; a GPU's fault may have brought it there.
    Wished = 1,
    /// This library's last prefetch brought it there.
    Prefetched = 2,
    /// The page frames lie in that region's memory: needs CAP_SYS_ADMIN.
    Exact = 3,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::System => out.write_str("system"),
            Place::Vram { region: Some(region), .. } => region.fmt(out),
            Place::Vram { region: None, .. } => out.write_str("vram"),
            Place::Swapped => out.write_str("swapped"),
            Place::Absent => out.write_str("absent"),
            Place::Guard => out.write_str("guard page"),
        }
    }
}

impl Residency {
    /// Bytes in places that `wanted` picks.
    pub fn bytes(&self, wanted: impl Fn(Place) -> bool) -> u64 {
        self.runs.iter().filter(|run| wanted(run.place)).map(|run| run.range.len()).sum()
    }

    /// Bytes in one region's VRAM.
    pub fn bytes_in(&self, region: Region) -> u64 {
        self.bytes(|place| matches!(place, Place::Vram { region: Some(found), .. } if found == region))
    }

    /// Bytes in any VRAM.
    pub fn bytes_in_vram(&self) -> u64 {
        self.bytes(|place| matches!(place, Place::Vram { .. }))
    }

    pub(crate) fn push(&mut self, range: Range, place: Place) {
        match self.runs.last_mut() {
            Some(last) if last.place == place && last.range.end() == range.start() => {
                last.range = Range::between(last.range.start(), range.end()).expect("runs are in order");
            }
            _ => self.runs.push(Run { range, place }),
        }
    }
}

/// The page table of a process, open.
#[derive(Debug)]
pub(crate) struct PageTable {
    machine: Machine,
    process: PathBuf,
    pagemap: OwnedFd,
    /// The kernel scans (since Linux 6.7), and knows guard pages (since 6.15).
    scans: AtomicBool,
    knows_guards: AtomicBool,
}

/// Regions asked for by one scan: what fits in a few pages of stack.
const REGIONS: usize = 256;
/// Pages asked for by one read, or by one mincore.
const PAGES: usize = 2048;

impl PageTable {
    /// The page table of `process`: `/proc/self`, or another one's with the privilege to trace it.
    pub(crate) fn open(machine: &Machine, process: impl Into<PathBuf>) -> Result<PageTable> {
        let process = process.into();
        let path = process.join("pagemap");
        let pagemap = machine.driver().open(&path).map_err(Error::file(path))?;
        Ok(PageTable {
            machine: machine.clone(),
            process,
            pagemap,
            scans: AtomicBool::new(true),
            knows_guards: AtomicBool::new(true),
        })
    }

    /// Where the pages of `range` are, as measured: VRAM without a region, unless frames are visible.
    pub(crate) fn residency(&self, range: Range) -> Result<Residency> {
        let mut residency = Residency { runs: Vec::new() };
        for (part, categories) in self.categories(range)? {
            match place(categories) {
                Place::Swapped => self.tell_swapped(part, &mut residency)?,
                place => residency.push(part, place),
            }
        }
        Ok(residency)
    }

    /// The parts of `range` with guard pages in them.
    pub(crate) fn guards(&self, range: Range) -> Result<Vec<Range>> {
        let found = self.categories(range)?.into_iter().filter(|(_, categories)| categories & PAGE_IS_GUARD != 0);
        Ok(found.map(|(part, _)| part).collect())
    }

    /// The categories of all pages of `range`, in order; 0 for pages that are nowhere.
    fn categories(&self, range: Range) -> Result<Vec<(Range, u64)>> {
        if self.scans.load(Ordering::Relaxed) {
            match self.scan(range) {
                Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => self.scans.store(false, Ordering::Relaxed),
                answer => return answer.map_err(Error::kernel("PAGEMAP_SCAN", range)),
            }
        }
        self.read(range).map_err(Error::kernel("pread of pagemap", range))
    }

    /// By PAGEMAP_SCAN: one call for hundreds of runs.
    fn scan(&self, range: Range) -> io::Result<Vec<(Range, u64)>> {
        let mut found = Vec::new();
        let mut regions = [page_region::default(); REGIONS];
        let mut start = range.start();
        let mut told = range.start();
        while start < range.end() {
            let mut scan = pm_scan_arg {
                start,
                end: range.end(),
                category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
                return_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED | self.guard_category(),
                ..Default::default()
            };
            let count = match self.driver().pagemap_scan(self.pagemap.as_fd(), &mut scan, &mut regions) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) && self.guard_category() != 0 => {
                    self.knows_guards.store(false, Ordering::Relaxed);
                    continue;
                }
                answer => answer?,
            };
            for region in &regions[..count] {
                found.extend(Range::between(told, region.start).map(|gap| (gap, 0)));
                found.extend(Range::between(region.start, region.end).map(|part| (part, region.categories)));
                told = region.end;
            }
            // A scan that stands still would never end.
            start = if scan.walk_end > start { scan.walk_end } else { range.end() };
        }
        found.extend(Range::between(told, range.end()).map(|gap| (gap, 0)));
        Ok(found)
    }

    fn guard_category(&self) -> u64 {
        if self.knows_guards.load(Ordering::Relaxed) { PAGE_IS_GUARD } else { 0 }
    }

    /// By reading the entry of each page: for kernels that do not scan.
    fn read(&self, range: Range) -> io::Result<Vec<(Range, u64)>> {
        let mut found: Vec<(Range, u64)> = Vec::new();
        self.entries(range, |page, entry| {
            let mut categories = 0;
            for (bit, category) in
                [(PM_PRESENT, PAGE_IS_PRESENT), (PM_SWAP, PAGE_IS_SWAPPED), (PM_GUARD_REGION, PAGE_IS_GUARD)]
            {
                categories |= if entry & bit != 0 { category } else { 0 };
            }
            match found.last_mut() {
                Some((last, same)) if *same == categories => {
                    *last = Range::between(last.start(), page.end()).expect("pages are in order")
                }
                _ => found.push((page, categories)),
            }
        })?;
        Ok(found)
    }

    /// Shows each page of `range` with its entry in the page map.
    fn entries(&self, range: Range, mut see: impl FnMut(Range, u64)) -> io::Result<()> {
        let mut bytes = vec![0; PAGES * 8];
        for chunk in range.chunks(PAGES as u64 * PAGE) {
            let wanted = &mut bytes[..chunk.pages() as usize * 8];
            let mut have = 0;
            while have < wanted.len() {
                let offset = chunk.start() / PAGE * 8 + have as u64;
                match self.driver().read_at(self.pagemap.as_fd(), offset, &mut wanted[have..])? {
                    0 => return Err(io::Error::from_raw_os_error(libc::EIO)),
                    count => have += count,
                }
            }
            let pages =
                chunk.addresses().step_by(PAGE as usize).map(|page| Range::between(page, page + PAGE).expect("a page"));
            for (page, entry) in pages.zip(wanted.chunks_exact(8)) {
                see(page, u64::from_le_bytes(entry.try_into().expect("eight bytes")));
            }
        }
        Ok(())
    }

    /// Tells device pages from swapped ones. Both look swapped; but swapped ones are not in memory for mincore, and there
    /// are none where no swap is configured. Pages in the swap cache or on their way look like device pages for a moment.
    fn tell_swapped(&self, range: Range, residency: &mut Residency) -> Result<()> {
        let on_device = Place::Vram { region: None, confidence: Confidence::Unknown };
        if !has_swap(self.machine.files()) || self.process != Path::new("/proc/self") {
            residency.push(range, on_device);
            return Ok(());
        }
        let mut resident = vec![0; PAGES];
        for chunk in range.chunks(PAGES as u64 * PAGE) {
            let resident = &mut resident[..chunk.pages() as usize];
            self.driver().mincore(chunk, resident).map_err(Error::kernel("mincore", chunk))?;
            for (page, byte) in chunk.addresses().step_by(PAGE as usize).zip(&*resident) {
                let page = Range::between(page, page + PAGE).expect("a page");
                residency.push(page, if byte & 1 == 1 { on_device } else { Place::Swapped });
            }
        }
        Ok(())
    }

    /// Finds the region of device pages from their frames. Without the privilege to see frames nothing changes.
    pub(crate) fn find_regions(&self, residency: Residency) -> Result<Residency> {
        if residency.bytes_in_vram() == 0 {
            return Ok(residency);
        }
        let memories = device_memories(&self.machine);
        if memories.is_empty() {
            return Ok(residency);
        }
        let mut exact = Residency { runs: Vec::new() };
        for run in residency.runs {
            if !matches!(run.place, Place::Vram { .. }) {
                exact.push(run.range, run.place);
                continue;
            }
            let mut seen = |page, entry| exact.push(page, frame(entry, &memories).unwrap_or(run.place));
            self.entries(run.range, &mut seen).map_err(Error::kernel("pread of pagemap", run.range))?;
        }
        Ok(exact)
    }

    /// The NUMA node of each run of pages of `range`, which is in host memory; what has left meanwhile is left out.
    pub(crate) fn nodes(&self, range: Range) -> Result<Vec<(Range, u32)>> {
        let mut found: Vec<(Range, u32)> = Vec::new();
        let mut nodes = vec![0; PAGES];
        for chunk in range.chunks(PAGES as u64 * PAGE) {
            let nodes = &mut nodes[..chunk.pages() as usize];
            self.driver().page_nodes(chunk, nodes).map_err(Error::kernel("move_pages", chunk))?;
            for (page, node) in chunk.addresses().step_by(PAGE as usize).zip(&*nodes) {
                let Ok(node) = u32::try_from(*node) else { continue };
                let page = Range::between(page, page + PAGE).expect("a page");
                match found.last_mut() {
                    Some((last, same)) if *same == node && last.end() == page.start() => {
                        *last = Range::between(last.start(), page.end()).expect("pages are in order");
                    }
                    _ => found.push((page, node)),
                }
            }
        }
        Ok(found)
    }

    fn driver(&self) -> &dyn Driver {
        &**self.machine.driver()
    }
}

fn place(categories: u64) -> Place {
    match categories {
        found if found & PAGE_IS_GUARD != 0 => Place::Guard,
        found if found & PAGE_IS_PRESENT != 0 => Place::System,
        found if found & PAGE_IS_SWAPPED != 0 => Place::Swapped,
        _ => Place::Absent,
    }
}

/// Where pages in VRAM are on a machine that has one region: there is nothing to find out.
pub(crate) fn only_vram(machine: &Machine) -> Option<Place> {
    let mut regions = machine
        .gpus()
        .iter()
        .flat_map(|gpu| gpu.regions().iter().map(|found| Region { gpu: gpu.id(), instance: found.instance }));
    let (only, None) = (regions.next()?, regions.next()) else { return None };
    Some(Place::Vram { region: Some(only), confidence: Confidence::Exact })
}

/// Whether any swap is configured. Unknown counts as yes.
fn has_swap(files: &Files) -> bool {
    files.text("/proc/swaps").map_or(true, |text| text.lines().count() > 1)
}

/// Where a device page's frame lies. The entry of a page in VRAM holds a swap type and, above it, the frame.
fn frame(entry: u64, memories: &[(Region, std::ops::Range<u64>)]) -> Option<Place> {
    let frame = (entry & PM_PFRAME_MASK) >> PM_SWAP_TYPE_BITS;
    let address = frame.checked_mul(PAGE).filter(|address| *address > 0)?;
    let (region, _) = memories.iter().find(|(_, memory)| memory.contains(&address))?;
    Some(Place::Vram { region: Some(*region), confidence: Confidence::Exact })
}

/// The physical addresses that stand for each region's VRAM: lines of `/proc/iomem` at top level that bear the GPU's PCI
/// address (`devm_request_free_mem_region`; BARs bear it too, but are nested in a bus). Zeros without privilege.
///
/// The kernel hands such addresses out from the top, so the first tile's are the highest.
fn device_memories(machine: &Machine) -> Vec<(Region, std::ops::Range<u64>)> {
    let Ok(text) = machine.files().text("/proc/iomem") else { return Vec::new() };
    let mut found: Vec<(GpuId, std::ops::Range<u64>)> =
        text.lines().filter_map(|line| memory_line(machine, line)).collect();
    found.sort_by_key(|(gpu, memory)| (*gpu, std::cmp::Reverse(memory.start)));
    let mut instance = 0;
    let mut last = None;
    let numbered = found.into_iter().map(|(gpu, memory)| {
        instance = if last == Some(gpu) { instance + 1 } else { 1 };
        last = Some(gpu);
        (Region { gpu, instance }, memory)
    });
    numbered.collect()
}

fn memory_line(machine: &Machine, line: &str) -> Option<(GpuId, std::ops::Range<u64>)> {
    let (addresses, name) = line.split_once(" : ").filter(|_| !line.starts_with(' '))?;
    let address: PciAddress = name.parse().ok()?;
    let gpu = machine.gpus().iter().find(|gpu| gpu.address() == address)?;
    let (start, end) = addresses.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    (end > start).then_some((gpu.id(), start..end.checked_add(1)?))
}
