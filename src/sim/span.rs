// SPDX-License-Identifier: MIT OR Apache-2.0
//! Spans of addresses, and a map from disjoint spans to values.

use crate::range::Range;
use std::collections::BTreeMap;

/// Addresses from `start` to `end`, end excluded. Unlike [`Range`] it may lie anywhere in a GPU's 48 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Span {
    pub(super) fn of(start: u64, length: u64) -> Span {
        Span { start, end: start.saturating_add(length) }
    }

    /// The aligned span of `size` bytes, a power of two, that holds `address`.
    pub(super) fn aligned(address: u64, size: u64) -> Span {
        Span::of(address & !(size - 1), size)
    }

    pub(super) fn len(self) -> u64 {
        self.end - self.start
    }

    pub(super) fn covers(self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    pub(super) fn contains(self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    pub(super) fn meet(self, other: Span) -> Option<Span> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Span { start, end })
    }
}

impl From<Range> for Span {
    fn from(range: Range) -> Span {
        Span { start: range.start(), end: range.end() }
    }
}

/// A map from disjoint spans to values.
#[derive(Clone, Debug)]
pub(super) struct Spans<V>(BTreeMap<u64, (u64, V)>);

impl<V> Default for Spans<V> {
    fn default() -> Self {
        Spans(BTreeMap::new())
    }
}

impl<V: Clone> Spans<V> {
    /// The entry that holds `address`.
    pub(super) fn at(&self, address: u64) -> Option<(Span, &V)> {
        let (&start, (end, value)) = self.0.range(..=address).next_back()?;
        (address < *end).then_some((Span { start, end: *end }, value))
    }

    pub(super) fn at_mut(&mut self, address: u64) -> Option<&mut V> {
        let (_, (end, value)) = self.0.range_mut(..=address).next_back()?;
        (address < *end).then_some(value)
    }

    /// All entries that share an address with `span`, whole and in order.
    pub(super) fn over(&self, span: Span) -> impl Iterator<Item = (Span, &V)> {
        let first = self.first_over(span);
        self.0.range(first..span.end.max(first)).map(|(&start, (end, value))| (Span { start, end: *end }, value))
    }

    pub(super) fn over_mut(&mut self, span: Span) -> impl Iterator<Item = (Span, &mut V)> {
        let first = self.first_over(span);
        self.0.range_mut(first..span.end.max(first)).map(|(&start, (end, value))| (Span { start, end: *end }, value))
    }

    /// What of each entry lies in `span`.
    pub(super) fn clipped(&self, span: Span) -> impl Iterator<Item = (Span, &V)> {
        self.over(span).filter_map(move |(whole, value)| Some((whole.meet(span)?, value)))
    }

    pub(super) fn any(&self, span: Span) -> bool {
        self.over(span).next().is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Span, &V)> {
        self.0.iter().map(|(&start, (end, value))| (Span { start, end: *end }, value))
    }

    /// Makes two entries of the one that holds `address` and the address before it.
    pub(super) fn cut(&mut self, address: u64) {
        let Some((&start, (end, value))) = self.0.range_mut(..address).next_back() else { return };
        if address < *end && start < address {
            let behind = (*end, value.clone());
            *end = address;
            self.0.insert(address, behind);
        }
    }

    /// Takes out everything in `span`, cutting what reaches beyond it.
    pub(super) fn take(&mut self, span: Span) -> Vec<(Span, V)> {
        self.cut(span.start);
        self.cut(span.end);
        let starts: Vec<u64> = self.0.range(span.start..span.end.max(span.start)).map(|(&start, _)| start).collect();
        let taken = starts.into_iter().filter_map(|start| Some((start, self.0.remove(&start)?)));
        taken.map(|(start, (end, value))| (Span { start, end }, value)).collect()
    }

    /// Lets `value` be what is known of `span`.
    pub(super) fn put(&mut self, span: Span, value: V) {
        self.take(span);
        self.0.insert(span.start, (span.end, value));
    }

    fn first_over(&self, span: Span) -> u64 {
        match self.0.range(..=span.start).next_back() {
            Some((&start, (end, _))) if *end > span.start => start,
            _ => span.start,
        }
    }
}

impl<V: Clone + PartialEq> Spans<V> {
    /// Like [`Spans::put`], but one entry together with neighbours of the same value.
    pub(super) fn spread(&mut self, mut span: Span, value: V) {
        self.take(span);
        if let Some((before, found)) = span.start.checked_sub(1).and_then(|last| self.at(last)) {
            if *found == value {
                span.start = before.start;
            }
        }
        if let Some((behind, found)) = self.at(span.end) {
            if *found == value {
                span.end = behind.end;
            }
        }
        self.put(span, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_map_of_spans_is_a_map_of_addresses(
            steps in proptest::collection::vec((0u64..60, 1u64..20, 0u8..3, 0u8..4), 1..40),
        ) {
            let mut spans = Spans::default();
            let mut plain = [None; 80];
            for (start, length, value, step) in steps {
                let span = Span::of(start, length);
                match step {
                    0 => drop(spans.take(span)),
                    1 => spans.cut(start),
                    2 => spans.put(span, value),
                    _ => spans.spread(span, value),
                }
                for address in span.start..span.end {
                    match step {
                        0 => plain[address as usize] = None,
                        2 | 3 => plain[address as usize] = Some(value),
                        _ => {}
                    }
                }
            }
            for (address, known) in plain.iter().enumerate() {
                prop_assert_eq!(spans.at(address as u64).map(|(_, value)| *value), *known);
            }
            for start in 0..70 {
                let span = Span::of(start, 7);
                let known: u64 = spans.clipped(span).map(|(part, _)| part.len()).sum();
                prop_assert_eq!(known, plain[start as usize..start as usize + 7].iter().flatten().count() as u64);
            }
        }
    }
}
