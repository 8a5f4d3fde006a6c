// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel does behind one's back: the traps of docs/kernel.md, met or avoided.

use crate::pair::*;
use std::{
    fs,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicU64, Ordering},
};
use xeplace::{driver::Access, *};

#[test]
fn unmapping_advised_memory_leaves_the_rest_of_the_mirror_alone() {
    let pair = Pair::new();
    let space = pair.space();
    let (memory, behind) = others(6 * MIB).split(4 << 20);
    let range = range_of(&memory);
    tell(&space, range_of(&behind), Advice::prefer(Location::System));
    tell(&space, range, Advice::prefer(pair.vram(pair.b)));
    assert!(space.prefetch(range, pair.vram(pair.b), &[pair.a, pair.b]).unwrap().is_complete());
    let before: Vec<_> = space.attributes(Range::ALL).unwrap().iter().map(|run| (run.range, run.pat)).collect();
    pair.driver().unmap(memory);
    pair.settle();
    let after: Vec<_> = space.attributes(Range::ALL).unwrap().iter().map(|run| (run.range, run.pat)).collect();
    assert_eq!(before, after);
}

#[test]
fn a_reset_leaves_nothing_behind_for_the_next_mapping() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = others(4 * MIB);
    let range = range_of(&memory);
    let advice = Advice::prefer(pair.vram(pair.b)).atomics(Atomics::Device).pat(0);
    tell(&space, range, advice);
    tell(&space, part(range, MIB, PAGE), Advice::prefer(Location::System));
    assert!(space.prefetch(range, pair.vram(pair.b), &[]).unwrap().bytes_in_place > 0);
    space.reset(range).unwrap();
    pair.driver().unmap(memory);
    pair.settle();
    for (vm, gpu) in space.members().unwrap() {
        let found = space.with_handle(vm, |fd, id| vmas(&pair, (fd, id))).unwrap();
        assert_eq!(found.len(), 1, "the mirror of {gpu} is whole again: {found:x?}");
    }
}

#[test]
fn memory_of_the_library_leaves_the_mirror_whole() {
    let pair = Pair::new();
    let space = pair.space();
    for touched in [false, true] {
        let layout = Layout::interleave(BLOCK, [(pair.vram(pair.a), 1), (pair.vram(pair.b), 1)]);
        let memory = space.allocate(6 * MIB, layout).unwrap();
        if touched {
            space.touch(pair.a, memory.range(), Access::Write).unwrap();
        }
        drop(memory);
        for (vm, _) in space.members().unwrap() {
            assert_eq!(space.with_handle(vm, |fd, id| vmas(&pair, (fd, id))).unwrap().len(), 1, "touched: {touched}");
        }
    }
}

#[test]
fn atomics_stay_in_place_only_in_device_mode() {
    let pair = Pair::seen_by_root();
    let space = pair.space();
    let memory = space.allocate(2 * MIB, pair.vram(pair.b)).unwrap();
    let range = memory.range();
    let there = Advice::prefer(pair.vram(pair.b));
    tell(&space, range, there.clone().atomics(Atomics::Device));
    assert!(space.prefetch(range, pair.vram(pair.b), &[pair.a]).unwrap().is_complete());
    space.touch(pair.a, range, Access::Atomic).unwrap();
    pair.assert_in(&space, range, pair.vram(pair.b));
    tell(&space, range, there.atomics(Atomics::Undefined));
    space.touch(pair.a, range, Access::Atomic).unwrap();
    pair.assert_in(&space, range, pair.vram(pair.a));
}

#[test]
fn pages_that_were_given_back_keep_their_wish() {
    let pair = Pair::new();
    let space = pair.space();
    let mut memory = others(4 * MIB);
    let range = range_of(&memory);
    tell(&space, range, Advice::prefer(pair.vram(pair.a)));
    assert!(space.prefetch(range, pair.vram(pair.a), &[]).unwrap().is_complete());
    pair.discard(&mut memory, part(range, 0, 2 * MIB));
    let found = space.residency(range).unwrap();
    assert_eq!(found.bytes(|place| place == xeplace::Place::Absent), 2 * MIB, "{found:?}");
    assert_eq!(space.attributes(range).unwrap().len(), 2, "one run for each vm");
    space.touch(pair.a, range, Access::Read).unwrap();
    assert_eq!(space.residency(range).unwrap().bytes_in(pair.vram(pair.a)), 4 * MIB);
    assert_eq!((pair.read(&memory, 0), pair.read(&memory, 2 * MIB)), (0, 3));
}

