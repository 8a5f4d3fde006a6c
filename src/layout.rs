// SPDX-License-Identifier: MIT OR Apache-2.0
//! How one range is spread over several locations.

use crate::{
    error::{Error, Result},
    location::Location,
    range::{BLOCK, PAGE, Range},
};

/// How a range is spread over several locations. Pure: a layout and a range make a [`Plan`], and nothing is moved.
///
/// ```
/// use xeplace::{GpuId, Layout, Range, Region};
/// let [a, b] = [0, 1].map(|gpu| Region { gpu: GpuId(gpu), instance: 1 });
/// let range = Range::new(1 << 30, 64 << 20)?;
/// let plan = Layout::shard([(a, 1), (b, 3)]).plan(range)?;
/// assert_eq!(plan.bytes_for(a), 16 << 20);
/// # Ok::<(), xeplace::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    shares: Vec<Share>,
    /// Bytes of a stripe; `None` for one contiguous part a location.
    stripe: Option<u64>,
}

/// A location and how much of a range it takes, against the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Share {
    location: Location,
    weight: u64,
}

/// The steps that a layout yields: disjoint ranges in order, covering all of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// In the order of addresses.
    pub steps: Vec<Step>,
}

/// One range and its location.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The range.
    pub range: Range,
    /// Where it belongs.
    pub location: Location,
}

/// Steps in a plan: more would split the driver's mappings beyond reason.
const MAX_STEPS: u64 = 1 << 20;

impl Layout {
    /// All of it in one location.
    pub fn single(location: impl Into<Location>) -> Layout {
        Layout::shard([(location, 1)])
    }

    /// One contiguous part for each location, as large as its weight says.
    pub fn shard<L: Into<Location>>(shares: impl IntoIterator<Item = (L, u64)>) -> Layout {
        let shares = shares.into_iter().map(|(location, weight)| Share { location: location.into(), weight });
        Layout { shares: shares.collect(), stripe: None }
    }

    /// Stripes of `bytes`, dealt out in turn, as many a round as each location's weight says. `bytes` is a multiple of
    /// [`BLOCK`], so that no stripe cuts one.
    pub fn interleave<L: Into<Location>>(bytes: u64, shares: impl IntoIterator<Item = (L, u64)>) -> Layout {
        Layout { stripe: Some(bytes), ..Layout::shard(shares) }
    }

    /// The steps for `range`. Cuts lie on [`BLOCK`]s, so shares are exact to a block where the range begins on one.
    ///
    /// Refused with [`Error::Invalid`]: no location, weights that are all zero or add up to more than 2³², a stripe that is
    /// not a multiple of [`BLOCK`], more than a million steps.
    pub fn plan(&self, range: Range) -> Result<Plan> {
        let total = self.shares.iter().try_fold(0u64, |sum, share| sum.checked_add(share.weight));
        let total = total.filter(|total| (1..=1 << 32).contains(total)).ok_or_else(|| {
            Error::Invalid("a layout needs weights that add up to between 1 and 4294967296".to_owned())
        })?;
        let steps = match self.stripe {
            None => self.shards(range, total),
            Some(bytes) if bytes == 0 || bytes % BLOCK != 0 => {
                return Err(Error::Invalid(format!("a stripe of {bytes} bytes is not a multiple of 2 MiB")));
            }
            Some(bytes) if range.len() / bytes > MAX_STEPS => {
                return Err(Error::Invalid(format!("stripes of {bytes} bytes make more than {MAX_STEPS} steps")));
            }
            Some(bytes) => self.stripes(range, bytes),
        };
        let mut plan = Plan { steps: Vec::new() };
        for step in steps {
            plan.push(step);
        }
        Ok(plan)
    }

    fn shards(&self, range: Range, total: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        let (mut from, mut weight) = (range.start(), 0);
        for share in &self.shares {
            weight += share.weight;
            let exact = range.start() + (u128::from(range.len()) * u128::from(weight) / u128::from(total)) as u64;
            let end = if weight == total { range.end() } else { cut(exact, range) };
            steps.extend(Range::between(from, end).map(|range| Step { range, location: share.location }));
            from = from.max(end);
        }
        steps
    }

