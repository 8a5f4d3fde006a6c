// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values kept by range: disjoint spans in order, found in a few tens of nanoseconds among a million.

use crate::range::{PAGE, Range};
use smallvec::SmallVec;

/// Spans in a chunk before it is split in two.
const CHUNK: usize = 256;

/// Values kept by range. Spans never overlap; neighbours with equal values are one.
///
/// Two levels: a sorted list of chunks, each a sorted list of spans. A search guesses its place in either from the
/// addresses at both ends, and looks around there: with ranges of about one size it touches a cache line or two.
#[derive(Clone, Debug)]
pub(crate) struct Spans<V> {
    /// The first start in each chunk.
    firsts: Vec<u64>,
    chunks: Vec<Chunk<V>>,
}

#[derive(Clone, Debug)]
struct Chunk<V> {
    starts: Vec<u64>,
    /// End and value, beside each start.
    rest: Vec<(u64, V)>,
}

/// Where a span is: chunk and index in it.
type Place = (usize, usize);

impl<V> Default for Spans<V> {
    fn default() -> Self {
        Spans { firsts: Vec::new(), chunks: Vec::new() }
    }
}

impl<V: Copy + PartialEq> Spans<V> {
    /// How many spans there are.
    #[allow(dead_code, reason = "for tests and benchmarks")]
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.starts.len()).sum()
    }

    /// The span that holds `address`.
    pub(crate) fn get(&self, address: u64) -> Option<(Range, V)> {
        let place = self.seek(address);
        self.at(place).filter(|(range, _)| range.contains(address))
    }

    /// The parts of spans that lie in `range`, in order.
    pub(crate) fn inside(&self, range: Range) -> impl Iterator<Item = (Range, V)> + '_ {
        let mut place = self.seek(range.start());
        std::iter::from_fn(move || {
            let (found, value) = self.at(place)?;
            place = self.behind(place);
            Some((found.intersection(range)?, value))
        })
    }

    /// All of `range` in order: the parts of spans that lie in it, and the gaps between them as `None`.
    pub(crate) fn pieces(&self, range: Range) -> SmallVec<[(Range, Option<V>); 4]> {
        let mut pieces = SmallVec::new();
        let mut from = range.start();
        for (found, value) in self.inside(range) {
            pieces.extend(Range::between(from, found.start()).map(|gap| (gap, None)));
            pieces.push((found, Some(value)));
            from = found.end();
        }
        pieces.extend(Range::between(from, range.end()).map(|gap| (gap, None)));
        pieces
    }

    /// Every span, in order.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Range, V)> + '_ {
        self.inside(Range::ALL)
    }

    /// Gives each piece of `range` the value that `change` makes of its old one.
    pub(crate) fn update(&mut self, range: Range, mut change: impl FnMut(Option<V>) -> Option<V>) {
        for (piece, old) in self.pieces(range) {
            let new = change(old);
            if new != old {
                self.set(piece, new);
            }
        }
    }

    /// Gives `range` one value, or none.
    pub(crate) fn set(&mut self, range: Range, value: Option<V>) {
        if value.is_some_and(|value| self.replace(range, value)) {
            return;
        }
        self.clear(range);
        let Some(value) = value else { return };
        let mut place = self.seek(range.start());
        let (mut start, mut end) = (range.start(), range.end());
        if let Some((next, _)) = self.at(place).filter(|(next, same)| next.start() == end && *same == value) {
            end = next.end();
            self.remove(place);
            place = self.seek(start);
        }
        if let Some(before) = self.before(place) {
            let (range, same) = self.at(before).expect("a place before another is a span's");
            if range.end() == start && same == value {
                start = range.start();
                self.remove(before);
                place = self.seek(start);
            }
        }
        self.insert(place, start, end, value);
    }

    /// Gives the span that is `range` another value, if there is one and it stays apart from its neighbours.
    fn replace(&mut self, range: Range, value: V) -> bool {
        let place = self.seek(range.start());
        let joins = |other: Option<Place>, touches: fn(Range, Range) -> bool| {
            other.and_then(|other| self.at(other)).is_some_and(|(other, same)| same == value && touches(other, range))
        };
        let apart = self.at(place).is_some_and(|(found, _)| found == range)
            && !joins(Some(self.behind(place)), |behind, range| behind.start() == range.end())
            && !joins(self.before(place), |before, range| before.end() == range.start());
        if apart {
            self.chunks[place.0].rest[place.1].1 = value;
        }
        apart
    }

    /// Takes the values of `range` away.
    fn clear(&mut self, range: Range) {
        loop {
            let place = self.seek(range.start());
            let Some((found, value)) = self.at(place).filter(|(found, _)| found.intersection(range).is_some()) else {
                return;
            };
            let [before, behind] = found.without(range);
            match (before, behind) {
                (None, None) => self.remove(place),
                (Some(before), None) => self.chunks[place.0].rest[place.1].0 = before.end(),
                (None, Some(behind)) => self.move_start(place, behind.start()),
                (Some(before), Some(behind)) => {
                    self.chunks[place.0].rest[place.1].0 = before.end();
                    let place = self.behind(place);
                    self.insert(place, behind.start(), behind.end(), value);
                }
            }
        }
    }

    /// The first span that ends behind `address`; one past the last if there is none.
    fn seek(&self, address: u64) -> Place {
        let chunk = up_to(&self.firsts, address).saturating_sub(1);
        let Some(found) = self.chunks.get(chunk) else { return (chunk, 0) };
        let index = up_to(&found.starts, address);
        match index.checked_sub(1).filter(|index| found.rest[*index].0 > address) {
            Some(index) => (chunk, index),
            None if index == found.starts.len() => (chunk + 1, 0),
            None => (chunk, index),
        }
    }

    fn at(&self, (chunk, index): Place) -> Option<(Range, V)> {
        let chunk = self.chunks.get(chunk)?;
        let (end, value) = *chunk.rest.get(index)?;
        Some((Range::between(chunk.starts[index], end).expect("spans are ranges"), value))
    }

    fn behind(&self, (chunk, index): Place) -> Place {
        if index + 1 < self.chunks[chunk].starts.len() { (chunk, index + 1) } else { (chunk + 1, 0) }
    }

    fn before(&self, (chunk, index): Place) -> Option<Place> {
        match (chunk, index) {
            (0, 0) => None,
            (chunk, 0) => Some((chunk - 1, self.chunks[chunk - 1].starts.len() - 1)),
            (chunk, index) => Some((chunk, index - 1)),
        }
    }

    fn move_start(&mut self, (chunk, index): Place, start: u64) {
        self.chunks[chunk].starts[index] = start;
        self.firsts[chunk] = self.chunks[chunk].starts[0];
    }

    fn insert(&mut self, (mut chunk, mut index): Place, start: u64, end: u64, value: V) {
        if index == 0 && chunk > 0 {
            // Behind the last of the chunk before is the same place, and needs no new chunk at the end.
            chunk -= 1;
            index = self.chunks[chunk].starts.len();
        } else if self.chunks.is_empty() {
            self.firsts.push(start);
            self.chunks.push(Chunk { starts: Vec::new(), rest: Vec::new() });
        }
        let found = &mut self.chunks[chunk];
        found.starts.insert(index, start);
        found.rest.insert(index, (end, value));
        self.firsts[chunk] = found.starts[0];
        if found.starts.len() > CHUNK {
            // Filled from its end, a chunk stays almost full: addresses mostly come in order.
            let middle = if index == CHUNK { CHUNK } else { CHUNK / 2 };
            let second = Chunk { starts: found.starts.split_off(middle), rest: found.rest.split_off(middle) };
            self.firsts.insert(chunk + 1, second.starts[0]);
            self.chunks.insert(chunk + 1, second);
        }
    }

    fn remove(&mut self, (chunk, index): Place) {
        let found = &mut self.chunks[chunk];
        found.starts.remove(index);
        found.rest.remove(index);
        match found.starts.first() {
            Some(first) => self.firsts[chunk] = *first,
            None => {
                self.firsts.remove(chunk);
                self.chunks.remove(chunk);
            }
        }
    }
}

