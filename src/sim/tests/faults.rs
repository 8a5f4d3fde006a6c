// SPDX-License-Identifier: MIT OR Apache-2.0
//! Page faults of a GPU, and of the CPU.

use super::*;

#[test]
fn a_fault_moves_memory_to_the_wished_place_once() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 4 * BLOCK);
    vm.prefer(memory.part(0, 2 * BLOCK), SYSTEM).unwrap();
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Write).unwrap()), 4);
    assert_eq!((memory.at(Place::Ram), memory.at(vram(0))), (2 * BLOCK, 2 * BLOCK));
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Read).unwrap()), 0);
}

#[test]
fn a_fault_towards_system_memory_fetches_from_a_peer() {
    let sim = pair();
    let (holder, vm) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, BLOCK);
    holder.prefetch(memory.range(), 1).unwrap();
    vm.prefer(memory.range(), SYSTEM).unwrap();
    vm.touch(memory.range(), Access::Read).unwrap();
    assert_eq!(memory.at(Place::Ram), BLOCK);
}

#[test]
fn a_fault_maps_pages_where_they_are_if_they_cannot_move() {
    let sim = pair();
    let (holder, vm) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, 2 * BLOCK);
    holder.prefetch(memory.part(0, BLOCK), 1).unwrap();
    sim.fill_vram(region(1), VRAM).unwrap();
    vm.touch(memory.range(), Access::Read).unwrap();
    assert_eq!((memory.at(vram(0)), memory.at(Place::Ram)), (BLOCK, BLOCK));
    assert_eq!(sim.counters().links[&(GpuId(1), GpuId(0))].bytes_in_place, BLOCK);
}

#[test]
fn j10_atomics_pull_memory_into_local_vram_unless_told_otherwise() {
    let sim = pair();
    let (vm, holder) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    for (mode, home) in
        [(DRM_XE_ATOMIC_UNDEFINED, vram(0)), (DRM_XE_ATOMIC_GLOBAL, vram(0)), (DRM_XE_ATOMIC_DEVICE, vram(1))]
    {
        let memory = Memory::populated(&sim, BLOCK);
        vm.prefer(memory.range(), holder.raw()).unwrap();
        vm.atomics(memory.range(), mode).unwrap();
        vm.touch(memory.range(), Access::Atomic).unwrap();
        assert_eq!(memory.at(home), BLOCK, "mode {mode}");
        assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Atomic).unwrap()), 0, "mode {mode}");
    }
    let memory = Memory::populated(&sim, BLOCK);
    vm.atomics(memory.range(), DRM_XE_ATOMIC_CPU).unwrap();
    vm.touch(memory.range(), Access::Write).unwrap();
    refused(vm.touch(memory.range(), Access::Atomic), libc::EIO);
}

#[test]
fn j10_atomics_fail_on_memory_that_cannot_move() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let shared = sim.map(BLOCK, BLOCK, crate::driver::MapKind::Shared).unwrap();
    let range = Range::new(shared.start(), BLOCK).unwrap();
    refused(vm.touch(range, Access::Atomic), libc::EIO);
    vm.atomics(range, DRM_XE_ATOMIC_DEVICE).unwrap();
    vm.touch(range, Access::Atomic).unwrap();
    let pinned = Memory::populated(&sim, BLOCK);
    sim.pin(pinned.page(0));
    refused(vm.touch(pinned.range(), Access::Atomic), libc::EIO);
    sim.unmap(shared);
}

#[test]
fn j35_reading_constants_through_a_plain_mirror_costs_the_queue() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let mut memory = Memory::populated(&sim, BLOCK);
    memory.mapping().protect(0, BLOCK as usize, false).unwrap();
    refused(vm.touch(memory.range(), Access::Read), libc::EIO);
    let reader = TestVm::bare(&sim, 0, FAULTING);
    reader.mirror(Range::ALL, DRM_XE_VM_BIND_FLAG_READONLY).unwrap();
    reader.touch(memory.range(), Access::Read).unwrap();
    refused(reader.touch(memory.range(), Access::Write), libc::EIO);
}

