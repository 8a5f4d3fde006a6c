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
    let unknown = |place| matches!(place, Place::Vram { region: None, .. });
    let doubtful = measured.bytes(unknown);
    let all_swapped = doubtful <= found.swapped;
    let only = only_vram(machine);
    let mut residency = Residency { runs: Vec::new() };
    for run in measured.runs {
        let place = match run.place {
            place if !unknown(place) => place,
            _ if all_swapped => Place::Swapped,
            place => only.unwrap_or(place),
        };
        if let Some(inside) = run.range.intersection(part) {
            residency.push(inside, place);
        }
    }
    let swapped_among_vram = if all_swapped { 0 } else { found.swapped };
    Ok(ProcessMapping { range: part, backing: found.mapped.backing, name: found.name, residency, swapped_among_vram })
}
