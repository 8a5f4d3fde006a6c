// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left on older kernels, step by step back in time, and that what is missing is said. docs/kernel.md has the
//! features and the versions in which they came.

use crate::{PAIR, both::*};
use libc::{EINVAL, EOPNOTSUPP};
use xeplace::{
    Atomics, Attribute, Effect, Location, MigrationPolicy, Obstacle, Place, StoredLocation, Support,
    driver::{Access, Features},
};

/// Before other devices could be named: one GPU's own memory and the system's can be preferred.
const BEFORE_7_0: Features =
    Features::MIRROR.union(Features::MADVISE).union(Features::CONSULT).union(Features::AUTORESET);
/// Before MADVISE: memory can be moved, and nothing can be wished.
const BEFORE_6_18: Features = Features::MIRROR;
/// Before shared virtual memory.
const BEFORE_6_15: Features = Features::empty();

fn supports(machine: &dyn Machine, gpu: u32, wanted: Support) -> Vec<&'static str> {
    let found = machine.capabilities(gpu).unwrap();
    found.into_iter().filter(|(_, support)| *support == wanted).map(|(name, _)| name).collect()
}

fn stored(space: &dyn Space, span: Span) -> Vec<StoredLocation> {
    space.attributes(span).unwrap().iter().map(|run| run.location).collect()
}

fn bytes_in_vram(space: &dyn Space, span: Span) -> u64 {
    let runs = space.residency(span).unwrap();
    runs.iter().filter(|run| matches!(run.place, Place::Vram { .. })).map(|run| run.range.len()).sum()
}

#[test]
fn capabilities_are_those_of_the_kernel() {
    let advised = ["preferred_location", "atomic", "pat", "attribute_query", "prefetch_consult"];
    each_older(PAIR, BEFORE_7_0, |machine| {
        for gpu in [0, 1] {
            assert_eq!(supports(machine, gpu, Support::Unsupported), ["multi_device", "purgeable"]);
            assert_eq!(supports(machine, gpu, Support::AcceptedOnly), ["migration_policy"]);
            assert_eq!(supports(machine, gpu, Support::Enforced), [&["mirror"], &advised[..]].concat());
        }
    });
    each_older(PAIR, BEFORE_6_18, |machine| {
        assert_eq!(supports(machine, 0, Support::Enforced), ["mirror"]);
        assert_eq!(supports(machine, 0, Support::Unprobed), ["autoreset"]);
        let space = machine.space().unwrap();
        space.touch(0, Data::new(machine, 4096).span(), Access::Read).unwrap();
        assert_eq!(supports(machine, 0, Support::Unprobed), [""; 0]);
        assert_eq!(supports(machine, 0, Support::Unsupported).len(), 9);
    });
    each_older(PAIR, BEFORE_6_15, |machine| {
        assert_eq!(supports(machine, 0, Support::Unsupported).len(), 10);
    });
    each_older(PAIR, Features::all(), |machine| {
        assert_eq!(supports(machine, 0, Support::Unsupported), [""; 0]);
    });
}

#[test]
fn before_7_0_a_peer_s_vram_is_refused_or_passed_over() {
    each_older(PAIR, BEFORE_7_0, |machine| {
        assert_eq!(machine.probe_link(0, 1), Err(EOPNOTSUPP));
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let wish = Wish { atomics: Some(Atomics::Device), ..Wish::prefer(&[vram(1)]) };
        let told = space.advise(data.span(), &wish).unwrap();
        assert_eq!((told.location, told.accepted), (None, Err(EOPNOTSUPP)));
        let of_location = told.answers.iter().filter(|answer| answer.attribute == Attribute::PreferredLocation);
        assert_eq!(of_location.map(|answer| answer.effect).collect::<Vec<_>>(), [Effect::Unsupported; 2]);
        let left = space.attributes(data.span()).unwrap();
        let left: Vec<_> = left.iter().map(|run| (run.location, run.atomics)).collect();
        assert_eq!(left, [(StoredLocation::Known(Location::Default), Atomics::Undefined as u32); 2]);

        let told = space.advise(data.span(), &Wish::prefer(&[vram(1), Location::System])).unwrap();
        assert_eq!((told.location, told.step, told.accepted), (Some(Location::System), 1, Ok(())));
        assert!(told.passed_over.contains("gpu 1 vram 1 for gpu 0"), "{}", told.passed_over);
        assert!(told.answers.iter().all(|answer| answer.effect == Effect::FellBack(Location::System)), "{told:?}");
        assert_eq!(stored(&*space, data.span()), [StoredLocation::Known(Location::System); 2]);
        assert_eq!(space.allocate(MIB, &[(vram(1), 1)], None).err(), Some(EOPNOTSUPP));

        space.reset(data.span()).unwrap();
        assert_eq!(stored(&*space, data.span()), [StoredLocation::Known(Location::Default); 2]);
    });
}

