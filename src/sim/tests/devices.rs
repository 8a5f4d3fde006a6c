// SPDX-License-Identifier: MIT OR Apache-2.0
//! Device files, queries, groups, and devices that go away.

use super::*;
use std::path::Path;

#[test]
fn device_files_are_told_apart_from_others() {
    let sim = pair();
    let (fd, null) = (node(&sim, 129), open_null());
    assert_eq!(sim.driver_name(fd.as_fd()).unwrap(), "xe");
    assert_eq!(sim.device_number(fd.as_fd()).unwrap(), (226, 129));
    refused(sim.driver_name(null.as_fd()), libc::ENOTTY);
    assert_eq!(sim.device_number(null.as_fd()).unwrap(), (1, 3));
    refused(sim.device_query(null.as_fd(), DRM_XE_DEVICE_QUERY_CONFIG, &mut []), libc::ENOTTY);
    refused(sim.open(Path::new("/dev/dri/renderD130")), libc::ENOENT);
    refused(sim.open(Path::new("/etc/passwd")), libc::ENOENT);
    sim.retire(&fd).unwrap();
    refused(sim.driver_name(fd.as_fd()), libc::ENOTTY);
}

#[test]
fn queries_tell_their_size_first() {
    let sim = machine(&[2], |_, _| true);
    let fd = node(&sim, 128);
    let ask = |query| {
        let size = sim.device_query(fd.as_fd(), query, &mut []).unwrap() as usize;
        refused(sim.device_query(fd.as_fd(), query, &mut vec![0; size + 8]), libc::EINVAL);
        let mut reply = vec![0; size];
        sim.device_query(fd.as_fd(), query, &mut reply).unwrap();
        reply
    };
    let long = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let regions = ask(DRM_XE_DEVICE_QUERY_MEM_REGIONS);
    assert_eq!(regions.len(), 8 + 3 * size_of::<drm_xe_mem_region>());
    assert_eq!((long(&regions, 8 + 88 + 8), long(&regions, 8 + 88 + 24)), (VRAM, VRAM));
    assert!(long(&regions, 16) > 64 * MIB, "RAM");
    let config = ask(DRM_XE_DEVICE_QUERY_CONFIG);
    assert_eq!(long(&config, 8) & 0xffff, 0xe20b);
    assert_ne!(long(&config, 16) & DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR, 0);
    let gts = ask(DRM_XE_DEVICE_QUERY_GT_LIST);
    assert_eq!(gts.len(), 8 + 4 * size_of::<drm_xe_gt>());
    assert_eq!([long(&gts, 8 + 16), long(&gts, 8 + 24)], [0b010, 0b101]);
    assert_eq!(long(&gts, 8 + 3 * 96 + 16), 0b100, "the second tile's media engines");
    assert_eq!(ask(DRM_XE_DEVICE_QUERY_ENGINES).len() % 32, 8);
    refused(sim.device_query(fd.as_fd(), 99, &mut []), libc::EINVAL);
}

#[test]
fn j30_each_pair_without_a_path_is_warned_of_at_each_joining() {
    let sim = strangers();
    let first = TestVm::bare(&sim, 0, FAULTING);
    assert!(sim.kernel_log().is_empty());
    let second = TestVm::bare(&sim, 1, FAULTING);
    let warnings = sim.kernel_log().len();
    assert!(warnings > 0);
    let third = TestVm::bare(&sim, 1, FAULTING);
    assert!(sim.kernel_log().len() > warnings);
    drop((first, second, third));
}

#[test]
fn j22_a_peers_pagemap_is_made_by_the_first_who_names_it() {
    let sim = pair();
    sim.privileged(true);
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let lines = || sim.files().text("/proc/iomem").unwrap().lines().count();
    assert_eq!(lines(), 1);
    vm.prefer(Range::new(0, PAGE).unwrap(), node(&sim, 129).as_raw_fd()).unwrap();
    assert_eq!((lines(), sim.pagemap_cost()), (2, 2 * VRAM / 64));
    sim.shrink();
    assert_eq!(lines(), 1, "an unused one is given up when memory is short");
}

#[test]
fn j24_the_first_region_tells_nothing_of_free_memory() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 4 * BLOCK);
    let system = || {
        let mut reply = [0; 8 + 2 * size_of::<drm_xe_mem_region>()];
        sim.device_query(vm.fd.as_fd(), DRM_XE_DEVICE_QUERY_MEM_REGIONS, &mut reply).unwrap();
        reply[8..8 + 88].to_vec()
    };
    let before = system();
    vm.prefer(memory.range(), SYSTEM).unwrap();
    vm.touch(memory.range(), Access::Write).unwrap();
    assert_eq!(system(), before);
}

