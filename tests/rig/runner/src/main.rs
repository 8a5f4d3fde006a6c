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
mod paths;
mod programs;
mod qemu;
mod report;
mod setup;
mod words;

use anyhow::{Context, Result, bail};
use boot::Boot;
use clap::{Parser, Subcommand};
use machine::Machine;
use paths::Paths;
use programs::Programs;
use setup::Setup;
use std::{path::PathBuf, process::ExitCode, time::Instant};

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
        /// Another program for the GPU model
        #[arg(long, value_name = "PROGRAM")]
        model: Option<PathBuf>,
        /// Run only what has this in its name
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Gives a shell in the guest
    Shell {
        #[arg(default_value = "switch")]
        machine: String,
        /// Another program for the GPU model
        #[arg(long, value_name = "PROGRAM")]
        model: Option<PathBuf>,
    },
    /// Lists the machines and what runs there
    List,
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
        Command::Run { machines: names, model, only } => {
            let mut machines = named(machines, &names)?;
            if let Some(only) = only {
                machines.iter_mut().for_each(|machine| machine.runs.retain(|run| run.name().contains(&only)));
                machines.retain(|machine| !machine.runs.is_empty());
            }
            let all = names.is_empty();
            run(&paths, &arguments.setup, machines, model, all)
        }
        Command::Shell { machine, model } => {
            let machine = named(machines, &[machine])?.pop().context("one machine")?;
            shell(&paths, &arguments.setup, machine, model)
        }
    }
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
    common: PathBuf,
}

fn prepare(paths: &Paths, options: &setup::Options, model: Option<PathBuf>) -> Result<Ready> {
    let setup = setup::setup(paths, options)?;
    println!("building the tests and the GPU model");
    let programs = Programs::build(paths)?;
    let model = model.map_or_else(|| Programs::model(paths), Ok)?;
    let common = paths.rig.join("common.cpio");
    initramfs::write_common(paths, &setup, &programs, &common)?;
    Ok(Ready { setup, programs, model, common })
}

fn boot<'a>(paths: &Paths, ready: &'a Ready, machine: &Machine, initramfs: &'a std::path::Path) -> Boot<'a> {
    Boot {
        qemu: &ready.setup.qemu,
        kernel: &ready.setup.kernel.image,
        initramfs,
        model: &ready.model,
        logs: paths.logs().join(&machine.name),
    }
}

fn run(
    paths: &Paths,
    options: &setup::Options,
    machines: Vec<Machine>,
    model: Option<PathBuf>,
    all: bool,
) -> Result<bool> {
    let ready = prepare(paths, options, model)?;
    let mut report = report::Report::begin(paths, &ready.setup, &machines);
    for machine in &machines {
        let initramfs = paths.rig.join("initramfs.cpio");
        initramfs::write(&ready.common, machine, &ready.programs, &initramfs)?;
        let started = Instant::now();
        let booted = boot(paths, &ready, machine, &initramfs).run(machine);
        report.machine(machine, booted, started.elapsed())?;
    }
    if all {
        report.nothing_forgotten(&machines, &ready.programs);
    }
    Ok(report.end())
}

fn shell(paths: &Paths, options: &setup::Options, mut machine: Machine, model: Option<PathBuf>) -> Result<bool> {
    let ready = prepare(paths, options, model)?;
    machine.runs.clear();
    let initramfs = paths.rig.join("initramfs.cpio");
    initramfs::write(&ready.common, &machine, &ready.programs, &initramfs)?;
    println!("{}: {} (the guest ends with the shell; Ctrl-A C is QEMU's own prompt)", machine.name, machine.about);
    boot(paths, &ready, &machine, &initramfs).shell(&machine)?;
    Ok(true)
}
