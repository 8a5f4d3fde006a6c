// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left without privilege: everything but knowing exactly in whose memory a page is, and the driver's counters.

use xeplace::{Confidence, Machine, Place, Space, driver::Access};

const LENGTH: u64 = 8 << 20;

#[test]
#[ignore = "needs the rig's guest"]
fn a_user_places_memory_and_sees_that_it_moved() {
    let machine = Machine::open().unwrap();
    assert!(machine.unusable().is_empty(), "{:?}", machine.unusable());
    let space = Space::create(&machine).unwrap();
    let gpu = &machine.gpus()[0];
    let vram = gpu.region(0).unwrap();
    let memory = space.allocate(LENGTH, vram).unwrap();
    let outcome = space.prefetch(memory.range(), vram, &[gpu.id()]).unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    space.touch(gpu.id(), memory.range(), Access::Read).unwrap();
    let residency = space.residency(memory.range()).unwrap();
    assert_eq!(residency.bytes_in_vram(), LENGTH);
    let is_exact = |place| matches!(place, Place::Vram { confidence: Confidence::Exact, .. });
    assert_eq!(residency.bytes(is_exact), 0, "nobody but root is told of page frames");
}

#[test]
#[ignore = "needs the rig's guest"]
fn a_user_is_refused_the_driver_s_counters() {
    let machine = Machine::open().unwrap();
    assert_eq!(machine.gpus()[0].counters().unwrap_err().errno(), 13, "EACCES");
}