#[test]
fn before_7_0_a_gpu_s_own_vram_is_wished_as_that_of_the_faulting_device() {
    each_older(PAIR, BEFORE_7_0, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let everywhere = Wish::prefer(&[Location::System]);
        space.advise(data.span(), &everywhere).unwrap().accepted.unwrap();
        let wish = Wish { gpus: Some(vec![1]), ..Wish::prefer(&[vram(1)]) };
        let told = space.advise(data.span(), &wish).unwrap();
        assert_eq!((told.location, told.accepted), (Some(vram(1)), Ok(())));
        let [system, default] = [Location::System, Location::Default].map(StoredLocation::Known);
        assert_eq!(stored(&*space, data.span()), [system, default]);
        space.touch(1, data.span(), Access::Read).unwrap();
        assert_eq!(bytes_in_vram(&*space, data.span()), 4 * MIB);
        assert_eq!(data.bytes(), &vec![1; 4 << 20]);
        space.reset(data.span()).unwrap();
    });
}

#[test]
fn before_7_0_memory_moves_to_a_peer_and_is_not_mapped_for_others() {
    each_older(PAIR, BEFORE_7_0, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let mut job = space.start_prefetch(data.span(), &Order::to(vram(1)).map_for(&[0, 1])).unwrap();
        let (done, total) = job.step().unwrap();
        assert_eq!((done, total), (4 * MIB, 4 * MIB));
        let moved = job.outcome().unwrap();
        assert_eq!(moved.in_place, 4 * MIB, "{moved:?}");
        let [unmapped] = &moved.unmapped[..] else { panic!("{moved:?}") };
        assert_eq!(unmapped.gpu.0, 0);
        assert!(matches!(unmapped.obstacle, Obstacle::OtherWish { .. }), "{unmapped:?}");
        assert_eq!(bytes_in_vram(&*space, data.span()), 4 * MIB);
        assert_eq!(data.bytes(), &vec![1; 4 << 20]);
    });
}

#[test]
fn a_kernel_that_cannot_map_pages_where_they_are_is_named_as_such() {
    each_older(PAIR, Features::all() - Features::CONSULT, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        space.advise(data.span(), &Wish::prefer(&[vram(1)])).unwrap().accepted.unwrap();
        let mut job = space.start_prefetch(data.span(), &Order::to(vram(1)).map_for(&[0, 1])).unwrap();
        job.step().unwrap();
        let moved = job.outcome().unwrap();
        assert_eq!((moved.in_place, moved.completed), (4 * MIB, Err(EOPNOTSUPP)));
        assert!(matches!(moved.unmapped[0].obstacle, Obstacle::Unsupported(_)), "{:?}", moved.unmapped);
        space.reset(data.span()).unwrap();
    });
}

#[test]
fn before_6_18_every_wish_is_refused_and_nothing_is_recorded() {
    each_older(PAIR, BEFORE_6_18, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        for wish in [
            Wish::prefer(&[vram(0)]),
            Wish::prefer(&[vram(1), vram(0), Location::System]),
            Wish { gpus: Some(vec![0]), ..Wish::prefer(&[vram(0)]) },
            Wish { strict: true, ..Wish::prefer(&[Location::System]) },
            Wish { atomics: Some(Atomics::Device), ..Wish::default() },
            Wish { policy: Some(MigrationPolicy::OnlySystemPages), ..Wish::default() },
            Wish { purgeable: Some(true), ..Wish::default() },
        ] {
            let told = space.advise(data.span(), &wish).unwrap();
            assert_eq!((told.location, told.accepted), (None, Err(EOPNOTSUPP)));
            assert!(!told.answers.is_empty());
            assert!(told.answers.iter().all(|answer| answer.effect == Effect::Unsupported), "{:?}", told.answers);
        }
        assert_eq!(space.explain(data.span()).unwrap().len(), 0, "nothing was wished");
        space.reset(data.span()).unwrap();
        assert_eq!(space.allocate(MIB, &[(vram(0), 1)], None).err(), Some(EOPNOTSUPP));
    });
}

