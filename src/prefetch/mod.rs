// SPDX-License-Identifier: MIT OR Apache-2.0
//! Moving pages now, in chunks, and seeing what is true afterwards.

mod bring;
mod detour;
mod movable;
mod stays;

use self::{movable::movable, stays::Stays};
use crate::{
    error::{Error, Result, errno_of},
    location::{GpuId, Location, Region},
    machine::Machine,
    obstacle::Obstacle,
    range::{BLOCK, Range},
    residency::{PageTable, Place, Residency},
    uapi::DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC,
    vm::Vm,
};
use std::{collections::VecDeque, sync::Arc};

/// What a prefetch achieved, as measured when it had ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// What was to move: the caller's range, rounded outward to pages.
    pub range: Range,
    /// Where to.
    pub location: Location,
    /// Bytes that are there.
    pub bytes_in_place: u64,
    /// Bytes that are not.
    pub bytes_elsewhere: u64,
    /// The runs that are not there, each with the reason.
    pub stays: Vec<Stay>,
    /// Accessors for which some of the pages were not mapped, so that their first touch faults.
    pub unmapped: Vec<Unmapped>,
}

impl Outcome {
    /// Whether every byte is in place and mapped for every accessor.
    pub fn is_complete(&self) -> bool {
        self.bytes_elsewhere == 0 && self.unmapped.is_empty()
    }

    /// This outcome, or its first obstacle as an error.
    pub fn completed(self) -> Result<Outcome> {
        let Outcome { range, location, bytes_elsewhere, .. } = self;
        let (what, errno) = match (self.stays.first(), self.unmapped.first()) {
            (Some(Stay { obstacle, .. }), _) => {
                let what = format!("{bytes_elsewhere} of {} bytes are not in {location}: {obstacle}", range.len());
                (what, obstacle.errno())
            }
            (None, Some(Unmapped { gpu, obstacle })) => (format!("not mapped for {gpu}: {obstacle}"), obstacle.errno()),
            (None, None) => return Ok(self),
        };
        Err(Error::Incomplete { what, errno })
    }
}

/// Pages that are not where they were to go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stay {
    /// The pages.
    pub range: Range,
    /// Why.
    pub obstacle: Obstacle,
}

/// An accessor that will fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmapped {
    /// The GPU.
    pub gpu: GpuId,
    /// Why nothing was bound for it.
    pub obstacle: Obstacle,
}

/// How far a prefetch has come. Bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Dealt with.
    pub done: u64,
    /// In all.
    pub total: u64,
}

impl Progress {
    /// Whether nothing is left.
    pub fn is_done(self) -> bool {
        self.done == self.total
    }
}

/// A vm that is to use the pages once they are there.
#[derive(Debug)]
pub(crate) struct Accessor<'fd> {
    pub(crate) vm: Arc<Vm<'fd>>,
    /// Where it has been told the very location: only there may it bind, elsewhere the same call would move the data.
    pub(crate) told: Vec<Range>,
}

/// A prefetch under way.
#[derive(Debug)]
pub(crate) struct Job<'fd> {
    machine: Machine,
    pages: Arc<PageTable>,
    range: Range,
    location: Location,
    /// The vm that moves, and what its PREFETCH is told: an instance number, 0, or "as advised".
    mover: (Arc<Vm<'fd>>, u32),
    accessors: Vec<Accessor<'fd>>,
    /// Pieces still to be moved, and how much all of them were.
    queue: VecDeque<Range>,
    total: u64,
    /// Known to be in place before.
    known: Vec<Range>,
    stays: Stays,
    unmapped: Vec<Unmapped>,
}

/// What a job is made from.
pub(crate) struct Order<'fd> {
    pub(crate) range: Range,
    pub(crate) location: Location,
    pub(crate) mover: (Arc<Vm<'fd>>, u32),
    pub(crate) accessors: Vec<Accessor<'fd>>,
    pub(crate) known: Vec<Range>,
    /// Bytes a call; a power of two of at least [`BLOCK`].
    pub(crate) chunk: u64,
}

