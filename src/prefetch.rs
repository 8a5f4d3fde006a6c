// SPDX-License-Identifier: MIT OR Apache-2.0
//! Moving pages now, in chunks, and seeing what is true afterwards.

use crate::{
    error::{Result, errno_of},
    location::{Location, Region},
    machine::Machine,
    mappings::mappings,
    obstacle::Obstacle,
    range::{BLOCK, Range},
    residency::{Confidence, PageTable, Place, Residency},
    spans::Spans,
    uapi::DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC,
    vm::{Coverage, Vm},
};
use std::{collections::VecDeque, path::Path, sync::Arc};

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
    pub gpu: crate::location::GpuId,
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
    obstacles: Spans<usize>,
    reasons: Vec<Obstacle>,
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

/// The kernel asks for another try: pages changed under its hands (EAGAIN), or it waited a second for them (EBUSY).
const TRIES: u32 = 4;

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
            obstacles: Spans::default(),
            reasons: Vec::new(),
            unmapped: Vec::new(),
        };
        let chunk = job.bounded(order.chunk);
        for movable in job.movable()? {
            job.queue.extend(movable.chunks(chunk));
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
            self.stays(piece, Obstacle::Cancelled);
        }
    }

    /// What is true now.
    pub(crate) fn outcome(&self) -> Result<Outcome> {
        let residency = self.measure(self.range)?;
        let mut stays: Vec<Stay> = Vec::new();
        for run in residency.runs.iter().filter(|run| !self.is_in_place(run.range, run.place)) {
            for (part, reason) in self.obstacles.pieces(run.range) {
                let obstacle = reason.map_or_else(|| self.unforeseen(run.place), |index| self.reasons[index].clone());
                match stays.last_mut() {
                    Some(last) if last.obstacle == obstacle && last.range.end() == part.start() => {
                        last.range = Range::between(last.range.start(), part.end()).expect("runs are in order");
                    }
                    _ => stays.push(Stay { range: part, obstacle }),
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

    /// A call larger than the VRAM evicts its own first pages and never succeeds (EAGAIN for ever), so a call brings a
    /// quarter of the VRAM at most.
    fn bounded(&self, chunk: u64) -> u64 {
        let total = self.target().and_then(|region| {
            let gpu = self.machine.owner(region).ok()?;
            gpu.regions().iter().find(|found| found.instance == region.instance).map(|found| found.total)
        });
        let limit = total.map_or(u64::MAX, |total| (total / 4).max(BLOCK));
        if chunk <= limit { chunk } else { 1 << limit.ilog2() }
    }

    fn target(&self) -> Option<Region> {
        match self.location {
            Location::Vram(region) => Some(region),
            _ => None,
        }
    }

    /// The parts of the range that can move; notes why the others cannot. One kind of memory a part: a single page that
    /// the driver may not map would fail the whole call.
    fn movable(&mut self) -> Result<Vec<Range>> {
        let mut movable = Vec::new();
        let mut from = self.range.start();
        for mapping in mappings(self.machine.files(), Path::new("/proc/self"), self.range)? {
            if let Some(hole) = Range::between(from, mapping.range.start()) {
                self.stays(hole, Obstacle::NotMapped);
            }
            from = mapping.range.end();
            match mapping.can_migrate() {
                true => movable.extend(self.mirrored_parts(mapping.range)),
                false if !mapping.readable => self.stays(mapping.range, Obstacle::NoAccess),
                false if mapping.backing != crate::mappings::Backing::Anonymous => {
                    self.stays(mapping.range, Obstacle::Backing(mapping.backing))
                }
                false => self.stays(mapping.range, Obstacle::ReadOnly),
            }
        }
        if let Some(hole) = Range::between(from, self.range.end()) {
            self.stays(hole, Obstacle::NotMapped);
        }
        let mut clear = Vec::new();
        for part in movable {
            clear.extend(self.clear_of_guards(part)?);
        }
        Ok(clear)
    }

    /// The parts of `range` that the moving vm mirrors, one GPU VMA each: a call that spans a buffer object would not
    /// reach what lies behind it.
    fn mirrored_parts(&mut self, range: Range) -> Vec<Range> {
        let (vm, _) = &self.mover;
        if vm.is_own() {
            return vec![range];
        }
        if vm.mirrors(range) == Coverage::Nothing {
            self.stays(range, Obstacle::NotMirrored);
            return Vec::new();
        }
        let found = vm.query(range).unwrap_or_default();
        let parts: Vec<Range> =
            found.iter().filter_map(|vma| Range::between(vma.start, vma.end)?.intersection(range)).collect();
        let mut from = range.start();
        for end in parts.iter().map(|part| (part.start(), part.end())).chain([(range.end(), range.end())]) {
            if let Some(hole) = Range::between(from, end.0) {
                self.stays(hole, Obstacle::NotMirrored);
            }
            from = end.1;
        }
        parts
    }

    /// `range` without the blocks that hold guard pages: the driver would give up at the first of them, silently.
    fn clear_of_guards(&mut self, range: Range) -> Result<Vec<Range>> {
        let mut clear = Vec::new();
        let mut rest = Some(range);
        for guard in self.pages.guards(range)? {
            let Some(part) = rest.and_then(|rest| rest.intersection(guard.blocks()).map(|blocked| (rest, blocked)))
            else {
                continue;
            };
            let (whole, blocked) = part;
            let [before, behind] = whole.without(blocked);
            clear.extend(before);
            self.stays(blocked, Obstacle::GuardPage);
            rest = behind;
        }
        clear.extend(rest);
        Ok(clear)
    }

    /// Moves `piece`, going on behind each block that does not move: the kernel stops at the first one and says nothing.
    fn bring(&mut self, piece: Range) -> Result<()> {
        let unsure = self.elsewhere_on_a_device(piece)?;
        let used = self.used_where_unsure(&unsure);
        let mut rest = Some(piece);
        while let Some(part) = rest {
            let answer = self.call(part);
            let residency = self.measure(part)?;
            let Some(stuck) = residency.runs.iter().find(|run| !self.is_at_target(run.place)) else { break };
            let obstacle = match answer {
                Err(errno) => Obstacle::Kernel(errno),
                Ok(()) => self.silent_reason(),
            };
            let is_final = matches!(obstacle, Obstacle::Full { .. } | Obstacle::Lost);
            let start = stuck.range.start();
            let end = if is_final { part.end() } else { part.end().min((start + 1).next_multiple_of(BLOCK)) };
            let left = Range::between(start, end).expect("a block is not empty");
            self.stays(left, obstacle);
            rest = Range::between(end, part.end());
        }
        self.doubt(unsure, used);
        Ok(())
    }

    /// One PREFETCH, again a few times where the kernel asks for it.
    fn call(&self, range: Range) -> Result<(), i32> {
        let (vm, region) = &self.mover;
        for _ in 1..TRIES {
            match vm.prefetch(range, *region) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY | libc::EINTR)) => {}
                answer => return answer.map_err(|error| errno_of(&error)),
            }
        }
        vm.prefetch(range, *region).map_err(|error| errno_of(&error))
    }

    /// Why the kernel said 0 and moved nothing, as far as can be seen afterwards.
    fn silent_reason(&self) -> Obstacle {
        let Some(region) = self.target() else { return Obstacle::Pinned };
        let Ok(gpu) = self.machine.owner(region) else { return Obstacle::Lost };
        let usage = gpu.usage();
        if gpu.is_lost() || usage.is_err() {
            return Obstacle::Lost;
        }
        let found = usage.unwrap_or_default().into_iter().find(|found| found.instance == region.instance);
        match found.map(|found| (found.total.saturating_sub(found.used), found.total)) {
            Some((free, total)) if free < BLOCK => Obstacle::Full { free, total },
            _ => Obstacle::Pinned,
        }
    }

    /// Binds `piece` where accessors were told the location. PREFETCH "as advised" moves nothing then.
    fn map(&mut self, piece: Range) {
        let mut unmapped = Vec::new();
        for Accessor { vm, told } in &self.accessors {
            let parts: Vec<Range> = told.iter().filter_map(|part| part.intersection(piece)).collect();
            let bytes: u64 = parts.iter().map(|part| part.len()).sum();
            let refused = parts.into_iter().find_map(|part| {
                let movable = self.obstacles.pieces(part).into_iter().filter(|(_, reason)| reason.is_none());
                let mut answers = movable.map(|(part, _)| vm.prefetch(part, DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC));
                answers.find_map(|answer| answer.err())
            });
            let obstacle = match refused {
                Some(error) => Obstacle::Kernel(errno_of(&error)),
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

    fn stays(&mut self, range: Range, obstacle: Obstacle) {
        let index = self.reasons.iter().position(|reason| *reason == obstacle).unwrap_or_else(|| {
            self.reasons.push(obstacle);
            self.reasons.len() - 1
        });
        self.obstacles.set(range, Some(index));
    }

    fn measure(&self, range: Range) -> Result<Residency> {
        self.pages.find_regions(self.pages.residency(range)?)
    }

    fn is_at_target(&self, place: Place) -> bool {
        match (self.location, place) {
            (Location::Vram(wanted), Place::Vram { region, .. }) => region.is_none_or(|region| region == wanted),
            (Location::System | Location::HostNode(_), place) => place == Place::System,
            _ => false,
        }
    }

    /// As [`Job::is_at_target`], but for what could not be told apart.
    fn is_in_place(&self, range: Range, place: Place) -> bool {
        let doubted = || self.obstacles.inside(range).any(|(_, index)| self.reasons[index] == Obstacle::Untold);
        self.is_at_target(place) && !doubted()
    }

    fn unforeseen(&self, place: Place) -> Obstacle {
        match (self.target().and_then(|region| self.machine.owner(region).ok().map(|gpu| (gpu, region))), place) {
            (Some((gpu, region)), Place::System | Place::Swapped) => {
                let total =
                    gpu.regions().iter().find(|found| found.instance == region.instance).map_or(0, |found| found.total);
                Obstacle::Evicted { total }
            }
            (_, Place::Guard) => Obstacle::GuardPage,
            (_, Place::Absent) => Obstacle::NeverTouched,
            _ => Obstacle::Pinned,
        }
    }

    /// Pages of `piece` that are in some VRAM which may not be the target.
    fn elsewhere_on_a_device(&self, piece: Range) -> Result<Vec<Range>> {
        let Some(target) = self.target().filter(|_| self.regions_in_machine() > 1) else { return Ok(Vec::new()) };
        let mut unsure = Vec::new();
        for run in self.measure(piece)?.runs {
            match run.place {
                Place::Vram { confidence: Confidence::Exact, .. } => {}
                Place::Vram { region, .. } if region != Some(target) => {
                    let mut parts = vec![run.range];
                    for known in &self.known {
                        parts = parts.into_iter().flat_map(|part| part.without(*known)).flatten().collect();
                    }
                    unsure.extend(parts);
                }
                _ => {}
            }
        }
        Ok(unsure)
    }

    fn regions_in_machine(&self) -> usize {
        self.machine.gpus().iter().map(|gpu| gpu.regions().len()).sum()
    }

    fn used_where_unsure(&self, unsure: &[Range]) -> Option<u64> {
        if unsure.is_empty() { None } else { self.used() }
    }

    fn used(&self) -> Option<u64> {
        let region = self.target()?;
        let usage = self.machine.owner(region).ok()?.usage().ok()?;
        usage.into_iter().find(|found| found.instance == region.instance).map(|found| found.used)
    }

    /// Pages that came from some VRAM: whether they are in the target now shows in how much more of it is in use.
    fn doubt(&mut self, unsure: Vec<Range>, used_before: Option<u64>) {
        let bytes: u64 = unsure.iter().map(|part| part.len()).sum();
        let grown = used_before.and_then(|before| Some(self.used()?.saturating_sub(before)));
        if bytes > 0 && grown.is_none_or(|grown| grown < bytes) {
            for part in unsure {
                self.stays(part, Obstacle::Untold);
            }
        }
    }
}
