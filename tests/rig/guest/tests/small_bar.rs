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
    let own = Advice::prefer(small.region(0).unwrap()).for_gpus(&[small.id()]);
    assert!(space.advise(memory.range(), own).unwrap().accepted().is_ok());
    assert!(space.prefetch(memory.range(), small.region(0).unwrap(), &[small.id()]).unwrap().is_complete());
    assert_eq!(space.residency(memory.range()).unwrap().bytes_in(small.region(0).unwrap()), LENGTH);
}
