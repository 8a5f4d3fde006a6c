// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where pages are, and why they are not elsewhere.

use crate::{PAIR, PAIR_AND_LONER, both::*};
use xeplace::{Backing, Confidence, Location, Obstacle, Place, StoredLocation, driver::Access};

fn places(space: &dyn Space, span: Span) -> Vec<(u64, Place)> {
    space.residency(span).unwrap().iter().map(|run| (run.range.len(), run.place)).collect()
}

fn in_vram(gpu: u32, confidence: Confidence) -> Place {
    Place::Vram { region: Some(region(gpu)), confidence }
}

#[test]
fn groups_and_links_are_told_with_their_reason() {
    each_simulated(PAIR_AND_LONER, |machine| {
        assert_eq!(machine.gpu_count(), 3);
        let groups = machine.groups();
        assert!(groups[0] == groups[1] && groups[0] != groups[2], "{groups:?}");
        assert!(machine.link(0, 1).unwrap().0);
        let (connected, why) = machine.link(0, 2).unwrap();
        assert!(!connected && why.contains("no bridge in common"), "{why}");
        assert_eq!(machine.link(0, 3), Err(libc::ENOENT));
    });
}

#[test]
fn pages_are_seen_where_they_are() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let fresh = Data::shared(4 * MIB, false);
        assert_eq!(places(&*space, fresh.span()), [(4 * MIB, Place::Absent)]);
        let data = Data::new(machine, 4 * MIB);
        assert_eq!(places(&*space, data.span()), [(4 * MIB, Place::System)]);
        let (start, _) = data.span();
        space.prefetch((start, 2 * MIB), &Order::to(vram(1))).unwrap().completed.unwrap();
        let prefetched = in_vram(1, Confidence::Prefetched);
        assert_eq!(places(&*space, data.span()), [(2 * MIB, prefetched), (2 * MIB, Place::System)]);
        machine.privileged(true);
        assert_eq!(places(&*space, (start, 2 * MIB)), [(2 * MIB, in_vram(1, Confidence::Exact))]);
        machine.privileged(false);
        // The CPU takes it back, and it is seen.
        machine.cpu_touched(data.span());
        assert_eq!(places(&*space, data.span()), [(4 * MIB, Place::System)]);
    });
}

#[test]
fn a_gpu_s_fault_brings_pages_where_they_were_wished() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        space.advise(data.span(), &Wish::prefer(&[vram(1)])).unwrap().accepted.unwrap();
        space.touch(0, data.span(), Access::Read).unwrap();
        assert_eq!(places(&*space, data.span()), [(4 * MIB, in_vram(1, Confidence::Wished))]);
        assert_eq!(machine.counted(1).bytes_in, 4 * MIB);
    });
}

#[test]
fn promise_4_why_not_is_always_answered() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let obstacles = |span: Span| -> Vec<Vec<Obstacle>> {
            space.explain(span).unwrap().into_iter().map(|one| one.obstacles).collect()
        };
        let data = Data::new(machine, 4 * MIB);
        assert_eq!(obstacles(data.span()), Vec::<Vec<Obstacle>>::new(), "nothing was wished");
        space.advise(data.span(), &Wish::prefer(&[vram(1)])).unwrap().accepted.unwrap();
        let explained = space.explain(data.span()).unwrap();
        let [one] = &explained[..] else { panic!("{explained:?}") };
        assert_eq!((one.range, one.wished, one.place), (range(data.span()), vram(1), Place::System));
        assert_eq!(one.obstacles, [Obstacle::NotMovedYet]);
        space.prefetch(data.span(), &Order::to(vram(1))).unwrap().completed.unwrap();
        assert_eq!(obstacles(data.span()), Vec::<Vec<Obstacle>>::new(), "it is as wished");

        let fresh = Data::shared(2 * MIB, false);
        space.advise(fresh.span(), &Wish::prefer(&[vram(1)])).unwrap().accepted.unwrap();
        assert_eq!(obstacles(fresh.span()), [[Obstacle::NeverTouched]]);
        let shared = Data::shared(2 * MIB, true);
        space.advise(shared.span(), &Wish::prefer(&[vram(1)])).unwrap().accepted.unwrap();
        assert_eq!(obstacles(shared.span())[0][0], Obstacle::Backing(Backing::Shared));
    });
}

#[test]
fn memory_is_laid_out_by_weight() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let memory = space.allocate(16 * MIB, &[(vram(0), 1), (vram(1), 3)], None).unwrap();
        let (start, length) = memory.span();
        assert_eq!((start % (2 * MIB), length), (0, 16 * MIB));
        let found = space.attributes(memory.span()).unwrap();
        let told = |gpu: u32, location| -> u64 {
            let alike = found.iter().filter(|run| run.gpu.0 == gpu && run.location == StoredLocation::Known(location));
            alike.map(|run| run.range.len()).sum()
        };
        for gpu in [0, 1] {
            assert_eq!((told(gpu, vram(0)), told(gpu, vram(1))), (4 * MIB, 12 * MIB), "{found:?}");
        }
        let striped = space.allocate(8 * MIB, &[(vram(0), 1), (vram(1), 1)], Some(2 * MIB)).unwrap();
        space.touch(0, striped.span(), Access::Write).unwrap();
        machine.privileged(true);
        let there = |gpu| (2 * MIB, in_vram(gpu, Confidence::Exact));
        assert_eq!(places(&*space, striped.span()), [0, 1, 0, 1].map(there));
    });
}

#[test]
fn memory_takes_its_advice_with_it() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let memory = space.allocate(4 * MIB, &[(vram(1), 1)], None).unwrap();
        let span = memory.span();
        space.prefetch(span, &Order::to(vram(1))).unwrap().completed.unwrap();
        drop(memory);
        let found = space.attributes(span).unwrap();
        assert!(found.iter().all(|run| run.location == StoredLocation::Known(Location::Default)), "{found:?}");
    });
}

#[test]
fn layouts_that_make_no_sense_are_refused() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let refused = |length, shares: &[(Location, u64)], stripe| space.allocate(length, shares, stripe).err();
        assert_eq!(refused(0, &[(vram(0), 1)], None), Some(libc::EINVAL));
        assert_eq!(refused(u64::MAX, &[(vram(0), 1)], None), Some(libc::EINVAL));
        assert_eq!(refused(4 * MIB, &[], None), Some(libc::EINVAL));
        assert_eq!(refused(4 * MIB, &[(vram(0), 0)], None), Some(libc::EINVAL));
        assert_eq!(refused(4 * MIB, &[(vram(0), u64::MAX), (vram(1), 1)], None), Some(libc::EINVAL));
        assert_eq!(refused(4 * MIB, &[(vram(0), 1)], Some(MIB)), Some(libc::EINVAL));
        assert_eq!(refused(4 * MIB, &[(vram(9), 1)], None), Some(libc::ENOENT));
    });
}
