// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seeing where memory is, what was told of it, and why it is not where it was wished.

use super::Space;
use crate::{
    attributes::{AttributeRun, attributes},
    error::Result,
    explain::{self, Case, Explanation},
    location::Location,
    mappings::detailed_mappings,
    range::Range,
    record::State,
    residency::{Confidence, Place, Residency, Run, only_vram},
    vm::Vm,
};
use std::path::Path;

impl<'fd> Space<'fd> {
    /// Where the pages of `range` are now. Nothing is touched, so nothing moves.
    ///
    /// That a page is in VRAM is measured; in whose, only with CAP_SYS_ADMIN or where the machine has one region. Else
    /// the record tells, and the confidence says so. Other threads can move pages meanwhile.
    pub fn residency(&self, range: Range) -> Result<Residency> {
        let pages = self.pages()?;
        let measured = pages.find_regions(pages.residency(range)?)?;
        let mut residency = Residency { runs: Vec::new() };
        let state = self.state()?;
        for run in measured.runs {
            if !matches!(run.place, Place::Vram { region: None, .. }) {
                residency.push(run.range, run.place);
                continue;
            }
            for (part, recorded) in state.record.pieces(run.range) {
                residency.push(part, self.supposed(recorded));
            }
        }
        Ok(residency)
    }

    /// What the kernel says that each vm was told of `range`, vm by vm.
    ///
    /// Just after memory was unmapped it can still show what it is about to reset. [`Error::Unsupported`] if the kernel
    /// does not tell.
    ///
    /// [`Error::Unsupported`]: crate::Error::Unsupported
    pub fn attributes(&self, range: Range) -> Result<Vec<AttributeRun>> {
        let mut found = Vec::new();
        for vm in self.vms()?.iter().filter(|vm| vm.is_made()) {
            found.extend(attributes(self.machine(), vm, range)?);
        }
        Ok(found)
    }

    /// For each run of `range` that is not where it was wished through this space: everything that is in the way.
    pub fn explain(&self, range: Range) -> Result<Vec<Explanation>> {
        let residency = self.residency(range)?;
        let vms = self.vms()?;
        let made: Vec<&Vm<'_>> = vms.iter().map(|vm| &**vm).filter(|vm| vm.is_made()).collect();
        let mappings = detailed_mappings(self.machine().files(), Path::new("/proc/self"), range)?;
        let attributes = self.attributes(range).unwrap_or_default();
        let guarded = self.pages()?.guards(range)?;
        let mut explanations = Vec::new();
        for run in residency.runs {
            for (part, wished, told) in self.wished(run.range)? {
                if explain::is_as_wished(wished, run.place) {
                    continue;
                }
                let vms: Vec<&Vm<'_>> = made.iter().copied().filter(|vm| told.contains(&vm.id())).collect();
                let attributes: Vec<AttributeRun> =
                    attributes.iter().copied().filter(|run| told.contains(&run.vm)).collect();
                for (part, mappings) in by_mapping(part, &mappings) {
                    let run = Run { range: part, ..run };
                    let case = Case { run, wished, vms: &vms, mappings, attributes: &attributes, guarded: &guarded };
                    explanations.push(explain::explain(self.machine(), &case)?);
                }
            }
        }
        Ok(explanations)
    }

    /// The parts of `range` of which a location was wished, each with it and the vms that were told it.
    fn wished(&self, range: Range) -> Result<Vec<(Range, Location, Vec<crate::vm::VmId>)>> {
        let state = self.state()?;
        let mut wished = Vec::new();
        for (part, recorded) in state.record.inside(range) {
            let told = recorded.wishes().iter().filter(|(_, wish)| wish.location != Location::Default);
            if let Some((_, first)) = told.clone().next() {
                let alike = told.filter(|(_, wish)| wish.location == first.location).map(|(vm, _)| *vm).collect();
                wished.push((part, first.location, alike));
            }
        }
        Ok(wished)
    }

    /// Which region pages in VRAM are supposed to be in.
    fn supposed(&self, recorded: Option<&State>) -> Place {
        let found = |region, confidence| Place::Vram { region: Some(region), confidence };
        if let Some(only) = only_vram(self.machine()) {
            return only;
        }
        let Some(recorded) = recorded else { return Place::Vram { region: None, confidence: Confidence::Unknown } };
        if let Some(Location::Vram(region)) = recorded.placed {
            return found(region, Confidence::Prefetched);
        }
        let mut wished = recorded.wishes().iter().filter_map(|(_, wish)| match wish.location {
            Location::Vram(region) => Some(region),
            _ => None,
        });
        match wished.next() {
            Some(region) if wished.all(|other| other == region) => found(region, Confidence::Wished),
            _ => Place::Vram { region: None, confidence: Confidence::Unknown },
        }
    }
}

/// Parts of `range` as the mappings cut it, each with its mapping; unmapped parts with none.
fn by_mapping(range: Range, mappings: &[crate::mappings::Mapped]) -> Vec<(Range, &[crate::mappings::Mapped])> {
    let mut parts = Vec::new();
    let mut from = range.start();
    for (index, mapping) in mappings.iter().enumerate() {
        let Some(part) = mapping.range.intersection(range) else { continue };
        parts.extend(Range::between(from, part.start()).map(|hole| (hole, &mappings[..0])));
        parts.push((part, &mappings[index..=index]));
        from = part.end();
    }
    parts.extend(Range::between(from, range.end()).map(|hole| (hole, &mappings[..0])));
    parts
}
