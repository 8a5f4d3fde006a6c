// SPDX-License-Identifier: MIT OR Apache-2.0
//! PREFETCH: what it moves, and what it only seems to move.

use super::*;

#[test]
fn j01_a_pinned_page_stops_a_prefetch_that_reports_success() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 4 * BLOCK);
    let pinned = memory.part(BLOCK + 5 * PAGE, PAGE);
    sim.pin(pinned);
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(sim.bytes_at(memory.part(0, BLOCK), vram(0)), BLOCK, "what came before has moved");
    assert_eq!(memory.at(Place::Ram), 3 * BLOCK, "nothing behind it was tried");
    assert_eq!(vm.faults(0, || vm.touch(memory.part(0, BLOCK), Access::Read).unwrap()), 1, "and nothing was mapped");
    sim.unpin(pinned);
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(memory.at(vram(0)), 4 * BLOCK);
}

#[test]
fn j01_a_guard_page_or_a_dead_peer_stops_it_too() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, BLOCK);
    sim.guard(memory.page(3));
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(memory.at(vram(0)), 0);
    sim.unguard(memory.page(3));
    vm.prefer(memory.range(), node(&sim, 129).as_raw_fd()).unwrap();
    sim.unplug(GpuId(1)).unwrap();
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(Place::Ram), BLOCK);
}

#[test]
fn j01_full_vram_that_nothing_can_leave_stops_it_too() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    sim.fill_vram(region(0), VRAM).unwrap();
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(memory.at(Place::Absent), BLOCK, "untouched memory stays untouched");
    sim.fill_vram(region(0), VRAM - BLOCK).unwrap();
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(memory.at(vram(0)), BLOCK);
}

#[test]
fn a_prefetch_is_complete_when_it_returns() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 8 * BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(memory.at(vram(0)), 8 * BLOCK);
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Write).unwrap()), 0);
    let gpu = &sim.counters().gpus[0];
    assert_eq!((gpu.migrations, gpu.bytes_in), (8, 8 * BLOCK));
}

#[test]
fn untouched_memory_comes_into_being_in_vram_without_a_copy_but_for_whole_blocks() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    for (length, copied) in [(BLOCK - PAGE, 0), (4 * BLOCK, 4 * BLOCK)] {
        sim.reset_counters();
        let memory = Memory::new(&sim, length);
        vm.prefetch(memory.range(), 1).unwrap();
        assert_eq!(memory.at(vram(0)), length);
        let gpu = &sim.counters().gpus[0];
        assert_eq!((gpu.bytes_in, gpu.bytes_out), (copied, copied));
    }
}

#[test]
fn memory_far_larger_than_this_machine_costs_no_memory_here() {
    let sim = machine(&[1], |_, _| true);
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, 80 << 30);
    vm.prefer(memory.range(), SYSTEM).unwrap();
    vm.prefetch(memory.part(40 << 30, 16 * MIB), 1).unwrap();
    assert_eq!(memory.at(vram(0)), 16 * MIB);
    assert_eq!(memory.at(Place::Absent), (80 << 30) - 16 * MIB);
}

#[test]
fn j29_more_than_the_vram_in_one_call_never_succeeds() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, VRAM + 8 * MIB);
    refused(vm.prefetch(memory.range(), 1), libc::EAGAIN);
    assert!(sim.counters().calls[&Call::VmBind] > 8, "it was tried again and again");
    assert_eq!(sim.bytes_at(memory.part(8 * MIB, VRAM), vram(0)), VRAM, "the last part is there");
    for chunk in memory.range().chunks(8 * MIB) {
        vm.prefetch(chunk, 1).unwrap();
    }
    assert_eq!(memory.at(vram(0)), VRAM);
    assert_eq!(sim.bytes_at(memory.part(0, 8 * MIB), Place::Ram), 8 * MIB, "the oldest was evicted");
}

#[test]
fn j29_eagain_and_eintr_are_tried_again() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    sim.inject(Fault { call: Call::VmBind, skip: 0, times: 3, errno: libc::EAGAIN });
    sim.inject(Fault { call: Call::VmBind, skip: 0, times: 20, errno: libc::EINTR });
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(memory.at(vram(0)), BLOCK);
    sim.inject(Fault { call: Call::Madvise, skip: 1, times: 1, errno: libc::ENOMEM });
    vm.prefer(memory.range(), SYSTEM).unwrap();
    refused(vm.prefer(memory.range(), DEVICE), libc::ENOMEM);
    assert_eq!(vm.wishes(memory.range()), [SYSTEM]);
}

