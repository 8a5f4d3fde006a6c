// SPDX-License-Identifier: MIT OR Apache-2.0
//! MADVISE and the attribute query.

use super::*;
use crate::uapi;

fn place(fd: RawFd, region_instance: u16) -> drm_xe_madvise_preferred_mem_loc {
    drm_xe_madvise_preferred_mem_loc { devmem_fd: fd as u32, migration_policy: 0, region_instance, reserved: 0 }
}

#[test]
fn j02_an_equal_number_is_an_equal_wish() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, 2 * BLOCK);
    let named = uapi::duplicate(node(&sim, 129).as_fd(), 700).unwrap();
    vm.prefer(memory.part(0, BLOCK), named.as_raw_fd()).unwrap();
    uapi::replace(&named, node(&sim, 128).as_fd()).unwrap();
    vm.prefer(memory.range(), named.as_raw_fd()).unwrap();
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(vram(1)), BLOCK, "the stale half");
    assert_eq!(memory.at(vram(0)), BLOCK, "the fresh half");
}

#[test]
fn j02_an_equal_number_with_another_region_is_an_equal_wish() {
    let sim = machine(&[2], |_, _| true);
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    for instance in [1, 2] {
        vm.prefer_region(memory.range(), vm.raw(), instance, 0).unwrap();
    }
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(vram(0)), BLOCK);
    vm.prefer_region(memory.range(), vm.raw(), 2, 1).unwrap();
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(Place::Vram(Region { gpu: GpuId(0), instance: 2 })), BLOCK, "another policy is another wish");
}

#[test]
fn j02_the_system_first_makes_a_stale_number_fresh() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    let named = node(&sim, 129);
    vm.prefer(memory.range(), named.as_raw_fd()).unwrap();
    uapi::replace(&named, node(&sim, 128).as_fd()).unwrap();
    vm.prefer(memory.range(), SYSTEM).unwrap();
    vm.prefer(memory.range(), named.as_raw_fd()).unwrap();
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(vram(0)), BLOCK);
}

#[test]
fn j32_a_wish_outlives_the_descriptor_that_named_it() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    let named = node(&sim, 129);
    vm.prefer(memory.range(), named.as_raw_fd()).unwrap();
    drop(named);
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(vram(1)), BLOCK);
}

#[test]
fn j03_number_zero_means_the_faulting_device() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 1);
    let memory = Memory::new(&sim, BLOCK);
    vm.prefer(memory.range(), SYSTEM).unwrap();
    vm.prefer(memory.range(), DEVICE).unwrap();
    refused(vm.prefer_region(memory.range(), DEVICE, 1, 0), libc::EINVAL);
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(vram(1)), BLOCK);
}

#[test]
fn j04_advice_moves_nothing_and_a_fault_maps_what_is_there() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 2 * BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    vm.prefer(memory.range(), SYSTEM).unwrap();
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Write).unwrap()), 2);
    assert_eq!(memory.at(vram(0)), 2 * BLOCK, "still there, though the wish is system memory");
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(Place::Ram), 2 * BLOCK);
}

#[test]
fn another_device_is_moved_to_at_the_next_fault() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, BLOCK);
    let peer = node(&sim, 129);
    vm.prefetch(memory.range(), 1).unwrap();
    vm.prefer(memory.range(), peer.as_raw_fd()).unwrap();
    vm.touch(memory.range(), Access::Read).unwrap();
    assert_eq!(memory.at(vram(1)), BLOCK);
    assert_eq!(sim.counters().links[&(GpuId(1), GpuId(0))].bytes_copied, BLOCK, "straight from VRAM to VRAM");
}

#[test]
fn j05_advice_that_changes_nothing_still_cuts_and_evicts() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 4 * BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    assert_eq!(vm.query(memory.range()).len(), 1);
    vm.prefer(memory.part(BLOCK, 64 << 10), DEVICE).unwrap();
    assert_eq!(vm.query(memory.range()).len(), 3);
    assert_eq!(memory.at(vram(0)), 3 * BLOCK);
    assert_eq!(sim.bytes_at(memory.part(BLOCK, BLOCK), Place::Ram), BLOCK, "all of the block that was cut");
    vm.prefer(memory.part(BLOCK, 64 << 10), DEVICE).unwrap();
    assert_eq!(vm.query(memory.range()).len(), 3, "never joined again");
    vm.mirror(memory.part(BLOCK, BLOCK), 0).unwrap();
    assert_eq!(vm.query(memory.range()).len(), 1, "but by a new bind");
}

