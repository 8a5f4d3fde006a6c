// SPDX-License-Identifier: MIT OR Apache-2.0
//! A forked child: alone in its program, so that no other test's thread holds a lock when it forks.

#[path = "api/both/mod.rs"]
mod both;

use both::*;
use xeplace::{Location, driver::Access};

#[test]
fn promise_7_a_forked_child_is_told_that_the_vms_are_its_parent_s() {
    each_api("cpu=zen switch(2x bmg vram=256M)", |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let memory = space.allocate(2 * MIB, &[(Location::System, 1)], None).unwrap();
        let wish = Wish::prefer(&[vram(1)]);
        space.advise(data.span(), &wish).unwrap().accepted.unwrap();
        let child = in_child(|| {
            assert_eq!(space.advise(data.span(), &wish).err(), Some(libc::ECHILD));
            assert_eq!(space.prefetch(data.span(), &Order::to(vram(1))).err(), Some(libc::ECHILD));
            assert_eq!(space.reset(data.span()).err(), Some(libc::ECHILD));
            assert_eq!(space.residency(data.span()).err(), Some(libc::ECHILD));
            assert_eq!(space.touch(0, data.span(), Access::Read), Err(libc::ECHILD));
            assert_eq!(machine.space().err(), Some(libc::ECHILD));
            assert_eq!(machine.gpu_count(), 2);
            drop(memory);
        });
        assert_eq!(child, 0);
        // What the child did, and its end, concern the parent in nothing.
        assert_eq!(space.attributes(data.span()).unwrap().len(), 2);
        space.prefetch(data.span(), &Order::to(vram(1))).unwrap().completed.unwrap();
        space.touch(0, data.span(), Access::Read).unwrap();
    });
}

/// Runs `work` in a forked child: how that ended.
fn in_child(work: impl FnOnce()) -> i32 {
    let mut how = 0;
    // SAFETY: this program's other thread only waits for this one, so the child has all that `work` needs; it leaves
    // without running anything of the parent's.
    unsafe {
        match libc::fork() {
            0 => {
                let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err();
                libc::_exit(panicked.into());
            }
            child => assert_eq!(libc::waitpid(child, &mut how, 0), child),
        }
    }
    how
}
