// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GPUs themselves: whether they can be used, their BARs, and what placing on them costs.

use super::finding::{Finding, Level};
use crate::words;
use std::collections::BTreeMap;
use xeplace::{Gpu, GpuId, Machine, Unusable};

pub fn examine(machine: &Machine) -> Vec<Finding> {
    let mut findings: Vec<Finding> = machine.unusable().iter().map(unusable).collect();
    let (well, gone): (Vec<&Gpu>, Vec<&Gpu>) = machine.gpus().iter().partition(|gpu| gpu.usage().is_ok());
    for gpu in gone {
        let why = gpu.usage().map_or_else(|error| error.to_string(), |_| String::new());
        let remedy = "unbind it from the driver and bind it again, or boot";
        findings.push(Finding::new(Level::Problem, "gpus", format!("{gpu}: {why}")).remedy(Some(remedy)));
    }
    if !well.is_empty() {
        let sentence = format!("{} of the xe driver can be opened", words::count(well.len(), "GPU"));
        findings.push(Finding::new(Level::Ok, "gpus", sentence));
    }
    findings.extend(bars(machine));
    findings.extend(cost(machine));
    findings
}

/// A GPU that is there and cannot be used.
fn unusable(found: &Unusable) -> Finding {
    let address = found.address.map_or(String::new(), |address| format!("{address}, "));
    let sentence = format!("{address}{}: {}", found.node.display(), found.reason);
    Finding::new(Level::Problem, "permissions", sentence).remedy(remedy(found.reason.errno()))
}

/// What helps against an errno of opening a render node.
fn remedy(errno: i32) -> Option<&'static str> {
    match errno {
        EACCES | EPERM => {
            Some("add this user to the group of the render nodes (`usermod -aG render USER`) and log in anew")
        }
        ENOENT => Some("the node is missing in /dev/dri: in a container, pass it in; else see that udev runs"),
        _ => None,
    }
}

// <asm-generic/errno-base.h>
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EACCES: i32 = 13;

/// Peers reach VRAM through the BAR only.
fn bars(machine: &Machine) -> Vec<Finding> {
    let several = machine.gpus().len() > 1;
    let mut findings = Vec::new();
    for gpu in machine.gpus() {
        let (mut visible, mut total) = (0, 0);
        for region in gpu.regions() {
            visible += region.cpu_visible.min(region.total);
            total += region.total;
        }
        if visible == total {
            continue;
        }
        let sentence = format!(
            "{gpu}: {} of {} of VRAM are behind its BAR, so no other GPU may use it",
            words::size(visible),
            words::size(total)
        );
        let level = if several { Level::Warning } else { Level::Note };
        let remedy = "enable Resizable BAR and decoding above 4 GiB in the firmware";
        findings.push(Finding::new(level, "bar", sentence).remedy(Some(remedy)));
    }
    findings
}

/// A vm of the library's own makes the kernel describe all VRAM with `struct page`s: 64 bytes for each 4 KiB.
const SHARE: u64 = 64;

fn cost(machine: &Machine) -> Option<Finding> {
    let mut costs: BTreeMap<u64, Vec<GpuId>> = BTreeMap::new();
    for gpu in machine.gpus().iter().filter(|gpu| gpu.can_mirror()) {
        let total: u64 = gpu.regions().iter().map(|region| region.total).sum();
        costs.entry(total / SHARE).or_default().push(gpu.id());
    }
    costs.remove(&0);
    let all: u64 = costs.iter().map(|(cost, gpus)| cost * gpus.len() as u64).sum();
    if all == 0 {
        return None;
    }
    let each = costs.iter().map(|(cost, gpus)| format!("{} for {}", words::size(*cost), words::each(gpus)));
    let each = each.collect::<Vec<_>>().join(", ");
    let sentence = format!(
        "own vms cost system memory, VRAM/{SHARE}, from the first use on: {each}; {} in all. They keep their GPUs awake",
        words::size(all)
    );
    let available = available(machine);
    let tight = available.is_some_and(|available| all > available / 4);
    let remedy = available.filter(|_| tight).map(|available| {
        format!("only {} are available: make vms on the GPUs that are needed only", words::size(available))
    });
    let level = if tight { Level::Warning } else { Level::Note };
    Some(Finding::new(level, "cost", sentence).remedy(remedy))
}

/// Host memory that can be had, in bytes.
fn available(machine: &Machine) -> Option<u64> {
    let text = machine.files().text("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_may_not_be_opened_has_a_remedy() {
        assert!(remedy(EACCES).unwrap().contains("usermod -aG render"));
        assert!(remedy(ENOENT).unwrap().contains("container"));
        assert_eq!(remedy(0), None);
    }
}
