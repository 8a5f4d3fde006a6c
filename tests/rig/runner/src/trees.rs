// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generated PCI trees, and the recordings that are made of them.

use crate::{
    boot::Booted,
    machine::{Gpu, Host, Machine, Run, Slot},
};
use anyhow::{Context, Result};
use fastrand::Rng;
use std::{collections::BTreeMap, fs, path::Path};

/// Of each kind that the kernel's rule tells apart, and their kin: Intel, AMD before Zen, Zen, Hygon, Zhaoxin.
const PROCESSORS: [&str; 7] =
    ["Skylake-Client", "Opteron_G3", "SapphireRapids", "EPYC", "Dhyana", "Skylake-Server", "YongFeng"];

/// Switches in a row.
const DEPTH: u32 = 3;
/// GPUs on one machine: what two processors emulate in good time.
const GPUS: usize = 8;

/// What the guest writes before each line of a recording.
const RECORDED: &str = "recorded: ";

/// The tree of this number, of which `rounds` states are tried.
pub fn tree(number: u64, rounds: u32) -> Machine {
    let mut rng = Rng::with_seed(number);
    let cpu = PROCESSORS[number as usize % PROCESSORS.len()];
    let machine = loop {
        let slots = slots(&mut rng, DEPTH);
        let hosts = (0..number % 3).map(|_| host(&mut rng)).collect();
        let machine = Machine::of_tree(cpu, slots, hosts);
        if (4..=GPUS).contains(&machine.gpus().count()) {
            break machine;
        }
    };
    let mut variables = vec![("SEED", number.to_string()), ("ROUNDS", rounds.to_string()), ("RECORD", "1".to_owned())];
    if number.is_multiple_of(4) {
        variables.push(("RESCAN", "1".to_owned()));
    }
    let environment: BTreeMap<_, _> = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let runs = vec![Run { test: Some("trees".to_owned()), limit: 900, environment, ..Run::default() }];
    Machine { name: format!("tree-{number:02}"), about: format!("generated, on {cpu}"), runs, ..machine }
}

fn host(rng: &mut Rng) -> Host {
    Host { first: rng.u8(0..2), bridge: rng.bool(), slots: slots(rng, 1) }
}

/// One to three things with at most `depth` switches in a row.
fn slots(rng: &mut Rng, depth: u32) -> Vec<Slot> {
    (0..rng.usize(1..4)).map(|_| slot(rng, depth)).collect()
}

fn slot(rng: &mut Rng, depth: u32) -> Slot {
    match rng.u8(0..10) {
        0..3 if depth > 0 => Slot::Switch(slots(rng, depth - 1)),
        3..6 if depth > 0 => Slot::AcsSwitch(slots(rng, depth - 1)),
        6 => Slot::Functions(vec![gpu(), gpu()]),
        _ => Slot::Gpu(gpu()),
    }
}

/// The smallest that the driver takes.
fn gpu() -> Gpu {
    Gpu { vram: "64M".to_owned(), ..Gpu::default() }
}

/// Keeps what the guest has recorded, in `directory`.
pub fn keep(machine: &Machine, booted: &Booted, directory: &Path) -> Result<()> {
    let lines = booted.outputs.iter().flat_map(|output| &output.lines);
    let recorded: Vec<&str> = lines.filter_map(|line| line.strip_prefix(RECORDED)).collect();
    if recorded.is_empty() {
        return Ok(());
    }
    let path = directory.join(format!("{}.jsonl", machine.name));
    fs::create_dir_all(directory)?;
    fs::write(&path, recorded.join("\n") + "\n").with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_tree() {
        assert_eq!(format!("{:?}", tree(5, 3)), format!("{:?}", tree(5, 3)));
        assert_ne!(format!("{:?}", tree(5, 3).slots), format!("{:?}", tree(6, 3).slots));
    }

    #[test]
    fn trees_have_all_that_there_is() {
        let all = (0..40).map(|number| format!("{:?}", tree(number, 1))).collect::<String>();
        for part in ["Gpu(", "Functions(", "Switch(", "AcsSwitch(", "bridge: true", "first: 0", "RESCAN"] {
            assert!(all.contains(part), "{part}");
        }
    }
}
