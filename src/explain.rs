// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why pages are not where they were wished.

use crate::{
    attributes::{AttributeRun, StoredLocation},
    error::Result,
    interconnect::Verdict,
    location::{Location, Region},
    machine::Machine,
    mappings::{Backing, Mapped},
    obstacle::Obstacle,
    range::{BLOCK, Range},
    residency::{Place, Run},
    vm::{Coverage, Vm},
};

/// Pages that are not where they were wished, and everything that is in the way.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The pages.
    pub range: Range,
    /// Where they were wished.
    pub wished: Location,
    /// Where they are.
    pub place: Place,
    /// What is in the way, the hardest first; never empty.
    pub obstacles: Vec<Obstacle>,
}

/// What one run of pages is judged by.
pub(crate) struct Case<'a, 'fd> {
    pub(crate) run: Run,
    pub(crate) wished: Location,
    /// The vms that were told it.
    pub(crate) vms: &'a [&'a Vm<'fd>],
    pub(crate) mappings: &'a [Mapped],
    pub(crate) attributes: &'a [AttributeRun],
    /// Blocks with guard pages.
    pub(crate) guarded: &'a [Range],
}

/// Whether `place` is what was wished, as far as it was measured.
pub(crate) fn is_as_wished(wished: Location, place: Place) -> bool {
    match (wished, place) {
        (Location::Default, _) => true,
        (Location::System | Location::HostNode(_), place) => {
            matches!(place, Place::System | Place::Swapped | Place::Absent)
        }
        (Location::Vram(wanted), Place::Vram { region, .. }) => region.is_none_or(|region| region == wanted),
        (Location::Vram(_), _) => false,
    }
}

/// Names every obstacle of one run.
pub(crate) fn explain(machine: &Machine, case: &Case<'_, '_>) -> Result<Explanation> {
    let mut obstacles = memory(case);
    if let Location::Vram(region) = case.wished {
        obstacles.extend(target(machine, region, case));
    }
    obstacles.extend(vms(case));
    if obstacles.iter().all(|obstacle| *obstacle == Obstacle::Locked) {
        obstacles.push(if case.run.place == Place::Absent { Obstacle::NeverTouched } else { Obstacle::NotMovedYet });
    }
    Ok(Explanation { range: case.run.range, wished: case.wished, place: case.run.place, obstacles })
}

/// What the memory itself is made of.
fn memory(case: &Case<'_, '_>) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let inside: Vec<&Mapped> =
        case.mappings.iter().filter(|mapping| mapping.range.intersection(case.run.range).is_some()).collect();
    if inside.is_empty() {
        return vec![Obstacle::NotMapped];
    }
    for mapping in inside {
        match mapping {
            found if !found.readable => obstacles.push(Obstacle::NoAccess),
            found if found.backing != Backing::Anonymous => obstacles.push(Obstacle::Backing(found.backing)),
            found if !found.writable => obstacles.push(Obstacle::ReadOnly),
            _ => {}
        }
        if mapping.locked {
            obstacles.push(Obstacle::Locked);
        }
    }
    if case.guarded.iter().any(|guard| guard.blocks().intersection(case.run.range).is_some()) {
        obstacles.push(Obstacle::GuardPage);
    }
    obstacles.dedup();
    obstacles
}

/// What is wrong with the wished VRAM, or with the way to it.
fn target(machine: &Machine, region: Region, case: &Case<'_, '_>) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let Ok(gpu) = machine.owner(region) else { return vec![Obstacle::Lost] };
    if gpu.is_lost() {
        return vec![Obstacle::Lost];
    }
    for vm in case.vms.iter().filter(|vm| vm.gpu() != region.gpu) {
        let Ok(link) = machine.link(vm.gpu(), region.gpu) else { continue };
        if link.verdict == Verdict::NotConnected {
            obstacles.push(Obstacle::NoLink(link.reason.to_string()));
        }
        if vm.device().lacks(|known| known.multi_device) {
            obstacles.push(Obstacle::Unsupported("placement in another GPU's VRAM"));
        }
    }
    let Some(found) =
        gpu.usage().ok().and_then(|found| found.into_iter().find(|found| found.instance == region.instance))
    else {
        return vec![Obstacle::Lost];
    };
    if !found.is_fully_visible() && case.vms.iter().any(|vm| vm.gpu() != region.gpu) {
        obstacles.push(Obstacle::SmallBar { cpu_visible: found.cpu_visible, total: found.total });
    }
    if found.free() < BLOCK.min(case.run.range.len()) {
        obstacles.push(Obstacle::Full { free: found.free(), total: found.total });
    }
    obstacles.dedup();
    obstacles
}

/// Vms that were told something else since, or do not see the range at all.
fn vms(case: &Case<'_, '_>) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for vm in case.vms {
        if vm.mirrors(case.run.range) == Coverage::Nothing {
            obstacles.push(Obstacle::NotMirrored);
        }
    }
    for stored in case.attributes.iter().filter(|stored| stored.range.intersection(case.run.range).is_some()) {
        let wished = match case.wished {
            Location::HostNode(_) => Location::System,
            wished => wished,
        };
        let obstacle = match stored.location {
            StoredLocation::Known(location) if location == wished => continue,
            StoredLocation::Known(location) => Obstacle::OtherWish { vm: stored.vm, location: Some(location) },
            StoredLocation::Foreign(_) => Obstacle::OtherWish { vm: stored.vm, location: None },
        };
        if !obstacles.contains(&obstacle) {
            obstacles.push(obstacle);
        }
    }
    obstacles
}
