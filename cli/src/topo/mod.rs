// SPDX-License-Identifier: MIT OR Apache-2.0
//! `xeplace topo`.

mod json;
mod probe;
mod table;

use crate::{Answer, page::Page, target::Target};
use std::error::Error;
use xeplace::{Gpu, Group, Machine, MemoryRegion};

/// What is shown of a machine.
struct Topology {
    machine: Machine,
    /// VRAM of each GPU with its use as it is now; as it was at discovery where that cannot be had.
    regions: Vec<Vec<MemoryRegion>>,
    groups: Vec<Group>,
}

pub fn run(target: &Target, mut page: Page, json: bool, probe: bool) -> Result<Answer, Box<dyn Error>> {
    let machine = target.open()?;
    if probe {
        probe::all(&machine);
    }
    let topology = Topology::of(machine);
    if json {
        return Ok(Answer { text: json::text(&topology, target)?, well: true });
    }
    table::show(&topology, target, &mut page);
    Ok(Answer { text: page.into_text(), well: true })
}

impl Topology {
    fn of(machine: Machine) -> Topology {
        let regions = machine.gpus().iter().map(|gpu| gpu.usage().unwrap_or_else(|_| gpu.regions().to_vec()));
        Topology { regions: regions.collect(), groups: machine.groups(), machine }
    }

    /// Which of the groups a GPU is in.
    fn group(&self, gpu: &Gpu) -> Option<usize> {
        self.groups.iter().position(|group| group.gpus.contains(&gpu.id()))
    }
}
