// SPDX-License-Identifier: MIT OR Apache-2.0
//! VM_CREATE, VM_DESTROY and VM_BIND.

use super::*;

const READONLY: u32 = DRM_XE_VM_BIND_FLAG_READONLY;

#[test]
fn vms_are_numbered_by_file_from_one_and_numbers_return_at_once() {
    let sim = pair();
    let first = TestVm::bare(&sim, 0, 0);
    assert_eq!(first.id, 1);
    let create = |fd: BorrowedFd<'_>| {
        let mut request = drm_xe_vm_create { flags: FAULTING, ..Default::default() };
        sim.vm_create(fd, &mut request).unwrap();
        request.vm_id
    };
    assert_eq!([create(first.fd.as_fd()), create(first.fd.as_fd())], [2, 3]);
    sim.vm_destroy(first.fd.as_fd(), &drm_xe_vm_destroy { vm_id: 2, ..Default::default() }).unwrap();
    assert_eq!(create(first.fd.as_fd()), 2);
    assert_eq!(create(node(&sim, 128).as_fd()), 1, "another open file");
    let dup = sim.duplicate(first.fd.as_fd(), 3).unwrap();
    assert_eq!(create(dup.as_fd()), 4, "the same open file");
}

#[test]
fn vms_die_with_the_last_descriptor_of_their_file() {
    let sim = strangers();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let dup = sim.duplicate(vm.fd.as_fd(), 3).unwrap();
    drop(vm);
    let second = node(&sim, 128);
    assert_eq!(format!("{sim:?}"), "Sim(2 GPUs, 1 vms)");
    drop(dup);
    drop(second);
    drop(node(&sim, 128));
    assert_eq!(format!("{sim:?}"), "Sim(2 GPUs, 0 vms)");
}

#[test]
fn a_vm_is_created_with_sensible_flags_only() {
    let sim = pair();
    let fd = node(&sim, 128);
    let (lr, fault) = (DRM_XE_VM_CREATE_FLAG_LR_MODE, DRM_XE_VM_CREATE_FLAG_FAULT_MODE);
    let bad = [
        drm_xe_vm_create { flags: fault, ..Default::default() },
        drm_xe_vm_create { flags: DRM_XE_VM_CREATE_FLAG_NO_VM_OVERCOMMIT | lr, ..Default::default() },
        drm_xe_vm_create { flags: 1 << 9, ..Default::default() },
        drm_xe_vm_create { extensions: 8, ..Default::default() },
        drm_xe_vm_create { reserved: [0, 1], ..Default::default() },
    ];
    for mut create in bad {
        refused(sim.vm_create(fd.as_fd(), &mut create), libc::EINVAL);
    }
    let mut create = drm_xe_vm_create { flags: lr | fault | DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE, ..Default::default() };
    sim.vm_create(fd.as_fd(), &mut create).unwrap();
    refused(sim.vm_destroy(fd.as_fd(), &drm_xe_vm_destroy { vm_id: 1, pad: 1, ..Default::default() }), libc::EINVAL);
}

#[test]
fn operations_are_checked_before_the_syncs_are_read() {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let range = Range::new(16 * MIB, BLOCK).unwrap();
    let good = mirror_of(range, DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET);
    refused(vm.bind_with(good, BindSyncs::Unreadable), libc::EFAULT);
    let bad = [
        drm_xe_vm_bind_op { addr: 5, ..good },
        drm_xe_vm_bind_op { range: 0, ..good },
        drm_xe_vm_bind_op { addr: 0xffff << 48, ..good },
        drm_xe_vm_bind_op { flags: good.flags | 1 << 20, ..good },
        drm_xe_vm_bind_op { obj_offset: PAGE, ..good },
        drm_xe_vm_bind_op { obj: 1, ..good },
        drm_xe_vm_bind_op { flags: 0, ..good },
        drm_xe_vm_bind_op { op: DRM_XE_VM_BIND_OP_UNMAP, ..good },
        drm_xe_vm_bind_op { op: 5, flags: 0, ..good },
        drm_xe_vm_bind_op { pat_index: 19, ..good },
        drm_xe_vm_bind_op { pat_index: 32, ..good },
        drm_xe_vm_bind_op { prefetch_mem_region_instance: 1, ..good },
        drm_xe_vm_bind_op { op: DRM_XE_VM_BIND_OP_PREFETCH, prefetch_mem_region_instance: 2, flags: 0, ..good },
    ];
    for op in bad {
        refused(vm.bind_with(op, BindSyncs::Unreadable), libc::EINVAL);
    }
    let userptr = drm_xe_vm_bind_op { op: DRM_XE_VM_BIND_OP_MAP_USERPTR, flags: 0, ..good };
    refused(vm.bind_with(userptr, BindSyncs::Unreadable), libc::EINVAL);
    let coherent = drm_xe_vm_bind_op { pat_index: 2, ..userptr };
    refused(vm.bind_with(coherent, BindSyncs::Unreadable), libc::EFAULT);
    let unseen = drm_xe_vm_bind_op { extensions: 1, pad: 1, pad2: 1, reserved: [1; 3], ..good };
    refused(vm.bind_with(unseen, BindSyncs::Unreadable), libc::EFAULT);
    assert!(vm.query(Range::ALL).is_empty(), "nothing was done");
    let plain = TestVm::bare(&sim, 0, DRM_XE_VM_CREATE_FLAG_LR_MODE);
    refused(plain.bind(good), libc::EINVAL);
}

