// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a test, an example or a demonstration does to the simulated machine, and what it sees of it.

use super::{
    Counters, Fault, Sim,
    open_files::Opened,
    pages::Page,
    process::Process,
    span::{Span, Spans},
    state::{Event, State},
    vram::PagemapId,
};
use crate::{
    error::{Error, Result},
    location::{GpuId, Region},
    range::Range,
};
use std::os::fd::BorrowedFd;

/// Where a page really is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// Nowhere: not touched yet, given back, a guard page, or not mapped.
    Absent,
    /// In host memory.
    Ram,
    /// Swapped out.
    Swap,
    /// In the VRAM of a tile.
    Vram(Region),
}

impl Sim {
    /// Whether this process may see frame numbers, physical addresses and debugfs, as root does. At first it may not.
    pub fn privileged(&self, privileged: bool) {
        self.state.lock().privileged = privileged;
    }

    /// Lets some tries of a call fail.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.add(fault);
    }

    /// From now on `bytes` of a tile's VRAM hold what cannot be evicted, such as page tables; what has no room beside
    /// them is evicted.
    ///
    /// Refused with [`Error::NotFound`]: an unknown GPU or instance.
    pub fn fill_vram(&self, region: Region, bytes: u64) -> Result<()> {
        let mut state = self.state.lock();
        let device = state.known(region.gpu)?;
        let tile = usize::from(region.instance).wrapping_sub(1);
        let filled = state.devices[device].filled.get_mut(tile);
        *filled.ok_or_else(|| Error::NotFound(region.to_string()))? = bytes;
        if let Some(pagemap) = state.devices[device].pagemaps[tile] {
            // More than there is evicts all and stays.
            let _ = state.make_room(pagemap, 0);
        }
        Ok(())
    }

    /// The pages of `range` are pinned in RAM, as by io_uring or RDMA: what is in VRAM comes back first.
    pub fn pin(&self, range: Range) {
        let mut state = self.state.lock();
        state.cpu_touched(range.into());
        state.pages.marks.pinned.put(range.into(), ());
    }

    /// The pages of `range` are no longer pinned.
    pub fn unpin(&self, range: Range) {
        self.state.lock().pages.marks.pinned.take(range.into());
    }

    /// The pages of `range` are replaced by guard markers (MADV_GUARD_INSTALL).
    pub fn guard(&self, range: Range) {
        let mut state = self.state.lock();
        state.discarded(range.into());
        state.pages.marks.guard.put(range.into(), ());
    }

    /// The guard markers in `range` are removed (MADV_GUARD_REMOVE).
    pub fn unguard(&self, range: Range) {
        self.state.lock().pages.marks.guard.take(range.into());
    }

    /// `range` is a mapping of huge pages (MAP_HUGETLB).
    pub fn hugetlb(&self, range: Range) {
        self.state.lock().pages.marks.hugetlb.put(range.into(), ());
    }

    /// `range` is a mapping of device memory (VM_IO, VM_PFNMAP).
    pub fn io(&self, range: Range) {
        self.state.lock().pages.marks.io.put(range.into(), ());
    }

    /// `range` is locked (mlock): its pages are faulted in, and may move again afterwards.
    pub fn lock(&self, range: Range) {
        let mut state = self.state.lock();
        state.cpu_touched(range.into());
        state.pages.marks.locked.put(range.into(), ());
    }

    /// The pages of `range` that are in RAM are swapped out; pages in VRAM cannot be.
    pub fn swap_out(&self, range: Range) {
        let mut state = self.state.lock();
        state.swaps = true;
        let Ok(process) = Process::look(&state.pages.marks) else { return };
        let Ok(runs) = state.pages.runs(&process, range.into()) else { return };
        for (part, page) in runs {
            if matches!(page, Page::Real(_) | Page::Ram) {
                state.notify(part, Event::Changed);
                state.pages.put_in_swap(part);
            }
        }
    }

    /// Says that the pages of `range` were given back (MADV_DONTNEED).
    pub fn discarded(&self, range: Range) {
        self.state.lock().discarded(range.into());
    }

    /// Says that `range` was unmapped (munmap).
    pub fn unmapped(&self, range: Range) {
        self.state.lock().unmapped(range.into());
    }

    /// Says that the mapping at `old` was moved to begin at `start` (mremap).
    pub fn remapped(&self, old: Range, start: u64) {
        let mut state = self.state.lock();
        state.sweep();
        state.notify(old.into(), Event::Unmapped);
        state.pages.relocate(old.into(), start);
    }

    /// Says that the protection of `range` was changed (mprotect), or that this process has forked: GPUs have to fault again.
    pub fn protected(&self, range: Range) {
        let mut state = self.state.lock();
        state.sweep();
        state.notify(range.into(), Event::Changed);
    }

    /// Lets the work that the driver has put off be done: attributes of unmapped memory are reset where a vm asks for it.
    pub fn settle(&self) {
        let mut state = self.state.lock();
        state.sweep();
        let keys: Vec<_> = state.vms.keys().copied().collect();
        keys.into_iter().for_each(|key| state.collect_garbage(key));
    }

    /// Memory is short: VRAM is given up as a place for pages by all devices that nothing refers to, which frees the
    /// kernel's memory for it and ends its membership of an interconnect group.
    pub fn shrink(&self) {
        self.state.lock().shrink();
    }

    /// Bytes of RAM that the kernel spends on describing VRAM: 64 (`struct page`) for 4096, as soon as a fault-mode vm
    /// or a peer's advice has made a tile's VRAM a place for pages.
    pub fn pagemap_cost(&self) -> u64 {
        let state = self.state.lock();
        let sizes = state.pagemaps().into_iter().map(|(_, id)| state.pages.vram.pagemap(id).physical.len());
        sizes.map(|size| size / 64).sum()
    }

    /// The GPU goes: its VRAM is copied to RAM, and every request on an open of it answers ENODEV.
    ///
    /// Refused with [`Error::NotFound`]: an unknown GPU.
    pub fn unplug(&self, gpu: GpuId) -> Result<()> {
        let mut state = self.state.lock();
        let device = state.known(gpu)?;
        state.unplug(device);
        Ok(())
    }

    /// The GPU comes back, as a new device: what was open before stays dead. Its render node has another number if
    /// something still refers to the old device.
    ///
    /// Refused with [`Error::NotFound`]: an unknown GPU.
    pub fn replug(&self, gpu: GpuId) -> Result<()> {
        let mut state = self.state.lock();
        let device = state.known(gpu)?;
        state.replug(device);
        Ok(())
    }

    /// The GPU hangs for good: every request on it answers ECANCELED until it is unplugged and comes back.
    ///
    /// Refused with [`Error::NotFound`]: an unknown GPU.
    pub fn wedge(&self, gpu: GpuId) -> Result<()> {
        let mut state = self.state.lock();
        let device = state.known(gpu)?;
        state.devices[device].wedged = true;
        Ok(())
    }

    /// The way from one GPU to another, in functions, is another one from now on; `None`: there is none. Whoever has
    /// joined an interconnect group stays in it.
    ///
    /// Refused with [`Error::NotFound`]: an unknown GPU.
    pub fn set_distance(&self, from: GpuId, to: GpuId, hops: Option<u32>) -> Result<()> {
        let mut state = self.state.lock();
        let (from, to) = (state.known(from)?, state.known(to)?);
        state.distances[from][to] = hops;
        Ok(())
    }

    /// The driver kills a vm: every later request on it answers ENOENT. `false`: there is no such vm.
    pub fn ban(&self, fd: BorrowedFd<'_>, vm_id: u32) -> bool {
        let mut state = self.state.lock();
        let Ok((file, ..)) = state.device_file(fd) else { return false };
        let vm = state.vms.get_mut(&(file, vm_id));
        vm.map(|vm| vm.banned = true).is_some()
    }

    /// What has happened.
    pub fn counters(&self) -> Counters {
        self.state.lock().counters.clone()
    }

    /// Counts from zero again, the clock too.
    pub fn reset_counters(&self) {
        let mut state = self.state.lock();
        state.counters = Counters::of(state.devices.len());
    }

    /// What the driver would have printed.
    pub fn kernel_log(&self) -> Vec<String> {
        self.state.lock().log.clone()
    }

    /// Where the page at `address` is.
    pub fn where_is(&self, address: u64) -> Place {
        let page = Range::around(address, 1).map(|page| self.where_are(page));
        page.ok().and_then(|places| places.first().map(|(_, place)| *place)).unwrap_or(Place::Absent)
    }

    /// Where the pages of `range` are, run by run.
    pub fn where_are(&self, range: Range) -> Vec<(Range, Place)> {
        let state = self.state.lock();
        let Ok(process) = Process::look(&state.pages.marks) else { return Vec::new() };
        let mut places = Spans::default();
        for (part, page) in state.pages.runs(&process, range.into()).unwrap_or_default() {
            places.spread(part, state.place(page));
        }
        places.iter().filter_map(|(part, place)| Some((Range::between(part.start, part.end)?, *place))).collect()
    }

    /// How many bytes of `range` are there.
    pub fn bytes_at(&self, range: Range, place: Place) -> u64 {
        self.where_are(range).iter().filter(|(_, found)| *found == place).map(|(part, _)| part.len()).sum()
    }
}

