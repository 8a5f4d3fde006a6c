// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the memory of another process is.

use crate::{
    error::{Error, Result},
    machine::Machine,
    mappings::{Backing, Described, described_mappings},
    range::Range,
    residency::{PageTable, Place, Residency, only_vram},
};
use std::path::PathBuf;

/// One mapping of a process, or the part of it that was asked about, with where its pages are.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ProcessMapping {
    /// Its addresses.
    pub range: Range,
    /// What its pages are made of.
    pub backing: Backing,
    /// The file, a name of the kernel's in brackets, or nothing.
    pub name: String,
    /// Where its pages are. Without CAP_SYS_ADMIN it is not told in whose VRAM, unless the machine has one region.
    pub residency: Residency,
    /// Bytes that are said to be in VRAM above and are swapped out instead: the kernel tells their number and, without
    /// CAP_SYS_ADMIN, not which they are. Of the whole mapping, also where a part of it was asked about.
    pub swapped_among_vram: u64,
}

impl Machine {
    /// Where the pages of process `pid` in `range` are, mapping by mapping. Nothing is touched, so nothing moves.
    ///
    /// Another process needs the privilege to trace it: else EACCES or EPERM. [`Error::NotFound`] if there is no such
    /// process. A simulated machine has no process but the caller.
    pub fn process_residency(&self, pid: u32, range: Range) -> Result<Vec<ProcessMapping>> {
        let process = match pid == std::process::id() {
            true => PathBuf::from("/proc/self"),
            false => PathBuf::from(format!("/proc/{pid}")),
        };
        if !self.files().exists(process.join("smaps")) {
            return Err(Error::NotFound(format!("process {pid}")));
        }
        let pages = PageTable::open(self, &process)?;
        let described = described_mappings(self.files(), &process)?;
        let wanted = described.into_iter().filter(|found| found.mapped.range.intersection(range).is_some());
        wanted.map(|found| look(self, &pages, found, range)).collect()
    }
}

fn look(machine: &Machine, pages: &PageTable, found: Described, range: Range) -> Result<ProcessMapping> {
    let whole = found.mapped.range;
    let part = whole.intersection(range).unwrap_or(whole);
    // Swapped bytes are told of whole mappings, so the whole has to be looked at where there are any.
    let seen = if found.swapped == 0 { part } else { whole };
    let measured = pages.find_regions(pages.residency(seen)?)?;
    let (told, swapped_among_vram) = without_swapped(measured, found.swapped);
    let mut residency = Residency { runs: Vec::new() };
    for run in told.runs {
        let place = only_vram(machine).filter(|_| is_untold(run.place)).unwrap_or(run.place);
        if let Some(inside) = run.range.intersection(part) {
            residency.push(inside, place);
        }
    }
    Ok(ProcessMapping { range: part, backing: found.mapped.backing, name: found.name, residency, swapped_among_vram })
}

fn is_untold(place: Place) -> bool {
    matches!(place, Place::Vram { region: None, .. })
}

/// Swapped pages look like pages in some VRAM, and `swapped` bytes are swapped. Where these are none or all, it is told
/// which they are; else how many.
fn without_swapped(mut measured: Residency, swapped: u64) -> (Residency, u64) {
    let left = swapped.saturating_sub(measured.bytes(|place| place == Place::Swapped));
    if measured.bytes(is_untold) > left {
        return (measured, left);
    }
    for run in measured.runs.iter_mut().filter(|run| is_untold(run.place)) {
        run.place = Place::Swapped;
    }
    (measured, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        location::{GpuId, Region},
        range::BLOCK,
        residency::{Confidence, Run},
        space::Space,
    };

    /// What is told of `range` of this process, and what of it is in VRAM but swapped.
    fn told(machine: &Machine, range: Range) -> (Vec<(u64, Place)>, u64) {
        let mappings = machine.process_residency(std::process::id(), range).unwrap();
        let runs = mappings.iter().flat_map(|mapping| &mapping.residency.runs);
        let places = runs.map(|run| (run.range.len(), run.place)).collect();
        (places, mappings.iter().map(|mapping| mapping.swapped_among_vram).sum())
    }

    fn vram(gpu: Option<u32>, confidence: Confidence) -> Place {
        let region = gpu.map(|gpu| Region { gpu: GpuId(gpu), instance: 1 });
        Place::Vram { region, confidence }
    }

    #[test]
    fn in_whose_vram_pages_are_is_told_where_it_can_be() {
        for (text, privileged, expected) in [
            ("bmg", false, vram(Some(0), Confidence::Exact)),
            ("2x bmg", false, vram(None, Confidence::Unknown)),
            ("2x bmg", true, vram(Some(0), Confidence::Exact)),
        ] {
            let machine = Machine::simulated(text).unwrap();
            machine.simulation().unwrap().privileged(privileged);
            let space = Space::create(&machine).unwrap();
            let region = machine.gpus()[0].region(0).unwrap();
            let memory = space.allocate(2 * BLOCK, region).unwrap();
            let half = Range::new(memory.range().start(), BLOCK).unwrap();
            assert!(space.prefetch(half, region, &[]).unwrap().is_complete());
            let (places, _) = told(&machine, memory.range());
            assert_eq!(places, [(BLOCK, expected), (BLOCK, Place::Absent)], "{text}");
        }
    }

    #[test]
    fn swapped_pages_are_not_taken_for_pages_in_vram() {
        let machine = Machine::simulated("2x bmg").unwrap();
        let space = Space::create(&machine).unwrap();
        let region = machine.gpus()[0].region(0).unwrap();
        let mut memory = space.allocate(2 * BLOCK, region).unwrap();
        memory.fill(1);
        let [first, second] = [0, BLOCK].map(|at| Range::new(memory.range().start() + at, BLOCK).unwrap());
        machine.simulation().unwrap().swap_out(second);
        assert_eq!(told(&machine, second), (vec![(BLOCK, Place::Swapped)], 0));
        assert!(space.prefetch(first, region, &[]).unwrap().is_complete());
        let some = vram(None, Confidence::Unknown);
        assert_eq!(told(&machine, memory.range()), (vec![(BLOCK, some), (BLOCK, Place::Swapped)], 0));
        machine.simulation().unwrap().privileged(true);
        let exact = vram(Some(0), Confidence::Exact);
        assert_eq!(told(&machine, memory.range()), (vec![(BLOCK, exact), (BLOCK, Place::Swapped)], 0));
    }

    #[test]
    fn of_another_process_only_the_number_of_swapped_bytes_may_be_known() {
        let some = vram(None, Confidence::Unknown);
        let measured = |second| {
            let run = |at, place| Run { range: Range::new(at, BLOCK).unwrap(), place };
            Residency { runs: vec![run(0, some), run(BLOCK, second)] }
        };
        assert_eq!(without_swapped(measured(some), 0), (measured(some), 0));
        assert_eq!(without_swapped(measured(some), BLOCK), (measured(some), BLOCK));
        let all =
            Residency { runs: measured(some).runs.iter().map(|run| Run { place: Place::Swapped, ..*run }).collect() };
        assert_eq!(without_swapped(measured(some), 2 * BLOCK), (all, 0));
        assert_eq!(without_swapped(measured(Place::Swapped), BLOCK), (measured(Place::Swapped), 0));
    }

    #[test]
    fn there_has_to_be_such_a_process() {
        let machine = Machine::simulated("bmg").unwrap();
        let error = machine.process_residency(1 << 30, Range::ALL).unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT);
    }
}
