// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which contexts an engine has, and whose turn it is.

use super::context::Context;
use std::collections::BTreeMap;

/// What a context could do with the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: its ring is empty.
    Idle,
    /// Execute commands.
    Ready,
    /// Look again whether a semaphore has the value that it waits for.
    Waiting,
    /// Nothing, until the driver has answered its page fault.
    Faulted,
    /// Nothing, ever.
    Dead,
}

#[derive(Debug)]
struct Slot {
    /// Away while it is on the engine.
    context: Option<Box<Context>>,
    enabled: bool,
    /// The driver wants it off the engine.
    leaving: bool,
    /// Commands came while it was on the engine.
    renewed: bool,
    state: State,
}

impl Slot {
    fn has_use(&self) -> bool {
        self.enabled && self.context.is_some() && matches!(self.state, State::Ready | State::Waiting)
    }
}

/// The contexts of an engine.
#[derive(Debug, Default)]
pub struct Queue {
    slots: BTreeMap<u32, Slot>,
    running: Option<u32>,
    /// Who was last.
    last: u32,
}

impl Queue {
    /// A new context. It does nothing until it is enabled.
    pub fn add(&mut self, context: Context) {
        let id = context.id;
        let slot = Slot {
            context: Some(Box::new(context)),
            enabled: false,
            leaving: false,
            renewed: false,
            state: State::Idle,
        };
        self.slots.insert(id, slot);
    }

    /// Forgets a context.
    pub fn remove(&mut self, id: u32) {
        self.slots.remove(&id);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    /// Lets a context run; a page fault that was never answered is met again.
    pub fn enable(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(&id) {
            (slot.enabled, slot.leaving) = (true, false);
            if slot.state != State::Dead {
                slot.state = State::Ready;
            }
        }
    }

    /// Keeps a context from running. Says whether it is on the engine still; then [`Queue::put_back`] tells when it left.
    pub fn disable(&mut self, id: u32) -> bool {
        let running = self.running == Some(id);
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.enabled = false;
            slot.leaving = running;
        }
        running
    }

    /// There are new commands for a context.
    pub fn renew(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.renewed = true;
            if slot.state == State::Idle {
                slot.state = State::Ready;
            }
        }
    }

    /// The page that a context needed is there.
    pub fn resume(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.state == State::Faulted) {
            slot.state = State::Ready;
        }
    }

    /// A context will never run again.
    pub fn kill(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.state = State::Dead;
        }
    }

    /// The address space that a context was last seen with, unless it is on the engine.
    pub fn asid(&self, id: u32) -> Option<u32> {
        Some(self.slots.get(&id)?.context.as_ref()?.asid)
    }

    /// Takes the next context that has use for the engine, in turn.
    pub fn take(&mut self) -> Option<Box<Context>> {
        let later = self.slots.range(self.last.saturating_add(1)..);
        let id = *later.chain(self.slots.range(..=self.last)).find(|(_, slot)| slot.has_use())?.0;
        let slot = self.slots.get_mut(&id)?;
        slot.renewed = false;
        (self.running, self.last) = (Some(id), id);
        slot.context.take()
    }

    /// Gives back the context that was on the engine. Says whether the driver waits for that.
    pub fn put_back(&mut self, context: Box<Context>, state: State) -> bool {
        self.running = None;
        // It may have been forgotten meanwhile.
        let Some(slot) = self.slots.get_mut(&context.id) else { return false };
        slot.context = Some(context);
        if slot.state != State::Dead {
            slot.state = if state == State::Idle && slot.renewed { State::Ready } else { state };
        }
        std::mem::take(&mut slot.leaving)
    }

    /// The context that is on the engine.
    pub fn running(&self) -> Option<u32> {
        self.running
    }

    /// Whether a context that is not on the engine could execute commands there.
    pub fn has_ready(&self) -> bool {
        self.slots.values().any(|slot| slot.has_use() && slot.state == State::Ready)
    }

    /// All contexts and what they could do.
    pub fn states(&self) -> impl Iterator<Item = (u32, State)> {
        self.slots.iter().map(|(id, slot)| (*id, slot.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(ids: &[u32]) -> Queue {
        let mut queue = Queue::default();
        for id in ids {
            queue.add(Context::new(*id, 0));
            queue.enable(*id);
        }
        queue
    }

    #[test]
    fn contexts_take_turns() {
        let mut queue = queue(&[3, 5, 9]);
        let order: Vec<u32> = (0..6)
            .map(|_| {
                let context = queue.take().unwrap();
                let id = context.id;
                queue.put_back(context, State::Ready);
                id
            })
            .collect();
        assert_eq!(order, [3, 5, 9, 3, 5, 9]);
    }

    #[test]
    fn commands_that_come_during_a_turn_are_not_lost() {
        let mut queue = queue(&[1]);
        let context = queue.take().unwrap();
        queue.renew(1);
        queue.put_back(context, State::Idle);
        let context = queue.take().unwrap();
        queue.put_back(context, State::Idle);
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_context_on_the_engine_leaves_later() {
        let mut queue = queue(&[1, 2]);
        assert!(!queue.disable(2));
        let context = queue.take().unwrap();
        assert!(queue.disable(1));
        assert!(queue.put_back(context, State::Ready));
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_fault_holds_a_context_until_it_is_answered() {
        let mut queue = queue(&[1]);
        let context = queue.take().unwrap();
        queue.put_back(context, State::Faulted);
        queue.renew(1);
        assert!(queue.take().is_none());
        queue.resume(1);
        assert!(queue.take().is_some());
    }

    #[test]
    fn a_context_that_was_forgotten_does_not_come_back() {
        let mut queue = queue(&[1]);
        let context = queue.take().unwrap();
        queue.clear();
        assert!(!queue.put_back(context, State::Ready));
        assert!(queue.take().is_none());
    }

    #[test]
    fn the_dead_stay_dead() {
        let mut queue = queue(&[1]);
        queue.kill(1);
        queue.renew(1);
        queue.enable(1);
        assert!(queue.take().is_none());
    }
}
