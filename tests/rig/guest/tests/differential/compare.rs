// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a scenario on both machines, step by step, until they differ.

use crate::{calls::Caller, step::Step, view, world::World};
use std::{
    cell::Cell,
    fmt, fs,
    sync::atomic::{AtomicU64, Ordering},
};
use tempfile::TempDir;
use xeplace::Machine;

/// Where the next pair's windows lie: tests that run at the same time have windows of their own.
static NEXT: AtomicU64 = AtomicU64::new(1 << 44);

/// The two machines.
pub struct Pair {
    pub machines: [Machine; 2],
    names: [&'static str; 2],
    /// Where the window of each lies.
    bases: [u64; 2],
    /// Steps after which they were alike, and scenarios that ended at a fault without end.
    pub counted: [Cell<u64>; 2],
    /// The second one's files.
    _recording: TempDir,
}

/// A step after which the machines are not alike.
#[derive(Debug)]
pub struct Difference {
    /// How many steps it took.
    pub steps: usize,
    lines: Vec<String>,
}

impl Pair {
    /// `machine`, and a simulation of what was recorded of it.
    pub fn with_recording_of(machine: Machine, names: [&'static str; 2]) -> Pair {
        let recording = tempfile::tempdir().expect("a directory");
        machine.record(recording.path()).expect("a recording");
        let simulated = Machine::recorded(recording.path()).expect("a simulation of it");
        simulated.simulation().expect("a simulation").privileged(true);
        let bases = [1, 2].map(|_| NEXT.fetch_add(1 << 40, Ordering::Relaxed));
        Pair { machines: [machine, simulated], names, bases, counted: Default::default(), _recording: recording }
    }

    /// Runs `scenario` on both, and compares what is seen after each step.
    ///
    /// The simulation goes first: a fault that the driver would retry for ever is where the scenario ends.
    pub fn run(&self, scenario: &[Step]) -> Result<(), Difference> {
        let [mut first, mut second] = [0, 1].map(|index| World::new(&self.machines[index], self.bases[index]));
        for (index, step) in scenario.iter().enumerate() {
            let look = |world: &mut World| {
                let mut seen = vec![world.perform(step)];
                seen.extend(view::memory(world));
                if index + 1 == scenario.len() {
                    seen.extend(view::explanations(world));
                }
                seen
            };
            let simulated = look(&mut second);
            if simulated[0] == view::ENDLESS {
                self.count(1);
                return Ok(());
            }
            let seen = [look(&mut first), simulated];
            if seen[0] != seen[1] {
                return Err(Difference { steps: index + 1, lines: self.unlike(&seen) });
            }
            self.count(0);
        }
        Ok(())
    }

    fn count(&self, what: usize) {
        self.counted[what].set(self.counted[what].get() + 1);
    }

    /// Tells the kernel's log what begins, for the case that it does not end.
    pub fn begins(&self, scenario: &str) {
        if self.machines[0].simulation().is_none() {
            fs::write("/dev/kmsg", format!("scenario {scenario}")).expect("the kernel's log");
        }
    }

    /// What one of them answers to odd requests.
    pub fn answers(&self, index: usize) -> Vec<String> {
        let mut world = World::new(&self.machines[index], self.bases[index]);
        let driver = world.driver();
        let mut caller = Caller::new(&*driver, &self.machines[index], &mut world.window);
        caller.ask();
        caller.answers
    }

    /// The lines that only one of them says.
    fn unlike(&self, seen: &[Vec<String>; 2]) -> Vec<String> {
        let mut lines = Vec::new();
        for (one, other) in [(0, 1), (1, 0)] {
            for line in seen[one].iter().filter(|line| !seen[other].contains(line)) {
                lines.push(format!("{:9} {line}", self.names[one]));
            }
        }
        if lines.is_empty() { vec!["the same lines in another order".to_owned()] } else { lines }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "after step {}:", self.steps)?;
        self.lines.iter().try_for_each(|line| writeln!(out, "    {line}"))
    }
}

/// A scenario with what it ended in, to be read by people.
pub fn told(scenario: &[Step], difference: &Difference) -> String {
    let steps: Vec<String> = scenario[..difference.steps].iter().map(|step| format!("    {step}\n")).collect();
    format!("{}{difference}", steps.concat())
}