#[test]
fn before_6_18_memory_moves_and_comes_home_unharmed() {
    each_older(PAIR, BEFORE_6_18, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        // A GPU's touch brings memory to its VRAM, for want of another wish.
        space.touch(0, data.span(), Access::Read).unwrap();
        assert_eq!(bytes_in_vram(&*space, data.span()), 4 * MIB);
        for gpu in [1, 0] {
            let moved = space.prefetch(data.span(), &Order::to(vram(gpu)).map_for(&[gpu])).unwrap();
            assert_eq!((moved.in_place, moved.completed), (4 * MIB, Ok(())));
            assert_eq!(bytes_in_vram(&*space, data.span()), 4 * MIB);
        }
        let moved = space.prefetch(data.span(), &Order::to(Location::System)).unwrap();
        assert_eq!((moved.in_place, moved.completed), (4 * MIB, Ok(())));
        assert_eq!(bytes_in_vram(&*space, data.span()), 0);
        // Before its memory is freed, as a program would that knows nothing of kernels.
        space.reset(data.span()).unwrap();
        assert_eq!(data.bytes(), &vec![1; 4 << 20]);
    });
}

#[test]
fn before_6_18_nothing_can_be_read_back_and_no_vm_borrowed() {
    each_older(PAIR, BEFORE_6_18, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        space.touch(0, data.span(), Access::Read).unwrap();
        assert_eq!(space.attributes(data.span()).err(), Some(EOPNOTSUPP));
        let (vm, _) = space.members().unwrap()[0];
        let other = machine.empty_space().unwrap();
        assert_eq!(other.borrow(&*space, vm, None), Err(EOPNOTSUPP));
        assert_eq!(other.members().unwrap(), []);
        assert_eq!(machine.probe_link(0, 1), Err(EOPNOTSUPP));
    });
}

#[test]
fn before_6_15_gpus_are_seen_and_nothing_can_be_placed() {
    each_older(PAIR, BEFORE_6_15, |machine| {
        assert_eq!(machine.gpu_count(), 2);
        assert_eq!(machine.probe_link(0, 1), Err(EOPNOTSUPP));
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        assert_eq!(space.members().unwrap(), []);
        assert_eq!(space.add(0), Err(EOPNOTSUPP));
        for location in [vram(0), Location::System] {
            assert_eq!(space.advise(data.span(), &Wish::prefer(&[location])).err(), Some(EOPNOTSUPP));
            assert_eq!(space.prefetch(data.span(), &Order::to(location)).err(), Some(EOPNOTSUPP));
            assert_eq!(space.allocate(MIB, &[(location, 1)], None).err(), Some(EOPNOTSUPP));
        }
        assert_eq!(space.touch(0, data.span(), Access::Write), Err(EOPNOTSUPP));
        assert_eq!(space.attributes(data.span()).unwrap(), []);
        assert_eq!(space.explain(data.span()).unwrap().len(), 0);
        space.reset(data.span()).unwrap();
        let runs = space.residency(data.span()).unwrap();
        assert!(runs.iter().all(|run| run.place == Place::System), "{runs:?}");
        assert_eq!(data.bytes(), &vec![1; 4 << 20]);
    });
}

/// What is the caller's mistake is not put down to the kernel.
#[test]
fn on_every_kernel_nonsense_is_nonsense() {
    for features in [BEFORE_7_0, BEFORE_6_18] {
        each_older(PAIR, features, |machine| {
            let space = machine.space().unwrap();
            let data = Data::new(machine, 4096);
            assert_eq!(space.advise(data.span(), &Wish::default()).err(), Some(EINVAL));
            assert_eq!(space.prefetch(data.span(), &Order::to(Location::Default)).err(), Some(EINVAL));
            assert_eq!(space.advise(data.span(), &Wish::prefer(&[vram(7)])).err(), Some(libc::ENOENT));
        });
    }
}
