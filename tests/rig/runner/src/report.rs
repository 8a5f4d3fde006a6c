// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the runner prints: the plan, a line for each machine, what failed, and the sum.

use crate::{
    boot::Booted,
    machine::{Machine, Run},
    paths::Paths,
    programs::Programs,
    setup::Setup,
    words::Verdict,
};
use anyhow::Result;
use std::{path::PathBuf, time::Duration};

/// The sums of a run, printed as it goes.
pub struct Report {
    logs: PathBuf,
    passed: usize,
    failed: usize,
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A machine in a few lines.
pub fn list(machine: &Machine) {
    println!("{}: {}", machine.name, machine.about);
    for run in &machine.runs {
        println!("    {}", run.name());
    }
}

impl Report {
    /// Prints the plan.
    pub fn begin(paths: &Paths, setup: &Setup, machines: &[Machine]) -> Report {
        let runs: usize = machines.iter().map(|machine| machine.runs.len()).sum();
        let (kernel, qemu) = (&setup.kernel.version, &setup.qemu);
        let (machine_count, runs) = (counted(machines.len(), "machine"), counted(runs, "run"));
        println!("plan: {machine_count}, {runs}; Linux {kernel}, QEMU {} ({})", qemu.version, qemu.accelerator);
        for machine in machines {
            println!("  {:<10} {}", machine.name, machine.about);
        }
        Report { logs: paths.logs(), passed: 0, failed: 0 }
    }

    /// Judges one boot.
    pub fn machine(&mut self, machine: &Machine, booted: Result<Booted>, took: Duration) -> Result<()> {
        let (mut passed, mut failures) = (0, Vec::new());
        match booted {
            Err(error) => failures.push(format!("{error:#}")),
            Ok(booted) => {
                for (place, run) in machine.runs.iter().enumerate() {
                    let verdict = judge(&booted, place, run)?;
                    passed += verdict.passed;
                    failures.extend(verdict.failures.iter().map(|failure| format!("{}: {failure}", run.name())));
                }
                let log = booted.kernel_log.complaints_elsewhere();
                failures.extend(log.iter().map(|line| format!("kernel log outside of all runs: {line}")));
                failures.extend(booted.troubles);
            }
        }
        println!("{:<12} {passed:>3} passed, {} failed   {:.1} s", machine.name, failures.len(), took.as_secs_f64());
        for failure in &failures {
            println!("  failed: {}", failure.replace('\n', "\n  "));
        }
        if !failures.is_empty() {
            println!("  logs: {}", self.logs.join(&machine.name).display());
        }
        self.passed += passed;
        self.failed += failures.len();
        Ok(())
    }

    /// A test that can run on GPUs and runs on no machine is a failure.
    pub fn nothing_forgotten(&mut self, machines: &[Machine], programs: &Programs) {
        let runs: Vec<&str> =
            machines.iter().flat_map(|machine| &machine.runs).filter_map(|run| run.test.as_deref()).collect();
        for name in programs.tests.keys().chain(programs.checks.keys()).filter(|name| !runs.contains(&name.as_str())) {
            println!("  failed: {name} can run on GPUs, and no machine in tests/rig/machines runs it");
            self.failed += 1;
        }
    }

    /// The last line. Whether all is well.
    pub fn end(self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}

/// One run, by what it wrote and by what the kernel had to say meanwhile.
fn judge(booted: &Booted, place: usize, run: &Run) -> Result<Verdict> {
    let output = &booted.outputs[place];
    let mut verdict = output.judge(run);
    let complaints = booted.kernel_log.complaints(place, &output.announced())?;
    verdict.failures.extend(complaints.iter().map(|line| format!("kernel log: {line}")));
    verdict.failures.extend(output.unexpected_reports()?.iter().map(|line| format!("GPU model: {line}")));
    Ok(verdict)
}