#[test]
fn holes_are_named_and_what_is_around_them_moves() {
    let pair = Pair::new();
    let space = pair.space();
    let (before, rest) = others(8 * MIB).split(3 << 20);
    let (hole, behind) = rest.split(1 << 20);
    let whole = Range::new(before.start(), range_of(&behind).end() - before.start()).unwrap();
    let gone = range_of(&hole);
    pair.driver().unmap(hole);
    let outcome = space.prefetch(whole, pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::NotMapped]);
    assert_eq!(outcome.stays[0].range, gone);
    assert_eq!(outcome.bytes_in_place, 7 * MIB);
}

#[test]
fn moved_memory_takes_its_pages_along_and_no_wish() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = others(4 * MIB);
    let old = range_of(&memory);
    tell(&space, old, Advice::prefer(pair.vram(pair.a)));
    assert!(space.prefetch(old, pair.vram(pair.a), &[]).unwrap().is_complete());
    let memory = pair.remap(memory);
    let new = range_of(&memory);
    assert_ne!(old, new);
    assert_eq!(space.residency(new).unwrap().bytes_in_vram(), 4 * MIB);
    let told = space.attributes(new).unwrap();
    assert!(told.iter().all(|run| run.location == StoredLocation::Known(Location::Default)), "{told:?}");
    assert!((0..2).all(|block| pair.read(&memory, block * BLOCK) == 3));
    space.reset(old).unwrap();
}

#[test]
fn advice_that_cuts_a_block_sends_it_home() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = others(4 * MIB);
    let range = range_of(&memory);
    assert!(space.prefetch(range, pair.vram(pair.a), &[]).unwrap().is_complete());
    let warnings = tell(&space, part(range, 0, 64 << 10), Advice::prefer(Location::System));
    assert!(warnings.contains(Warnings::CUTS_BLOCK));
    let place = |block| space.residency(part(range, block * BLOCK, BLOCK)).unwrap().bytes_in_vram();
    assert_eq!([place(0), place(1)], [0, 2 * MIB]);
}

#[test]
fn a_wish_for_system_memory_moves_nothing() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    let range = memory.range();
    assert!(space.prefetch(range, pair.vram(pair.a), &[]).unwrap().is_complete());
    tell(&space, range, Advice::prefer(Location::System));
    space.touch(pair.a, range, Access::Read).unwrap();
    assert_eq!(space.residency(range).unwrap().bytes_in_vram(), 4 * MIB);
    let [found] = &space.explain(range).unwrap()[..] else { panic!() };
    assert_eq!(found.obstacles, [Obstacle::NotMovedYet]);
    assert!(space.prefetch(range, Location::System, &[]).unwrap().is_complete());
    assert_eq!(space.explain(range).unwrap(), []);
}

#[test]
fn of_two_spaces_the_one_that_moves_last_wins() {
    let pair = Pair::seen_by_root();
    let (one, two) = (pair.space(), pair.space());
    let memory = others(4 * MIB);
    let range = range_of(&memory);
    for (space, gpu) in [(&one, pair.a), (&two, pair.b)] {
        tell(space, range, Advice::prefer(pair.vram(gpu)));
    }
    assert!(one.prefetch(range, pair.vram(pair.a), &[]).unwrap().is_complete());
    pair.assert_in(&two, range, pair.vram(pair.a));
    two.touch(pair.b, range, Access::Write).unwrap();
    pair.assert_in(&one, range, pair.vram(pair.b));
    one.close();
    let told = two.attributes(range).unwrap();
    assert!(told.iter().all(|run| run.location == StoredLocation::Known(pair.vram(pair.b).into())), "{told:?}");
    assert!(two.prefetch(range, Location::System, &[]).unwrap().is_complete());
    two.reset(range).unwrap();
}

#[test]
fn memory_that_the_cpu_may_not_write_is_no_gpu_s_to_read() {
    let pair = Pair::new();
    let space = pair.space();
    let mut memory = others(4 * MIB);
    let range = range_of(&memory);
    memory.protect(0, 2 << 20, false).unwrap();
    let outcome = space.prefetch(range, pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::ReadOnly]);
    assert_eq!(outcome.bytes_in_place, 2 * MIB);
    println!("rig: expects kernel log Engine memory CAT error: class=bcs");
    // The library refuses it; the driver would end the queue.
    assert_eq!(space.touch(pair.a, part(range, 0, PAGE), Access::Read).unwrap_err().errno(), libc::EINVAL);
    let (vm, _) = space.members().unwrap()[0];
    let touch = |fd: BorrowedFd<'_>, vm_id| pair.driver().gpu_touch((fd, vm_id), part(range, 0, PAGE), Access::Read);
    let ended = space.with_handle(vm, touch).unwrap().unwrap_err();
    assert_eq!(ended.raw_os_error(), Some(libc::EIO));
    space.touch(pair.a, part(range, 2 * MIB, PAGE), Access::Read).unwrap();
    memory.protect(0, 2 << 20, true).unwrap();
    space.touch(pair.a, range, Access::Write).unwrap();
    assert_eq!(space.residency(range).unwrap().bytes_in_vram(), 4 * MIB);
}

