// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the GPUs' drivers can do.

use super::finding::{Finding, Level};
use crate::words;
use xeplace::{GpuId, Machine, Support};

/// A feature of [`xeplace::Capabilities`]: what is lost without it, and since when mainline has it.
struct Feature {
    name: &'static str,
    without: &'static str,
    since: &'static str,
    /// For a machine on which no GPU has it; one level less where some GPUs have it.
    level: Level,
}

/// Versions are those in which the calls appeared in Linux.
const FEATURES: [Feature; 10] = [
    feature("mirror", "no shared virtual memory, so nothing can be placed", "6.15", Level::Problem),
    feature("preferred_location", "no location can be preferred", "6.18", Level::Problem),
    feature("multi_device", "no GPU can be told to use another one's VRAM", "7.0", Level::Warning),
    feature("atomic", "no atomic mode can be set", "6.18", Level::Note),
    feature("pat", "no PAT index can be set", "6.18", Level::Note),
    feature("migration_policy", "no migration policy is taken", "6.18", Level::Note),
    feature("purgeable", "buffers cannot be marked as purgeable", "7.1", Level::Note),
    feature("attribute_query", "what a vm was told cannot be read back", "6.18", Level::Warning),
    feature("prefetch_consult", "pages cannot be mapped for a GPU where they are", "6.18", Level::Warning),
    feature("autoreset", "freed memory keeps its advice until it is reset", "6.19", Level::Note),
];

const fn feature(name: &'static str, without: &'static str, since: &'static str, level: Level) -> Feature {
    Feature { name, without, since, level }
}

pub fn examine(machine: &Machine) -> Vec<Finding> {
    let mut known = Vec::new();
    let mut findings = Vec::new();
    for gpu in machine.gpus() {
        match gpu.capabilities() {
            Ok(capabilities) => known.push((gpu.id(), capabilities.list())),
            Err(error) => {
                findings.push(Finding::new(Level::Problem, "features", format!("{gpu} does not answer: {error}")))
            }
        }
    }
    let with = |name: &str, wanted: Support| -> Vec<GpuId> {
        let has = |list: &[(&str, Support)]| list.iter().any(|(found, support)| *found == name && *support == wanted);
        known.iter().filter(|(_, list)| has(list)).map(|(gpu, _)| *gpu).collect()
    };
    for (support, level, meaning) in [
        (Support::Enforced, Level::Ok, "enforced by"),
        (Support::AcceptedOnly, Level::Note, "accepted, and not acted on, by"),
        (Support::Unprobed, Level::Note, "not asked, as that takes a vm that costs memory, of"),
    ] {
        let named = FEATURES.iter().map(|feature| (feature.name, with(feature.name, support)));
        findings.extend(alike(named.collect(), level, meaning));
    }
    let several = machine.gpus().iter().filter(|gpu| !gpu.regions().is_empty()).count() > 1;
    for feature in FEATURES.iter().filter(|feature| several || feature.name != "multi_device") {
        findings.extend(missing(feature, &with(feature.name, Support::Unsupported), known.len()));
    }
    findings
}

/// A finding for each set of GPUs that have some features alike.
fn alike(named: Vec<(&'static str, Vec<GpuId>)>, level: Level, meaning: &str) -> Vec<Finding> {
    let mut sets: Vec<(Vec<GpuId>, Vec<&'static str>)> = Vec::new();
    for (name, gpus) in named.into_iter().filter(|(_, gpus)| !gpus.is_empty()) {
        match sets.iter_mut().find(|(found, _)| *found == gpus) {
            Some((_, names)) => names.push(name),
            None => sets.push((gpus, vec![name])),
        }
    }
    let finding = |(gpus, names): (Vec<GpuId>, Vec<&str>)| {
        Finding::new(level, "features", format!("{meaning} {}: {}", words::gpus(&gpus), names.join(", ")))
    };
    sets.into_iter().map(finding).collect()
}

fn missing(feature: &Feature, gpus: &[GpuId], all: usize) -> Option<Finding> {
    if gpus.is_empty() {
        return None;
    }
    let level = match feature.level {
        Level::Problem if gpus.len() < all => Level::Warning,
        level => level,
    };
    let sentence = format!("unsupported by {}: {}: {}", words::gpus(gpus), feature.name, feature.without);
    let remedy = match feature.name {
        "mirror" => {
            "Linux 6.15 with CONFIG_DRM_XE_GPUSVM, on Ponte Vecchio, Lunar Lake, Battlemage or later".to_owned()
        }
        _ => format!("Linux {} or later", feature.since),
    };
    Some(Finding::new(level, "features", sentence).remedy(Some(remedy)))
}
