// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this library has told each vm of each range, and where it last moved it.

use crate::{
    location::Location,
    range::Range,
    spans::Spans,
    vm::VmId,
    wish::{Advice, Change, Wish},
};
use smallvec::SmallVec;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// The record of one space.
///
/// It is what the library did, not what is true: others may advise the same vms, and the kernel resets advice when memory
/// is unmapped. Nothing is left out on its word but for memory whose life the library knows ([`State::stable`]).
#[derive(Debug, Default)]
pub(crate) struct Record {
    spans: Spans<StateId>,
    states: Vec<State>,
    numbers: HashMap<State, StateId, BuildHasherDefault<Mixer>>,
    steps: HashMap<Step, StateId, BuildHasherDefault<Mixer>>,
}

/// From one state, or none, to another: memory is mostly told what other memory was told before.
#[derive(PartialEq, Eq, Debug)]
struct Step {
    from: Option<StateId>,
    vms: SmallVec<[VmId; 4]>,
    change: Change,
}

impl Hash for Step {
    /// By what mostly differs.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.from, self.change).hash(hasher);
    }
}

/// A hash for the few states of a record: they come from this process, so none is made to collide.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // An odd number with bits everywhere: 2^64 over the golden ratio (Knuth, volume 3, section 6.4).
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // The map picks by the low bits, which a product mixes least.
        self.0 ^ self.0 >> 32
    }
}

/// States are few and ranges many: a span holds the number of its state.
type StateId = u32;

/// All that is recorded of a range.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct State {
    /// Nobody unmaps or re-uses it without saying so first.
    pub(crate) stable: bool,
    /// Where a prefetch last brought it, if nothing was seen to move it since.
    pub(crate) placed: Option<Location>,
    /// Per vm, in the order of their numbers. A vm that is missing was told nothing.
    wishes: SmallVec<[(VmId, Wish); 8]>,
}

impl State {
    /// What `vm` was told, if anything.
    pub(crate) fn wish(&self, vm: VmId) -> Option<Wish> {
        self.place(vm).ok().map(|index| self.wishes[index].1)
    }

    /// Per vm.
    pub(crate) fn wishes(&self) -> &[(VmId, Wish)] {
        &self.wishes
    }

    fn set_wish(&mut self, vm: VmId, wish: Wish) {
        match self.place(vm) {
            Ok(index) => self.wishes[index].1 = wish,
            Err(index) => self.wishes.insert(index, (vm, wish)),
        }
    }

    fn place(&self, vm: VmId) -> Result<usize, usize> {
        self.wishes.binary_search_by_key(&vm, |(id, _)| *id)
    }
}

impl Record {
    /// Whether the record says of all of `range` that it is stable and that each of `vms` was told what `advice` says,
    /// with its first location. Where there is no vm nobody was told.
    pub(crate) fn holds(&self, range: Range, vms: impl Iterator<Item = VmId> + Clone, advice: &Advice) -> bool {
        if vms.clone().next().is_none() {
            return false;
        }
        let change = Change::by(advice, advice.locations().first().copied());
        let mut from = range.start();
        while from < range.end() {
            let Some((span, number)) = self.spans.get(from) else { return false };
            let state = &self.states[number as usize];
            let told = |vm| state.wish(vm).is_some_and(|wish| change.of(wish) == wish);
            if !state.stable || !vms.clone().all(told) {
                return false;
            }
            from = span.end();
        }
        true
    }

    /// The recorded parts of `range`, in order.
    pub(crate) fn inside(&self, range: Range) -> impl Iterator<Item = (Range, &State)> {
        self.spans.inside(range).map(|(part, number)| (part, &self.states[number as usize]))
    }

    /// All of `range` in order; `None` where nothing is recorded.
    pub(crate) fn pieces(&self, range: Range) -> impl Iterator<Item = (Range, Option<&State>)> {
        self.spans
            .pieces(range)
            .into_iter()
            .map(|(part, number)| (part, number.map(|number| &self.states[number as usize])))
    }

    /// What `vm` was told of the first address of `range`.
    pub(crate) fn wish_at(&self, range: Range, vm: VmId) -> Option<Wish> {
        let (_, number) = self.spans.get(range.start())?;
        self.states[number as usize].wish(vm)
    }

