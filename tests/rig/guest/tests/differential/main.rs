// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated machine is like the driver: scenarios run on both, and whatever can be seen must be equal after each step.

mod compare;
mod generate;
mod parse;
mod step;
mod view;
mod window;
mod world;

use compare::{Pair, told};
use xeplace::Machine;

/// This guest, and a simulation of what was recorded of it.
fn guest_and_simulation() -> Pair {
    let guest = Machine::open().unwrap();
    let directory = tempfile::tempdir().unwrap();
    guest.record(directory.path()).unwrap();
    let simulated = Machine::recorded(directory.path()).unwrap();
    simulated.simulation().unwrap().privileged(true);
    Pair { machines: [guest, simulated], names: ["driver", "simulated"] }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
#[ignore = "needs the rig's guest"]
fn scenarios_made_up_from_a_seed_end_alike() {
    let pair = guest_and_simulation();
    let found = generate::differences(&pair, number("SEED", 1), number("CASES", 200));
    assert!(found.is_empty(), "{} differences\n\n{}", found.len(), found.join("\n"));
}

#[test]
#[ignore = "needs the rig's guest"]
fn a_scenario_by_hand() {
    let Ok(text) = std::env::var("SCENARIO") else { return };
    let scenario = parse::scenario(&text.replace(';', "\n"));
    if let Err(difference) = guest_and_simulation().run(&scenario) {
        panic!("{}", told(&scenario, &difference));
    }
}
