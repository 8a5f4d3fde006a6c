// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the process does to its memory meanwhile.

use super::*;

const AUTORESET: u32 = DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET;

fn autoresetting(sim: &Arc<Sim>) -> TestVm {
    let vm = TestVm::bare(sim, 0, FAULTING);
    vm.mirror(Range::ALL, AUTORESET).unwrap();
    vm
}

#[test]
fn j07_untouched_memory_keeps_its_wish_when_it_is_unmapped() {
    let sim = pair();
    let vm = autoresetting(&sim);
    let memory = Memory::new(&sim, BLOCK);
    let range = memory.range();
    vm.prefer(range, SYSTEM).unwrap();
    memory.unmap();
    sim.settle();
    assert_eq!(vm.wishes(range), [SYSTEM]);
}

#[test]
fn j07_used_memory_is_reset_but_later() {
    let sim = pair();
    let vm = autoresetting(&sim);
    for use_it in [
        |vm: &TestVm, range| vm.touch(range, Access::Read).unwrap(),
        |vm: &TestVm, range| vm.prefetch(range, CONSULT).unwrap(),
    ] {
        let memory = Memory::new(&sim, BLOCK);
        let range = memory.range();
        vm.prefer(range, SYSTEM).unwrap();
        use_it(&vm, range);
        memory.unmap();
        assert_eq!(vm.wishes(range), [SYSTEM], "at once");
        sim.settle();
        assert_eq!(vm.wishes(range), [DEVICE], "a little later");
        assert_eq!(vm.query(Range::ALL).len(), 1, "and joined with its neighbours");
    }
}

/// Mirrors memory with PAT index 2 and automatic reset, uses advised memory behind which other advice begins or not, and
/// unmaps it: the PAT index of each mapping that is left, and what the driver has printed.
fn unmapped_with_pat_2(length: u64, something_behind: bool) -> (Vec<u32>, usize) {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    vm.bind(drm_xe_vm_bind_op { pat_index: 2, ..mirror_of(Range::ALL, AUTORESET) }).unwrap();
    let memory = Memory::new(&sim, length);
    let range = memory.range();
    if something_behind {
        vm.prefer(Range::new(range.end(), BLOCK).unwrap(), SYSTEM).unwrap();
    }
    vm.prefer(range, SYSTEM).unwrap();
    vm.touch(range, Access::Read).unwrap();
    memory.unmap();
    sim.settle();
    let warnings = sim.kernel_log().iter().filter(|line| line.contains("WARNING")).count();
    (vm.query(Range::ALL).iter().map(|found| found.pat_index.val).collect(), warnings)
}

#[test]
fn a_reset_forgets_the_pat_index_and_may_take_that_of_all_memory_below_along() {
    assert_eq!(unmapped_with_pat_2(BLOCK, false), (vec![2], 1));
    assert_eq!(unmapped_with_pat_2(2 * BLOCK, false), (vec![2], 1));
    assert_eq!(unmapped_with_pat_2(BLOCK, true), (vec![0, 2, 2], 1));
    assert_eq!(unmapped_with_pat_2(2 * BLOCK, true), (vec![0, 2, 2], 1));
}

#[test]
fn a_reset_by_hand_before_the_unmapping_forgets_nothing() {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    vm.bind(drm_xe_vm_bind_op { pat_index: 2, ..mirror_of(Range::ALL, AUTORESET) }).unwrap();
    let memory = Memory::new(&sim, 2 * BLOCK);
    let range = memory.range();
    vm.prefer(range, SYSTEM).unwrap();
    vm.touch(range, Access::Read).unwrap();
    vm.prefer(range, DEVICE).unwrap();
    assert_eq!(vm.query(Range::ALL).len(), 3);
    memory.unmap();
    sim.settle();
    assert_eq!(vm.query(Range::ALL).iter().map(|found| found.pat_index.val).collect::<Vec<_>>(), [2], "joined");
    assert_eq!(sim.kernel_log(), [""; 0]);
}

#[test]
fn j07_a_request_flushes_what_was_put_off() {
    let sim = pair();
    let vm = autoresetting(&sim);
    let memory = Memory::new(&sim, BLOCK);
    let (range, other) = (memory.range(), Memory::new(&sim, BLOCK));
    vm.atomics(range, DRM_XE_ATOMIC_DEVICE).unwrap();
    vm.touch(range, Access::Read).unwrap();
    memory.unmap();
    vm.prefer(other.range(), SYSTEM).unwrap();
    assert_eq!(vm.query(range)[0].atomic.val, DRM_XE_ATOMIC_UNDEFINED);
}