#[test]
fn a_refused_fault_is_told_of() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, BLOCK);
    let range = memory.range();
    memory.unmap();
    refused(vm.touch(range, Access::Write), libc::EIO);
    let mut query = drm_xe_vm_get_property { vm_id: vm.id, ..Default::default() };
    sim.vm_get_property(vm.fd.as_fd(), &mut query, &mut []).unwrap();
    assert_eq!(query.size as usize, size_of::<xe_vm_fault>());
    let mut found = [xe_vm_fault::default()];
    sim.vm_get_property(vm.fd.as_fd(), &mut query, &mut found).unwrap();
    assert_eq!((found[0].address, found[0].access_type), (range.start(), FAULT_ACCESS_TYPE_WRITE));
    let fresh = Memory::populated(&sim, BLOCK);
    vm.touch(fresh.range(), Access::Write).unwrap();
    assert_eq!(sim.counters().gpus[0].refused_faults, 1, "the vm goes on");
}

#[test]
fn j21_a_guard_page_keeps_a_fault_for_ever() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 2 * BLOCK);
    sim.guard(memory.page(9));
    refused(vm.touch(memory.page(0), Access::Read), libc::ETIMEDOUT);
    vm.touch(memory.part(BLOCK, BLOCK), Access::Read).unwrap();
    let counters = sim.counters();
    assert_eq!(counters.endless_faults, 1);
    assert!(counters.gpus[0].page_faults_by_size[0] > 1000 * counters.gpus[0].page_faults);
    sim.unguard(memory.page(9));
    vm.touch(memory.range(), Access::Read).unwrap();
}

#[test]
fn j26_one_byte_read_by_the_cpu_brings_back_the_block() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 3 * BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    sim.cpu_touched(memory.part(BLOCK + PAGE, PAGE), Access::Read);
    assert_eq!(sim.bytes_at(memory.part(BLOCK, BLOCK), Place::Ram), BLOCK);
    assert_eq!(memory.at(vram(0)), 2 * BLOCK);
    let gpu = &sim.counters().gpus[0];
    assert_eq!((gpu.cpu_faults, gpu.bytes_out), (1, BLOCK));
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Read).unwrap()), 1);
}

#[test]
fn untouched_blocks_are_faulted_whole_and_partial_ones_page_by_page() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let mut memory = Memory::new(&sim, BLOCK);
    // No block fits any more; the first 64 KiB that does is untouched.
    memory.mapping().protect((BLOCK - PAGE) as usize, PAGE as usize, false).unwrap();
    memory.bytes()[(64 << 10)..(128 << 10)].fill(1);
    vm.touch(memory.page(0), Access::Read).unwrap();
    assert_eq!(memory.at(vram(0)), PAGE);
    vm.touch(memory.page(16), Access::Read).unwrap();
    assert_eq!(memory.at(vram(0)), PAGE + (64 << 10));
    assert_eq!(sim.counters().gpus[0].page_faults_by_size, [0, 1, 1]);
}

#[test]
fn a_sparse_mapping_never_faults() {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let range = Range::new(1 << 30, BLOCK).unwrap();
    vm.bind(drm_xe_vm_bind_op { flags: DRM_XE_VM_BIND_FLAG_NULL, ..mirror_of(range, 0) }).unwrap();
    vm.touch(range, Access::Write).unwrap();
    refused(vm.touch(Range::new(1 << 31, PAGE).unwrap(), Access::Read), libc::EIO);
}

#[test]
fn near_memory_is_faster_than_a_peers() {
    let sim = pair();
    let (near, far) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, 16 * BLOCK);
    near.prefetch(memory.range(), 1).unwrap();
    far.prefer(memory.range(), near.raw()).unwrap();
    far.prefetch(memory.range(), CONSULT).unwrap();
    let time = |vm: &TestVm| {
        sim.reset_counters();
        vm.touch(memory.range(), Access::Read).unwrap();
        sim.counters().nanoseconds
    };
    assert!(time(&far) > 10 * time(&near));
}

#[test]
fn pages_that_a_fault_would_fetch_from_vram_make_small_ranges() {
    let sim = pair();
    let (holder, vm) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, BLOCK);
    let end = memory.part(BLOCK / 2, BLOCK / 2);
    for vm in [&holder, &vm] {
        vm.prefer(end, holder.raw()).unwrap();
    }
    holder.prefetch(memory.range(), 1).unwrap();
    let pages = |index: u64| memory.part(index * PAGE, 2 * PAGE);
    assert_eq!(vm.faults(1, || vm.touch(pages(256), Access::Read).unwrap()), 1, "mapped where they are");
    vm.prefer(memory.part(0, BLOCK / 2), SYSTEM).unwrap();
    assert_eq!(vm.faults(1, || vm.touch(pages(0), Access::Read).unwrap()), 2, "fetched one by one");
}
