// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measuring contenders in turns.
//!
//! Harnesses such as criterion measure one contender after the other, each for seconds: on a shared machine the two then
//! differ by what happened meanwhile. A ratio needs them within milliseconds of each other.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// How much time of its processor each contender took in each round, the kernel's work for it included. Nobody waits for
/// anything here, so on a quiet machine that is the time on the wall; on a busy one, it is what would be.
pub(crate) struct Times<const N: usize> {
    rounds: Vec<[Duration; N]>,
}

/// Lets each contender do its work once a round, for `rounds` rounds after one that does not count.
///
/// A contender is told the round's number. Who is first changes from round to round.
pub(crate) fn side_by_side<const N: usize>(rounds: usize, contenders: [&mut dyn FnMut(usize); N]) -> Times<N> {
    let mut times = Times { rounds: Vec::with_capacity(rounds) };
    for round in 0..=rounds {
        let mut taken = [Duration::ZERO; N];
        for turn in 0..N {
            let contender = (round + turn) % N;
            let start = now();
            contenders[contender](round);
            taken[contender] = now() - start;
        }
        if round > 0 {
            times.rounds.push(taken);
        }
    }
    times
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl<const N: usize> Times<N> {
    /// A contender's median, in nanoseconds for each of `items` in its work.
    pub(crate) fn nanoseconds(&self, contender: usize, items: usize) -> f64 {
        median(self.rounds.iter().map(|round| nanoseconds(round[contender]))) / items as f64
    }

    /// How many times as long as `other` a contender took: the median of the rounds.
    pub(crate) fn ratio(&self, contender: usize, other: usize) -> f64 {
        median(self.rounds.iter().map(|round| nanoseconds(round[contender]) / nanoseconds(round[other])))
    }

    /// How much longer than `other` a contender took for each of `items`, in nanoseconds: the median of the rounds.
    pub(crate) fn excess(&self, contender: usize, other: usize, items: usize) -> f64 {
        let excess = |round: &[Duration; N]| nanoseconds(round[contender]) - nanoseconds(round[other]);
        median(self.rounds.iter().map(excess)) / items as f64
    }
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
