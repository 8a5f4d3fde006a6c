// SPDX-License-Identifier: MIT OR Apache-2.0
//! A million ranges in the map beneath the record, beside the `rangemap` crate.

use crate::{
    measure::{Times, side_by_side},
    range::{BLOCK, Range},
    report::{Goal, Report, Row},
    spans::Spans,
};
use rangemap::RangeMap;
use std::hint::black_box;

const RANGES: usize = 1_000_000;

/// Put in in order, put in in random order, and looked up in random order.
pub(crate) fn a_million_ranges(report: &mut Report) -> xeplace::Result<()> {
    let ordered: Vec<(Range, u32)> = (0..RANGES as u64)
        // Neighbours differ, or they would be one span.
        .map(|block| (Range::new(block * BLOCK, BLOCK).expect("it is a block"), block as u32 % 4))
        .collect();
    let mut shuffled = ordered.clone();
    fastrand::Rng::with_seed(1).shuffle(&mut shuffled);
    for (order, ranges) in [("in order", &ordered), ("at random", &shuffled)] {
        let mut ours = |_| assert_eq!(spans(black_box(ranges)).len(), RANGES);
        let mut theirs = |_| assert_eq!(tree(black_box(ranges)).iter().count(), RANGES);
        row(report, format!("a million ranges put in, {order}"), &side_by_side(7, [&mut ours, &mut theirs]));
    }
    let (spans, tree) = (spans(&ordered), tree(&ordered));
    let mut ours = |_| {
        for (range, value) in &shuffled {
            assert_eq!(spans.get(range.start()).map(|(_, value)| value), Some(*value));
        }
    };
    let mut theirs = |_| {
        for (range, value) in &shuffled {
            assert_eq!(tree.get(&range.start()), Some(value));
        }
    };
    row(report, "one of them looked up, at random".to_owned(), &side_by_side(7, [&mut ours, &mut theirs]));
    Ok(())
}

fn spans(ranges: &[(Range, u32)]) -> Spans<u32> {
    let mut spans = Spans::default();
    for (range, value) in ranges {
        spans.set(*range, Some(*value));
    }
    spans
}

fn tree(ranges: &[(Range, u32)]) -> RangeMap<u64, u32> {
    let mut tree = RangeMap::new();
    for (range, value) in ranges {
        tree.insert(range.addresses(), *value);
    }
    tree
}

fn row(report: &mut Report, what: String, times: &Times<2>) {
    report.add(Row {
        what,
        with: "the rangemap crate",
        item: "range",
        nanoseconds: (times.nanoseconds(0, RANGES), times.nanoseconds(1, RANGES)),
        ratio: times.ratio(0, 1),
        excess: times.excess(0, 1, RANGES),
        goal: Goal::Ratio(1.0),
    });
}
