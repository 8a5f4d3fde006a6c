// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that change as the machine runs.

use super::*;

/// The lines of the mapping that holds `address`.
fn smaps_of(sim: &Sim, address: u64) -> Vec<String> {
    let text = sim.files().text("/proc/self/smaps").unwrap();
    let holds = |line: &str| {
        let (start, rest) = line.split_once('-')?;
        let end = rest.split_once(' ')?.0;
        let ends = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        Some((ends.0..ends.1).contains(&address))
    };
    let mut lines = text.lines().skip_while(|line| holds(line) != Some(true));
    let header = lines.next().unwrap().to_owned();
    let fields = lines.take_while(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    std::iter::once(header).chain(fields.map(str::to_owned)).collect()
}

fn field(lines: &[String], name: &str) -> String {
    let line = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

#[test]
fn marked_memory_is_a_mapping_of_its_own_with_its_flags() {
    let sim = pair();
    let memory = Memory::populated(&sim, 4 * BLOCK);
    sim.hugetlb(memory.part(0, BLOCK));
    sim.io(memory.part(BLOCK, BLOCK));
    sim.lock(memory.part(2 * BLOCK, BLOCK));
    let start = memory.range().start();
    let flags = |index: u64| {
        let lines = smaps_of(&sim, start + index * BLOCK);
        assert_eq!(field(&lines, "Size"), "2048 kB");
        field(&lines, "VmFlags").split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    for (index, flag) in ["ht", "pf", "lo"].iter().enumerate() {
        assert!(flags(index as u64).iter().any(|found| found == flag), "{flag}");
        assert!(!flags(3).iter().any(|found| found == flag), "{flag}");
    }
    let maps = sim.files().text("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.starts_with(&format!("{start:x}-{:x} rw", start + BLOCK))).unwrap();
    assert!(line.ends_with("/anon_hugepage (deleted)"), "{line}");
}

#[test]
fn swapped_memory_is_counted() {
    let sim = pair();
    let memory = Memory::populated(&sim, 2 * BLOCK);
    let start = memory.range().start();
    assert_eq!(field(&smaps_of(&sim, start), "Swap"), "0 kB");
    assert_eq!(sim.files().text("/proc/swaps").unwrap().lines().count(), 1, "there is no swap space");
    sim.swap_out(memory.part(0, BLOCK));
    assert_eq!(field(&smaps_of(&sim, start), "Swap"), "2048 kB");
    let swaps = sim.files().text("/proc/swaps").unwrap();
    assert_eq!(swaps.lines().nth(1).unwrap().split_ascii_whitespace().nth(3), Some("2048"));
    sim.cpu_touched(memory.range(), Access::Read);
    assert_eq!(field(&smaps_of(&sim, start), "Swap"), "0 kB");
}

#[test]
fn j23_vram_in_use_shows_in_the_counters_of_root_only() {
    let sim = pair();
    let (vm, other) = (TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1));
    let memory = Memory::populated(&sim, 2 * BLOCK);
    let path = |gpu: u32| format!("/sys/kernel/debug/dri/0000:{:02x}:00.0/gt0/stats", gpu + 3);
    refused(sim.files().text(path(0)), libc::EACCES);
    sim.privileged(true);
    let counter = |gpu, name: &str| {
        let text = sim.files().text(path(gpu)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap().parse::<u64>().unwrap()
    };
    vm.touch(memory.range(), Access::Read).unwrap();
    assert_eq!((counter(0, "svm_pagefault_count"), counter(0, "svm_2M_migrate_count")), (2, 2));
    assert_eq!((counter(0, "svm_device_copy_kb"), counter(0, "svm_cpu_copy_kb")), (4096, 0));
    other.prefetch(memory.range(), 1).unwrap();
    assert_eq!((counter(1, "svm_device_copy_kb"), counter(0, "svm_cpu_copy_kb")), (0, 4096), "the source counts it");
    sim.unplug(GpuId(0)).unwrap();
    refused(sim.files().text(path(0)), libc::ENOENT);
}

#[test]
fn physical_addresses_are_shown_to_the_privileged_only() {
    let sim = machine(&[2], |_, _| true);
    let vm = TestVm::bare(&sim, 0, FAULTING);
    let iomem = || sim.files().text("/proc/iomem").unwrap();
    assert_eq!(iomem(), "00000000-00000000 : 0000:03:00.0\n00000000-00000000 : 0000:03:00.0");
    sim.privileged(true);
    let mut ranges: Vec<_> = iomem().lines().map(|line| line.split_once(" : ").unwrap().0.to_owned()).collect();
    ranges.dedup();
    assert_eq!(ranges.len(), 2);
    sim.unplug(GpuId(0)).unwrap();
    assert_eq!(iomem(), "", "gone with the device, whoever still refers to it");
    drop(vm);
}
