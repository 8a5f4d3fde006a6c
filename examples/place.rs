// SPDX-License-Identifier: MIT OR Apache-2.0
//! Spreads weights over the VRAM of all GPUs, and counts page faults while each GPU reads its part.
//!
//! `cargo run --example place [FILE]`. XEPLACE_MACHINE names a machine to simulate; without it, it is this host.

use indicatif::{ProgressBar, ProgressStyle};
use std::{env, error::Error, fs::File, io::Read};
use xeplace::{
    Advice, Gpu, Layout, Location, Machine, Place, Plan, Range, Region, Residency, Result, Space, driver::Access,
};

const SIMULATED: &str = "cpu=zen switch(4x bmg)";
const COLUMNS: u64 = 48;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let machine = machine()?;
    let gpus: Vec<&Gpu> = machine.gpus().iter().filter(|gpu| is_usable(gpu)).collect();
    let space = Space::create(&machine)?;

    // Pages of a file cannot live in VRAM, so it is read and not mapped.
    let file = env::args_os().nth(1).map(File::open).transpose()?;
    let length = file.as_ref().map_or(Ok(1 << 30), |file| file.metadata().map(|found| found.len()))?;
    let mut weights = space.allocate(length, Location::Default)?;
    if let Some(mut file) = file {
        file.read_exact(&mut weights[..length as usize])?;
    }
    println!("{} MiB of weights for {} GPUs", length >> 20, gpus.len());

    // Each region of VRAM gets a part that is as large as the region is among all.
    let layout = Layout::shard(gpus.iter().flat_map(|gpu| regions(gpu)));
    let plan = layout.plan(weights.range())?;
    place(&space, &plan)?;
    let residency = space.residency(weights.range())?;
    let placed = read(&space, &gpus, &plan)?;

    // The same reads of memory of which nothing was wished.
    let plain = space.allocate(length, Location::Default)?;
    let plain = read(&space, &gpus, &layout.plan(plain.range())?)?;

    println!("\n{:57}{:>10}{:>13}{:>10}", "", "in VRAM", "page faults", "without");
    for (index, gpu) in gpus.iter().enumerate() {
        let is_here = |place| matches!(place, Place::Vram { region: Some(region), .. } if region.gpu == gpu.id());
        let bar = bar(&residency, weights.range(), is_here);
        let faults = |counted: &[Option<u64>]| counted[index].map_or("?".to_owned(), |count| count.to_string());
        let mib = residency.bytes(is_here) >> 20;
        println!("gpu {:<3}  {bar}{mib:>6} MiB{:>13}{:>10}", gpu.id().0, faults(&placed), faults(&plain));
    }
    if placed.contains(&None) {
        println!("? Fault counters are in debugfs, which only root can read.");
    }
    Ok(())
}

/// The machine that the environment names; else this host; else, if it has no GPU for this, a simulated one.
fn machine() -> Result<Machine> {
    let machine = match env::var("XEPLACE_MACHINE") {
        Ok(name) => Machine::named(&name)?,
        Err(_) => match Machine::open()? {
            host if host.gpus().iter().any(is_usable) => host,
            _ => {
                println!("No usable xe GPU on this host: simulating {SIMULATED:?}");
                Machine::simulated(SIMULATED)?
            }
        },
    };
    if let Some(simulation) = machine.simulation() {
        simulation.privileged(true); // to read its fault counters
    }
    Ok(machine)
}

fn is_usable(gpu: &Gpu) -> bool {
    gpu.can_mirror() && !gpu.regions().is_empty()
}

/// The VRAM of each tile, weighted by its size.
fn regions(gpu: &Gpu) -> impl Iterator<Item = (Region, u64)> {
    gpu.regions().iter().map(|found| (Region { gpu: gpu.id(), instance: found.instance }, found.total >> 20))
}

/// Tells the GPU of each step where its part shall be, and moves it there.
fn place(space: &Space, plan: &Plan) -> Result<()> {
    let total: u64 = plan.steps.iter().map(|step| step.range.len()).sum();
    let style = ProgressStyle::with_template("prefetch {bar:48}{pos:>6} of {len} MiB").expect("a template");
    let bar = ProgressBar::new(total >> 20).with_style(style.progress_chars("█░"));
    let mut before = 0;
    for step in &plan.steps {
        let Location::Vram(region) = step.location else { continue };
        space.advise(step.range, Advice::prefer(region).for_gpus(&[region.gpu]))?.accepted()?;
        let mut job = space.start_prefetch(step.range, region, &[region.gpu], None)?;
        while !job.step()?.is_done() {
            bar.set_position((before + job.progress().done) >> 20);
        }
        before += step.range.len();
        for stay in job.outcome()?.stays {
            bar.suspend(|| println!("{}: {}", stay.range, stay.obstacle));
        }
    }
    bar.finish();
    Ok(())
}

/// Lets each GPU read its part. Returns the page faults that each GPU took, where they are shown.
fn read(space: &Space, gpus: &[&Gpu], plan: &Plan) -> Result<Vec<Option<u64>>> {
    let count = || gpus.iter().map(|gpu| gpu.counters().ok().map(|counters| counters.page_faults));
    let before: Vec<_> = count().collect();
    for step in &plan.steps {
        let Location::Vram(region) = step.location else { continue };
        space.touch(region.gpu, step.range, Access::Read)?;
    }
    Ok(count().zip(before).map(|(after, before)| Some(after? - before?)).collect())
}

/// The range from left to right: full where pages are in the wanted place.
fn bar(residency: &Residency, range: Range, wanted: impl Fn(Place) -> bool) -> String {
    let is_full = |column| {
        let address = range.start() + range.len() / COLUMNS * column;
        residency.runs.iter().any(|run| run.range.contains(address) && wanted(run.place))
    };
    (0..COLUMNS).map(|column| if is_full(column) { '█' } else { '░' }).collect()
}
