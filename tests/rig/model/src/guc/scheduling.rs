// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contexts as the firmware sees them: registered, let run, taken off their engine, reset (`xe_guc_submit.c`).

use super::{
    Firmware, faults, invalidation, klv,
    messages::{
        CONTEXT_RESET_NOTIFICATION, DEREGISTER_CONTEXT_DONE, NOTIFY_MEMORY_CAT_ERROR, SCHED_CONTEXT_MODE_DONE,
        TLB_INVALIDATION_DONE, event,
    },
};
use crate::{
    engine::{context::Context, kind},
    gpu::Counters,
    mishaps::Mishap,
    tlb::Scope,
};
use std::time::{Duration, Instant};

/// How long a context may stay on its engine after it was told to leave, unless the driver says otherwise
/// (`xe_hw_engine.c`).
const PREEMPTION: Duration = Duration::from_micros(640_000);
/// The driver allows less to contexts that it kills, down to a microsecond. Threads of a busy host need this.
const PREEMPTION_AT_LEAST: Duration = Duration::from_millis(100);
/// The policy that sets that time, in microseconds.
const PREEMPTION_TIMEOUT_KEY: u16 = 0x2002;

/// The kind of a memory error is not told (XE_GUC_CAT_ERR_TYPE_INVALID).
const NO_KIND: u32 = 0xdead_beef;

/// A context that the driver registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registered {
    engine: usize,
    preemption: Duration,
}

/// A context that was told to leave its engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    context: u32,
    pub(super) latest: Instant,
}

impl Firmware {
    pub(super) fn register(&mut self, message: &[u32]) {
        let &[_, _, id, class, mask, _, _, _, _, _, low, high] = message else { return self.malformed(message) };
        let Some(engine) = kind::place(class, mask) else {
            return self
                .gpu
                .report(format_args!("GuC: context {id} is for class {class} mask {mask:#x}, which is not there"));
        };
        self.contexts.insert(id, Registered { engine, preemption: PREEMPTION });
        let context = Context::new(id, u64::from(low) | u64::from(high) << 32);
        self.engines[engine].schedule(|queue| queue.add(context));
    }

    pub(super) fn deregister(&mut self, message: &[u32]) {
        let &[_, id] = message else { return self.malformed(message) };
        let Some(registered) = self.contexts.remove(&id) else { return self.unknown(id) };
        self.engines[registered.engine].schedule(|queue| queue.remove(id));
        self.send(0, vec![event(DEREGISTER_CONTEXT_DONE), id]);
    }

    pub(super) fn submit(&mut self, message: &[u32]) {
        let &[_, id] = message else { return self.malformed(message) };
        let Some(registered) = self.contexts.get(&id) else { return self.unknown(id) };
        self.engines[registered.engine].schedule(|queue| queue.renew(id));
    }

    pub(super) fn set_mode(&mut self, message: &[u32]) {
        let &[_, id, mode] = message else { return self.malformed(message) };
        let Some(&Registered { engine, preemption }) = self.contexts.get(&id) else { return self.unknown(id) };
        let engine = &self.engines[engine];
        if mode == 1 {
            engine.schedule(|queue| queue.enable(id));
        } else if engine.disable(id) {
            let latest = Instant::now() + preemption.max(PREEMPTION_AT_LEAST);
            return self.leaving.push(Leaving { context: id, latest });
        }
        self.send(0, vec![event(SCHED_CONTEXT_MODE_DONE), id, mode]);
    }

    pub(super) fn set_policies(&mut self, message: &[u32]) {
        let [_, id, policies @ ..] = message else { return self.malformed(message) };
        let Some(registered) = self.contexts.get_mut(id) else { return self.unknown(*id) };
        for (key, value) in klv::pairs(policies) {
            if let (PREEMPTION_TIMEOUT_KEY, &[microseconds]) = (key, value) {
                registered.preemption = Duration::from_micros(microseconds.into());
            }
        }
    }

    /// The driver answered a page fault.
    pub(super) fn fault_answered(&mut self, message: &[u32]) {
        let Some(answer) = faults::answer(message) else { return self.malformed(message) };
        let id = answer.context;
        // It may be gone by now.
        let Some(registered) = self.contexts.get(&id) else { return };
        let engine = &self.engines[registered.engine];
        if answer.served {
            engine.schedule(|queue| queue.resume(id));
        } else {
            engine.schedule(|queue| queue.kill(id));
            self.send(0, vec![event(NOTIFY_MEMORY_CAT_ERROR), id, NO_KIND]);
        }
    }

    /// A context used memory that it must not.
    pub(super) fn memory_error(&mut self, id: u32) {
        self.send(0, vec![event(NOTIFY_MEMORY_CAT_ERROR), id, NO_KIND]);
    }

    /// A context was taken off its engine by force.
    pub(super) fn was_reset(&mut self, id: u32) {
        Counters::count(&self.gpu.counters.resets);
        if let Some(registered) = self.contexts.get(&id) {
            self.engines[registered.engine].invalidate(Scope::All);
        }
        self.send(0, vec![event(CONTEXT_RESET_NOTIFICATION), id]);
    }

    /// A context that was told to leave its engine did.
    pub(super) fn left(&mut self, id: u32) {
        self.leaving.retain(|leaving| leaving.context != id);
        self.send(0, vec![event(SCHED_CONTEXT_MODE_DONE), id, 0]);
    }

    /// Contexts whose time to leave is over are taken off by force.
    pub(super) fn force_late_ones(&mut self) {
        let now = Instant::now();
        for late in self.leaving.extract_if(.., |leaving| leaving.latest <= now) {
            self.gpu.note(|| format!("GuC: context {} did not leave its engine in time", late.context));
            if let Some(registered) = self.contexts.get(&late.context) {
                self.engines[registered.engine].reset_context(late.context);
            }
        }
    }

    pub(super) fn invalidate(&mut self, message: &[u32]) {
        Counters::count(&self.gpu.counters.invalidations);
        let Some(request) = invalidation::request(message) else { return self.malformed(message) };
        match self.gpu.mishaps.at_invalidation() {
            Some(Mishap::Skip) => self.gpu.report(format_args!("skips, as asked, {:?}", request.target)),
            Some(Mishap::Delay(time)) => {
                std::thread::sleep(time);
                self.forget(request.target);
            }
            _ => self.forget(request.target),
        }
        self.send(0, vec![event(TLB_INVALIDATION_DONE), request.number]);
    }

    fn forget(&self, target: invalidation::Target) {
        let scope = match target {
            invalidation::Target::Guc => return,
            invalidation::Target::Engines(scope) => scope,
            // Which address space it is, is not known while it is on the engine.
            invalidation::Target::Context { id, start, length } => match self.asid(id) {
                Some(asid) => Scope::Range { asid, start, length },
                None => Scope::All,
            },
        };
        for engine in &self.engines {
            engine.invalidate(scope);
        }
    }

    fn asid(&self, id: u32) -> Option<u32> {
        self.engines[self.contexts.get(&id)?.engine].schedule(|queue| queue.asid(id))
    }

    fn unknown(&self, id: u32) {
        self.gpu.report(format_args!("GuC: there is no context {id}"));
    }
}