#[test]
fn j11_one_page_that_cannot_be_written_stops_all_of_it() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let mut memory = Memory::populated(&sim, 4 * BLOCK);
    memory.mapping().protect((2 * BLOCK) as usize, PAGE as usize, false).unwrap();
    refused(vm.prefetch(memory.range(), 1), libc::EPERM);
    assert_eq!(memory.at(Place::Ram), 4 * BLOCK, "nothing has moved, not even what came before");
    let reader = TestVm::bare(&sim, 0, FAULTING);
    reader.mirror(Range::ALL, DRM_XE_VM_BIND_FLAG_READONLY).unwrap();
    reader.prefetch(memory.range(), 1).unwrap();
    assert!(memory.at(vram(0)) > 2 * BLOCK);
}

#[test]
fn j11_device_memory_stops_all_of_it() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 2 * BLOCK);
    sim.io(memory.part(BLOCK, PAGE));
    refused(vm.prefetch(memory.range(), 1), libc::EIO);
    assert_eq!(memory.at(vram(0)), 0);
}

#[test]
fn j12_a_prefetch_ends_at_the_first_mapping_of_another_kind() {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let memory = Memory::populated(&sim, 4 * BLOCK);
    vm.mirror(memory.range(), 0).unwrap();
    let sparse = mirror_of(memory.part(BLOCK, BLOCK), 0);
    vm.bind(drm_xe_vm_bind_op { flags: DRM_XE_VM_BIND_FLAG_NULL, ..sparse }).unwrap();
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(sim.bytes_at(memory.part(0, BLOCK), vram(0)), BLOCK);
    assert_eq!(sim.bytes_at(memory.part(2 * BLOCK, 2 * BLOCK), Place::Ram), 2 * BLOCK);
}

#[test]
fn j25_only_private_anonymous_memory_moves() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let shared = sim.map(BLOCK, BLOCK, crate::driver::MapKind::Shared).unwrap();
    let range = Range::new(shared.start(), BLOCK).unwrap();
    vm.prefetch(range, 1).unwrap();
    assert_eq!(sim.bytes_at(range, Place::Ram), BLOCK, "faulted in, and mapped from RAM");
    assert_eq!(vm.faults(0, || vm.touch(range, Access::Read).unwrap()), 0);
    let huge = Memory::populated(&sim, BLOCK);
    sim.hugetlb(huge.range());
    vm.prefetch(huge.range(), 1).unwrap();
    assert_eq!(huge.at(Place::Ram), BLOCK);
    sim.unmap(shared);
}

#[test]
fn j25_locked_memory_moves_and_swapped_memory_comes_back_first() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 2 * BLOCK);
    sim.lock(memory.part(0, BLOCK));
    sim.swap_out(memory.part(BLOCK, BLOCK));
    assert_eq!(memory.at(Place::Swap), BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(memory.at(vram(0)), 2 * BLOCK);
}

#[test]
fn j36_a_page_takes_its_block_with_it() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 2 * BLOCK);
    vm.prefetch(memory.page(7), 1).unwrap();
    assert_eq!(memory.at(vram(0)), BLOCK);
}

#[test]
fn j36_but_no_more_than_its_mapping() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let mut memory = Memory::populated(&sim, BLOCK);
    memory.mapping().protect(0, 16 * PAGE as usize, false).unwrap();
    memory.mapping().protect(21 * PAGE as usize, (BLOCK - 21 * PAGE) as usize, false).unwrap();
    vm.prefetch(memory.page(18), 1).unwrap();
    assert_eq!(memory.at(vram(0)), PAGE);
}

#[test]
fn j31_small_ranges_stay_small() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let mut memory = Memory::populated(&sim, BLOCK);
    memory.mapping().protect(0, PAGE as usize, false).unwrap();
    vm.prefetch(memory.page(1), 1).unwrap();
    memory.mapping().protect(0, PAGE as usize, true).unwrap();
    sim.protected(memory.page(0));
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(memory.at(vram(0)), BLOCK);
    assert!(sim.counters().gpus[0].migrations > 2, "in pieces");
}

