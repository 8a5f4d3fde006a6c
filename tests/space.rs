// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a space does, on simulated machines.

use xeplace::{driver::Access, *};

fn machine(text: &str) -> Machine {
    if std::env::var_os("XEPLACE_REAL").is_some() { return Machine::open().unwrap(); }
    Machine::simulated(text).unwrap()
}

const PEERS: &str = "cpu=zen switch(2x bmg)";

fn gpus(machine: &Machine) -> (GpuId, GpuId) {
    (machine.gpus()[0].id(), machine.gpus()[1].id())
}

#[test]
fn memory_goes_where_it_was_allocated() {
    let machine = machine(PEERS);
    let space = Space::create(&machine).unwrap();
    let (a, b) = gpus(&machine);
    let vram = machine.gpu(b).unwrap().region(0).unwrap();
    let memory = space.allocate(16 << 20, vram).unwrap();
    for report in memory.reports() {
        assert!(report.is_accepted(), "{report:?}");
        assert_eq!(report.answers.len(), 2);
    }
    let outcome = space.prefetch(memory.range(), vram, &[a, b]).unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    let residency = space.residency(memory.range()).unwrap();
    assert_eq!(residency.bytes_in(vram), 16 << 20);
    let before = machine.gpus().iter().map(|g| g.counters()).collect::<Vec<_>>();
    space.touch(a, memory.range(), Access::Read).unwrap();
    space.touch(b, memory.range(), Access::Read).unwrap();
    println!("{before:?}\n{:?}", machine.gpus().iter().map(|g| g.counters()).collect::<Vec<_>>());
    assert!(space.explain(memory.range()).unwrap().is_empty());
    let back = space.prefetch(memory.range(), Location::System, &[]).unwrap();
    println!("{back:?}");
    println!("{:?}", space.explain(memory.range()).unwrap());
    println!("{:?}", space.attributes(memory.range()).unwrap());
}
