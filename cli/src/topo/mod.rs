// SPDX-License-Identifier: MIT OR Apache-2.0
//! `xeplace topo`.

mod dot;
mod hwloc;
mod json;
mod meeting;
mod pairs;
mod probe;
mod svg;
mod table;
mod tone;
mod tree;
mod way;

use crate::{
    Answer,
    arguments::{Topo, TopoFormat},
    page::Page,
    target::Target,
    words,
};
use meeting::Meeting;
use std::{error::Error, fs, path::Path};
use way::Way;
use xeplace::{Gpu, GpuId, Group, Machine, MemoryRegion};

/// What is shown of a machine.
struct Topology {
    machine: Machine,
    /// VRAM of each GPU with its use as it is now; as it was at discovery where that cannot be had.
    regions: Vec<Vec<MemoryRegion>>,
    groups: Vec<Group>,
    /// Of each GPU.
    ways: Vec<Way>,
}

/// GPUs up to which each pair is shown: a matrix of more does not fit on a screen.
const MATRIX: usize = 16;

pub fn run(target: &Target, page: Page, arguments: &Topo) -> Result<Answer, Box<dyn Error>> {
    let machine = target.open()?;
    if arguments.probe {
        probe::all(&machine);
    }
    let topology = Topology::of(machine);
    let output = arguments.output.as_deref().filter(|file| *file != Path::new("-"));
    let page = if output.is_some() { Page::plain() } else { page };
    let text = text(&topology, target, page, &arguments.format)?;
    match output {
        None => Ok(Answer { text, well: true }),
        Some(file) => {
            fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok(Answer { text: String::new(), well: true })
        }
    }
}

fn text(topology: &Topology, target: &Target, mut page: Page, format: &TopoFormat) -> Result<String, Box<dyn Error>> {
    Ok(match format {
        TopoFormat { json: true, .. } => json::text(topology, target)?,
        TopoFormat { dot: true, .. } => dot::text(topology, target),
        TopoFormat { svg: true, .. } => svg::text(topology, target),
        TopoFormat { hwloc: true, .. } => hwloc::text(topology)?,
        _ => {
            table::show(topology, target, &mut page);
            page.into_text()
        }
    })
}

impl Topology {
    fn of(machine: Machine) -> Topology {
        let regions = machine.gpus().iter().map(|gpu| gpu.usage().unwrap_or_else(|_| gpu.regions().to_vec()));
        let ways = machine.gpus().iter().map(Way::of).collect();
        Topology { regions: regions.collect(), groups: machine.groups(), ways, machine }
    }

    /// A GPU of this machine.
    fn gpu(&self, id: GpuId) -> &Gpu {
        &self.machine.gpus()[id.0 as usize]
    }

    fn meeting(&self, from: &Gpu, to: &Gpu) -> Meeting {
        let way = |gpu: &Gpu| &self.ways[gpu.id().0 as usize];
        way(from).meets(way(to))
    }

    /// How much there is of it.
    fn title(&self) -> String {
        let gpus = words::count(self.machine.gpus().len(), "GPU");
        format!("{gpus}, {}", words::count(self.groups.len(), "interconnect group"))
    }

    /// What a picture says of a GPU beside its name.
    fn details(&self, gpu: &Gpu) -> Vec<String> {
        let regions = &self.regions[gpu.id().0 as usize];
        let sum = |part: fn(&MemoryRegion) -> u64| regions.iter().map(part).sum::<u64>();
        let (total, visible) = (sum(|region| region.total), sum(|region| region.cpu_visible));
        let mut details = vec![gpu.address().to_string()];
        details.push(if total == 0 { "no VRAM".to_owned() } else { words::size(total) });
        if regions.len() > 1 {
            details.push(words::count(regions.len(), "tile"));
        }
        if visible < total {
            details.push(format!("BAR {}", words::size(visible)));
        }
        details
    }

    /// Which of the groups a GPU is in.
    fn group(&self, gpu: &Gpu) -> Option<usize> {
        self.groups.iter().position(|group| group.gpus.contains(&gpu.id()))
    }
}