#[test]
fn a_hole_in_the_process_is_passed_over() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let mut memory = Memory::populated(&sim, 3 * BLOCK);
    let range = memory.range();
    let (before, rest) = memory.mapping.take().unwrap().split(BLOCK as usize);
    let (hole, behind) = rest.split(BLOCK as usize);
    sim.unmap(hole);
    vm.prefetch(range, 1).unwrap();
    assert_eq!(sim.bytes_at(range, vram(0)), 2 * BLOCK);
    sim.unmap(before);
    sim.unmap(behind);
}

#[test]
fn system_memory_is_reached_whichever_vm_moved_it() {
    let sim = pair();
    let (vm, other) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, 2 * BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    other.prefetch(memory.range(), 0).unwrap();
    assert_eq!(memory.at(Place::Ram), 2 * BLOCK);
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Read).unwrap()), 2, "the other's mappings went");
}

#[test]
fn a_peer_maps_vram_in_place_without_a_copy() {
    let sim = pair();
    let (holder, user) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, 4 * BLOCK);
    holder.prefetch(memory.range(), 1).unwrap();
    user.prefer(memory.range(), holder.raw()).unwrap();
    sim.reset_counters();
    user.prefetch(memory.range(), CONSULT).unwrap();
    user.touch(memory.range(), Access::Read).unwrap();
    holder.touch(memory.range(), Access::Read).unwrap();
    let counters = sim.counters();
    assert_eq!(
        counters.links[&(GpuId(1), GpuId(0))],
        LinkCounters { bytes_in_place: 4 * BLOCK, bytes_copied: 0, bytes_astray: 0 }
    );
    assert_eq!(counters.gpus[0].page_faults + counters.gpus[1].page_faults, 0);
    assert_eq!(memory.at(vram(0)), 4 * BLOCK);
}

#[test]
fn j09_a_small_bar_is_nothing_the_kernel_looks_at() {
    let mut holder = device(0, 1);
    holder.tiles[0].cpu_visible = VRAM / 4;
    let distances = vec![vec![Some(0), Some(4)], vec![Some(4), Some(0)]];
    let files = Files::tree(Tree::default());
    let sim = Sim::new(Spec { devices: vec![holder, device(1, 1)], distances, privileged: false, files });
    let (holder, user) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, BLOCK);
    holder.prefetch(memory.range(), 1).unwrap();
    user.prefer(memory.range(), holder.raw()).unwrap();
    user.touch(memory.range(), Access::Read).unwrap();
    assert_eq!(sim.counters().links[&(GpuId(1), GpuId(0))].bytes_astray, BLOCK);
}

#[test]
fn strangers_exchange_memory_through_ram() {
    let sim = strangers();
    let (first, second) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, BLOCK);
    first.prefetch(memory.range(), 1).unwrap();
    sim.reset_counters();
    second.prefetch(memory.range(), 1).unwrap();
    let counters = sim.counters();
    assert_eq!(memory.at(vram(1)), BLOCK);
    assert_eq!((counters.gpus[0].bytes_out, counters.gpus[1].bytes_in), (BLOCK, BLOCK));
    assert!(counters.links.is_empty(), "not a byte went straight");
}

#[test]
fn a_block_that_is_partly_there_goes_through_ram() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    sim.discarded(memory.part(0, 64 << 10));
    sim.protected(memory.range());
    sim.reset_counters();
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(memory.at(vram(0)), BLOCK);
    assert_eq!(sim.counters().gpus[0].bytes_out, BLOCK - (64 << 10));
}

#[test]
fn an_integrated_gpu_never_moves_anything() {
    let sim = machine(&[0, 1], |_, _| true);
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, BLOCK);
    vm.prefer(memory.range(), node(&sim, 129).as_raw_fd()).unwrap();
    vm.prefetch(memory.range(), CONSULT).unwrap();
    vm.touch(memory.range(), Access::Atomic).unwrap();
    assert_eq!(memory.at(Place::Ram), BLOCK);
    refused(vm.prefetch(memory.range(), 1), libc::EINVAL);
}
