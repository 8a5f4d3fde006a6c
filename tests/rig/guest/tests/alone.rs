// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine with one GPU.

use xeplace::{Location, Machine, Space, driver::Access};

const LENGTH: u64 = 8 << 20;

#[test]
#[ignore = "needs the rig's guest"]
fn memory_goes_there_and_back() {
    let machine = Machine::open().unwrap();
    let [gpu] = machine.gpus() else { panic!("one GPU") };
    let space = Space::create(&machine).unwrap();
    let vram = gpu.region(0).unwrap();
    let mut memory = space.allocate(LENGTH, vram).unwrap();
    memory.fill(7);
    space.touch(gpu.id(), memory.range(), Access::Read).unwrap();
    assert_eq!(space.residency(memory.range()).unwrap().bytes_in(vram), LENGTH, "with one GPU it can only be this one");
    assert!(space.prefetch(memory.range(), Location::System, &[]).unwrap().is_complete());
    assert!(memory.iter().all(|byte| *byte == 7));
}