#[test]
fn j17_memory_with_live_ranges_cannot_be_unmirrored() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 2 * BLOCK);
    let range = memory.range();
    let sparse = drm_xe_vm_bind_op { flags: DRM_XE_VM_BIND_FLAG_NULL, ..mirror_of(range, 0) };
    vm.touch(memory.part(0, BLOCK), Access::Read).unwrap();
    refused(vm.unmirror(range), libc::EBUSY);
    refused(vm.bind(sparse), libc::EBUSY);
    sim.discarded(range);
    refused(vm.unmirror(range), libc::EBUSY);
    memory.unmap();
    vm.unmirror(range).unwrap();
    assert!(vm.query(range).is_empty());
    vm.unmirror(range).unwrap();
}

#[test]
fn j17_a_mirror_with_a_wish_cannot_be_cut_where_it_is_live() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 4 * BLOCK);
    vm.prefer(memory.range(), vm.raw()).unwrap();
    vm.touch(memory.part(BLOCK, BLOCK), Access::Read).unwrap();
    refused(vm.mirror(memory.part(BLOCK, BLOCK), 0), libc::EBUSY);
    vm.mirror(memory.part(2 * BLOCK, BLOCK), 0).unwrap();
    assert_eq!(vm.wishes(memory.range()), [vm.raw(), DEVICE, vm.raw()]);
    vm.mirror(memory.range(), 0).unwrap();
    assert_eq!(vm.wishes(memory.range()), [DEVICE], "as a whole it can be replaced");
    assert_eq!(vm.faults(0, || vm.touch(memory.part(BLOCK, BLOCK), Access::Read).unwrap()), 0, "its ranges survive");
}

#[test]
fn j18_a_bind_swallows_a_hole_of_one_page_and_its_neighbours_flags() {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let memory = Memory::new(&sim, 4 * BLOCK);
    let start = memory.range().start();
    vm.mirror(memory.part(2 * BLOCK, BLOCK), 0).unwrap();
    vm.mirror(memory.part(BLOCK, BLOCK - PAGE), READONLY).unwrap();
    let found = vm.query(memory.range());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].start, found[0].end), (start + BLOCK, start + 3 * BLOCK), "the hole too");
    refused(vm.touch(memory.part(2 * BLOCK, PAGE), Access::Write), libc::EIO);
}

#[test]
fn a_hole_of_two_pages_stays() {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let memory = Memory::new(&sim, 4 * BLOCK);
    vm.mirror(memory.part(2 * BLOCK, BLOCK), 0).unwrap();
    vm.mirror(memory.part(BLOCK, BLOCK - 2 * PAGE), 0).unwrap();
    assert_eq!(vm.query(memory.range()).len(), 2);
}

#[test]
fn neighbours_with_a_wish_are_left_alone() {
    let sim = pair();
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let memory = Memory::new(&sim, 3 * BLOCK);
    vm.mirror(memory.part(0, BLOCK), 0).unwrap();
    vm.prefer(memory.part(0, BLOCK), SYSTEM).unwrap();
    vm.mirror(memory.part(BLOCK, BLOCK), 0).unwrap();
    assert_eq!(vm.wishes(memory.range()), [SYSTEM, DEVICE]);
}
