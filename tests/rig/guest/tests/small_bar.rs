// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first GPU shows a quarter of its VRAM through its BAR, the second one all of it.

use xeplace::{Advice, Location, Machine, Space, driver::Access};

const LENGTH: u64 = 8 << 20;

#[test]
#[ignore = "needs the rig's guest"]
fn the_small_window_is_seen() {
    let machine = Machine::open().unwrap();
    let [small, full] = machine.gpus() else { panic!("two GPUs") };
    assert!(!small.regions()[0].is_fully_visible(), "{:?}", small.regions());
    assert!(full.regions()[0].is_fully_visible(), "{:?}", full.regions());
    assert!(!machine.link(full.id(), small.id()).unwrap().fully_visible);
    assert!(machine.link(small.id(), full.id()).unwrap().fully_visible);
}

#[test]
#[ignore = "needs the rig's guest"]
fn memory_behind_a_small_window_is_for_its_own_gpu_only() {
    let machine = Machine::open().unwrap();
    let [small, full] = machine.gpus() else { panic!("two GPUs") };
    let space = Space::create(&machine).unwrap();
    let memory = space.allocate(LENGTH, Location::Default).unwrap();
    let advice = Advice::prefer(small.region(0).unwrap()).or(full.region(0).unwrap());
    let report = space.advise(memory.range(), advice).unwrap().accepted().unwrap();
    assert_eq!(report.location, Some(full.region(0).unwrap().into()), "{report:?}");
    assert!(space.prefetch(memory.range(), full.region(0).unwrap(), &[small.id(), full.id()]).unwrap().is_complete());
    space.touch(small.id(), memory.range(), Access::Read).unwrap();
    assert_eq!(space.residency(memory.range()).unwrap().bytes_in(full.region(0).unwrap()), LENGTH);
}

/// Copies from GPU to GPU are made by the source, through the window of the target, and nothing answers beyond it.
#[test]
#[ignore = "needs the rig's guest"]
fn content_survives_the_way_from_a_peer_to_behind_a_small_window() {
    let machine = Machine::open().unwrap();
    let [small, full] = machine.gpus() else { panic!("two GPUs") };
    let space = Space::create(&machine).unwrap();
    let mut memory = space.allocate(LENGTH, Location::Default).unwrap();
    memory.iter_mut().enumerate().for_each(|(index, byte)| *byte = (index % 253) as u8);
    for gpu in [full, small] {
        let vram = gpu.region(0).unwrap();
        let outcome = space.prefetch(memory.range(), vram, &[]).unwrap();
        assert_eq!(outcome.bytes_in_place, LENGTH, "{outcome:?}");
        assert_eq!(space.residency(memory.range()).unwrap().bytes_in(vram), LENGTH);
    }
    assert!(memory.iter().enumerate().all(|(index, byte)| *byte == (index % 253) as u8));
}
