// SPDX-License-Identifier: MIT OR Apache-2.0
//! Into a VRAM that is not wholly behind its BAR, pages of another GPU go by way of system memory.
//!
//! From GPU to GPU of one group the source copies, through the BAR of the target, at the pages' offset in its VRAM; behind
//! a BAR that is smaller nothing answers there, and what is written is lost (`xe_svm_copy`, `xe_svm.c` of Linux 7.3).

use super::Job;
use crate::{
    error::Result,
    obstacle::Obstacle,
    range::Range,
    residency::{Confidence, Place},
};

impl Job<'_> {
    /// Brings home what of `piece` would be lost on its way. The parts that may then be moved.
    pub(super) fn detour(&mut self, piece: Range) -> Result<Vec<Range>> {
        let mut movable = vec![piece];
        let Some(target) = self.target() else { return Ok(movable) };
        if self.machine.memory(target)?.is_fully_visible() {
            return Ok(movable);
        }
        for part in self.elsewhere(piece)? {
            // Whether it worked is seen below.
            let _ = self.mover.0.prefetch(part, SYSTEM);
        }
        let memory = self.machine.memory(target)?;
        let obstacle = Obstacle::SmallBar { cpu_visible: memory.cpu_visible, total: memory.total };
        for part in self.elsewhere(piece)? {
            self.stays.note(part, obstacle.clone());
            movable = movable.into_iter().flat_map(|whole| whole.without(part)).flatten().collect();
        }
        Ok(movable)
    }

    /// What of `piece` is in a VRAM that is not known to be the target's.
    fn elsewhere(&self, piece: Range) -> Result<Vec<Range>> {
        let runs = self.measure(piece)?.runs.into_iter();
        let foreign = runs.filter(|run| match run.place {
            Place::Vram { region, confidence } => region != self.target() || confidence != Confidence::Exact,
            _ => false,
        });
        let mut parts: Vec<Range> = foreign.map(|run| run.range).collect();
        for known in &self.known {
            parts = parts.into_iter().flat_map(|part| part.without(*known)).flatten().collect();
        }
        Ok(parts)
    }
}

/// PREFETCH's region of system memory.
const SYSTEM: u32 = 0;
