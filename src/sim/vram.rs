// SPDX-License-Identifier: MIT OR Apache-2.0
//! VRAM: the pagemap of each tile and what is allocated from it.

use super::{groups::Owner, span::Span};
use std::collections::BTreeMap;

/// One pagemap, for ever: a device that comes back gets new ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PagemapId(pub(super) usize);

/// One allocation, of the size of the range that it was made for: 2 MiB, 64 KiB or 4 KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AllocationId {
    pub(super) pagemap: PagemapId,
    number: u64,
}

#[derive(Debug)]
pub(super) struct Pagemap {
    pub(super) device: usize,
    pub(super) tile: usize,
    pub(super) owner: Owner,
    /// False once the device was unplugged.
    pub(super) online: bool,
    /// Where the tile's memory lies among the machine's physical addresses.
    pub(super) physical: Span,
    used: u64,
    /// What a move has taken and failed to fill: it counts as in use until somebody else needs it.
    pub(super) spare: u64,
    /// By age: the oldest is evicted first. The kernel does not see which of them a GPU uses.
    allocations: BTreeMap<u64, Allocation>,
}

#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) size: u64,
    /// Bytes that are still some address's pages; the allocation is freed with the last of them.
    live: u64,
    /// Where its pages may be found.
    pub(super) homes: Vec<Span>,
}

#[derive(Debug, Default)]
pub(super) struct Vram {
    pagemaps: Vec<Pagemap>,
    next: u64,
}

/// The top of 46 bits of physical addresses: the kernel takes free address space from the top downwards
/// (`get_free_mem_region` in `kernel/resource.c`).
const PHYSICAL_TOP: u64 = 1 << 46;
/// Granule of such a window: a memory section of x86-64 (`SECTION_SIZE_BITS`).
const PHYSICAL_GRANULE: u64 = 128 << 20;

impl Vram {
    /// The number that the next pagemap will have.
    pub(super) fn next_pagemap(&self) -> PagemapId {
        PagemapId(self.pagemaps.len())
    }

    pub(super) fn create(&mut self, device: usize, tile: usize, total: u64, owner: Owner) -> PagemapId {
        let id = self.next_pagemap();
        let top = self.pagemaps.last().map_or(PHYSICAL_TOP, |last| last.physical.start);
        let physical = Span::of(top - total.next_multiple_of(PHYSICAL_GRANULE), total);
        let (online, used, spare, allocations) = (true, 0, 0, BTreeMap::new());
        self.pagemaps.push(Pagemap { device, tile, owner, online, physical, used, spare, allocations });
        id
    }

    pub(super) fn pagemap(&self, id: PagemapId) -> &Pagemap {
        &self.pagemaps[id.0]
    }

    pub(super) fn pagemap_mut(&mut self, id: PagemapId) -> &mut Pagemap {
        &mut self.pagemaps[id.0]
    }

    pub(super) fn used(&self, id: PagemapId) -> u64 {
        self.pagemap(id).used
    }

    /// Makes an allocation without pages yet. There must be room for it.
    pub(super) fn allocate(&mut self, pagemap: PagemapId, size: u64) -> AllocationId {
        let number = self.next;
        self.next += 1;
        let owner = self.pagemap_mut(pagemap);
        owner.used += size;
        owner.allocations.insert(number, Allocation { size, live: 0, homes: Vec::new() });
        AllocationId { pagemap, number }
    }

    pub(super) fn allocation(&self, id: AllocationId) -> Option<&Allocation> {
        self.pagemap(id.pagemap).allocations.get(&id.number)
    }

    pub(super) fn oldest(&self, pagemap: PagemapId) -> Option<AllocationId> {
        self.pagemap(pagemap).allocations.keys().next().map(|&number| AllocationId { pagemap, number })
    }

    /// `span` now shows pages of the allocation.
    pub(super) fn gain(&mut self, id: AllocationId, span: Span) {
        let Some(found) = self.pagemap_mut(id.pagemap).allocations.get_mut(&id.number) else { return };
        found.live += span.len();
        found.homes.retain(|home| !span.covers(*home));
        found.homes.push(span);
    }

    /// `bytes` of the allocation's pages are nowhere any more.
    pub(super) fn lose(&mut self, id: AllocationId, bytes: u64) {
        let pagemap = self.pagemap_mut(id.pagemap);
        let Some(found) = pagemap.allocations.get_mut(&id.number) else { return };
        found.live -= bytes;
        if found.live == 0 {
            pagemap.used -= found.size;
            pagemap.allocations.remove(&id.number);
        }
    }
}
