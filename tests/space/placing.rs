// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory goes where it is told, and what is said about it is true.

use crate::pair::*;
use xeplace::{driver::Access, *};

#[test]
fn memory_goes_where_it_was_allocated_and_is_used_there() {
    let pair = Pair::new();
    let space = pair.space();
    let vram = pair.vram(pair.b);
    let memory = space.allocate(16 * MIB, vram).unwrap();
    assert!(memory.reports().iter().all(|report| report.answers.len() == 2));
    let outcome = space.prefetch(memory.range(), vram, &[pair.a, pair.b]).unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    for gpu in [pair.a, pair.b] {
        space.touch(gpu, memory.range(), Access::Read).unwrap();
    }
    assert_eq!(space.residency(memory.range()).unwrap().bytes_in(vram), 16 * MIB);
    assert_eq!(space.explain(memory.range()).unwrap(), []);
}

#[test]
fn memory_keeps_its_content_wherever_it_goes() {
    let pair = Pair::new();
    let space = pair.space();
    let mut memory = space.allocate(8 * MIB, pair.vram(pair.a)).unwrap();
    for (index, byte) in memory.iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    for gpu in [pair.a, pair.b, pair.a] {
        let outcome = space.prefetch(memory.range(), pair.vram(gpu), &[]).unwrap();
        assert_eq!(outcome.bytes_elsewhere, 0, "{outcome:?}");
    }
    assert_eq!(space.prefetch(memory.range(), Location::System, &[]).unwrap().bytes_in_place, 8 * MIB);
    assert!(memory.iter().enumerate().all(|(index, byte)| *byte == (index % 251) as u8));
}

#[test]
fn an_accessor_that_was_told_something_else_is_not_mapped_for() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, Location::Default).unwrap();
    let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[pair.a, pair.b]).unwrap();
    assert_eq!(outcome.bytes_elsewhere, 0);
    let [unmapped] = &outcome.unmapped[..] else { panic!("{outcome:?}") };
    assert_eq!(unmapped.gpu, pair.b);
    assert!(matches!(unmapped.obstacle, Obstacle::OtherWish { .. }));
    assert_eq!(space.residency(memory.range()).unwrap().bytes_in_vram(), 4 * MIB);
}

#[test]
fn what_cannot_move_is_skipped_and_named() {
    let pair = Pair::new();
    let space = pair.space();
    let mut block = driver::Mapping::anonymous(12 << 20, 2 << 20, false).unwrap();
    block.bytes_mut().fill(1);
    block.protect(4 << 20, 4096, false).unwrap();
    let range = Range::new(block.start(), block.len() as u64).unwrap();
    let outcome = space.prefetch(range, pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::ReadOnly]);
    assert_eq!(outcome.bytes_elsewhere, 4096, "{outcome:?}");
    let shared = driver::Mapping::anonymous(4 << 20, 2 << 20, true).unwrap();
    let range = Range::new(shared.start(), shared.len() as u64).unwrap();
    let outcome = space.prefetch(range, pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::Backing(Backing::Shared)]);
    assert_eq!(outcome.bytes_in_place, 0);
    let outcome = space.prefetch(nowhere(), pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::NotMapped]);
}

#[test]
fn more_than_fits_leaves_the_last_part() {
    let pair = Pair::new();
    let space = pair.space();
    let total = pair.machine.memory(pair.vram(pair.a)).unwrap().total;
    let memory = space.allocate(total + total / 4, pair.vram(pair.a)).unwrap();
    let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[]).unwrap();
    assert!(obstacles(&outcome).iter().all(|found| matches!(found, Obstacle::Evicted { .. })), "{outcome:?}");
    assert!((total / 8 * 5..=total).contains(&outcome.bytes_in_place), "{outcome:?}");
}

#[test]
fn wishes_are_read_back_and_reset() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.b)).unwrap();
    let told = |space: &Space<'_>| -> Vec<StoredLocation> {
        space.attributes(memory.range()).unwrap().iter().map(|run| run.location).collect()
    };
    assert_eq!(told(&space), [StoredLocation::Known(pair.vram(pair.b).into()); 2]);
    let report = space.advise(memory.range(), Advice::prefer(Location::System).atomics(Atomics::Device)).unwrap();
    assert!(report.is_accepted() && !report.elided);
    assert_eq!(told(&space), [StoredLocation::Known(Location::System); 2]);
    assert!(space.attributes(memory.range()).unwrap().iter().all(|run| run.atomics == 1));
    space.reset(memory.range()).unwrap();
    assert_eq!(told(&space), [StoredLocation::Known(Location::Default); 2]);
    assert!(space.attributes(memory.range()).unwrap().iter().all(|run| run.atomics == 0));
}

