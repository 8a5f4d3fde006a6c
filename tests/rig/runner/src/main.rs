// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots Debian's kernel with its own xe driver on modelled GPUs, and runs xeplace's tests there.

mod apt;
mod boot;
mod children;
mod cpio;
mod host;
mod initramfs;
mod kernel;
mod kernel_log;
mod libraries;
mod machine;
mod model;
mod module;
mod paths;
mod plug;
mod programs;
mod qemu;
mod report;
mod setup;
mod trees;
mod words;

use anyhow::{Context, Result, bail};
use boot::{Boot, Booted};
use clap::{Parser, Subcommand};
use machine::Machine;
use paths::Paths;
use programs::Programs;
use report::Report;
use setup::Setup;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

/// Boots Debian's kernel with its own xe driver on modelled GPUs, and runs xeplace's tests there.
#[derive(Parser, Debug)]
#[command(name = "xeplace-rig", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Where to keep what is fetched, built and logged [target/rig]
    #[arg(long, global = true, value_name = "DIR")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    setup: setup::Options,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Fetches QEMU, kernel and busybox from Debian's archive; the others do it as well where it has not been done
    Setup,
    /// Runs the tests on all machines, or on those named
    Run {
        machines: Vec<String>,
        /// Run only what has this in its name
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// Ask the GPU model for this as each run begins, such as "skip 0 invalidation 3": a good test then fails
        #[arg(long, value_name = "REQUEST")]
        mishap: Vec<String>,
        /// Give the tests this variable, such as SEED=7
        #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
        set: Vec<(String, String)>,
        /// Let each run take so many seconds, whatever its machine's file says
        #[arg(long, value_name = "SECONDS")]
        limit: Option<u32>,
        #[command(flatten)]
        gpus: Gpus,
    },
    /// Boots generated PCI trees, holds every predicted link against the running kernel, and keeps what was found in
    /// tests/machines/trees
    Trees {
        /// The first of them: each number gives one tree
        #[arg(long, default_value_t = 1)]
        first: u64,
        /// How many
        #[arg(long, default_value_t = 12)]
        count: u64,
        /// States of each, with other access control and host bridges
        #[arg(long, default_value_t = 30)]
        rounds: u32,
        #[command(flatten)]
        gpus: Gpus,
    },
    /// Gives a shell in the guest
    Shell {
        #[arg(default_value = "switch")]
        machine: String,
        #[command(flatten)]
        gpus: Gpus,
    },
    /// Lists the machines and what runs there
    List,
}

