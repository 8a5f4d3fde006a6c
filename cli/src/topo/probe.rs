// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asking the kernel about each pair.

use crate::words;
use std::{
    collections::BTreeMap,
    io::{self, Write},
};
use xeplace::{Gpu, Machine};

/// Asks about each pair whose second GPU has VRAM, and says before what that costs. A pair about which the kernel does
/// not answer keeps its prediction.
pub fn all(machine: &Machine) {
    if machine.gpus().len() < 2 {
        return;
    }
    let has_vram = |gpu: &&Gpu| !gpu.regions().is_empty();
    let vram: u64 = machine.gpus().iter().flat_map(Gpu::regions).map(|region| region.total).sum();
    tell(&format!(
        "asking the kernel: it makes the memory map of each GPU's VRAM, {} of system memory in all, which stays until \
         memory gets short; and it logs a warning for each GPU out of reach",
        words::size(vram / 64)
    ));
    let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
    for from in machine.gpus() {
        for to in machine.gpus().iter().filter(has_vram).filter(|to| to.id() != from.id()) {
            if let Err(error) = machine.probe_link(from.id(), to.id()) {
                *refusals.entry(error.to_string()).or_default() += 1;
            }
        }
    }
    for (why, pairs) in refusals {
        tell(&format!("no answer for {}: {why}", words::count(pairs, "pair")));
    }
}

fn tell(text: &str) {
    // Nobody has to listen.
    let _ = writeln!(io::stderr(), "xeplace: {text}");
}