#[test]
fn j05_a_cut_across_two_ranges_evicts_both_and_no_others() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 4 * BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    vm.prefer(memory.part(BLOCK / 2, BLOCK), DEVICE).unwrap();
    assert_eq!(sim.bytes_at(memory.part(0, 2 * BLOCK), Place::Ram), 2 * BLOCK);
    assert_eq!(sim.bytes_at(memory.part(2 * BLOCK, 2 * BLOCK), vram(0)), 2 * BLOCK);
}

#[test]
fn j05_a_vm_that_never_mapped_the_data_evicts_nothing() {
    let sim = pair();
    let (vm, other) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, BLOCK);
    vm.prefetch(memory.range(), 1).unwrap();
    other.prefer(memory.part(0, 64 << 10), DEVICE).unwrap();
    assert_eq!(memory.at(vram(0)), BLOCK);
}

#[test]
fn equal_advice_unmaps_nothing_and_other_advice_does() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, BLOCK);
    let twice = uapi::duplicate(vm.fd.as_fd(), 3).unwrap();
    vm.prefer(memory.range(), vm.raw()).unwrap();
    vm.touch(memory.range(), Access::Write).unwrap();
    vm.prefer(memory.range(), vm.raw()).unwrap();
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Write).unwrap()), 0);
    vm.prefer(memory.range(), twice.as_raw_fd()).unwrap();
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Write).unwrap()), 1);
}

#[test]
fn j06_advice_without_a_mirror_is_success_and_nothing() {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let memory = Memory::new(&sim, 3 * BLOCK);
    vm.prefer(memory.range(), SYSTEM).unwrap();
    assert!(vm.query(memory.range()).is_empty());
    vm.mirror(memory.part(BLOCK, BLOCK), 0).unwrap();
    vm.prefer(memory.range(), SYSTEM).unwrap();
    let found = vm.query(memory.range());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].start, found[0].end), (memory.range().start() + BLOCK, memory.range().start() + 2 * BLOCK));
}

#[test]
fn j08_the_migration_policy_is_kept_and_not_acted_on() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, BLOCK);
    let peer = node(&sim, 129);
    vm.prefetch(memory.range(), 1).unwrap();
    vm.prefer_region(memory.range(), peer.as_raw_fd(), 1, DRM_XE_MIGRATE_ONLY_SYSTEM_PAGES).unwrap();
    assert_eq!(vm.query(memory.range())[0].preferred_mem_loc.migration_policy, 1);
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(vram(1)), BLOCK);
}

#[test]
fn j19_an_unknown_vm_has_two_names() {
    let sim = pair();
    let mut vm = TestVm::bare(&sim, 0, FAULTING);
    let page = Range::new(0, PAGE).unwrap();
    assert!(sim.ban(vm.fd.as_fd(), vm.id));
    refused(vm.prefer(page, SYSTEM), libc::ENOENT);
    refused(vm.mirror(page, 0), libc::ENOENT);
    vm.id = 999;
    refused(vm.prefer(page, SYSTEM), libc::EINVAL);
    refused(vm.mirror(page, 0), libc::EINVAL);
    let mut query = drm_xe_vm_query_mem_range_attr { vm_id: 999, range: PAGE, ..Default::default() };
    refused(sim.vm_query_mem_range_attrs(vm.fd.as_fd(), &mut query, &mut []), libc::EINVAL);
    refused(sim.vm_destroy(vm.fd.as_fd(), &drm_xe_vm_destroy { vm_id: 999, ..Default::default() }), libc::ENOENT);
    let mut property = drm_xe_vm_get_property { vm_id: 999, ..Default::default() };
    refused(sim.vm_get_property(vm.fd.as_fd(), &mut property, &mut []), libc::ENOENT);
}

