// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GPU's clock of 19.2 MHz, which timestamps count (`xe_gt_clock.c`; the frequency of every discrete Xe GPU).

use std::time::{Duration, Instant};

/// Ticks since the GPU was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { start: Instant::now() }
    }
}

impl Clock {
    /// The present tick.
    pub fn ticks(&self) -> u64 {
        ticks(self.start.elapsed())
    }
}

/// How often the clock ticks in `time`.
pub fn ticks(time: Duration) -> u64 {
    // 19.2 ticks a microsecond.
    (time.as_nanos() * 96 / 5000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_19_200_000_ticks() {
        assert_eq!(ticks(Duration::from_secs(1)), 19_200_000);
    }
}
