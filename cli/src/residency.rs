// SPDX-License-Identifier: MIT OR Apache-2.0
//! `xeplace residency`.

use crate::{
    Answer,
    page::{Ink, Page},
    target::Target,
    words,
};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::{collections::BTreeMap, error::Error};
use xeplace::{Machine, Place, ProcessMapping, Range, Region, Run};

pub fn run(
    target: &Target,
    mut page: Page,
    pid: u32,
    range: Option<Range>,
    json: bool,
) -> Result<Answer, Box<dyn Error>> {
    let machine = target.open()?;
    let mappings =
        machine.process_residency(pid, range.unwrap_or(Range::ALL)).map_err(|error| match error.errno() {
            EACCES | EPERM => format!("{error}: another user's process needs CAP_SYS_PTRACE"),
            _ => error.to_string(),
        })?;
    if let (Some(range), true) = (range, mappings.is_empty()) {
        return Err(format!("{range}: nothing is mapped there in process {pid}").into());
    }
    if json {
        return Ok(Answer { text: document(pid, &mappings)?, well: true });
    }
    let name = machine.files().text(format!("/proc/{pid}/comm")).unwrap_or_default();
    show(&machine, &format!("process {pid} {name}"), &mappings, &mut page);
    Ok(Answer { text: page.into_text(), well: true })
}

// <asm-generic/errno-base.h>
const EPERM: i32 = 1;
const EACCES: i32 = 13;

/// Where bytes can be, in the order of the columns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    System,
    Vram(Region),
    SomeVram,
    Swapped,
    Absent,
    Guard,
}

impl Column {
    fn of(place: Place) -> Column {
        match place {
            Place::Vram { region: Some(region), .. } => Column::Vram(region),
            Place::Vram { region: None, .. } => Column::SomeVram,
            Place::System => Column::System,
            Place::Swapped => Column::Swapped,
            Place::Guard => Column::Guard,
            _ => Column::Absent,
        }
    }

    fn name(self) -> String {
        match self {
            Column::System => "system".to_owned(),
            Column::Vram(region) => region.to_string(),
            Column::SomeVram => "some vram".to_owned(),
            Column::Swapped => "swapped".to_owned(),
            Column::Absent => "absent".to_owned(),
            Column::Guard => "guard".to_owned(),
        }
    }
}

/// Bytes by place.
fn sums(mapping: &ProcessMapping) -> BTreeMap<Column, u64> {
    let mut sums = BTreeMap::new();
    for run in &mapping.residency.runs {
        *sums.entry(Column::of(run.place)).or_default() += run.range.len();
    }
    sums
}

fn show(machine: &Machine, process: &str, mappings: &[ProcessMapping], page: &mut Page) {
    let rows: Vec<BTreeMap<Column, u64>> = mappings.iter().map(sums).collect();
    let mut totals: BTreeMap<Column, u64> = BTreeMap::new();
    for (column, bytes) in rows.iter().flatten() {
        *totals.entry(*column).or_default() += bytes;
    }
    page.line(format!("{}: {}", process.trim(), words::count(mappings.len(), "mapping")));
    page.line("");
    page.table(&table(mappings, &rows, &totals));
    if totals.contains_key(&Column::SomeVram) {
        page.line("");
        remarks(machine, mappings, page);
    }
}

fn table(mappings: &[ProcessMapping], rows: &[BTreeMap<Column, u64>], totals: &BTreeMap<Column, u64>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let sizes = |sums: &BTreeMap<Column, u64>| -> Vec<String> {
        totals.keys().map(|column| sums.get(column).map_or(String::new(), |bytes| words::size(*bytes))).collect()
    };
    let row = |first: String, sums: Vec<String>, last: String| -> Vec<String> {
        [first].into_iter().chain(sums).chain([last]).collect()
    };
    table.set_header(row(
        "Addresses".to_owned(),
        totals.keys().map(|column| column.name()).collect(),
        "Memory".to_owned(),
    ));
    for (mapping, sums) in mappings.iter().zip(rows) {
        let addresses = format!("{:x}-{:x}", mapping.range.start(), mapping.range.end());
        let name = if mapping.name.is_empty() { mapping.backing.to_string() } else { mapping.name.clone() };
        table.add_row(row(addresses, sizes(sums), name));
    }
    table.add_row(row("in all".to_owned(), sizes(totals), String::new()));
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if (1..=totals.len()).contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// What is not known of pages in some VRAM.
fn remarks(machine: &Machine, mappings: &[ProcessMapping], page: &mut Page) {
    let mark = page.paint(Ink::Bold, "some vram") + " ";
    let text = match machine.gpus().iter().all(|gpu| gpu.regions().is_empty()) {
        true => {
            "pages that are neither in memory nor swapped out, on a machine without VRAM: on their way at that moment"
        }
        false => "in whose VRAM is told with CAP_SYS_ADMIN only",
    };
    page.paragraph(&mark, 10, text);
    let swapped: u64 = mappings.iter().map(|mapping| mapping.swapped_among_vram).sum();
    if swapped > 0 {
        let text = format!("{} of it are swapped out; which, is told with CAP_SYS_ADMIN only", words::size(swapped));
        page.paragraph("          ", 10, &text);
    }
}

#[derive(Serialize)]
struct Document<'a> {
    xeplace: &'static str,
    pid: u32,
    mappings: Vec<MappingEntry<'a>>,
}

#[derive(Serialize)]
struct MappingEntry<'a> {
    start: u64,
    end: u64,
    backing: String,
    name: &'a str,
    swapped_among_vram: u64,
    runs: Vec<RunEntry>,
}

#[derive(Serialize)]
struct RunEntry {
    start: u64,
    end: u64,
    /// system, vram, swapped, absent or guard.
    place: &'static str,
    /// Of VRAM, if that is known.
    gpu: Option<u32>,
    instance: Option<u16>,
}

fn document(pid: u32, mappings: &[ProcessMapping]) -> serde_json::Result<String> {
    let mappings = mappings.iter().map(MappingEntry::of).collect();
    Ok(serde_json::to_string_pretty(&Document { xeplace: env!("CARGO_PKG_VERSION"), pid, mappings })? + "\n")
}

impl MappingEntry<'_> {
    fn of(mapping: &ProcessMapping) -> MappingEntry<'_> {
        MappingEntry {
            start: mapping.range.start(),
            end: mapping.range.end(),
            backing: mapping.backing.to_string(),
            name: &mapping.name,
            swapped_among_vram: mapping.swapped_among_vram,
            runs: mapping.residency.runs.iter().map(RunEntry::of).collect(),
        }
    }
}

impl RunEntry {
    fn of(run: &Run) -> RunEntry {
        let (place, region) = match Column::of(run.place) {
            Column::System => ("system", None),
            Column::Vram(region) => ("vram", Some(region)),
            Column::SomeVram => ("vram", None),
            Column::Swapped => ("swapped", None),
            Column::Absent => ("absent", None),
            Column::Guard => ("guard", None),
        };
        let (gpu, instance) = (region.map(|region| region.gpu.0), region.map(|region| region.instance));
        RunEntry { start: run.range.start(), end: run.range.end(), place, gpu, instance }
    }
}