impl State {
    fn known(&self, gpu: GpuId) -> Result<usize> {
        let index = gpu.0 as usize;
        if index < self.devices.len() { Ok(index) } else { Err(Error::NotFound(gpu.to_string())) }
    }

    fn place(&self, page: Page) -> Place {
        match page {
            Page::Absent | Page::Guard => Place::Absent,
            Page::Real(_) | Page::Ram => Place::Ram,
            Page::Swap => Place::Swap,
            Page::Vram(allocation) => {
                let found = self.pages.vram.pagemap(allocation.pagemap);
                Place::Vram(Region { gpu: GpuId(found.device as u32), instance: found.tile as u16 + 1 })
            }
        }
    }

    /// The mapping at `span` ends.
    pub(super) fn unmapped(&mut self, span: Span) {
        self.sweep();
        self.notify(span, Event::Unmapped);
        self.pages.unmap(span);
        self.nodes.take(span);
    }

    /// The pages of `span` are given back, the mapping stays.
    fn discarded(&mut self, span: Span) {
        self.sweep();
        self.notify(span, Event::Changed);
        self.pages.forget(span);
    }

    /// The CPU has touched all pages of `span`.
    pub(super) fn cpu_touched(&mut self, span: Span) {
        self.sweep();
        let Ok(process) = Process::look(&self.pages.marks) else { return };
        self.fault_back(&process, span, |_| true);
        let mapped: Vec<Span> = process.over(span).filter_map(|mapping| mapping.span.meet(span)).collect();
        mapped.into_iter().for_each(|part| self.pages.put_in_ram(part));
    }

