// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wished, and what became of it.

use crate::{PAIR, PAIR_AND_LONER, both::*};
use xeplace::{
    Atomics, Attribute, Effect, Location, MigrationPolicy, StoredLocation, VmId, Warnings, driver::Access, sim::Call,
};

fn told_locations(space: &dyn Space, span: Span) -> Vec<(u32, StoredLocation)> {
    space.attributes(span).unwrap().iter().map(|run| (run.gpu.0, run.location)).collect()
}

fn known(location: Location) -> StoredLocation {
    StoredLocation::Known(location)
}

fn effects(told: &Told) -> Vec<(u32, Attribute, Effect)> {
    told.answers.iter().map(|answer| (answer.gpu.0, answer.attribute, answer.effect)).collect()
}

#[test]
fn promise_1_a_wish_holds_for_the_whole_process() {
    each_simulated(PAIR_AND_LONER, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let told = space.advise(data.span(), &Wish::prefer(&[vram(0), Location::System])).unwrap();
        assert_eq!((told.location, told.step), (Some(Location::System), 1));
        let fallback = Effect::FellBack(Location::System);
        let expected = [0, 1, 2].map(|gpu| (gpu, Attribute::PreferredLocation, fallback));
        assert_eq!(effects(&told), expected);
        assert!(told.passed_over.contains("gpu 0 vram 1 for gpu 2"), "{}", told.passed_over);
        assert_eq!(told_locations(&*space, data.span()), [0, 1, 2].map(|gpu| (gpu, known(Location::System))));
    });
}

#[test]
fn promise_1_only_the_gpus_that_are_named_count() {
    each_simulated(PAIR_AND_LONER, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let wish = Wish { gpus: Some(vec![0, 1]), ..Wish::prefer(&[vram(0), Location::System]) };
        let told = space.advise(data.span(), &wish).unwrap();
        assert_eq!((told.location, told.step, told.answers.len()), (Some(vram(0)), 0, 2));
        assert!(told.passed_over.is_empty());
        assert_eq!(told_locations(&*space, data.span()), [(0, known(vram(0))), (1, known(vram(0)))]);
    });
}

#[test]
fn a_location_that_one_vm_cannot_live_with_is_told_to_none() {
    each_simulated(PAIR_AND_LONER, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        space.advise(data.span(), &Wish::prefer(&[Location::System])).unwrap().accepted.unwrap();
        let told = space.advise(data.span(), &Wish::prefer(&[vram(2)])).unwrap();
        assert_eq!((told.location, told.accepted), (None, Err(libc::ENOLINK)));
        assert!(told.answers.iter().all(|answer| answer.effect == Effect::Failed(libc::ENOLINK)), "{told:?}");
        assert_eq!(told_locations(&*space, data.span()), [0, 1, 2].map(|gpu| (gpu, known(Location::System))));
    });
}

#[test]
fn promise_2_nothing_is_silently_ignored() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let wish = Wish {
            atomics: Some(Atomics::Device),
            policy: Some(MigrationPolicy::OnlySystemPages),
            purgeable: Some(true),
            ..Wish::prefer(&[vram(1)])
        };
        let told = space.advise(data.span(), &wish).unwrap();
        for gpu in [0, 1] {
            for (attribute, effect) in [
                (Attribute::PreferredLocation, Effect::Stored),
                (Attribute::Atomics, Effect::Stored),
                (Attribute::MigrationPolicy, Effect::Inert),
                (Attribute::Purgeable, Effect::Inert),
            ] {
                assert!(effects(&told).contains(&(gpu, attribute, effect)), "{told:?}");
            }
        }
        let found = space.attributes(data.span()).unwrap();
        assert!(found.iter().all(|run| run.migration_policy == 1 && run.atomics == 1), "{found:?}");
        // Nor does advice claim that anything has moved.
        assert_eq!(space.residency(data.span()).unwrap()[0].place, xeplace::Place::System);
    });
}

#[test]
fn a_strict_advice_gives_back_what_was_told_before() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let before = Wish { atomics: Some(Atomics::Device), ..Wish::default() };
        space.advise(data.span(), &before).unwrap().accepted.unwrap();
        machine.inject(Call::Madvise, 1, 1, libc::EIO);
        let wish = Wish { atomics: Some(Atomics::Global), strict: true, ..Wish::default() };
        let told = space.advise(data.span(), &wish).unwrap();
        assert_eq!(told.accepted, Err(libc::EIO));
        let expected = [(0, Attribute::Atomics, Effect::Stored), (1, Attribute::Atomics, Effect::Failed(libc::EIO))];
        assert_eq!(effects(&told), expected);
        assert!(told.warnings.contains(Warnings::RESTORED));
        let atomics: Vec<u32> = space.attributes(data.span()).unwrap().iter().map(|run| run.atomics).collect();
        assert_eq!(atomics, [Atomics::Device as u32; 2]);
    });
}

#[test]
fn an_advice_that_is_not_strict_stays_where_it_was_taken() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        space.advise(data.span(), &Wish::prefer(&[Location::System])).unwrap().accepted.unwrap();
        machine.inject(Call::Madvise, 1, 1, libc::EIO);
        let wish = Wish { atomics: Some(Atomics::Device), ..Wish::default() };
        assert_eq!(space.advise(data.span(), &wish).unwrap().accepted, Err(libc::EIO));
        let atomics: Vec<u32> = space.attributes(data.span()).unwrap().iter().map(|run| run.atomics).collect();
        assert_eq!(atomics, [Atomics::Device as u32, Atomics::Undefined as u32]);
    });
}

