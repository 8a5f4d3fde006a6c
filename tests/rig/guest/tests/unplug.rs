// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last GPU goes away while it is in use, as when somebody pulls it, and comes back.

use std::{fs, thread, time::Duration};
use xeplace::{Error, Location, Machine, Space, driver::Access};

const LENGTH: u64 = 8 << 20;

#[test]
#[ignore = "needs the rig's guest"]
fn a_gpu_that_goes_is_lost_and_the_others_go_on() {
    let machine = Machine::open().unwrap();
    let [first, .., last] = machine.gpus() else { panic!("two GPUs") };
    let space = Space::create(&machine).unwrap();
    let mut memory = space.allocate(LENGTH, first).unwrap();
    memory.fill(5);
    assert!(space.prefetch(memory.range(), first, &[first.id(), last.id()]).unwrap().is_complete());
    let mut doomed = space.allocate(LENGTH, Location::Default).unwrap();
    doomed.fill(6);
    assert!(space.prefetch(doomed.range(), last, &[last.id()]).unwrap().is_complete());

    // The driver's own, as it closes a vm of a device that is off the bus.
    println!("rig: expects kernel log WARNING: .* xe_pm_runtime_get_noresume");
    let address = last.address();
    fs::write(format!("/sys/bus/pci/devices/{address}/remove"), "1").unwrap();

    assert!(matches!(last.usage(), Err(Error::Lost(_))), "{:?}", last.usage());
    assert!(last.is_lost());
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    assert!(
        !open.into_iter().any(|path| path == last.node()),
        "a file of a lost GPU that is kept open is a kernel oops"
    );
    assert!(matches!(space.touch(last.id(), memory.range(), Access::Read), Err(Error::Lost(_))));
    assert!(doomed.iter().all(|byte| *byte == 6), "the driver has brought it home");
    space.touch(first.id(), memory.range(), Access::Read).unwrap();
    assert_eq!(space.residency(memory.range()).unwrap().bytes_in(first.region(0).unwrap()), LENGTH);
    assert!(memory.iter().all(|byte| *byte == 5));
    drop((doomed, memory, space));

    fs::write("/sys/bus/pci/rescan", "1").unwrap();
    let back = (0..100).find_map(|_| {
        thread::sleep(Duration::from_millis(100));
        Machine::open().ok().filter(|found| found.gpus().iter().any(|gpu| gpu.address() == address))
    });
    let machine = back.expect("the GPU comes back");
    let gpu = machine.gpus().iter().find(|gpu| gpu.address() == address).unwrap();
    let space = Space::empty(&machine).unwrap();
    space.add(gpu.id()).unwrap();
    let memory = space.allocate(LENGTH, gpu).unwrap();
    assert!(space.prefetch(memory.range(), gpu, &[gpu.id()]).unwrap().is_complete());
}