#[test]
fn j07_half_an_unmapping_resets_the_whole_block() {
    let sim = pair();
    let vm = autoresetting(&sim);
    let mut memory = Memory::populated(&sim, BLOCK);
    let range = memory.range();
    vm.prefer(range, vm.raw()).unwrap();
    vm.touch(range, Access::Read).unwrap();
    let (kept, gone) = memory.mapping.take().unwrap().split((BLOCK - PAGE) as usize);
    sim.unmap(gone);
    sim.settle();
    assert_eq!(vm.wishes(range), [DEVICE]);
    assert_eq!(sim.bytes_at(range, vram(0)), BLOCK - PAGE, "the other pages stay in VRAM");
    sim.unmap(kept);
}

#[test]
fn j07_without_the_flag_wishes_stay_for_ever() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    let range = memory.range();
    vm.prefer(range, SYSTEM).unwrap();
    vm.touch(range, Access::Read).unwrap();
    memory.unmap();
    sim.settle();
    assert_eq!(vm.wishes(range), [SYSTEM]);
}

#[test]
fn j07_moved_memory_leaves_its_wish_behind() {
    let sim = pair();
    let vm = autoresetting(&sim);
    let mut memory = Memory::populated(&sim, BLOCK);
    let old = memory.range();
    vm.prefer(old, vm.raw()).unwrap();
    vm.touch(old, Access::Read).unwrap();
    let moved = memory.mapping.take().unwrap().moved(BLOCK as usize).unwrap();
    sim.moved(old, &moved);
    sim.settle();
    memory.mapping = Some(moved);
    assert_eq!(memory.at(vram(0)), BLOCK, "the pages have moved along, in VRAM");
    assert_eq!((vm.wishes(old), vm.wishes(memory.range())), (vec![DEVICE], vec![DEVICE]));
}

#[test]
fn memory_moved_off_its_alignment_comes_back_in_pieces() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    let room = Mapping::anonymous(2 * BLOCK as usize, BLOCK as usize, false).unwrap();
    let (before, there) = room.split(5 * PAGE as usize);
    sim.moved(memory.range(), &there);
    let range = Range::new(there.start(), BLOCK).unwrap();
    assert_eq!(sim.bytes_at(range, vram(0)), BLOCK);
    sim.cpu_touched(Range::new(there.start(), PAGE).unwrap(), Access::Read);
    assert_eq!(sim.bytes_at(range, vram(0)), 5 * PAGE, "those that lie in the next block");
    sim.unmap(there);
    drop(before);
}

#[test]
fn unmapped_memory_gives_its_vram_back() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 2 * BLOCK);
    let used = || {
        let mut reply = [0; 8 + 2 * size_of::<drm_xe_mem_region>()];
        sim.device_query(vm.fd.as_fd(), DRM_XE_DEVICE_QUERY_MEM_REGIONS, &mut reply).unwrap();
        u64::from_le_bytes(reply[8 + 88 + 16..][..8].try_into().unwrap())
    };
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(used(), 2 * BLOCK);
    sim.discarded(memory.part(0, BLOCK - PAGE));
    assert_eq!(used(), 2 * BLOCK, "an allocation lives as long as one of its pages");
    sim.discarded(memory.part(BLOCK - PAGE, PAGE));
    assert_eq!(used(), BLOCK);
    memory.unmap();
    assert_eq!(used(), 0);
}

#[test]
fn discarded_memory_keeps_its_range_and_its_wish() {
    let sim = pair();
    let vm = autoresetting(&sim);
    let mut memory = Memory::populated(&sim, BLOCK);
    let range = memory.range();
    vm.prefer(range, vm.raw()).unwrap();
    vm.touch(range, Access::Read).unwrap();
    memory.mapping().madvise(0, BLOCK as usize, libc::MADV_DONTNEED).unwrap();
    sim.discarded(range);
    sim.settle();
    assert_eq!(memory.at(Place::Absent), BLOCK);
    assert_eq!(vm.wishes(range), [vm.raw()]);
}

#[test]
fn a_changed_protection_stops_the_gpu_at_its_next_write() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let mut memory = Memory::populated(&sim, BLOCK);
    vm.touch(memory.range(), Access::Write).unwrap();
    memory.mapping().protect(0, BLOCK as usize, false).unwrap();
    sim.protected(memory.range());
    assert_eq!(memory.at(vram(0)), BLOCK);
    refused(vm.touch(memory.range(), Access::Write), libc::EIO);
}
