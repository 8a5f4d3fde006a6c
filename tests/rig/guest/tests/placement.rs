// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory is where the library says: by the page map and `/proc/iomem`, by the driver's counters, and by what the GPU
//! models saw of each other. On two GPUs of each group that has as many.

use std::collections::BTreeMap;
use xeplace::{Advice, Atomics, GpuId, Location, Machine, Memory, Region, Space, driver::Access};
use xeplace_rig_guest::{
    driver::Stats,
    groups,
    model::Traffic,
    pages::{self, Whereabouts},
};

const MIB: u64 = 1 << 20;
const LENGTH: u64 = 8 * MIB;
/// A touch is one word of each page.
const TOUCHED: u64 = LENGTH / 4096 * 4;

struct Pair {
    machine: Machine,
    space: Space<'static>,
    a: GpuId,
    b: GpuId,
}

impl Pair {
    /// Runs `test` for the first two GPUs of each group.
    fn each(test: impl Fn(&Pair)) {
        let machine = Machine::open().unwrap();
        let pairs: Vec<_> = groups().into_iter().filter(|group| group.len() > 1).collect();
        assert!(!pairs.is_empty(), "there are no two GPUs in one group");
        for pair in pairs {
            let (a, b) = (GpuId(pair[0]), GpuId(pair[1]));
            let space = Space::empty(&machine).unwrap();
            for gpu in [a, b] {
                space.add(gpu).unwrap();
            }
            test(&Pair { machine: machine.clone(), space, a, b });
        }
    }

    fn vram(&self, gpu: GpuId) -> Region {
        self.machine.gpu(gpu).unwrap().region(0).unwrap()
    }

    fn address(&self, gpu: GpuId) -> String {
        self.machine.gpu(gpu).unwrap().address().to_string()
    }

    fn stats(&self, gpu: GpuId) -> Stats {
        Stats::of(&self.address(gpu))
    }

    /// Memory with content, in system memory.
    fn memory(&self, wish: impl Into<xeplace::Layout>) -> Memory<'static> {
        let mut memory = self.space.allocate(LENGTH, wish).unwrap();
        memory.iter_mut().enumerate().for_each(|(index, byte)| *byte = (index % 253) as u8);
        self.assert_all(&memory, None);
        memory
    }

    /// All of `memory` is in the VRAM of `gpu`, or in system memory: the kernel says so, and so does the library.
    fn assert_all(&self, memory: &Memory<'_>, gpu: Option<GpuId>) {
        let place = gpu.map_or(Whereabouts::System, |gpu| Whereabouts::Device(self.address(gpu)));
        let range = memory.range();
        assert_eq!(pages::count(range.start(), range.len()), BTreeMap::from([(place, LENGTH)]));
        let residency = self.space.residency(range).unwrap();
        match gpu {
            Some(gpu) => assert_eq!(residency.bytes_in(self.vram(gpu)), LENGTH, "{residency:?}"),
            None => assert_eq!(residency.bytes(|place| place == xeplace::Place::System), LENGTH, "{residency:?}"),
        }
    }
}

/// In the order of PCI addresses, which is the models' own.
fn index(gpu: GpuId) -> usize {
    gpu.0 as usize
}

#[test]
#[ignore = "needs the rig's guest"]
fn what_was_brought_to_a_gpu_is_in_its_memory_and_in_no_other() {
    Pair::each(|pair| {
        let memory = pair.memory(pair.vram(pair.b));
        let (before_a, before_b) = (pair.stats(pair.a), pair.stats(pair.b));
        assert!(pair.space.prefetch(memory.range(), pair.vram(pair.b), &[]).unwrap().is_complete());
        pair.assert_all(&memory, Some(pair.b));
        assert_eq!((pair.stats(pair.b) - before_b).get("svm_device_copy_kb"), LENGTH / 1024);
        assert_eq!((pair.stats(pair.a) - before_a).get("svm_device_copy_kb"), 0);
        // Touched by the CPU, it comes home, unchanged.
        assert!(memory.iter().enumerate().all(|(index, byte)| *byte == (index % 253) as u8));
        pair.assert_all(&memory, None);
    });
}