    fn unplug(&mut self, device: usize) {
        self.sweep();
        for pagemap in self.devices[device].pagemaps.clone().into_iter().flatten() {
            while let Some(allocation) = self.pages.vram.oldest(pagemap) {
                self.evict(allocation);
            }
            self.pages.vram.pagemap_mut(pagemap).online = false;
        }
        let found = &mut self.devices[device];
        found.plugged = false;
        self.pluggings += 1;
        self.log.push(format!("xe {}: unplugged", found.spec.address));
    }

    fn replug(&mut self, device: usize) {
        self.sweep();
        if self.devices[device].plugged {
            self.unplug(device);
        }
        let plugging = self.devices[device].plugging;
        let open = self.open.opened().any(|opened| opened == Opened::Device { device, plugging });
        let wished = self.devices[device].pagemaps.iter().flatten().any(|pagemap| self.is_wished(*pagemap));
        if open || wished {
            let highest = self.devices.iter().map(|device| device.minor).max().unwrap_or(127);
            self.devices[device].minor = highest + 1;
        }
        let found = &mut self.devices[device];
        (found.plugged, found.wedged, found.plugging) = (true, false, plugging + 1);
        found.pagemaps.fill(None);
        found.filled.fill(0);
        self.pluggings += 1;
    }

    /// Whether an attribute of some vm holds the pagemap.
    fn is_wished(&self, pagemap: PagemapId) -> bool {
        self.vms.values().any(|vm| vm.vmas.iter().any(|(_, vma)| vma.wish.pagemap == Some(pagemap)))
    }

    fn shrink(&mut self) {
        self.sweep();
        for (device, pagemap) in self.pagemaps() {
            let local = self.vms.values().any(|vm| vm.local.contains(&pagemap));
            if !local && !self.is_wished(pagemap) && self.pages.vram.used(pagemap) == 0 {
                let tile = self.pages.vram.pagemap(pagemap).tile;
                self.devices[device].pagemaps[tile] = None;
                self.groups.leave(super::groups::Peer::Pagemap(pagemap));
            }
        }
    }

    /// The pagemaps of the devices that are there, in the order in which they were made.
    pub(super) fn pagemaps(&self) -> Vec<(usize, PagemapId)> {
        let plugged = self.devices.iter().enumerate().filter(|(_, device)| device.plugged);
        let mut known: Vec<_> =
            plugged.flat_map(|(index, device)| device.pagemaps.iter().flatten().map(move |id| (index, *id))).collect();
        known.sort_by_key(|(_, pagemap)| *pagemap);
        known
    }

    /// Bytes that a GPU's VRAM received from its peers.
    pub(super) fn copied_from_peers(&self, device: usize) -> u64 {
        let links = self.counters.links.iter().filter(|((to, _), _)| to.0 as usize == device);
        links.map(|(_, link)| link.bytes_copied).sum()
    }
}
