// SPDX-License-Identifier: MIT OR Apache-2.0
//! Spreads weights over the VRAM of all GPUs, and counts page faults while each GPU reads its part.
//!
//! `cargo run --example place [FILE]`. XEPLACE_MACHINE names a machine to simulate; without it, it is this host.

use indicatif::{ProgressBar, ProgressStyle};
use std::{env, error::Error, fs::File, io::Read, ops::ControlFlow, process::ExitCode};
use xeplace::{
    Advice, Layout, Location, Machine, Place, Range, Region, Residency, Result, Space, Step, driver::Access,
};

const SIMULATED: &str = "cpu=zen switch(4x bmg)";
const COLUMNS: u64 = 48;

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    eprintln!("place: {error}");
    ExitCode::FAILURE
}

fn run() -> std::result::Result<(), Box<dyn Error>> {
    let machine = machine()?;
    let shares = regions(&machine);
    if shares.is_empty() {
        return Err("no GPU of this machine can be used".into());
    }
    let space = Space::create(&machine)?;

    // Pages of a file cannot live in VRAM, so it is read and not mapped.
    let file = env::args_os().nth(1).map(File::open).transpose()?;
    let length = file.as_ref().map_or(Ok(1 << 30), |file| file.metadata().map(|found| found.len()))?;
    let mut weights = space.allocate(length, Location::Default)?;
    if let Some(mut file) = file {
        file.read_exact(&mut weights[..length as usize])?;
    }

    // Each region of VRAM gets a part that is as large as the region is among all.
    let layout = Layout::shard(shares);
    let parts = parts(&layout, weights.range())?;
    println!("{} MiB of weights in {} parts", length >> 20, parts.len());
    place(&space, &parts, length)?;

    // The same reads, of memory of which nothing was wished.
    let plain = space.allocate(length, Location::Default)?;
    let plain = self::parts(&layout, plain.range())?;

    let residency = space.residency(weights.range())?;
    println!("\n{:64}{:>10}{:>13}{:>13}", "", "in VRAM", "page faults", "if unplaced");
    for ((range, region), (plain, _)) in parts.into_iter().zip(plain) {
        let bar = bar(&residency, weights.range(), region);
        let mib = residency.bytes_in(region) >> 20;
        let [placed, unplaced] = [range, plain].map(|range| read(&machine, &space, range, region));
        println!("{:16}{bar}{mib:>6} MiB{:>13}{:>13}", region.to_string(), placed?, unplaced?);
    }
    Ok(())
}

/// The machine that the environment names; else this host; else, if it has no GPU for this, a simulated one.
fn machine() -> Result<Machine> {
    let name = env::var("XEPLACE_MACHINE").ok();
    let mut machine = name.as_ref().map_or_else(Machine::open, |name| Machine::named(name))?;
    if name.is_none() && regions(&machine).is_empty() {
        println!("No usable xe GPU on this host: simulating \"{SIMULATED}\"");
        machine = Machine::simulated(SIMULATED)?;
    }
    if let Some(simulation) = machine.simulation() {
        simulation.privileged(true); // to read its fault counters
    }
    Ok(machine)
}

/// The VRAM of each tile of each GPU, weighted by its size.
fn regions(machine: &Machine) -> Vec<(Region, u64)> {
    let gpus = machine.gpus().iter().filter(|gpu| gpu.can_mirror());
    gpus.flat_map(|gpu| {
        let region = |instance| Region { gpu: gpu.id(), instance };
        gpu.regions().iter().map(move |found| (region(found.instance), found.total >> 20))
    })
    .collect()
}

/// Which part of `range` belongs in which region.
fn parts(layout: &Layout, range: Range) -> Result<Vec<(Range, Region)>> {
    let part = |step: Step| match step.location {
        Location::Vram(region) => Some((step.range, region)),
        _ => None,
    };
    Ok(layout.plan(range)?.steps.into_iter().filter_map(part).collect())
}

/// Tells the GPU of each part where it shall be, and moves it there.
fn place(space: &Space, parts: &[(Range, Region)], length: u64) -> Result<()> {
    let style = ProgressStyle::with_template("prefetch {bar:48}{pos:>6} of {len} MiB").expect("a template");
    let bar = ProgressBar::new(length >> 20).with_style(style.progress_chars("█░"));
    let mut before = 0;
    for (range, region) in parts.iter().copied() {
        let _report = space.advise(range, Advice::prefer(region).for_gpus(&[region.gpu]))?.accepted()?;
        let outcome = space.prefetch_with(range, region, &[region.gpu], |progress| {
            bar.set_position((before + progress.done) >> 20);
            ControlFlow::Continue(())
        })?;
        if let Some(stay) = outcome.stays.first() {
            bar.suspend(|| println!("{}: {}", stay.range, stay.obstacle));
        }
        before += range.len();
    }
    bar.finish();
    if !bar.is_hidden() {
        eprintln!();
    }
    Ok(())
}

/// Lets the GPU of `region` read `range`. Returns how many page faults that took.
fn read(machine: &Machine, space: &Space, range: Range, region: Region) -> Result<String> {
    let count = || machine.gpu(region.gpu)?.counters().map(|counters| counters.page_faults);
    let before = count();
    space.touch(region.gpu, range, Access::Read)?;
    // The counters are in debugfs, which only root can read.
    Ok(count().and_then(|after| Ok(after - before?)).map_or("not shown".to_owned(), |faults| faults.to_string()))
}

/// `range` from left to right: full where its pages are in `region`.
fn bar(residency: &Residency, range: Range, region: Region) -> String {
    let is_full = |column| {
        let address = range.start() + range.len() * column / COLUMNS;
        let is_here = |place| matches!(place, Place::Vram { region: Some(found), .. } if found == region);
        residency.runs.iter().any(|run| run.range.contains(address) && is_here(run.place))
    };
    (0..COLUMNS).map(|column| if is_full(column) { '█' } else { '░' }).collect()
}