/// What serves the GPUs.
#[derive(clap::Args, Debug)]
struct Gpus {
    /// Another program for the GPU model
    #[arg(long, value_name = "PROGRAM")]
    model: Option<PathBuf>,
    /// Let the GPU model write down all that happens
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    match act(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xeplace-rig: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn act(arguments: Arguments) -> Result<bool> {
    children::end_with_this_process()?;
    let paths = Paths::new(arguments.directory);
    let machines = Machine::all(&paths.sources().join("machines"))?;
    match arguments.command {
        Command::Setup => setup::setup(&paths, &arguments.setup).map(|_| true),
        Command::List => {
            machines.iter().for_each(report::list);
            Ok(true)
        }
        Command::Run { machines: names, only, mishap, set, limit, gpus } => {
            let mut machines = named(machines, &names)?;
            for machine in &mut machines {
                machine.variables = set.clone();
                machine.runs.iter_mut().for_each(|run| run.limit = limit.unwrap_or(run.limit));
            }
            if let Some(only) = &only {
                machines.iter_mut().for_each(|machine| machine.runs.retain(|run| run.name().contains(only)));
                machines.retain(|machine| !machine.runs.is_empty());
            }
            let ready = prepare(&paths, &arguments.setup, gpus, mishap)?;
            let mut report = run(&paths, &ready, &machines, |_, _| Ok(()))?;
            if names.is_empty() && only.is_none() {
                report.nothing_forgotten(&machines, &ready.programs);
            }
            Ok(report.end())
        }
        Command::Trees { first, count, rounds, gpus } => {
            let machines: Vec<Machine> = (first..first + count).map(|number| trees::tree(number, rounds)).collect();
            let ready = prepare(&paths, &arguments.setup, gpus, Vec::new())?;
            let kept = paths.repository.join("tests/machines/trees");
            Ok(run(&paths, &ready, &machines, |machine, booted| trees::keep(machine, booted, &kept))?.end())
        }
        Command::Shell { machine, gpus } => {
            let machine = named(machines, &[machine])?.pop().context("one machine")?;
            shell(&paths, &prepare(&paths, &arguments.setup, gpus, Vec::new())?, machine)
        }
    }
}

/// `NAME=VALUE` in two.
fn variable(text: &str) -> Result<(String, String)> {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    let found = text.split_once('=').filter(|(name, _)| is_name(name));
    found.map(|(name, value)| (name.to_owned(), value.to_owned())).context("a variable is NAME=VALUE")
}

fn named(machines: Vec<Machine>, names: &[String]) -> Result<Vec<Machine>> {
    if let Some(unknown) = names.iter().find(|name| !machines.iter().any(|machine| machine.name == **name)) {
        let known: Vec<&str> = machines.iter().map(|machine| machine.name.as_str()).collect();
        bail!("there is no machine {unknown}; there are {}", known.join(", "));
    }
    Ok(machines.into_iter().filter(|machine| names.is_empty() || names.contains(&machine.name)).collect())
}

/// Everything that is the same for all machines.
struct Ready {
    setup: Setup,
    programs: Programs,
    model: PathBuf,
    trace: bool,
    mishaps: Vec<String>,
    /// What all guests have in common.
    common: PathBuf,
}

fn prepare(paths: &Paths, options: &setup::Options, gpus: Gpus, mishaps: Vec<String>) -> Result<Ready> {
    let setup = setup::setup(paths, options)?;
    println!("building the tests and the GPU model");
    let programs = Programs::build(paths)?;
    let model = gpus.model.map_or_else(|| Programs::model(paths), Ok)?;
    let common = paths.rig.join("common.cpio");
    initramfs::write_common(paths, &setup, &programs, &common)?;
    Ok(Ready { setup, programs, model, trace: gpus.trace, mishaps, common })
}

impl Ready {
    /// A boot of `machine`, whose file system is written to `initramfs`.
    fn boot<'a>(&'a self, paths: &Paths, machine: &Machine, initramfs: &'a Path) -> Result<Boot<'a>> {
        initramfs::write(&self.common, machine, &self.programs, initramfs)?;
        Ok(Boot {
            qemu: &self.setup.qemu,
            kernel: &self.setup.kernel.image,
            initramfs,
            model: &self.model,
            mishaps: &self.mishaps,
            trace: self.trace,
            logs: paths.logs().join(&machine.name),
        })
    }
}

/// Boots one machine after another; `keep` gets what came of each.
fn run(
    paths: &Paths,
    ready: &Ready,
    machines: &[Machine],
    keep: impl Fn(&Machine, &Booted) -> Result<()>,
) -> Result<Report> {
    let initramfs = paths.rig.join("initramfs.cpio");
    let mut report = Report::begin(paths, &ready.setup, machines);
    for machine in machines {
        let started = Instant::now();
        let booted = ready.boot(paths, machine, &initramfs).and_then(|boot| boot.run(machine));
        if let Ok(booted) = &booted {
            keep(machine, booted)?;
        }
        report.machine(machine, booted, started.elapsed())?;
    }
    Ok(report)
}

fn shell(paths: &Paths, ready: &Ready, mut machine: Machine) -> Result<bool> {
    machine.runs.clear();
    println!("{}: {} (Ctrl-A X ends it at once)", machine.name, machine.about);
    ready.boot(paths, &machine, &paths.rig.join("initramfs.cpio"))?.shell(&machine)?;
    Ok(true)
}