    /// Each of `vms` has been told of all of `range` what `change` makes of what it was told before.
    pub(crate) fn tell(&mut self, range: Range, vms: impl Iterator<Item = VmId>, change: Change) {
        let Record { spans, states, numbers, steps } = self;
        let mut step = Step { from: None, vms: vms.collect(), change };
        spans.update(range, |from| {
            step.from = from;
            steps.get(&step).copied().or_else(|| {
                let mut state = from.map_or_else(State::default, |from| states[from as usize].clone());
                for vm in &step.vms {
                    state.set_wish(*vm, change.of(state.wish(*vm).unwrap_or_default()));
                }
                let to = number(states, numbers, state);
                steps.insert(Step { from, vms: step.vms.clone(), change }, to);
                Some(to)
            })
        });
    }

    /// A prefetch has brought all of `range` to `location`, or its place is not known any more.
    pub(crate) fn place(&mut self, range: Range, location: Option<Location>) {
        self.update(range, |state| state.placed = location);
    }

    /// From now on, or no longer, nobody unmaps or re-uses it without saying so first.
    pub(crate) fn set_stable(&mut self, range: Range, stable: bool) {
        self.update(range, |state| state.stable = stable);
    }

    /// Everything in `range` is forgotten.
    pub(crate) fn forget(&mut self, range: Range) {
        self.spans.set(range, None);
    }

    /// Everything that `vm` was told is forgotten.
    pub(crate) fn forget_vm(&mut self, vm: VmId) {
        // Made anew, so that states in which no memory is any more go as well.
        let before = std::mem::take(self);
        for (range, state) in before.inside(Range::ALL) {
            self.update(range, |new| {
                new.clone_from(state);
                new.wishes.retain(|(id, _)| *id != vm);
            });
        }
    }

    fn update(&mut self, range: Range, change: impl Fn(&mut State)) {
        let Record { spans, states, numbers, .. } = self;
        spans.update(range, |from| {
            let mut state = from.map_or_else(State::default, |from| states[from as usize].clone());
            change(&mut state);
            (state != State::default()).then(|| number(states, numbers, state))
        });
    }
}

/// The number of `state`, which it keeps.
fn number(
    states: &mut Vec<State>,
    numbers: &mut HashMap<State, StateId, BuildHasherDefault<Mixer>>,
    state: State,
) -> StateId {
    *numbers.entry(state).or_insert_with_key(|state| {
        states.push(state.clone());
        (states.len() - 1) as StateId
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{location::Location::*, range::BLOCK};

    fn blocks(start: u64, count: u64) -> Range {
        Range::new(start * BLOCK, count * BLOCK).unwrap()
    }

    #[test]
    fn only_stable_memory_is_taken_at_the_record_s_word() {
        let vm = VmId(0);
        let mut record = Record::default();
        let advice = Advice::prefer(System);
        record.tell(blocks(0, 4), [vm].into_iter(), Change::by(&advice, Some(System)));
        assert!(!record.holds(blocks(0, 4), [vm].into_iter(), &advice));
        record.set_stable(blocks(0, 2), true);
        assert!(record.holds(blocks(0, 2), [vm].into_iter(), &advice));
        assert!(!record.holds(blocks(0, 4), [vm].into_iter(), &advice));
        assert!(!record.holds(blocks(0, 2), [vm, VmId(1)].into_iter(), &advice));
        record.forget(blocks(1, 1));
        assert!(!record.holds(blocks(0, 2), [vm].into_iter(), &advice));
    }

    #[test]
    fn a_vm_that_leaves_is_forgotten() {
        let mut record = Record::default();
        record.tell(blocks(0, 1), [VmId(0)].into_iter(), Change::by(&Advice::new(), Some(System)));
        record.tell(blocks(0, 2), [VmId(1)].into_iter(), Change::by(&Advice::new(), Some(System)));
        record.forget_vm(VmId(0));
        assert_eq!(record.wish_at(blocks(0, 1), VmId(0)), None);
        assert_eq!(record.wish_at(blocks(0, 1), VmId(1)).unwrap().location, System);
        record.forget_vm(VmId(1));
        assert_eq!(record.inside(Range::ALL).count(), 0);
    }
}