/// In the program's file, mapped privately and writable: a store makes an anonymous copy of the page.
static TABLE: [AtomicU64; 1 << 16] = [const { AtomicU64::new(7) }; 1 << 16];

#[test]
fn pages_of_a_private_file_mapping_stay_the_file_s() {
    let pair = Pair::new();
    let space = pair.space();
    let whole = Range::covering(&TABLE).unwrap();
    let inner = part(whole, PAGE, whole.len() - 2 * PAGE);
    assert!(TABLE.iter().all(|word| word.load(Ordering::Relaxed) == 7));
    let copies = || copied(inner);
    let before = copies();
    for to in [Location::System, pair.vram(pair.a).into()] {
        let outcome = space.prefetch(inner, to, &[]).unwrap();
        assert!(
            obstacles(&outcome).iter().all(|found| **found == Obstacle::Backing(Backing::PrivateFile)),
            "{outcome:?}"
        );
        assert_eq!(copies(), before, "pages copied on the way {to}");
    }
    assert_eq!(before, 0);
}

/// Pages of `range` that are no longer those of a file: present, and without bit 61 of the page map.
fn copied(range: Range) -> usize {
    use std::os::unix::fs::FileExt;
    let mut entries = vec![0; range.pages() as usize * 8];
    let pagemap = fs::File::open("/proc/self/pagemap").unwrap();
    pagemap.read_exact_at(&mut entries, range.start() / PAGE * 8).unwrap();
    let entries = entries.chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    entries.filter(|entry| entry >> 63 & 1 == 1 && entry >> 61 & 1 == 0).count()
}

#[test]
fn one_page_takes_its_block_along_both_ways() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = others(4 * MIB);
    let range = range_of(&memory);
    let outcome = space.prefetch(part(range, MIB, PAGE), pair.vram(pair.a), &[]).unwrap();
    assert_eq!((outcome.bytes_in_place, outcome.bytes_elsewhere), (PAGE, 0));
    assert_eq!(space.residency(range).unwrap().bytes_in_vram(), 2 * MIB);
    assert_eq!(pair.read(&memory, 0), 3);
    assert_eq!(space.residency(range).unwrap().bytes_in_vram(), 0);
}

#[test]
fn a_guard_page_keeps_its_block_and_no_other() {
    let pair = Pair::new();
    let space = pair.space();
    let mut memory = others(12 * MIB);
    let range = range_of(&memory);
    let guard = part(range, 5 * MIB, PAGE);
    pair.guard(&mut memory, guard);
    let outcome = space.prefetch(range, pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::GuardPage]);
    assert_eq!(outcome.stays[0].range, guard.blocks());
    assert_eq!(outcome.bytes_in_place, 10 * MIB);
}

#[test]
fn the_kernel_agrees_about_the_link() {
    let pair = Pair::new();
    let link = pair.machine.probe_link(pair.a, pair.b).unwrap();
    assert_eq!((link.verdict, link.basis), (Verdict::Connected, Basis::Probed));
    assert_eq!(pair.machine.groups().len(), 1);
}

#[test]
fn a_recording_of_the_machine_is_the_same_machine() {
    let pair = Pair::seen_by_root();
    let directory = tempfile::tempdir().unwrap();
    pair.machine.record(directory.path()).unwrap();
    let again = Pair::of(Machine::recorded(directory.path()).unwrap());
    let seen = |pair: &Pair| -> Vec<_> {
        let gpus = pair.machine.gpus().iter();
        let regions =
            |gpu: &Gpu| -> Vec<_> { gpu.regions().iter().map(|found| (found.instance, found.total)).collect() };
        gpus.map(|gpu| (gpu.address(), gpu.device_id(), gpu.name().to_owned(), regions(gpu), gpu.va_bits())).collect()
    };
    assert_eq!(seen(&pair), seen(&again));
    let verdict = |pair: &Pair| pair.machine.link(pair.a, pair.b).unwrap();
    assert_eq!(verdict(&pair).verdict, verdict(&again).verdict);
    assert_eq!(verdict(&pair).reason, verdict(&again).reason);
    for pair in [&pair, &again] {
        let capabilities = |gpu| *pair.machine.gpu(gpu).unwrap().capabilities().unwrap();
        assert_eq!(capabilities(pair.a).multi_device, capabilities(pair.b).multi_device);
        let space = pair.space();
        let memory = space.allocate(4 * MIB, pair.vram(pair.b)).unwrap();
        assert!(space.prefetch(memory.range(), pair.vram(pair.b), &[pair.a]).unwrap().is_complete());
        space.touch(pair.a, memory.range(), Access::Write).unwrap();
        pair.assert_in(&space, memory.range(), pair.vram(pair.b));
    }
}