#[test]
fn j27_the_query_tells_whole_vmas_and_stale_numbers() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, 4 * BLOCK);
    let named = node(&sim, 129);
    let stale = named.as_raw_fd();
    vm.prefer(memory.part(BLOCK, 2 * BLOCK), stale).unwrap();
    drop(named);
    let found = vm.query(memory.part(BLOCK, PAGE));
    assert_eq!((found[0].start, found[0].end), (memory.range().start() + BLOCK, memory.range().start() + 3 * BLOCK));
    assert_eq!(found[0].preferred_mem_loc.devmem_fd, stale as u32);
    vm.prefer(memory.range(), SYSTEM).unwrap();
    assert_eq!(vm.query(memory.part(BLOCK, PAGE))[0].preferred_mem_loc.devmem_fd, u32::MAX);
}

#[test]
fn the_query_checks_little() {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let memory = Memory::new(&sim, 4 * BLOCK);
    vm.mirror(memory.range(), 0).unwrap();
    vm.prefer(memory.part(BLOCK, BLOCK), SYSTEM).unwrap();
    let ask = |start: u64, range: u64, room: usize| {
        let mut query = drm_xe_vm_query_mem_range_attr {
            extensions: 77,
            vm_id: vm.id,
            start,
            range,
            reserved: [1, 2],
            ..Default::default()
        };
        let mut found = vec![drm_xe_mem_range_attr::default(); room];
        let answer = sim.vm_query_mem_range_attrs(vm.fd.as_fd(), &mut query, &mut found);
        answer.map(|()| query.num_mem_ranges).map_err(|error| (error.raw_os_error(), query.num_mem_ranges))
    };
    let start = memory.range().start();
    assert_eq!(ask(start + 7, 4 * BLOCK - 9, 0), Ok(3));
    assert_eq!(ask(start, 4 * BLOCK, 2), Err((Some(libc::ENOSPC), 2)));
    assert_eq!(ask(start, 4 * BLOCK, 9), Ok(3));
    assert_eq!(ask(0xffff << 48 | start, PAGE, 0), Ok(0), "high addresses are not folded");
    assert_eq!(ask(start + BLOCK, 0, 0), Ok(0), "nothing has both sides of the cut");
    assert_eq!(ask(start + BLOCK + 1, 0, 0), Ok(1));
}

#[test]
fn j28_a_vm_without_faults_can_name_no_device() {
    let sim = pair();
    let page = Range::new(0, PAGE).unwrap();
    for flags in [0, DRM_XE_VM_CREATE_FLAG_LR_MODE] {
        let vm = TestVm::bare(&sim, 0, flags);
        refused(vm.prefer(page, vm.raw()), libc::ENOLINK);
        refused(vm.prefer(page, node(&sim, 129).as_raw_fd()), libc::ENOLINK);
        vm.prefer(page, SYSTEM).unwrap();
    }
}

#[test]
fn j28_a_changed_link_can_part_a_vm_from_its_own_vram() {
    let sim = pair();
    let page = Range::new(0, PAGE).unwrap();
    let first = TestVm::bare(&sim, 0, FAULTING);
    let peer = TestVm::bare(&sim, 1, FAULTING);
    for (from, to) in [(0, 1), (1, 0)] {
        sim.set_distance(GpuId(from), GpuId(to), None).unwrap();
    }
    let late = TestVm::bare(&sim, 1, FAULTING);
    refused(late.prefer(page, late.raw()), libc::ENOLINK);
    drop((first, peer, late));
    sim.shrink();
    let fresh = TestVm::bare(&sim, 1, FAULTING);
    fresh.prefer(page, fresh.raw()).unwrap();
}

