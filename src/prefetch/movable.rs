// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a range can move, found before the kernel is asked: one bad page fails a whole call, or ends it silently.

use super::stays::Stays;
use crate::{
    error::Result,
    machine::Machine,
    mappings::{Backing, Mapped, mappings},
    obstacle::Obstacle,
    range::Range,
    residency::PageTable,
    vm::{Coverage, Vm},
};
use std::path::Path;

/// The parts of `range` that `vm` can move, each of one kind of memory. Notes why the others stay.
pub(super) fn movable(
    machine: &Machine,
    pages: &PageTable,
    vm: &Vm<'_>,
    range: Range,
    stays: &mut Stays,
) -> Result<Vec<Range>> {
    let mut movable = Vec::new();
    let mut from = range.start();
    for mapping in mappings(machine.files(), Path::new("/proc/self"), range)? {
        note_hole(stays, from, mapping.range.start(), Obstacle::NotMapped);
        from = mapping.range.end();
        match obstacle(&mapping) {
            Some(obstacle) => stays.note(mapping.range, obstacle),
            None => {
                for part in mirrored(vm, mapping.range, stays) {
                    movable.extend(clear_of_guards(pages, part, stays)?);
                }
            }
        }
    }
    note_hole(stays, from, range.end(), Obstacle::NotMapped);
    Ok(movable)
}

fn note_hole(stays: &mut Stays, from: u64, to: u64, obstacle: Obstacle) {
    if let Some(hole) = Range::between(from, to) {
        stays.note(hole, obstacle);
    }
}

/// What keeps a mapping's pages from moving.
fn obstacle(mapping: &Mapped) -> Option<Obstacle> {
    match mapping {
        found if !found.readable => Some(Obstacle::NoAccess),
        found if found.backing != Backing::Anonymous => Some(Obstacle::Backing(found.backing)),
        found if !found.writable => Some(Obstacle::ReadOnly),
        _ => None,
    }
}

/// The parts of `range` that `vm` mirrors, one GPU VMA each: a call that spans a buffer object would not reach what lies
/// behind it. An own vm has nothing but its mirror.
fn mirrored(vm: &Vm<'_>, range: Range, stays: &mut Stays) -> Vec<Range> {
    if vm.is_own() {
        return vec![range];
    }
    let found = match vm.mirrors(range) {
        Coverage::Nothing => Vec::new(),
        Coverage::Whole | Coverage::Part => vm.query(range).unwrap_or_default(),
    };
    let mut parts = Vec::new();
    let mut from = range.start();
    for part in found.iter().filter_map(|vma| Range::between(vma.start, vma.end)?.intersection(range)) {
        note_hole(stays, from, part.start(), Obstacle::NotMirrored);
        from = part.end();
        parts.push(part);
    }
    note_hole(stays, from, range.end(), Obstacle::NotMirrored);
    parts
}

/// `range` without the blocks that hold guard pages: the driver would give up at the first of them and say nothing.
fn clear_of_guards(pages: &PageTable, range: Range, stays: &mut Stays) -> Result<Vec<Range>> {
    let mut clear = Vec::new();
    let mut rest = Some(range);
    for guard in pages.guards(range)? {
        let Some(left) = rest else { break };
        let Some(blocked) = left.intersection(guard.blocks()) else { continue };
        stays.note(blocked, Obstacle::GuardPage);
        let [before, behind] = left.without(blocked);
        clear.extend(before);
        rest = behind;
    }
    clear.extend(rest);
    Ok(clear)
}
