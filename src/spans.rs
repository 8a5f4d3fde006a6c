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
    /// None is empty.
    chunks: Vec<Vec<Span<V>>>,
}

#[derive(Clone, Copy, Debug)]
struct Span<V> {
    start: u64,
    end: u64,
    value: V,
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
        self.chunks.iter().map(Vec::len).sum()
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
        let place = self.seek(range.start());
        // As it mostly is: what was set before is set again.
        if let Some((_, old)) = self.at(place).filter(|(found, _)| *found == range) {
            let new = change(Some(old));
            if !new.is_some_and(|new| self.replace(place, new)) {
                self.set(range, new);
            }
            return;
        }
        for (piece, old) in self.pieces(range) {
            let new = change(old);
            if new != old {
                self.set(piece, new);
            }
        }
    }

    /// Gives `range` one value, or none.
    pub(crate) fn set(&mut self, range: Range, value: Option<V>) {
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

    /// Gives a span another value, if it stays apart from its neighbours.
    fn replace(&mut self, place: Place, value: V) -> bool {
        let Span { start, end, .. } = self.chunks[place.0][place.1];
        let same = |other: Place| self.at(other).filter(|(_, other)| *other == value);
        let joins = same(self.behind(place)).is_some_and(|(behind, _)| behind.start() == end)
            || self.before(place).and_then(same).is_some_and(|(before, _)| before.end() == start);
        if !joins {
            self.chunks[place.0][place.1].value = value;
        }
        !joins
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
                (Some(before), None) => self.chunks[place.0][place.1].end = before.end(),
                (None, Some(behind)) => self.move_start(place, behind.start()),
                (Some(before), Some(behind)) => {
                    self.chunks[place.0][place.1].end = before.end();
                    let place = self.behind(place);
                    self.insert(place, behind.start(), behind.end(), value);
                }
            }
        }
    }

    /// The first span that ends behind `address`; one past the last if there is none.
    fn seek(&self, address: u64) -> Place {
        let (Some(first), Some(last)) = (self.firsts.first(), self.firsts.last()) else { return (0, 0) };
        let chunk = up_to(&self.firsts, |first| *first, (*first, *last), address).saturating_sub(1);
        let found = &self.chunks[chunk];
        // Not from the chunk itself: its ends are on other cache lines than what is looked for.
        let next = self.firsts.get(chunk + 1).copied();
        let ends = (self.firsts[chunk], next.unwrap_or_else(|| found[found.len() - 1].start));
        let index = up_to(found, |span| span.start, ends, address);
        match index.checked_sub(1).filter(|index| found[*index].end > address) {
            Some(index) => (chunk, index),
            None if index == found.len() => (chunk + 1, 0),
            None => (chunk, index),
        }
    }

    fn at(&self, (chunk, index): Place) -> Option<(Range, V)> {
        let Span { start, end, value } = *self.chunks.get(chunk)?.get(index)?;
        Some((Range::between(start, end).expect("spans are ranges"), value))
    }

    fn behind(&self, (chunk, index): Place) -> Place {
        if index + 1 < self.chunks[chunk].len() { (chunk, index + 1) } else { (chunk + 1, 0) }
    }

    fn before(&self, (chunk, index): Place) -> Option<Place> {
        match (chunk, index) {
            (0, 0) => None,
            (chunk, 0) => Some((chunk - 1, self.chunks[chunk - 1].len() - 1)),
            (chunk, index) => Some((chunk, index - 1)),
        }
    }

    fn move_start(&mut self, (chunk, index): Place, start: u64) {
        self.chunks[chunk][index].start = start;
        self.firsts[chunk] = self.chunks[chunk][0].start;
    }

    fn insert(&mut self, (mut chunk, mut index): Place, start: u64, end: u64, value: V) {
        if index == 0 && chunk > 0 {
            // Behind the last of the chunk before is the same place, and needs no new chunk at the end.
            chunk -= 1;
            index = self.chunks[chunk].len();
        } else if self.chunks.is_empty() {
            self.firsts.push(start);
            self.chunks.push(Vec::new());
        }
        let found = &mut self.chunks[chunk];
        found.insert(index, Span { start, end, value });
        self.firsts[chunk] = found[0].start;
        if found.len() > CHUNK {
            // Filled from its end, a chunk stays almost full: addresses mostly come in order.
            let second = found.split_off(if index == CHUNK { CHUNK } else { CHUNK / 2 });
            self.firsts.insert(chunk + 1, second[0].start);
            self.chunks.insert(chunk + 1, second);
        }
    }

    fn remove(&mut self, (chunk, index): Place) {
        let found = &mut self.chunks[chunk];
        found.remove(index);
        match found.first() {
            Some(first) => self.firsts[chunk] = first.start,
            None => {
                self.firsts.remove(chunk);
                self.chunks.remove(chunk);
            }
        }
    }
}

/// How many of `list`, which is in the order of `start`, start at `address` or below. It is not empty, starts at `first`,
/// and nothing in it starts behind `last`.
fn up_to<T>(list: &[T], start: impl Fn(&T) -> u64, (first, last): (u64, u64), address: u64) -> usize {
    if address < first {
        return 0;
    }
    if address >= last {
        return list.len();
    }
    // Pages, so that the product cannot overflow: 2^35 pages, and fewer starts than that by far.
    let guess = ((address - first) / PAGE * list.len() as u64 / ((last - first) / PAGE)) as usize;
    let is_below = |index: usize| start(&list[index]) <= address;
    // Doubling steps away from the guess, until the place lies behind `low` and not behind `high`.
    let (mut low, mut high, mut step) = (guess, guess + 1, 1);
    if is_below(guess) {
        while high < list.len() && is_below(high) {
            low = high;
            high = (high + step).min(list.len());
            step *= 2;
        }
    } else {
        (low, high) = (guess - 1, guess);
        while !is_below(low) {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
    }
    low + 1 + list[low + 1..high].partition_point(|item| start(item) <= address)
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
        fn a_guessed_search_finds_what_halving_finds(gaps in prop::collection::vec(0u32..40, 1..300), at in 0u64..1 << 41) {
            // Gaps between one page and 2^27: the guess can be as wrong as it gets.
            let starts: Vec<u64> =
                gaps.iter().scan(0, |start, gap| { *start += PAGE << (gap % 28); Some(*start) }).collect();
            for address in starts.iter().copied().chain([at]).flat_map(|at| [at.saturating_sub(1), at, at + 1]) {
                let halving = starts.partition_point(|start| *start <= address);
                for last in [starts[starts.len() - 1], starts[starts.len() - 1] + (PAGE << 20)] {
                    prop_assert_eq!(up_to(&starts, |start| *start, (starts[0], last), address), halving);
                }
            }
        }

        #[test]
        fn agrees_with_an_array(steps in prop::collection::vec(
            (0u64..2000, 1u64..40, prop::option::of(0u8..4), any::<bool>()), 1..1500)
        ) {
            let mut spans = Spans::default();
            let mut array = vec![None; 2040];
            for (start, count, value, again) in steps {
                spans.set(pages(start, count), value);
                array[start as usize..(start + count) as usize].fill(value);
                if again {
                    // One more, of what is one span and of its neighbours as well.
                    let next = |value: Option<u8>| value.filter(|value| *value < 3).map(|value| value + 1);
                    for (start, count) in [(start, count), (start.saturating_sub(1), count)] {
                        spans.update(pages(start, count), next);
                        array[start as usize..(start + count) as usize].iter_mut().for_each(|value| *value = next(*value));
                    }
                }
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
