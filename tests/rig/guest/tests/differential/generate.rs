// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios made up from a seed, and a difference reduced to a short one.

use crate::{
    compare::{Pair, told},
    step::*,
};
use proptest::{
    prelude::*,
    sample::{select, subsequence},
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use xeplace::driver::Access;

/// Pages of a block, and of the memory with which scenarios begin.
const BLOCK: u64 = 512;
const HOME: u64 = 3 * BLOCK;
/// Tries to make a scenario with a difference shorter.
const TRIES: u32 = 300;

/// Runs `cases` scenarios, each from a seed of its own: the first from `seed`. What differs, reduced, up to a few.
pub fn differences(pair: &Pair, seed: u64, cases: u64) -> Vec<String> {
    let found = (seed..seed + cases).filter_map(|seed| difference(pair, seed));
    found.take(ENOUGH).collect()
}

/// Differences after which no more are looked for.
const ENOUGH: usize = 4;

fn difference(pair: &Pair, seed: u64) -> Option<String> {
    let config = Config { cases: 1, max_shrink_iters: TRIES, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    pair.begins(&format!("of seed {seed}"));
    let gpus = pair.machines[0].gpus().len() as u32;
    let outcome = runner.run(&scenario(gpus), |scenario| {
        pair.run(&scenario).map_err(|difference| TestCaseError::fail(told(&scenario, &difference)))
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, _)) => Some(format!("seed {seed}:\n{reason}")),
        Err(TestError::Abort(reason)) => Some(format!("seed {seed}: no scenario: {reason}")),
    }
}

/// Memory, and some things that happen to it.
pub fn scenario(gpus: u32) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(gpus), 2..12).prop_map(|steps| {
        let home = Part { page: 0, pages: HOME };
        [vec![Step::Map(home, Sharing::Private)], steps].concat()
    })
}

fn step(gpus: u32) -> impl Strategy<Value = Step> {
    let gpu = 0..gpus;
    prop_oneof![
        1 => (part(), named(&SHARINGS)).prop_map(|(part, sharing)| Step::Map(part, sharing)),
        1 => part().prop_map(Step::Unmap),
        1 => part().prop_map(Step::Remap),
        1 => (part(), named(&PROTECTIONS)).prop_map(|(part, protection)| Step::Protect(part, protection)),
        1 => part().prop_map(Step::Discard),
        1 => part().prop_map(Step::Guard),
        1 => part().prop_map(Step::Unguard),
        4 => (select(vec![Access::Read, Access::Write]), part()).prop_map(|(access, part)| Step::Cpu(access, part)),
        6 => (gpu.clone(), named(&ACCESSES), part()).prop_map(|(gpu, access, part)| Step::Gpu(gpu, access, part)),
        5 => (part(), wish(gpus)).prop_map(|(part, wish)| Step::Advise(part, wish)),
        5 => (part(), location(gpus), some(gpus)).prop_map(|(part, to, gpus)| Step::Prefetch(part, to, gpus)),
        1 => part().prop_map(Step::Reset),
        1 => Just(Step::Fork),
        1 => gpu.clone().prop_map(Step::Pressure),
        4 => (gpu, call(gpus), part()).prop_map(|(gpu, call, part)| Step::Call(gpu, call, part)),
    ]
}

/// Whole blocks, or any pages.
fn part() -> impl Strategy<Value = Part> {
    let blocks = (0..HOME / BLOCK, 1..=HOME / BLOCK).prop_map(|(page, pages)| (page * BLOCK, pages * BLOCK));
    let groups = (0..HOME / 16, 1..HOME / 16).prop_map(|(page, pages)| (page * 16, pages * 16));
    let away = (0..HOME / BLOCK, 1..=HOME).prop_map(|(page, pages)| (4 * BLOCK + page * BLOCK, pages));
    let end = |page| if page < HOME { HOME } else { 4 * BLOCK + HOME };
    let any = prop_oneof![4 => blocks, 2 => groups, 1 => (0..HOME, 1..BLOCK), 1 => away];
    any.prop_map(move |(page, pages)| Part { page, pages: pages.min(end(page) - page) })
}

fn wish(gpus: u32) -> impl Strategy<Value = Wish> {
    let prefer = prop_oneof![1 => Just(Vec::new()), 6 => prop::collection::vec(location(gpus), 1..3)];
    let atomics = prop::option::weighted(0.3, named(&MODES));
    let pat = prop::option::weighted(0.1, 0..5u16);
    (prefer, atomics, prop::bool::weighted(0.1), pat, some(gpus)).prop_map(
        |(prefer, atomics, only_system_pages, pat, gpus)| Wish { prefer, atomics, only_system_pages, pat, gpus },
    )
}

fn place(gpus: u32) -> impl Strategy<Value = Place> {
    prop_oneof![1 => Just(Place::Default), 1 => Just(Place::System), 4 => (0..gpus).prop_map(Place::Vram)]
}

/// What the library can name beside.
fn location(gpus: u32) -> impl Strategy<Value = Place> {
    prop_oneof![8 => place(gpus), 1 => Just(Place::Node(0))]
}

/// Some of the GPUs, or none.
fn some(gpus: u32) -> impl Strategy<Value = Vec<u32>> {
    subsequence((0..gpus).collect::<Vec<_>>(), 0..=gpus as usize)
}

fn call(gpus: u32) -> impl Strategy<Value = Call> {
    prop_oneof![
        3 => place(gpus).prop_map(Call::Prefer),
        1 => named(&MODES).prop_map(Call::Atomics),
        3 => select(vec![Some(0), Some(1), None]).prop_map(Call::Prefetch),
        1 => named(&ACCESSES).prop_map(Call::Touch),
        1 => Just(Call::Mirror),
        1 => Just(Call::Unmirror),
    ]
}

fn named<T: Copy + std::fmt::Debug + 'static>(names: &'static [(T, &'static str)]) -> impl Strategy<Value = T> {
    select(names).prop_map(|(value, _)| value)
}