/// How many of `starts`, which are in order, are `address` or below.
fn up_to(starts: &[u64], address: u64) -> usize {
    let (Some(first), Some(last)) = (starts.first(), starts.last()) else { return 0 };
    if address < *first {
        return 0;
    }
    if address >= *last {
        return starts.len();
    }
    // Pages, so that the product cannot overflow: 2^35 pages, and fewer starts than that by far.
    let guess = ((address - first) / PAGE * (starts.len() - 1) as u64 / ((last - first) / PAGE)) as usize;
    // Doubling steps away from the guess, until the place lies between `low` (which is below) and `high` (which is not).
    let (mut low, mut high, mut step) = (guess, guess, 1);
    if starts[guess] <= address {
        high += 1;
        while starts[high] <= address {
            low = high;
            high = (high + step).min(starts.len() - 1);
            step *= 2;
        }
    } else {
        low -= 1;
        while starts[low] > address {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
    }
    low + 1 + starts[low + 1..high].partition_point(|start| *start <= address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pages(start: u64, count: u64) -> Range {
        Range::new(start * PAGE, count * PAGE).unwrap()
    }

    #[test]
    fn neighbours_with_equal_values_are_one() {
        let mut spans = Spans::default();
        spans.set(pages(0, 2), Some(1));
        spans.set(pages(4, 2), Some(1));
        assert_eq!(spans.len(), 2);
        spans.set(pages(2, 2), Some(1));
        assert_eq!(spans.iter().collect::<Vec<_>>(), [(pages(0, 6), 1)]);
    }

    #[test]
    fn a_hole_splits_a_span() {
        let mut spans = Spans::default();
        spans.set(pages(0, 6), Some(1));
        spans.set(pages(2, 1), None);
        assert_eq!(spans.iter().map(|(range, _)| range).collect::<Vec<_>>(), [pages(0, 2), pages(3, 3)]);
        assert_eq!(spans.get(2 * PAGE), None);
        assert_eq!(
            spans.pieces(pages(1, 3)).as_slice(),
            [(pages(1, 1), Some(1)), (pages(2, 1), None), (pages(3, 1), Some(1))]
        );
    }

    proptest! {
        #[test]
        fn a_guessed_search_finds_what_halving_finds(gaps in prop::collection::vec(0u32..40, 0..300), at in 0u64..1 << 41) {
            // Gaps between one page and 2^27: the guess can be as wrong as it gets.
            let starts: Vec<u64> =
                gaps.iter().scan(0, |start, gap| { *start += PAGE << (gap % 28); Some(*start) }).collect();
            for address in starts.iter().copied().chain([at]).flat_map(|at| [at.saturating_sub(1), at, at + 1]) {
                prop_assert_eq!(up_to(&starts, address), starts.partition_point(|start| *start <= address));
            }
        }

        #[test]
        fn agrees_with_an_array(steps in prop::collection::vec((0u64..2000, 1u64..40, prop::option::of(0u8..4)), 1..1500)) {
            let mut spans = Spans::default();
            let mut array = vec![None; 2040];
            for (start, count, value) in steps {
                spans.set(pages(start, count), value);
                array[start as usize..(start + count) as usize].fill(value);
            }
            for (page, value) in array.iter().enumerate() {
                prop_assert_eq!(spans.get(page as u64 * PAGE).map(|(_, value)| value), *value);
            }
            let listed: Vec<_> = spans.iter().collect();
            for pair in listed.windows(2) {
                prop_assert!(pair[0].0.end() < pair[1].0.start() || pair[0].0.end() == pair[1].0.start() && pair[0].1 != pair[1].1);
            }
            prop_assert_eq!(spans.len(), listed.len());
        }
    }
}
