// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two GPUs that reach each other, simulated or this host's, and what a test does to memory on either.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};
use xeplace::{driver::*, uapi::*, *};

pub const MIB: u64 = 1 << 20;

/// Addresses where no mapping ever comes by itself.
pub fn nowhere() -> Range {
    Range::new(1 << 30, 4 * MIB).unwrap()
}

/// Two GPUs that reach each other.
pub struct Pair {
    pub machine: Machine,
    pub a: GpuId,
    pub b: GpuId,
}

impl Pair {
    pub fn new() -> Pair {
        let machine = if on_host() { Machine::open() } else { Machine::simulated("cpu=zen switch(2x bmg vram=256M)") };
        Pair::of(machine.unwrap())
    }

    /// A simulated machine that shows root's view.
    pub fn seen_by_root() -> Pair {
        let pair = Pair::new();
        if let Some(simulation) = pair.machine.simulation() {
            simulation.privileged(true);
        }
        pair
    }

    pub fn of(machine: Machine) -> Pair {
        let (a, b) = (machine.gpus()[0].id(), machine.gpus()[1].id());
        Pair { machine, a, b }
    }

    pub fn vram(&self, gpu: GpuId) -> Region {
        self.machine.gpu(gpu).unwrap().region(0).unwrap()
    }

    pub fn space(&self) -> Space<'static> {
        Space::create(&self.machine).unwrap()
    }

    pub fn driver(&self) -> Arc<dyn Driver> {
        match self.machine.simulation() {
            Some(simulation) => simulation.clone(),
            None => Arc::new(Kernel::default()),
        }
    }

    /// All of `range` is in `region`: exactly so where this process may see page frames, else in some VRAM.
    #[track_caller]
    pub fn assert_in(&self, space: &Space<'_>, range: Range, region: Region) {
        let found = space.residency(range).unwrap();
        assert_eq!(found.bytes_in_vram(), range.len(), "{found:?}");
        let exact = |run: &Run| matches!(run.place, Place::Vram { confidence: Confidence::Exact, .. });
        if found.runs.iter().all(exact) {
            assert_eq!(found.bytes_in(region), range.len(), "{found:?}");
        }
    }

    /// Puts guard markers in place of pages.
    pub fn guard(&self, memory: &mut Mapping, range: Range) {
        const MADV_GUARD_INSTALL: i32 = 102;
        match self.machine.simulation() {
            Some(simulation) => simulation.guard(range),
            None => memory.madvise(offset(memory, range), range.len() as usize, MADV_GUARD_INSTALL).unwrap(),
        }
    }

    /// Gives pages back.
    pub fn discard(&self, memory: &mut Mapping, range: Range) {
        memory.madvise(offset(memory, range), range.len() as usize, MADV_DONTNEED).unwrap();
        if let Some(simulation) = self.machine.simulation() {
            simulation.discarded(range);
        }
    }

    /// Moves a mapping to other addresses.
    pub fn remap(&self, memory: Mapping) -> Mapping {
        let old = range_of(&memory);
        let moved = memory.moved(BLOCK as usize).unwrap();
        self.driver().moved(old, &moved);
        moved
    }

    /// The CPU reads one byte.
    pub fn read(&self, memory: &Mapping, offset: u64) -> u8 {
        let byte = memory.bytes()[offset as usize];
        let page = Range::around(memory.start() + offset, 1).unwrap();
        self.driver().cpu_touched(page, Access::Read);
        byte
    }

    /// What the driver has put off is done: it takes a work queue a moment.
    pub fn settle(&self) {
        match self.machine.simulation() {
            Some(simulation) => simulation.settle(),
            None => std::thread::sleep(std::time::Duration::from_millis(200)),
        }
    }
}

const MADV_DONTNEED: i32 = libc::MADV_DONTNEED;

fn offset(memory: &Mapping, range: Range) -> usize {
    (range.start() - memory.start()) as usize
}

pub fn on_host() -> bool {
    std::env::var_os("XEPLACE_TEST_HOST").is_some()
}

/// Written memory of whole blocks that is not the library's.
pub fn others(length: u64) -> Mapping {
    let mut memory = Mapping::anonymous(length as usize, BLOCK as usize, false).unwrap();
    memory.bytes_mut().fill(3);
    memory
}

pub fn range_of(memory: &Mapping) -> Range {
    Range::new(memory.start(), memory.len() as u64).unwrap()
}

/// `length` bytes of `range` from `offset` on.
pub fn part(range: Range, offset: u64, length: u64) -> Range {
    Range::new(range.start() + offset, length).unwrap()
}

/// Gives an advice that every vm takes.
#[track_caller]
pub fn tell(space: &Space<'_>, range: Range, advice: Advice) -> Warnings {
    space.advise(range, advice).unwrap().accepted().unwrap().warnings
}

pub fn obstacles(outcome: &Outcome) -> Vec<&Obstacle> {
    outcome.stays.iter().map(|stay| &stay.obstacle).collect()
}

/// A runtime's vm: made by hand on a file of its own.
pub struct Runtime {
    pub file: OwnedFd,
    pub vm_id: u32,
}

impl Runtime {
    pub fn new(pair: &Pair, gpu: GpuId, flags: u32, mirror: Option<u32>) -> Runtime {
        let driver = pair.driver();
        let file = driver.open(pair.machine.gpu(gpu).unwrap().node()).unwrap();
        let mut vm = drm_xe_vm_create { flags, ..Default::default() };
        driver.vm_create(file.as_fd(), &mut vm).unwrap();
        if let Some(flags) = mirror {
            let bind = drm_xe_vm_bind_op {
                op: DRM_XE_VM_BIND_OP_MAP,
                flags: DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR | flags,
                // Written back and coherent, on Xe2.
                pat_index: 2,
                range: Range::ALL.len(),
                ..Default::default()
            };
            let bind = drm_xe_vm_bind { vm_id: vm.vm_id, num_binds: 1, bind, ..Default::default() };
            driver.vm_bind(file.as_fd(), &bind, BindSyncs::None).unwrap();
        }
        Runtime { file, vm_id: vm.vm_id }
    }

    /// As Intel's runtime makes its own: resetting advice when memory is unmapped.
    pub fn mirroring(pair: &Pair, gpu: GpuId) -> Runtime {
        Runtime::new(pair, gpu, FAULT_MODE, Some(DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET))
    }
}

pub const FAULT_MODE: u32 = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE;

/// The driver's mappings in a vm, the whole of each.
pub fn vmas(pair: &Pair, (fd, vm_id): (std::os::fd::BorrowedFd<'_>, u32)) -> Vec<drm_xe_mem_range_attr> {
    let mut query = drm_xe_vm_query_mem_range_attr { vm_id, range: Range::ALL.len(), ..Default::default() };
    pair.driver().vm_query_mem_range_attrs(fd, &mut query, &mut []).unwrap();
    let mut found = vec![drm_xe_mem_range_attr::default(); query.num_mem_ranges as usize];
    pair.driver().vm_query_mem_range_attrs(fd, &mut query, &mut found).unwrap();
    found
}