#[test]
#[ignore = "needs the rig's guest"]
fn a_peer_s_memory_is_used_in_place() {
    Pair::each(|pair| {
        let memory = pair.memory(pair.vram(pair.b));
        let outcome = pair.space.prefetch(memory.range(), pair.vram(pair.b), &[pair.a, pair.b]).unwrap();
        assert!(outcome.is_complete(), "{outcome:?}");
        let (faults, traffic) = (pair.stats(pair.a), Traffic::between(index(pair.a), index(pair.b)));
        pair.space.touch(pair.a, memory.range(), Access::Read).unwrap();
        let seen = Traffic::between(index(pair.a), index(pair.b)) - traffic;
        assert_eq!((seen.bytes_read, seen.bytes_written), (TOUCHED, 0), "each page was read where it is");
        pair.space.touch(pair.a, memory.range(), Access::Write).unwrap();
        let seen = Traffic::between(index(pair.a), index(pair.b)) - traffic;
        assert_eq!((seen.bytes_read, seen.bytes_written), (TOUCHED, TOUCHED), "each page was written where it is");
        assert_eq!((pair.stats(pair.a) - faults).get("svm_pagefault_count"), 0, "it was mapped beforehand");
        pair.assert_all(&memory, Some(pair.b));
        // What the GPU wrote is what the CPU reads.
        assert!(memory.chunks(4096).all(|page| page[..4] != [0, 1, 2, 3]));
    });
}

#[test]
#[ignore = "needs the rig's guest"]
fn a_wish_for_system_memory_keeps_gpus_from_pulling() {
    Pair::each(|pair| {
        let memory = pair.memory(Location::System);
        let traffic = Traffic::between(index(pair.a), index(pair.b));
        for gpu in [pair.a, pair.b] {
            pair.space.touch(gpu, memory.range(), Access::Read).unwrap();
            pair.assert_all(&memory, None);
        }
        let seen = Traffic::between(index(pair.a), index(pair.b)) - traffic;
        assert_eq!((seen.bytes_read, seen.bytes_written), (0, 0));
    });
}

#[test]
#[ignore = "needs the rig's guest"]
fn the_first_fault_brings_memory_to_where_it_was_wished() {
    Pair::each(|pair| {
        let memory = pair.memory(pair.vram(pair.b));
        let before = pair.stats(pair.a);
        pair.space.touch(pair.a, memory.range(), Access::Read).unwrap();
        pair.assert_all(&memory, Some(pair.b));
        assert!((pair.stats(pair.a) - before).get("svm_pagefault_count") > 0);
    });
}

#[test]
#[ignore = "needs the rig's guest"]
fn atomics_of_the_device_leave_a_peer_s_memory_in_place() {
    Pair::each(|pair| {
        let memory = pair.memory(pair.vram(pair.b));
        let advice = Advice::prefer(pair.vram(pair.b)).atomics(Atomics::Device);
        assert!(pair.space.advise(memory.range(), advice).unwrap().accepted().is_ok());
        assert!(pair.space.prefetch(memory.range(), pair.vram(pair.b), &[]).unwrap().is_complete());
        let traffic = Traffic::between(index(pair.a), index(pair.b));
        pair.space.touch(pair.a, memory.range(), Access::Atomic).unwrap();
        pair.assert_all(&memory, Some(pair.b));
        let seen = Traffic::between(index(pair.a), index(pair.b)) - traffic;
        assert_eq!(
            (seen.bytes_read, seen.bytes_written),
            (TOUCHED, TOUCHED),
            "each word was read and written over there"
        );
    });
}

#[test]
#[ignore = "needs the rig's guest"]
fn memory_goes_from_gpu_to_gpu_and_home_with_its_content() {
    Pair::each(|pair| {
        let memory = pair.memory(Location::Default);
        for gpu in [pair.a, pair.b, pair.a] {
            assert_eq!(pair.space.prefetch(memory.range(), pair.vram(gpu), &[]).unwrap().bytes_in_place, LENGTH);
            pair.assert_all(&memory, Some(gpu));
        }
        assert_eq!(pair.space.prefetch(memory.range(), Location::System, &[]).unwrap().bytes_in_place, LENGTH);
        pair.assert_all(&memory, None);
        assert!(memory.iter().enumerate().all(|(index, byte)| *byte == (index % 253) as u8));
    });
}