impl<'fd> Job<'fd> {
    /// Sorts the range into what can move and what cannot. Nothing moves yet.
    pub(crate) fn new(machine: &Machine, pages: Arc<PageTable>, order: Order<'fd>) -> Result<Job<'fd>> {
        let mut job = Job {
            machine: machine.clone(),
            pages,
            range: order.range,
            location: order.location,
            mover: order.mover,
            accessors: order.accessors,
            queue: VecDeque::new(),
            total: 0,
            known: order.known,
            stays: Stays::default(),
            unmapped: Vec::new(),
        };
        let chunk = job.bounded(order.chunk);
        for part in movable(machine, &job.pages, &job.mover.0, job.range, &mut job.stays)? {
            job.queue.extend(part.chunks(chunk));
        }
        job.total = job.queue.iter().map(|piece| piece.len()).sum();
        Ok(job)
    }

    pub(crate) fn progress(&self) -> Progress {
        let left: u64 = self.queue.iter().map(|piece| piece.len()).sum();
        Progress { done: self.total - left, total: self.total }
    }

    /// Moves the next chunk and maps it for the accessors.
    pub(crate) fn step(&mut self) -> Result<Progress> {
        if let Some(piece) = self.queue.pop_front() {
            self.bring(piece)?;
            self.map(piece);
        }
        Ok(self.progress())
    }

    /// Leaves what has not been moved yet where it is.
    pub(crate) fn cancel(&mut self) {
        while let Some(piece) = self.queue.pop_front() {
            self.stays.note(piece, Obstacle::Cancelled);
        }
    }

    /// What is true now.
    pub(crate) fn outcome(&self) -> Result<Outcome> {
        let mut stays: Vec<Stay> = Vec::new();
        for run in self.measure(self.range)?.runs {
            for (part, reason) in self.stays.pieces(run.range) {
                let is_at_target = self.is_at_target(run.place) && reason != Some(&Obstacle::Untold);
                if !is_at_target {
                    let obstacle = reason.cloned().unwrap_or_else(|| self.unforeseen(run.place));
                    push(&mut stays, Stay { range: part, obstacle });
                } else if let Location::HostNode(node) = self.location {
                    self.other_nodes(part, node, &mut stays)?;
                }
            }
        }
        let bytes_elsewhere = stays.iter().map(|stay| stay.range.len()).sum();
        Ok(Outcome {
            range: self.range,
            location: self.location,
            bytes_in_place: self.range.len() - bytes_elsewhere,
            bytes_elsewhere,
            stays,
            unmapped: self.unmapped.clone(),
        })
    }

    /// The kernel's "system" has no node: only the pages themselves tell.
    fn other_nodes(&self, range: Range, wanted: u32, stays: &mut Vec<Stay>) -> Result<()> {
        for (range, node) in self.pages.nodes(range)?.into_iter().filter(|(_, node)| *node != wanted) {
            push(stays, Stay { range, obstacle: Obstacle::OtherNode(node) });
        }
        Ok(())
    }

    /// A call larger than the VRAM evicts its own first pages and never succeeds (EAGAIN for ever), so a call brings a
    /// quarter of the VRAM at most.
    fn bounded(&self, chunk: u64) -> u64 {
        let target = self.target().and_then(|region| self.machine.memory(region).ok());
        let limit = target.map_or(u64::MAX, |memory| (memory.total / 4).max(BLOCK));
        if chunk <= limit { chunk } else { 1 << limit.ilog2() }
    }

    fn target(&self) -> Option<Region> {
        match self.location {
            Location::Vram(region) => Some(region),
            _ => None,
        }
    }

    /// Binds `piece` where accessors were told the location. PREFETCH "as advised" moves nothing then.
    fn map(&mut self, piece: Range) {
        let mut unmapped = Vec::new();
        for Accessor { vm, told } in &self.accessors {
            let parts: Vec<Range> = told.iter().filter_map(|part| part.intersection(piece)).collect();
            let bytes: u64 = parts.iter().map(|part| part.len()).sum();
            let refused = parts.into_iter().find_map(|part| {
                let movable = self.stays.pieces(part).filter(|(_, reason)| reason.is_none());
                let mut answers = movable.map(|(part, _)| vm.prefetch(part, DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC));
                answers.find_map(|answer| answer.err())
            });
            let obstacle = match refused {
                Some(error) => refusal(vm, errno_of(&error)),
                None if bytes < piece.len() => Obstacle::OtherWish { vm: vm.id(), location: None },
                None => continue,
            };
            unmapped.push(Unmapped { gpu: vm.gpu(), obstacle });
        }
        for entry in unmapped {
            if !self.unmapped.contains(&entry) {
                self.unmapped.push(entry);
            }
        }
    }

    fn measure(&self, range: Range) -> Result<Residency> {
        self.pages.find_regions(self.pages.residency(range)?)
    }

    /// Why a page that no call had trouble with is not there.
    fn unforeseen(&self, place: Place) -> Obstacle {
        let target = self.target().and_then(|region| self.machine.memory(region).ok());
        match (target, place) {
            (Some(memory), Place::System | Place::Swapped) => Obstacle::Evicted { total: memory.total },
            (_, Place::Guard) => Obstacle::GuardPage,
            (_, Place::Absent) => Obstacle::NeverTouched,
            _ => Obstacle::Pinned,
        }
    }
}

/// Why PREFETCH "as advised" was refused.
fn refusal(vm: &Vm<'_>, errno: i32) -> Obstacle {
    if errno == libc::EINVAL && vm.device().lacks(|known| known.prefetch_consult) {
        return Obstacle::Unsupported("mapping pages where they are");
    }
    Obstacle::Kernel(errno)
}

/// Adds `stay`, joined to the last one if it goes on with the same reason.
fn push(stays: &mut Vec<Stay>, stay: Stay) {
    match stays.last_mut() {
        Some(last) if last.obstacle == stay.obstacle && last.range.end() == stay.range.start() => {
            last.range = Range::between(last.range.start(), stay.range.end()).expect("runs are in order");
        }
        _ => stays.push(stay),
    }
}
