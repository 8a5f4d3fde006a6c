// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine as tables for a terminal.

use super::{
    MATRIX, Topology,
    meeting::Meeting,
    pairs::{Linked, Pair, Pairs},
};
use crate::{
    causes::{Cause, Causes, Trouble},
    page::{Ink, Page},
    target::Target,
    words,
};
use comfy_table::{CellAlignment, Table, presets};
use std::collections::BTreeMap;
use xeplace::{GpuId, Verdict};

/// Columns of a cell in the matrix.
const CELL: usize = 8;

pub fn show(topology: &Topology, target: &Target, page: &mut Page) {
    let gpus = topology.machine.gpus();
    page.line(format!("{target}: {}", topology.title()));
    if !gpus.is_empty() {
        page.line("");
        page.table(&listing(topology));
    }
    unusable(topology, page);
    match gpus.len() {
        0 => page.line("No usable GPU of the xe driver: `xeplace doctor` says what was looked at."),
        1 => {}
        2..=MATRIX => matrix(topology, page),
        _ => groups_in_short(topology, page),
    }
}

fn listing(topology: &Topology) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "GPU",
        "PCI address",
        "Name",
        "VRAM",
        "Used",
        "Behind BAR",
        "Tiles",
        "Node",
        "PCIe",
        "",
        "Group",
    ]);
    for (gpu, regions) in topology.machine.gpus().iter().zip(&topology.regions) {
        let sum = |part: fn(&xeplace::MemoryRegion) -> u64| regions.iter().map(part).sum::<u64>();
        let (total, visible) = (sum(|region| region.total), sum(|region| region.cpu_visible));
        let pcie = gpu.pcie();
        table.add_row([
            gpu.id().0.to_string(),
            gpu.address().to_string(),
            gpu.name().to_owned(),
            if total == 0 { "none".to_owned() } else { words::size(total) },
            if total == 0 { String::new() } else { words::size(sum(|region| region.used)) },
            match visible {
                _ if total == 0 => String::new(),
                visible if visible >= total => "all".to_owned(),
                visible => words::size(visible),
            },
            regions.len().to_string(),
            gpu.numa_node().map_or("-".to_owned(), |node| node.to_string()),
            pcie.map_or("-".to_owned(), |link| words::generation(&link)),
            pcie.map_or(String::new(), |link| words::speed(link.bytes_per_second())),
            topology.group(gpu).map_or("-".to_owned(), words::letters),
        ]);
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if [0, 3, 4, 5, 6, 7, 9].contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn unusable(topology: &Topology, page: &mut Page) {
    for found in topology.machine.unusable() {
        let address = found.address.map_or(String::new(), |address| format!("{address}, "));
        let text = format!("({address}{}): {}", found.node.display(), found.reason);
        let head = format!("{} ", page.paint(Ink::Red, "cannot be used"));
        page.paragraph(&head, "cannot be used ".len(), &text);
    }
}

/// Each pair: rows use the VRAM of columns.
fn matrix(topology: &Topology, page: &mut Page) {
    let gpus = topology.machine.gpus();
    let pairs = Pairs::of(topology);
    page.line("");
    page.line(page.paint(Ink::Bold, "Links: the GPU of a row uses the VRAM of the GPU of a column"));
    let heads: String = gpus.iter().map(|gpu| format!("{:>CELL$}", gpu.id().0)).collect();
    page.line(page.paint(Ink::Bold, format!("   {heads}")));
    for (from, row) in gpus.iter().zip(pairs.rows()) {
        let cells = row.iter().map(|pair| page.paint(pair.ink(), format!("{:>CELL$}", cell(pair))));
        let cells: String = cells.collect();
        page.line(page.paint(Ink::Bold, format!("{:>3}", from.id().0)) + &cells);
    }
    page.line("");
    legend(&ways(&pairs), &pairs.causes, gpus.iter().any(|gpu| gpu.regions().is_empty()), page);
    footnotes(&pairs.causes, page);
}

fn cell(pair: &Pair) -> String {
    pair.symbol() + &pair.note().map_or(String::new(), |place| format!("[{}]", place + 1))
}

/// Connected pairs by the number of hops, and where they meet.
type Ways = BTreeMap<(u32, Meeting), Vec<f64>>;

/// How fast they are.
fn ways(pairs: &Pairs) -> Ways {
    let mut ways = Ways::new();
    for pair in pairs.rows().iter().flatten() {
        let Pair::Linked(Linked { link, meeting, .. }) = pair else { continue };
        if let (Verdict::Connected, Some(hops)) = (link.verdict, link.hops) {
            ways.entry((hops, *meeting)).or_default().extend(link.bandwidth);
        }
    }
    ways
}

fn legend(ways: &Ways, causes: &[Cause], some_have_none: bool, page: &mut Page) {
    for ((hops, meeting), speeds) in ways {
        let slowest = speeds.iter().copied().reduce(f64::min);
        let fastest = speeds.iter().copied().reduce(f64::max);
        let speed = match (slowest, fastest) {
            (Some(slowest), Some(fastest)) if words::speed(slowest) == words::speed(fastest) => {
                format!(", {} each way", words::speed(slowest))
            }
            (Some(slowest), Some(fastest)) => {
                format!(", {} to {} each way", words::speed(slowest), words::speed(fastest))
            }
            _ => String::new(),
        };
        let symbol = format!("{hops}{}", meeting.mark());
        explain(page, &symbol, &format!("connected, {hops} hops, {}{speed}", meeting.words()));
    }
    let has = |wanted: &[Trouble]| causes.iter().any(|cause| wanted.contains(&cause.trouble));
    if has(&[Trouble::No, Trouble::ProbablyNo]) {
        explain(page, "no", "not connected: the kernel refuses with ENOLINK, and memory travels through the host");
    }
    if has(&[Trouble::SmallBar]) {
        explain(page, "bar", "connected, but not to be used");
    }
    if has(&[Trouble::ProbablyYes, Trouble::ProbablyNo, Trouble::Unknown]) {
        explain(page, "?", "a guess, or unknown");
    }
    if some_have_none {
        explain(page, "none", "that GPU has no VRAM");
    }
}

fn explain(page: &mut Page, symbol: &str, text: &str) {
    page.paragraph(&format!("{symbol:>5}  "), 7, text);
}

pub(super) fn footnotes(causes: &[Cause], page: &mut Page) {
    for (place, cause) in causes.iter().enumerate() {
        let mark = format!("[{}]", place + 1);
        page.paragraph(&format!("{mark:>5}  "), 7, &cause.sentence());
        if let Some(remedy) = cause.remedy() {
            let head = format!("       {} ", page.paint(Ink::Bold, "=>"));
            page.paragraph(&head, 10, &remedy);
        }
    }
}

/// Groups in place of pairs.
fn groups_in_short(topology: &Topology, page: &mut Page) {
    page.line("");
    page.line(page.paint(Ink::Bold, "Interconnect groups: GPUs of one group can use each other's VRAM"));
    for (place, group) in topology.groups.iter().enumerate().filter(|(_, group)| group.gpus.len() > 1) {
        let head = format!("{:>5}  ", words::letters(place));
        page.paragraph(&head, 7, &format!("{} ({})", words::gpus(&group.gpus), group.basis));
    }
    let alone: Vec<GpuId> =
        topology.groups.iter().filter(|group| group.gpus.len() == 1).map(|group| group.gpus[0]).collect();
    if !alone.is_empty() {
        explain(page, "alone", &words::gpus(&alone));
    }
    let causes = of_large(topology);
    if !causes.0.is_empty() {
        page.line("");
        footnotes(&causes.0, page);
    }
}

/// The causes between groups, and those that make a link within one unusable.
fn of_large(topology: &Topology) -> Causes {
    let mut causes = Causes::between_groups(&topology.machine);
    for group in &topology.groups {
        let Some((first, rest)) = group.gpus.split_first() else { continue };
        for to in rest {
            within(topology, *first, *to, &mut causes);
        }
        if let Some(second) = rest.first() {
            within(topology, *second, *first, &mut causes);
        }
    }
    causes
}

fn within(topology: &Topology, from: GpuId, to: GpuId, causes: &mut Causes) {
    let has_vram = topology.machine.gpu(to).is_ok_and(|gpu| !gpu.regions().is_empty());
    if let (true, Ok(link)) = (has_vram, topology.machine.link(from, to)) {
        causes.add(from, to, &link);
    }
}