#[test]
fn equal_advice_costs_nothing_where_the_life_of_memory_is_known() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    assert!(space.advise(memory.range(), Advice::prefer(pair.vram(pair.a))).unwrap().elided);
    assert!(!space.advise(memory.range(), Advice::prefer(pair.vram(pair.b))).unwrap().elided);
    let others = driver::Mapping::anonymous(4 << 20, 2 << 20, false).unwrap();
    let range = Range::new(others.start(), 4 * MIB).unwrap();
    for _ in 0..2 {
        assert!(!space.advise(range, Advice::prefer(Location::System)).unwrap().elided);
    }
    space.declare_stable(range).unwrap();
    assert!(space.advise(range, Advice::prefer(Location::System)).unwrap().elided);
    space.reset(range).unwrap();
    assert!(!space.advise(range, Advice::prefer(Location::System)).unwrap().elided);
}

#[test]
fn the_policy_that_no_kernel_follows_is_said_to_be_inert() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(2 * MIB, Location::Default).unwrap();
    let advice = Advice::prefer(pair.vram(pair.a)).migration_policy(MigrationPolicy::OnlySystemPages);
    let report = space.advise(memory.range(), &advice).unwrap();
    let policies: Vec<Effect> = report
        .answers
        .iter()
        .filter(|answer| answer.attribute == Attribute::MigrationPolicy)
        .map(|answer| answer.effect)
        .collect();
    assert_eq!(policies, [Effect::Inert; 2]);
    assert!(space.attributes(memory.range()).unwrap().iter().all(|run| run.migration_policy == 1));
}

#[test]
fn ends_inside_a_block_are_warned_of() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, Location::Default).unwrap();
    let part = Range::new(memory.range().start() + MIB, MIB).unwrap();
    assert!(space.advise(part, Advice::prefer(Location::System)).unwrap().warnings.contains(Warnings::CUTS_BLOCK));
    assert!(space.advise(memory.range(), Advice::prefer(Location::System)).unwrap().warnings.is_empty());
}

#[test]
fn a_job_is_pumped_and_cancelled() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(32 * MIB, pair.vram(pair.a)).unwrap();
    let mut job = space.start_prefetch(memory.range(), pair.vram(pair.a), &[], Some(8 * MIB)).unwrap();
    let progress = job.step().unwrap();
    assert_eq!((progress.done, progress.total), (8 * MIB, 32 * MIB));
    job.cancel();
    let outcome = job.outcome().unwrap();
    assert_eq!(outcome.bytes_in_place, 8 * MIB);
    assert_eq!(obstacles(&outcome), [&Obstacle::Cancelled]);
    assert!(space.start_prefetch(memory.range(), Location::System, &[], Some(3 * MIB)).is_err());
}

#[test]
fn an_explanation_names_every_obstacle() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    let [found] = &space.explain(memory.range()).unwrap()[..] else { panic!() };
    assert_eq!(found.obstacles, [Obstacle::NeverTouched]);
    let shared = driver::Mapping::anonymous(2 << 20, 2 << 20, true).unwrap();
    let range = Range::new(shared.start(), 2 * MIB).unwrap();
    assert!(space.advise(range, Advice::prefer(pair.vram(pair.a))).unwrap().is_accepted());
    let [found] = &space.explain(range).unwrap()[..] else { panic!() };
    assert_eq!(found.obstacles, [Obstacle::Backing(Backing::Shared)]);
}

#[test]
fn system_memory_of_a_node_is_a_location() {
    let pair = Pair::new();
    let space = pair.space();
    let mut memory = space.allocate(4 * MIB, Location::HostNode(0)).unwrap();
    memory.fill(1);
    let outcome = space.prefetch(memory.range(), Location::HostNode(0), &[]).unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    let absent = space.advise(memory.range(), Advice::prefer(Location::HostNode(99)));
    assert_eq!(absent.unwrap_err().errno(), libc::ENOENT);
}

#[test]
fn a_touch_that_would_never_end_is_refused() {
    let pair = Pair::new();
    let space = pair.space();
    let mut block = driver::Mapping::anonymous(4 << 20, 2 << 20, false).unwrap();
    block.bytes_mut().fill(1);
    let range = Range::new(block.start(), block.len() as u64).unwrap();
    space.touch(pair.a, range, Access::Read).unwrap();
    block.protect(0, 4096, false).unwrap();
    assert_eq!(space.touch(pair.a, range, Access::Read).unwrap_err().errno(), libc::EINVAL);
    assert_eq!(space.touch(pair.a, nowhere(), Access::Read).unwrap_err().errno(), libc::EINVAL);
}
