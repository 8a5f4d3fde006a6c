// SPDX-License-Identifier: MIT OR Apache-2.0
//! The traps of the kernel interface, seen through the driver. Names that begin with `j…` carry the numbers of the list
//! in docs/kernel.md.

mod advice;
mod binding;
mod devices;
mod faults;
mod files;
mod invariants;
mod memory;
mod older;
mod prefetching;
mod scanning;

use super::*;
use crate::{
    driver::{Access, Driver, Features},
    files::{Files, Tree},
    location::{GpuId, Region},
    range::{BLOCK, PAGE, Range},
    uapi::{memory::Mapping, *},
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::PathBuf,
    sync::Arc,
};

const MIB: u64 = 1 << 20;
const VRAM: u64 = 64 * MIB;
const SYSTEM: RawFd = -1;
const DEVICE: RawFd = 0;
const CONSULT: u32 = DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC;
const FAULTING: u32 = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE;

fn device(index: u32, tiles: usize) -> DeviceSpec {
    DeviceSpec {
        address: format!("0000:{:02x}:00.0", index + 3).parse().unwrap(),
        render_minor: 128 + index,
        device_id: 0xe20b,
        revision: 0,
        tiles: vec![TileSpec { total: VRAM, cpu_visible: VRAM }; tiles],
        features: Features::all(),
    }
}

/// Devices with these numbers of tiles; `linked` says which reach each other.
fn machine(tiles: &[usize], linked: impl Fn(usize, usize) -> bool) -> Arc<Sim> {
    let devices: Vec<_> = (0..).zip(tiles).map(|(index, tiles)| device(index, *tiles)).collect();
    let hops = |from: usize, to: usize| match from == to {
        true => Some(0),
        false => linked(from, to).then_some(4),
    };
    let distances = (0..devices.len()).map(|from| (0..devices.len()).map(|to| hops(from, to)).collect()).collect();
    Sim::new(Spec { devices, distances, privileged: false, files: Files::tree(Tree::default()) })
}

/// Two linked devices of one tile.
fn pair() -> Arc<Sim> {
    machine(&[1, 1], |_, _| true)
}

/// Two devices that do not reach each other.
fn strangers() -> Arc<Sim> {
    machine(&[1, 1], |_, _| false)
}

fn node(sim: &Sim, minor: u32) -> OwnedFd {
    sim.open(&PathBuf::from(format!("/dev/dri/renderD{minor}"))).unwrap()
}

fn vram(gpu: u32) -> Place {
    Place::Vram(region(gpu))
}

fn region(gpu: u32) -> Region {
    Region { gpu: GpuId(gpu), instance: 1 }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: io::Result<T>, errno: i32) {
    assert_eq!(answer.unwrap_err().raw_os_error(), Some(errno));
}

/// A vm of a device, in fault mode, that mirrors everything.
struct TestVm {
    sim: Arc<Sim>,
    fd: OwnedFd,
    id: u32,
}

impl TestVm {
    fn bare(sim: &Arc<Sim>, gpu: u32, flags: u32) -> TestVm {
        let fd = node(sim, 128 + gpu);
        let mut create = drm_xe_vm_create { flags, ..Default::default() };
        sim.vm_create(fd.as_fd(), &mut create).unwrap();
        TestVm { sim: sim.clone(), fd, id: create.vm_id }
    }

    fn mirroring(sim: &Arc<Sim>, gpu: u32) -> TestVm {
        let vm = TestVm::bare(sim, gpu, FAULTING);
        vm.mirror(Range::ALL, 0).unwrap();
        vm
    }

    fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn bind(&self, op: drm_xe_vm_bind_op) -> io::Result<()> {
        self.bind_with(op, BindSyncs::None)
    }

    fn bind_with(&self, bind: drm_xe_vm_bind_op, syncs: BindSyncs) -> io::Result<()> {
        let request = drm_xe_vm_bind { vm_id: self.id, bind, ..Default::default() };
        self.sim.vm_bind(self.fd.as_fd(), &request, syncs)
    }

    fn mirror(&self, range: Range, flags: u32) -> io::Result<()> {
        self.bind(mirror_of(range, flags))
    }

    fn unmirror(&self, range: Range) -> io::Result<()> {
        self.bind(drm_xe_vm_bind_op {
            addr: range.start(),
            range: range.len(),
            op: DRM_XE_VM_BIND_OP_UNMAP,
            ..Default::default()
        })
    }

    fn prefetch(&self, range: Range, region: u32) -> io::Result<()> {
        self.bind(drm_xe_vm_bind_op {
            addr: range.start(),
            range: range.len(),
            op: DRM_XE_VM_BIND_OP_PREFETCH,
            prefetch_mem_region_instance: region,
            ..Default::default()
        })
    }

