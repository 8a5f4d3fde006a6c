// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether GPUs reach each other.

use super::finding::{Finding, Level};
use crate::{
    causes::{Causes, Trouble},
    words,
};
use xeplace::{Gpu, GpuId, Machine, Reason, Support};

pub fn examine(machine: &Machine) -> Vec<Finding> {
    let discrete: Vec<&Gpu> = machine.gpus().iter().filter(|gpu| !gpu.regions().is_empty()).collect();
    if discrete.len() < 2 {
        return Vec::new();
    }
    let mut causes = Causes::default();
    let mut findings = Vec::new();
    for from in &discrete {
        for to in discrete.iter().filter(|to| to.id() != from.id()) {
            match machine.link(from.id(), to.id()) {
                Ok(link) => drop(causes.add(from.id(), to.id(), &link)),
                Err(error) if findings.is_empty() => {
                    findings.push(Finding::new(Level::Warning, "links", format!("cannot be looked at: {error}")))
                }
                Err(_) => {}
            }
        }
    }
    if causes.0.is_empty() && findings.is_empty() {
        let idle = discrete.iter().any(|gpu| lacks_multi_device(gpu));
        return vec![if idle {
            let sentence = "all GPUs with VRAM could use each other's, if their driver knew how to be told so";
            Finding::new(Level::Note, "links", sentence)
        } else {
            Finding::new(Level::Ok, "links", "all GPUs with VRAM can use each other's")
        }];
    }
    // What makes VRAM useless to peers is told of the GPU that has it.
    for cause in causes.0.iter().filter(|cause| cause.trouble != Trouble::SmallBar) {
        let level = if cause.trouble == Trouble::ProbablyYes { Level::Note } else { Level::Warning };
        let sentence = format!("{}: {}", between(&cause.pairs), cause.sentence());
        findings.push(Finding::new(level, "links", sentence).remedy(cause.remedy()));
    }
    let redirected = causes.0.iter().any(|cause| matches!(cause.reason, Reason::AcsRedirect(_)));
    let groups = machine.files().list("/sys/kernel/iommu_groups").unwrap_or_default();
    if redirected && !groups.is_empty() {
        let sentence = "an IOMMU is active; the kernel then switches ACS redirect on at every bridge that has it";
        let remedy = "if nothing here needs isolation, booting without the IOMMU is a remedy too";
        findings.push(Finding::new(Level::Note, "iommu", sentence).remedy(Some(remedy)));
    }
    findings
}

fn lacks_multi_device(gpu: &Gpu) -> bool {
    gpu.capabilities().is_ok_and(|known| known.multi_device == Support::Unsupported)
}

/// `gpus 0-3 to gpus 4-7`, or `among gpus 0-3`.
fn between(pairs: &[(GpuId, GpuId)]) -> String {
    let distinct = |mut gpus: Vec<GpuId>| {
        gpus.sort();
        gpus.dedup();
        gpus
    };
    let from = distinct(pairs.iter().map(|(from, _)| *from).collect());
    let to = distinct(pairs.iter().map(|(_, to)| *to).collect());
    let first = from.first().map_or(Vec::new(), |first| {
        distinct(pairs.iter().filter(|(from, _)| from == first).map(|(_, to)| *to).collect())
    });
    let rest: Vec<GpuId> = from.iter().copied().filter(|gpu| !first.contains(gpu)).collect();
    let crosses = pairs.iter().all(|(from, to)| rest.contains(from) != rest.contains(to));
    if from == to && crosses {
        return format!("{} and {}", words::gpus(&rest), words::gpus(&first));
    }
    if from == to {
        format!("among {}", words::gpus(&from))
    } else {
        format!("{} to {}", words::gpus(&from), words::gpus(&to))
    }
}
