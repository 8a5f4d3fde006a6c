// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated machine is like the driver: scenarios run on both, and whatever can be seen must be equal after each step.

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
use xeplace::Machine;

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
    let described = Machine::simulated("cpu=client switch(2x bmg vram=64M)").unwrap();
    described.simulation().unwrap().privileged(true);
    let pair = Pair::with_recording_of(described, ["described", "recorded"]);
    let found = generate::differences(&pair, 1, 20);
    assert!(found.is_empty(), "{} differences\n\n{}", found.len(), found.join("\n"));
}
