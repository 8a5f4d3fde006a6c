// SPDX-License-Identifier: MIT OR Apache-2.0
//! Promise 6: nothing that the library does surprises a runtime. Alone in its program, so that what is counted is its own.

#[path = "api/both/mod.rs"]
mod both;

use both::*;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    os::fd::{AsFd, AsRawFd},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};
use xeplace::{
    Location, Space,
    driver::{Access, BindSyncs, Driver},
    uapi::*,
};

/// The system's allocator, with its calls counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: it hands everything over to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

const PAIR: &str = "cpu=zen switch(2x bmg vram=256M)";

#[test]
fn promise_6_a_runtime_is_not_surprised() {
    let before = process();
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 8 * MIB);
        space.advise(data.span(), &Wish::prefer(&[vram(1), Location::System])).unwrap().accepted.unwrap();
        space.prefetch(data.span(), &Order::to(vram(1)).map_for(&[0, 1])).unwrap().completed.unwrap();
        space.touch(0, data.span(), Access::Read).unwrap();
        space.explain(data.span()).unwrap();
        assert_eq!(process(), before, "no thread was started and no signal is caught");
    });
    what_stands_already_is_answered_without_allocating();
    a_runtime_s_file_is_borrowed_and_not_duplicated();
}

/// How many threads there are, and which signals are caught, ignored and, by this thread, blocked. (The first thread blocks
/// all of them for as long as it takes to make another one.)
fn process() -> Vec<String> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let told = |line: &&str| ["Threads:", "SigCgt:", "SigBlk:", "SigIgn:"].iter().any(|name| line.starts_with(name));
    status.lines().filter(told).map(str::to_owned).collect()
}

fn what_stands_already_is_answered_without_allocating() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let memory = space.allocate(8 * MIB, &[(vram(1), 1)], None).unwrap();
        let again = || space.advise_often(memory.span(), vram(1), 1000);
        again();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        again();
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before);
    });
}

fn a_runtime_s_file_is_borrowed_and_not_duplicated() {
    let machine = xeplace::Machine::simulated(PAIR).unwrap();
    let driver = machine.simulation().unwrap();
    let file = driver.open(machine.gpus()[0].node()).unwrap();
    let mut vm = drm_xe_vm_create {
        flags: DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE,
        ..Default::default()
    };
    driver.vm_create(file.as_fd(), &mut vm).unwrap();
    let mirror = drm_xe_vm_bind_op {
        op: DRM_XE_VM_BIND_OP_MAP,
        flags: DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR,
        pat_index: 2,
        range: 1 << 47,
        ..Default::default()
    };
    let bind = drm_xe_vm_bind { vm_id: vm.vm_id, num_binds: 1, bind: mirror, ..Default::default() };
    driver.vm_bind(file.as_fd(), &bind, BindSyncs::None).unwrap();

    let opens = || {
        let of = |fd: &Path| fs::read_link(fd).ok();
        let mine = of(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())));
        fs::read_dir("/proc/self/fd").unwrap().filter(|fd| of(&fd.as_ref().unwrap().path()) == mine).count()
    };
    assert_eq!(opens(), 1);
    let space = Space::borrow(&machine, &[(file.as_fd(), vm.vm_id)]).unwrap();
    let gpu = machine.gpus()[0].id();
    let memory = space.allocate(4 * MIB, region(1)).unwrap();
    space.touch(gpu, memory.range(), Access::Read).unwrap();
    let outcome = space.prefetch(memory.range(), region(0), &[gpu]).unwrap();
    assert_eq!(outcome.bytes_elsewhere, 0);
    assert_eq!(opens(), 1);
    drop(memory);
    space.close();
    assert_eq!(opens(), 1);
}