#[test]
fn what_stands_already_costs_no_call_where_the_memory_is_known() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let memory = space.allocate(4 * MIB, &[(vram(1), 1)], None).unwrap();
        let before = machine.counted(0).calls;
        let told = space.advise(memory.span(), &Wish::prefer(&[vram(1)])).unwrap();
        assert!(told.elided && told.answers.is_empty(), "{told:?}");
        assert_eq!((told.location, machine.counted(0).calls), (Some(vram(1)), before));
        // A forgotten wish has to be told again, and so has a different one.
        assert!(!space.advise(memory.span(), &Wish::prefer(&[vram(0)])).unwrap().elided);
        space.reset(memory.span()).unwrap();
        assert!(!space.advise(memory.span(), &Wish::prefer(&[vram(0)])).unwrap().elided);
    });
}

#[test]
fn memory_of_unknown_life_is_told_each_time() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        for _ in 0..2 {
            let told = space.advise(data.span(), &Wish::prefer(&[vram(1)])).unwrap();
            assert!(!told.elided && told.answers.len() == 2, "{told:?}");
        }
        space.declare_stable(data.span()).unwrap();
        assert!(space.advise(data.span(), &Wish::prefer(&[vram(1)])).unwrap().elided);
    });
}

#[test]
fn reset_takes_everything_back() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let wish = Wish { atomics: Some(Atomics::Device), ..Wish::prefer(&[vram(1)]) };
        space.advise(data.span(), &wish).unwrap().accepted.unwrap();
        space.reset(data.span()).unwrap();
        let found = space.attributes(data.span()).unwrap();
        assert!(found.iter().all(|run| run.location == known(Location::Default) && run.atomics == 0), "{found:?}");
    });
}

#[test]
fn a_vm_that_joins_late_is_told_of_memory_whose_life_is_known() {
    each_api(PAIR, |machine| {
        let space = machine.empty_space().unwrap();
        let first = space.add(0).unwrap();
        let (stable, other) = (Data::new(machine, 4 * MIB), Data::new(machine, 4 * MIB));
        space.declare_stable(stable.span()).unwrap();
        for data in [&stable, &other] {
            space.advise(data.span(), &Wish::prefer(&[Location::System])).unwrap().accepted.unwrap();
        }
        let late = space.add(1).unwrap();
        assert_eq!(space.members().unwrap(), [(first, 0), (late, 1)]);
        assert_eq!(told_locations(&*space, stable.span())[1], (1, known(Location::System)));
        // Of the rest the record may be about memory that has gone.
        assert_eq!(told_locations(&*space, other.span())[1], (1, known(Location::Default)));
    });
}

#[test]
fn borrowed_vms_are_told_and_left_as_they_are() {
    each_api(PAIR, |machine| {
        let runtime = machine.space().unwrap();
        let space = machine.empty_space().unwrap();
        for (vm, _) in runtime.members().unwrap() {
            space.borrow(&*runtime, vm, None).unwrap();
        }
        let data = Data::new(machine, 4 * MIB);
        let told = space.advise(data.span(), &Wish::prefer(&[vram(1)])).unwrap();
        assert_eq!((told.accepted, told.answers.len()), (Ok(()), 2));
        for (vm, _) in space.members().unwrap() {
            space.detach(vm).unwrap();
        }
        assert_eq!(space.advise(data.span(), &Wish::prefer(&[vram(0)])).err(), Some(libc::ENOENT));
        space.close();
        // The runtime's own vms still have it, and still work.
        assert_eq!(told_locations(&*runtime, data.span()), [0, 1].map(|gpu| (gpu, known(vram(1)))));
        runtime.touch(0, data.span(), Access::Read).unwrap();
    });
}

#[test]
fn vms_that_are_not_there_cannot_be_borrowed() {
    each_api(PAIR, |machine| {
        let runtime = machine.space().unwrap();
        let space = machine.empty_space().unwrap();
        let [(first, _), (second, _)] = runtime.members().unwrap()[..] else { panic!("two vms") };
        assert_eq!(space.borrow(&*runtime, first, Some(4711)), Err(libc::EINVAL));
        assert_eq!(space.borrow(&*runtime, VmId(99), None), Err(libc::ENOENT));
        // A number that only the other file has: both count from 1.
        runtime.number(second).unwrap();
        let third = runtime.add(1).unwrap();
        let number = runtime.number(third).unwrap();
        assert_eq!(space.borrow(&*runtime, first, Some(number)), Err(libc::EINVAL));
        assert_eq!(space.members().unwrap(), []);
    });
}

#[test]
fn a_cut_block_is_warned_of() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let (start, _) = data.span();
        let told = space.advise((start + 4096, MIB), &Wish::prefer(&[Location::System])).unwrap();
        assert!(told.warnings.contains(Warnings::CUTS_BLOCK));
        let told = space.advise(data.span(), &Wish::prefer(&[Location::System])).unwrap();
        assert!(!told.warnings.contains(Warnings::CUTS_BLOCK));
    });
}