#[test]
fn an_unplugged_device_answers_enodev_and_leaves_its_data_in_ram() {
    let sim = pair();
    let (vm, other) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, 2 * BLOCK);
    other.prefetch(memory.range(), 1).unwrap();
    vm.prefer(memory.range(), other.raw()).unwrap();
    sim.unplug(GpuId(1)).unwrap();
    assert_eq!(memory.at(Place::Ram), 2 * BLOCK);
    refused(other.prefer(memory.range(), SYSTEM), libc::ENODEV);
    refused(other.touch(memory.range(), Access::Read), libc::ENODEV);
    refused(sim.device_query(other.fd.as_fd(), DRM_XE_DEVICE_QUERY_CONFIG, &mut []), libc::ENODEV);
    refused(sim.open(Path::new("/dev/dri/renderD129")), libc::ENOENT);
    vm.touch(memory.range(), Access::Read).unwrap();
    assert_eq!(memory.at(Place::Ram), 2 * BLOCK, "a fault maps it where it is");
}

#[test]
fn a_device_that_comes_back_is_another_device() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    let old = node(&sim, 129);
    vm.prefer(memory.range(), old.as_raw_fd()).unwrap();
    sim.unplug(GpuId(1)).unwrap();
    sim.replug(GpuId(1)).unwrap();
    refused(vm.prefer(memory.range(), old.as_raw_fd()), libc::ENODEV);
    refused(sim.open(Path::new("/dev/dri/renderD129")), libc::ENOENT);
    let new = node(&sim, 130);
    vm.prefer(memory.range(), new.as_raw_fd()).unwrap();
    vm.prefetch(memory.range(), CONSULT).unwrap();
    assert_eq!(memory.at(vram(1)), BLOCK);
}

#[test]
fn a_device_to_which_nothing_refers_keeps_its_node() {
    let sim = pair();
    sim.unplug(GpuId(1)).unwrap();
    sim.replug(GpuId(1)).unwrap();
    drop(node(&sim, 129));
    refused(sim.open(Path::new("/dev/dri/renderD130")).map(drop), libc::ENOENT);
}

#[test]
fn sysfs_shows_who_is_there() {
    let sim = Sim::new(parse("cpu=zen switch(2x bmg)").unwrap());
    let second = sim.state.lock().devices[1].spec.address;
    let nodes = || {
        let mut nodes = sim.files().list("/sys/class/drm").unwrap();
        nodes.retain(|name| name.starts_with("render"));
        nodes
    };
    let driver = || sim.files().resolve(format!("/sys/bus/pci/devices/{second}/driver")).unwrap();
    assert_eq!(nodes(), ["renderD128", "renderD129"]);
    sim.unplug(GpuId(1)).unwrap();
    assert_eq!(nodes(), ["renderD128"]);
    assert!(!sim.files().exists(driver().join("version")) && !driver().ends_with("xe"));
    assert_eq!(sim.files().list("/sys/bus/pci/drivers/xe").unwrap().len(), 1);
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, BLOCK);
    sim.replug(GpuId(1)).unwrap();
    vm.prefer(memory.range(), node(&sim, 129).as_raw_fd()).unwrap();
    sim.unplug(GpuId(1)).unwrap();
    sim.replug(GpuId(1)).unwrap();
    assert_eq!(nodes(), ["renderD128", "renderD130"], "the old number is still taken");
    let device = sim.files().resolve("/sys/dev/char/226:130/device").unwrap();
    assert_eq!(device.file_name().unwrap(), second.to_string().as_str());
    assert!(!sim.files().exists("/sys/dev/char/226:129"));
    assert!(driver().ends_with("xe"));
}

#[test]
fn j33_unmapping_with_a_lost_device_still_open_crashes_the_kernel() {
    for close_first in [false, true] {
        let sim = pair();
        let vm = TestVm::mirroring(&sim, 1);
        let memory = Memory::populated(&sim, BLOCK);
        vm.prefer(memory.range(), SYSTEM).unwrap();
        vm.touch(memory.range(), Access::Read).unwrap();
        sim.unplug(GpuId(1)).unwrap();
        let kept = (!close_first).then_some(vm);
        memory.unmap();
        assert_eq!(sim.counters().oopses, u64::from(!close_first));
        drop(kept);
    }
}

#[test]
fn a_wedged_device_answers_ecanceled_to_everything_but_its_peers_advice() {
    let sim = pair();
    let (vm, other) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::new(&sim, BLOCK);
    sim.wedge(GpuId(1)).unwrap();
    refused(other.prefer(memory.range(), SYSTEM), libc::ECANCELED);
    refused(other.prefetch(memory.range(), 1), libc::ECANCELED);
    refused(sim.device_query(other.fd.as_fd(), 99, &mut []), libc::ECANCELED);
    vm.prefer(memory.range(), other.raw()).unwrap();
    assert!(sim.wedge(GpuId(2)).is_err());
}