#[test]
fn a_target_is_looked_up_in_the_order_of_the_kernel() {
    let sim = machine(&[1, 1, 0], |_, _| true);
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    let range = memory.range();
    let closed = number(node(&sim, 128).as_fd());
    let (null, integrated, peer) = (open_null(), node(&sim, 130), node(&sim, 129));
    let pagemap = sim.open(std::path::Path::new("/proc/self/pagemap")).unwrap();
    for stranger in [900, closed.max(900), null.as_raw_fd(), integrated.as_raw_fd(), pagemap.as_raw_fd()] {
        refused(vm.prefer(range, stranger), libc::ENOENT);
    }
    for instance in [0, 2, 65535] {
        refused(vm.prefer_region(range, peer.as_raw_fd(), instance, 0), libc::ENOENT);
    }
    vm.prefer(range, peer.as_raw_fd()).unwrap();
    sim.unplug(GpuId(1)).unwrap();
    for instance in [1, 2] {
        refused(vm.prefer_region(range, peer.as_raw_fd(), instance, 0), libc::ENODEV);
    }
    assert_eq!(vm.query(range).len(), 1, "what fails in the look-up cuts nothing");
}

#[test]
fn a_peer_out_of_reach_is_no_target() {
    let sim = strangers();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    let peer = node(&sim, 129);
    refused(vm.prefer(memory.range(), peer.as_raw_fd()), libc::ENOLINK);
    refused(vm.prefer_region(memory.range(), peer.as_raw_fd(), 2, 0), libc::ENOENT);
    assert_eq!(vm.query(memory.range()).len(), 1);
    vm.prefer(memory.range(), vm.raw()).unwrap();
}

#[test]
fn bad_fields_are_refused_before_anything_happens() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    let (start, length) = (memory.range().start(), memory.range().len());
    let location = |start, length, place| drm_xe_madvise::preferred_mem_loc(vm.id, start, length, place);
    let value = |type_, val| {
        let value = drm_xe_madvise_value { val, pad: 0, reserved: 0 };
        drm_xe_madvise::attribute(vm.id, start, length, type_, value)
    };
    let mut padded = location(start, length, place(SYSTEM, 0));
    padded.reserved = [0, 1];
    let bad = [
        location(start + 1, length, place(SYSTEM, 0)),
        location(start, length + 1, place(SYSTEM, 0)),
        location(start, 0, place(SYSTEM, 0)),
        location(1 << 47, 1 << 48, place(SYSTEM, 0)),
        location(start, length, place(-2, 0)),
        location(start, length, place(SYSTEM, 1)),
        location(start, length, drm_xe_madvise_preferred_mem_loc { migration_policy: 2, ..place(SYSTEM, 0) }),
        location(start, length, drm_xe_madvise_preferred_mem_loc { reserved: 1, ..place(SYSTEM, 0) }),
        padded,
        value(DRM_XE_MEM_RANGE_ATTR_ATOMIC, 4),
        value(DRM_XE_MEM_RANGE_ATTR_PAT, 16),
        value(DRM_XE_MEM_RANGE_ATTR_PAT, 28),
        value(DRM_XE_MEM_RANGE_ATTR_PAT, 32),
        value(9, 0),
    ];
    for advice in bad {
        refused(vm.send(&advice), libc::EINVAL);
    }
    assert_eq!(vm.wishes(Range::ALL), [DEVICE]);
    let mut odd = location(0xdead << 48 | start, length, place(SYSTEM, 0));
    odd.extensions = 5;
    vm.send(&odd).unwrap();
    assert_eq!(vm.wishes(memory.range()), [SYSTEM], "the top bits are dropped, extensions not looked at");
}

#[test]
fn purging_means_nothing_to_a_mirror_but_is_known() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let value = drm_xe_madvise_value { val: DRM_XE_VMA_PURGEABLE_STATE_DONTNEED, pad: 0, reserved: 0 };
    let advice = drm_xe_madvise::attribute(vm.id, 0, PAGE, DRM_XE_VMA_ATTR_PURGEABLE_STATE, value);
    refused(sim.madvise(vm.fd.as_fd(), &advice, None), libc::EFAULT);
    refused(sim.madvise(vm.fd.as_fd(), &advice, Some(&mut 3)), libc::EINVAL);
    let mut retained = 0;
    sim.madvise(vm.fd.as_fd(), &advice, Some(&mut retained)).unwrap();
    assert_eq!(retained, 1);
}
