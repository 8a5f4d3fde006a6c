// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host around the GPUs.

use super::finding::{Finding, Level};
use crate::{target::Target, words};
use xeplace::{GpuId, Machine, PAGE};

/// The kernel. A machine that could be opened has pages of the one size that the library supports.
pub fn kernel(machine: &Machine) -> Option<Finding> {
    let release = machine.files().text("/proc/sys/kernel/osrelease").ok()?;
    Some(Finding::new(Level::Ok, "kernel", format!("Linux {release}, pages of {PAGE} bytes")))
}

pub fn examine(machine: &Machine, target: &Target) -> Vec<Finding> {
    if machine.gpus().is_empty() {
        return Vec::new();
    }
    let findings = [paging(machine), swap(machine), frames(machine, target), counters(machine)];
    findings.into_iter().flatten().collect()
}

/// Linux shows the flag only where it uses five levels.
fn paging(machine: &Machine) -> Option<Finding> {
    let text = machine.files().text("/proc/cpuinfo").ok()?;
    let flags = text.lines().find(|line| line.starts_with("flags"))?;
    let five = flags.split_whitespace().any(|flag| flag == "la57");
    Some(match five {
        false => Finding::new(Level::Ok, "paging", "four-level paging"),
        true => {
            let sentence = "five-level paging: Intel's compute runtime then turns shared system memory off, so that \
                            its vms do not mirror a process and cannot be adopted";
            Finding::new(Level::Warning, "paging", sentence).remedy(Some("boot with no5lvl"))
        }
    })
}

fn swap(machine: &Machine) -> Option<Finding> {
    let text = machine.files().text("/proc/swaps").ok()?;
    let areas = text.lines().count().saturating_sub(1);
    Some(match areas {
        0 => Finding::new(Level::Ok, "swap", "none: pages in VRAM cannot be mistaken for swapped ones"),
        _ => Finding::new(
            Level::Note,
            "swap",
            format!(
                "{} in use: a page in VRAM looks like a swapped one, and telling them apart costs a further system call",
                words::count(areas, "area")
            ),
        ),
    })
}

/// Whether it can be measured in whose VRAM a page is.
fn frames(machine: &Machine, target: &Target) -> Option<Finding> {
    let regions: usize = machine.gpus().iter().map(|gpu| gpu.regions().len()).sum();
    if regions < 2 {
        return Some(Finding::new(Level::Ok, "residency", "exact: there is one VRAM at most"));
    }
    let text = machine.files().text("/proc/iomem").ok()?;
    let is_shown =
        |line: &str| line.split('-').next().is_some_and(|start| start.trim().bytes().any(|digit| digit != b'0'));
    Some(match text.lines().any(is_shown) {
        true => Finding::new(Level::Ok, "residency", "exact: page frames and their addresses are shown to this user"),
        false => {
            let who = if target.is_host() { "this user" } else { "an ordinary user" };
            let sentence = format!(
                "that pages are in VRAM is measured; in whose is known from what was asked for only, as {who} is not \
                 shown page frames"
            );
            Finding::new(Level::Note, "residency", sentence).remedy(Some("CAP_SYS_ADMIN makes it exact"))
        }
    })
}

fn counters(machine: &Machine) -> Option<Finding> {
    let refused: Vec<(GpuId, String)> = machine
        .gpus()
        .iter()
        .filter_map(|gpu| gpu.counters().err().map(|error| (gpu.id(), error.to_string())))
        .collect();
    let Some((_, why)) = refused.first() else {
        return Some(Finding::new(Level::Ok, "counters", "fault counters can be read"));
    };
    let gpus: Vec<GpuId> = refused.iter().map(|(gpu, _)| *gpu).collect();
    let sentence = format!("fault counters of {} cannot be read: {why}", words::gpus(&gpus));
    Some(Finding::new(Level::Note, "counters", sentence).remedy(Some("they are in debugfs, which root can read")))
}
