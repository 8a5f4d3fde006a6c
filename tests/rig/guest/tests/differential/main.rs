// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated machine is like the driver: scenarios run on both, and whatever can be seen must be equal after each step.
//!
//! What cannot be equal by nature, and what is done about it:
//!
//! - Addresses, numbers of descriptors and vms, sentences: places in the window, GPUs and errnos stand for them.
//! - Contents: the simulation moves no bytes, and what a GPU writes is not written. They are not looked at.
//! - Time, and what depends on it: huge pages of the CPU's are switched off in the window, because khugepaged makes them
//!   when it likes.
//! - How much VRAM is in use: the driver keeps page tables and buffers of its own there, and frees what a failed move had
//!   taken when it likes. Whether VRAM is named as full is left out. Pressure always fills all of it, with what can be
//!   evicted, for which blocks a little pressure would push out is up to the kernel; and then leaves room for a scenario.
//! - Huge pages in VRAM: whatever splits one lets GPUs fault again. So no guard is removed where there is none.
//! - Faults without end: the driver would hold the vm's lock for ever. The simulation goes first, and where it says so
//!   the scenario ends; `j21_a_guard_page_keeps_a_fault_for_ever` is about them.
//! - A GPU that goes: it takes seconds to come back, so that is written and not made up.

mod calls;
mod compare;
mod generate;
mod parse;
mod step;
mod view;
mod window;
mod world;
mod written;

use compare::{Pair, told};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use xeplace::{GpuId, Machine};

/// This guest, and a simulation of what was recorded of it.
fn guest_and_simulation() -> Pair {
    Pair::with_recording_of(Machine::open().unwrap(), ["driver", "simulated"])
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
#[ignore = "needs the rig's guest"]
fn scenarios_made_up_from_a_seed_end_alike() {
    let pair = guest_and_simulation();
    let found = generate::differences(&pair, number("SEED", 1), number("CASES", 200));
    let [steps, endless] = &pair.counted;
    println!("{} steps compared; {} scenarios ended at a fault without end", steps.get(), endless.get());
    assert!(found.is_empty(), "{} differences\n\n{}", found.len(), found.join("\n"));
}

#[test]
#[ignore = "needs the rig's guest"]
fn scenarios_written_by_hand_end_alike() {
    let pair = guest_and_simulation();
    let mut found = Vec::new();
    for (about, text) in written::SCENARIOS {
        let scenario = parse::scenario(text);
        pair.begins(about);
        if let Err(difference) = pair.run(&scenario) {
            found.push(format!("{about}:\n{}", told(&scenario, &difference)));
        }
    }
    assert!(found.is_empty(), "{} differences\n\n{}", found.len(), found.join("\n"));
}

#[test]
#[ignore = "needs the rig's guest"]
fn odd_requests_are_answered_alike() {
    let pair = guest_and_simulation();
    let [driver, simulated] = [0, 1].map(|index| pair.answers(index));
    assert!(driver.len() > 500 && driver.len() == simulated.len());
    let unlike = driver.iter().zip(&simulated).filter(|(driver, simulated)| driver != simulated);
    let unlike: Vec<_> =
        unlike.map(|(driver, simulated)| format!("driver    {driver}\nsimulated {simulated}\n")).collect();
    assert!(unlike.is_empty(), "{} of {} differ\n\n{}", unlike.len(), driver.len(), unlike.join("\n"));
}

/// The last test in alphabetical order: it leaves the guest without its last GPU.
#[test]
#[ignore = "needs the rig's guest"]
fn unplugging_ends_alike() {
    let pair = guest_and_simulation();
    let scenario = parse::scenario(written::UNPLUG);
    if let Err(difference) = pair.run(&scenario) {
        panic!("{}", told(&scenario, &difference));
    }
}

#[test]
fn a_simulation_is_like_itself() {
    let pair = two_simulations();
    let found = generate::differences(&pair, 1, 20);
    assert!(found.is_empty(), "{} differences\n\n{}", found.len(), found.join("\n"));
    for (about, text) in written::SCENARIOS {
        pair.run(&parse::scenario(text)).unwrap_or_else(|difference| panic!("{about}: {difference}"));
    }
}

fn two_simulations() -> Pair {
    let described = Machine::simulated("cpu=client switch(2x bmg vram=64M)").unwrap();
    described.simulation().unwrap().privileged(true);
    Pair::with_recording_of(described, ["described", "recorded"])
}

/// Without the link, advice for the peer's VRAM is refused. To see that needs memory and an advice, and nothing else.
#[test]
fn a_difference_is_found_and_reduced_to_the_steps_that_it_takes() {
    let pair = two_simulations();
    let [a, b] = [GpuId(0), GpuId(1)];
    for (from, to) in [(a, b), (b, a)] {
        pair.machines[1].simulation().unwrap().set_distance(from, to, None).unwrap();
    }
    let found = generate::differences(&pair, 1, 20);
    assert!(!found.is_empty());
    for told in found {
        let steps = told.lines().skip(1).take_while(|line| !line.starts_with("after")).count();
        assert!(steps <= 4, "{told}");
    }
}

#[test]
fn a_printed_scenario_is_read_as_it_was() {
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let same = |scenario: Vec<step::Step>| {
        let text: String = scenario.iter().map(|step| format!("{step}\n")).collect();
        assert_eq!(parse::scenario(&text), scenario);
        Ok(())
    };
    runner.run(&generate::scenario(2), same).unwrap();
}
