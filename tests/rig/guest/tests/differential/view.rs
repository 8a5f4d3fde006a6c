// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is seen of a world, in words that are equal where the two machines are: places in the window for addresses,
//! GPUs for descriptors, errnos for sentences.

use crate::{step::Part, window::Window, world::World};
use xeplace::{Confidence, Error, Obstacle, Outcome, Place, Range, Report, uapi::*};

/// Where pages are, and what each vm was told.
pub fn memory(world: &World) -> Vec<String> {
    let mut seen = residency(world);
    seen.extend(attributes(world));
    seen
}

fn residency(world: &World) -> Vec<String> {
    let found = world.space.residency(world.window.whole()).expect("residency");
    let there = found.runs.iter().filter(|run| run.place != Place::Absent);
    let said = |place: Place| match place {
        Place::Vram { confidence, .. } if confidence != Confidence::Exact => format!("{place} ({confidence:?})"),
        place => place.to_string(),
    };
    there.map(|run| format!("{} in {}", at(&world.window, run.range), said(run.place))).collect()
}

/// Why pages are not where they were wished.
pub fn explanations(world: &World) -> Vec<String> {
    let found = world.space.explain(world.window.whole()).expect("an explanation");
    let said = |found: &xeplace::Explanation| {
        let is_of_figures = |obstacle: &&Obstacle| {
            matches!(obstacle, Obstacle::Full { .. } | Obstacle::NeverTouched | Obstacle::NotMovedYet)
        };
        let obstacles: Vec<String> =
            found.obstacles.iter().filter(|obstacle| !is_of_figures(obstacle)).map(obstacle).collect();
        format!("{} not in {}: {}", at(&world.window, found.range), found.wished, obstacles.join(", "))
    };
    found.iter().map(said).collect()
}

/// The kernel's own mappings, not joined: where advice has cut them stays visible.
fn attributes(world: &World) -> Vec<String> {
    let driver = world.driver();
    let mut seen = Vec::new();
    for (vm, gpu) in world.space.members().expect("vms") {
        let whole = world.window.whole();
        let found = world.space.with_handle(vm, |fd, vm_id| -> std::io::Result<Vec<drm_xe_mem_range_attr>> {
            let mut query = drm_xe_vm_query_mem_range_attr {
                vm_id,
                start: whole.start(),
                range: whole.len(),
                ..Default::default()
            };
            driver.vm_query_mem_range_attrs(fd, &mut query, &mut [])?;
            let mut found = vec![drm_xe_mem_range_attr::default(); query.num_mem_ranges as usize];
            if !found.is_empty() {
                driver.vm_query_mem_range_attrs(fd, &mut query, &mut found)?;
            }
            Ok(found)
        });
        match found {
            Ok(Ok(found)) => seen.extend(found.iter().map(|vma| format!("{gpu} was told {}", told(world, vma)))),
            Ok(Err(refused)) => seen.push(format!("{gpu} says {}", crate::world::errno(refused))),
            Err(refused) => seen.push(format!("{gpu} says {}", error(refused))),
        }
    }
    seen
}

fn told(world: &World, vma: &drm_xe_mem_range_attr) -> String {
    let whole = world.window.whole();
    let (start, end) = (vma.start.max(whole.start()), vma.end.min(whole.end()));
    let part = Range::new(start, end - start).expect("a mapping that was asked for");
    let xe = vma.preferred_mem_loc;
    let place = match xe.devmem_fd {
        DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE => "default".to_owned(),
        DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM => "system".to_owned(),
        number => match world.named(number as i32) {
            Some(gpu) => format!("the file of gpu {gpu}"),
            None => library_s(world, part).unwrap_or_else(|| "nobody's number".to_owned()),
        },
    };
    let (policy, atomics, pat) = (xe.migration_policy, vma.atomic.val, vma.pat_index.val);
    format!("{}: {place}, policy {policy}, atomics {atomics}, pat {pat}", at(&world.window, part))
}

/// A number that the library gave out, by what it denotes.
fn library_s(world: &World, part: Range) -> Option<String> {
    let runs = world.space.attributes(part).ok()?;
    runs.iter().find_map(|run| match run.location {
        xeplace::StoredLocation::Known(location @ xeplace::Location::Vram(_)) => Some(location.to_string()),
        _ => None,
    })
}

pub fn outcome(window: &Window, outcome: &Outcome) -> String {
    let mut said = format!("{} bytes in place, {} elsewhere", outcome.bytes_in_place, outcome.bytes_elsewhere);
    for stay in &outcome.stays {
        said += &format!("; {} stays: {}", at(window, stay.range), obstacle(&stay.obstacle));
    }
    for unmapped in &outcome.unmapped {
        said += &format!("; not mapped for {}: {}", unmapped.gpu, obstacle(&unmapped.obstacle));
    }
    said
}

pub fn report(report: &Report) -> String {
    let location = report.location.map_or("nowhere".to_owned(), |location| location.to_string());
    let mut said = format!("{location}, step {}, elided {}, {:?}", report.step, report.elided, report.warnings);
    for answer in &report.answers {
        said += &format!("; {} {}: {:?}", answer.gpu, answer.attribute.name(), answer.effect);
    }
    for refusal in &report.refusals {
        said += &format!("; {} passed over for {}: errno {}", refusal.location, refusal.gpu, refusal.errno);
    }
    said
}

/// What the simulation answers to a touch whose fault the driver would never stop serving.
pub const ENDLESS: &str = "refused: errno 110";

pub fn error(error: Error) -> String {
    format!("errno {}", error.errno())
}

/// Without figures of the VRAM in use, which is also page tables in the one and not in the other.
fn obstacle(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Full { .. } => "full".to_owned(),
        Obstacle::Evicted { .. } => "evicted".to_owned(),
        obstacle => obstacle.to_string(),
    }
}

fn at(window: &Window, range: Range) -> Part {
    window.part(range).expect("in the window")
}