    fn stripes(&self, range: Range, bytes: u64) -> Vec<Step> {
        let mut turns =
            self.shares.iter().cycle().flat_map(|share| std::iter::repeat_n(share.location, share.weight as usize));
        let mut steps = Vec::new();
        let mut from = range.start();
        while from < range.end() {
            let end = range.end().min((from + 1).next_multiple_of(BLOCK) - BLOCK + bytes).max(from + PAGE);
            let Some(range) = Range::between(from, end) else { break };
            steps.push(Step { range, location: turns.next().expect("some weight is not zero") });
            from = end;
        }
        steps
    }
}

/// The block border nearest to `exact`, inside `range`; in a range of less than a few blocks, the nearest page.
fn cut(exact: u64, range: Range) -> u64 {
    let unit = if range.len() >= 4 * BLOCK { BLOCK } else { PAGE };
    ((exact + unit / 2) & !(unit - 1)).clamp(range.start(), range.end())
}

impl Plan {
    /// Bytes that belong in `location`.
    pub fn bytes_for(&self, location: impl Into<Location>) -> u64 {
        let location = location.into();
        self.steps.iter().filter(|step| step.location == location).map(|step| step.range.len()).sum()
    }

    fn push(&mut self, step: Step) {
        match self.steps.last_mut() {
            Some(last) if last.location == step.location && last.range.end() == step.range.start() => {
                last.range = Range::between(last.range.start(), step.range.end()).expect("steps are in order");
            }
            _ => self.steps.push(step),
        }
    }
}

impl<L: Into<Location>> From<L> for Layout {
    fn from(location: L) -> Layout {
        Layout::single(location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::{GpuId, Region};
    use proptest::prelude::*;

    fn vram(gpu: u32) -> Location {
        Region { gpu: GpuId(gpu), instance: 1 }.into()
    }

    #[test]
    fn stripes_are_dealt_out_by_weight() {
        let range = Range::new(BLOCK, 8 * BLOCK).unwrap();
        let plan = Layout::interleave(BLOCK, [(vram(0), 1), (vram(1), 3)]).plan(range).unwrap();
        let sizes: Vec<_> = plan.steps.iter().map(|step| step.range.len() / BLOCK).collect();
        assert_eq!(sizes, [1, 3, 1, 3]);
    }

    #[test]
    fn nonsense_is_refused() {
        let range = Range::new(0, BLOCK).unwrap();
        assert!(Layout::shard([(vram(0), 0)]).plan(range).is_err());
        assert!(Layout::shard::<Location>([]).plan(range).is_err());
        assert!(Layout::shard([(vram(0), u64::MAX), (vram(1), 2)]).plan(range).is_err());
        assert!(Layout::interleave(BLOCK + 4096, [(vram(0), 1)]).plan(range).is_err());
        assert!(Layout::interleave(0, [(vram(0), 1)]).plan(range).is_err());
    }

    proptest! {
        #[test]
        fn a_plan_covers_its_range_exactly(
            start in 0u64..2000, pages in 1u64..20_000, stripe in prop::option::of(1u64..4),
            weights in prop::collection::vec(0u64..5, 1..6),
        ) {
            prop_assume!(weights.iter().sum::<u64>() > 0);
            let range = Range::new(start * PAGE, pages * PAGE).unwrap();
            let shares = weights.iter().enumerate().map(|(gpu, weight)| (vram(gpu as u32), *weight));
            let layout = match stripe {
                Some(blocks) => Layout::interleave(blocks * BLOCK, shares),
                None => Layout::shard(shares),
            };
            let plan = layout.plan(range).unwrap();
            let mut at = range.start();
            for step in &plan.steps {
                prop_assert_eq!(step.range.start(), at);
                at = step.range.end();
            }
            prop_assert_eq!(at, range.end());
        }
    }
}
