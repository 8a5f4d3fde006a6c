// SPDX-License-Identifier: MIT OR Apache-2.0
//! Moving one chunk, and finding out what the kernel does not say.

use super::Job;
use crate::{
    error::{Result, errno_of},
    location::Location,
    obstacle::Obstacle,
    query::MemoryRegion,
    range::{BLOCK, Range},
    residency::{Confidence, Place},
};

/// The kernel asks for another try: pages changed under its hands (EAGAIN), or it waited a second for them (EBUSY).
const TRIES: u32 = 4;

impl Job<'_> {
    /// Moves `piece` as far as it goes.
    ///
    /// A call that fails as a whole is halved until the block that fails it stands alone. A call that succeeds may have
    /// stopped anywhere without saying so: it goes on behind the first block that did not move.
    pub(super) fn bring(&mut self, piece: Range) -> Result<()> {
        let unsure = self.maybe_elsewhere(piece)?;
        let used_before = if unsure.is_empty() { None } else { self.used() };
        let mut pending = self.detour(piece)?;
        pending.reverse();
        while let Some(part) = pending.pop() {
            let answer = self.call(part);
            if answer.is_err() && part.len() > BLOCK {
                let mut halves: Vec<Range> = part.chunks(halving(part)).collect();
                halves.reverse();
                pending.extend(halves);
                continue;
            }
            let residency = self.measure(part)?;
            let Some(stuck) = residency.runs.iter().find(|run| !self.is_at_target(run.place)) else { continue };
            let start = stuck.range.start();
            let end = part.end().min((start + 1).next_multiple_of(BLOCK));
            let next = Range::between(end, part.end().min(end + BLOCK));
            let obstacle = match answer {
                Ok(()) => self.silent_reason(next)?,
                Err(errno) => Obstacle::Kernel(errno),
            };
            let is_final = matches!(obstacle, Obstacle::Full { .. } | Obstacle::Lost);
            let end = if is_final { part.end() } else { end };
            self.stays.note(Range::between(start, end).expect("a block is not empty"), obstacle);
            pending.extend(Range::between(end, part.end()));
        }
        self.doubt(unsure, used_before);
        Ok(())
    }

    /// One PREFETCH, again a few times where the kernel asks for it.
    fn call(&self, range: Range) -> Result<(), i32> {
        let (vm, region) = &self.mover;
        let mut answer = Ok(());
        for _ in 0..TRIES {
            answer = vm.prefetch(range, *region).map_err(|error| errno_of(&error));
            if !matches!(answer, Err(libc::EAGAIN | libc::EBUSY | libc::EINTR)) {
                break;
            }
        }
        answer
    }

    /// Why the kernel said 0 and moved nothing of a block, as far as can be seen afterwards.
    ///
    /// VRAM that is full of what could be evicted looks as full as any other: it is not if the `next` block moves there.
    fn silent_reason(&self, next: Option<Range>) -> Result<Obstacle> {
        if self.target().is_none() {
            return Ok(Obstacle::Pinned);
        }
        let Some(found) = self.usage() else { return Ok(Obstacle::Lost) };
        let (free, total) = (found.free(), found.total);
        if free < BLOCK && !self.moves(next)? {
            return Ok(Obstacle::Full { free, total });
        }
        Ok(Obstacle::Pinned)
    }

    fn moves(&self, block: Option<Range>) -> Result<bool> {
        let Some(block) = block.filter(|block| self.call(*block).is_ok()) else { return Ok(false) };
        Ok(self.measure(block)?.runs.iter().all(|run| self.is_at_target(run.place)))
    }

    /// Whether a page in `place` is where it was to go; one in a VRAM that cannot be told is taken for it.
    pub(super) fn is_at_target(&self, place: Place) -> bool {
        match (self.location, place) {
            (Location::Vram(wanted), Place::Vram { region, .. }) => region.is_none_or(|region| region == wanted),
            (Location::System | Location::HostNode(_), place) => place == Place::System,
            _ => false,
        }
    }

    /// Pages of `piece` that are in some VRAM which may not be the target's.
    fn maybe_elsewhere(&self, piece: Range) -> Result<Vec<Range>> {
        let regions: usize = self.machine.gpus().iter().map(|gpu| gpu.regions().len()).sum();
        if self.target().is_none() || regions < 2 {
            return Ok(Vec::new());
        }
        let mut unsure = Vec::new();
        for run in self.measure(piece)?.runs {
            if matches!(run.place, Place::Vram { confidence, .. } if confidence != Confidence::Exact) {
                let mut parts = vec![run.range];
                for known in &self.known {
                    parts = parts.into_iter().flat_map(|part| part.without(*known)).flatten().collect();
                }
                unsure.extend(parts);
            }
        }
        Ok(unsure)
    }

    /// Whether pages that came from some VRAM are in the target now shows in how much more of it is in use.
    fn doubt(&mut self, unsure: Vec<Range>, used_before: Option<u64>) {
        let bytes: u64 = unsure.iter().map(|part| part.len()).sum();
        let grown = used_before.and_then(|before| Some(self.used()?.saturating_sub(before)));
        if bytes > 0 && grown.is_none_or(|grown| grown < bytes) {
            for part in unsure {
                self.stays.note(part, Obstacle::Untold);
            }
        }
    }

    fn used(&self) -> Option<u64> {
        self.usage().map(|found| found.used)
    }

    /// The target region as it is now; `None` if it is no VRAM, or gone.
    fn usage(&self) -> Option<MemoryRegion> {
        self.machine.memory_now(self.target()?).ok()
    }
}

/// The largest power of two, of at least a block, at a multiple of which `range` is cut in two or more.
fn halving(range: Range) -> u64 {
    (range.len() / 2).next_power_of_two().max(BLOCK)
}