    fn prefer(&self, range: Range, fd: RawFd) -> io::Result<()> {
        self.prefer_region(range, fd, if fd > 0 { 1 } else { 0 }, 0)
    }

    fn prefer_region(&self, range: Range, fd: RawFd, region_instance: u16, migration_policy: u16) -> io::Result<()> {
        let place =
            drm_xe_madvise_preferred_mem_loc { devmem_fd: fd as u32, migration_policy, region_instance, reserved: 0 };
        self.send(&drm_xe_madvise::preferred_mem_loc(self.id, range.start(), range.len(), place))
    }

    fn atomics(&self, range: Range, val: u32) -> io::Result<()> {
        let value = drm_xe_madvise_value { val, pad: 0, reserved: 0 };
        let type_ = DRM_XE_MEM_RANGE_ATTR_ATOMIC;
        self.send(&drm_xe_madvise::attribute(self.id, range.start(), range.len(), type_, value))
    }

    fn send(&self, advice: &drm_xe_madvise) -> io::Result<()> {
        self.sim.madvise(self.fd.as_fd(), advice, None)
    }

    fn query(&self, range: Range) -> Vec<drm_xe_mem_range_attr> {
        let mut query = drm_xe_vm_query_mem_range_attr {
            vm_id: self.id,
            start: range.start(),
            range: range.len(),
            ..Default::default()
        };
        self.sim.vm_query_mem_range_attrs(self.fd.as_fd(), &mut query, &mut []).unwrap();
        let mut found = vec![drm_xe_mem_range_attr::default(); query.num_mem_ranges as usize];
        if !found.is_empty() {
            self.sim.vm_query_mem_range_attrs(self.fd.as_fd(), &mut query, &mut found).unwrap();
        }
        found
    }

    /// The descriptor numbers that the vm remembers, VMA by VMA.
    fn wishes(&self, range: Range) -> Vec<RawFd> {
        self.query(range).iter().map(|found| found.preferred_mem_loc.devmem_fd as RawFd).collect()
    }

    fn touch(&self, range: Range, access: Access) -> io::Result<()> {
        self.sim.gpu_touch((self.fd.as_fd(), self.id), range, access)
    }

    /// Page faults that `action` causes at this vm's GPU.
    fn faults(&self, gpu: usize, action: impl FnOnce()) -> u64 {
        let before = self.sim.counters().gpus[gpu].page_faults;
        action();
        self.sim.counters().gpus[gpu].page_faults - before
    }
}

fn mirror_of(range: Range, flags: u32) -> drm_xe_vm_bind_op {
    drm_xe_vm_bind_op {
        addr: range.start(),
        range: range.len(),
        op: DRM_XE_VM_BIND_OP_MAP,
        flags: DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR | flags,
        ..Default::default()
    }
}

/// Aligned untouched memory, with an unusable page on each side so that it is a mapping of its own.
struct Memory {
    sim: Arc<Sim>,
    mapping: Option<Mapping>,
    _fences: [Mapping; 2],
}

impl Memory {
    fn new(sim: &Arc<Sim>, length: u64) -> Memory {
        let whole = Mapping::anonymous((length + 2 * BLOCK) as usize, BLOCK as usize, false).unwrap();
        let (mut before, rest) = whole.split(BLOCK as usize);
        let (mapping, mut behind) = rest.split(length as usize);
        before.protect(0, BLOCK as usize, false).unwrap();
        behind.protect(0, BLOCK as usize, false).unwrap();
        Memory { sim: sim.clone(), mapping: Some(mapping), _fences: [before, behind] }
    }

    /// The same with every page touched by the CPU.
    fn populated(sim: &Arc<Sim>, length: u64) -> Memory {
        let mut memory = Memory::new(sim, length);
        memory.bytes().iter_mut().step_by(PAGE as usize).for_each(|byte| *byte = 1);
        memory
    }

    fn mapping(&mut self) -> &mut Mapping {
        self.mapping.as_mut().unwrap()
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.mapping().bytes_mut()
    }

    fn range(&self) -> Range {
        let mapping = self.mapping.as_ref().unwrap();
        Range::new(mapping.start(), mapping.len() as u64).unwrap()
    }

    fn part(&self, offset: u64, length: u64) -> Range {
        Range::new(self.range().start() + offset, length).unwrap()
    }

    fn page(&self, index: u64) -> Range {
        self.part(index * PAGE, PAGE)
    }

    fn at(&self, place: Place) -> u64 {
        self.sim.bytes_at(self.range(), place)
    }

    fn unmap(mut self) {
        self.sim.unmap(self.mapping.take().unwrap());
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            self.sim.unmap(mapping);
        }
    }
}

fn open_null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

fn number(fd: BorrowedFd<'_>) -> RawFd {
    fd.as_raw_fd()
}
