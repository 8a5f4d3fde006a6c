// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which pages stay where they are, and why.

use crate::{obstacle::Obstacle, range::Range, spans::Spans};

/// Pages that stay where they are, each run with its reason. Reasons are few and runs many.
#[derive(Debug, Default)]
pub(super) struct Stays {
    runs: Spans<usize>,
    reasons: Vec<Obstacle>,
}

impl Stays {
    pub(super) fn note(&mut self, range: Range, obstacle: Obstacle) {
        let known = self.reasons.iter().position(|reason| *reason == obstacle);
        let index = known.unwrap_or_else(|| {
            self.reasons.push(obstacle);
            self.reasons.len() - 1
        });
        self.runs.set(range, Some(index));
    }

    /// All of `range` in order, with the reason where there is one.
    pub(super) fn pieces(&self, range: Range) -> impl Iterator<Item = (Range, Option<&Obstacle>)> {
        self.runs.pieces(range).into_iter().map(|(part, index)| (part, index.map(|index| &self.reasons[index])))
    }
}
