// SPDX-License-Identifier: MIT OR Apache-2.0
//! An engine: a thread that gives its contexts turns of about a millisecond.

pub mod context;
pub mod kind;
pub mod port;
pub mod queue;
pub mod stop;
pub mod streamer;
#[cfg(test)]
pub(crate) mod tests;

use crate::{
    gpu::{Counters, Gpu},
    guc::{Event, Listener},
    ppgtt::Fault,
    tlb::{Scope, Tlb},
};
use context::Context;
use kind::Kind;
use parking_lot::{Condvar, Mutex, MutexGuard};
use queue::{Queue, State};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use stop::{Failure, Stop};
use streamer::{Step, Streamer};

/// How long a turn is.
const TURN: Duration = Duration::from_millis(1);
/// Commands between two looks at the clock.
const UNTIMED: u32 = 16;
/// How long a context that waits for a semaphore sleeps before it looks again.
const PAUSE: Duration = Duration::from_micros(100);

/// How a turn ended.
#[derive(Debug)]
enum Outcome {
    /// The ring is empty.
    Drained,
    /// The time is over, or the engine is wanted for something else.
    Over,
    /// A semaphore is waited for.
    Waiting,
    /// A page is needed.
    Faulted(Fault),
    /// A command could not be executed.
    Failed(Failure),
    /// The firmware reset the engine.
    Reset,
}

/// An engine.
#[derive(Debug)]
pub struct Engine {
    kind: Kind,
    gpu: Arc<Gpu>,
    firmware: Arc<dyn Listener>,
    queue: Mutex<Queue>,
    /// Something changed in the queue.
    changed: Condvar,
    tlb: Mutex<Tlb>,
    /// The context on the engine is to leave at the next opportunity.
    wanted: AtomicBool,
    /// The context on the engine is to leave at once.
    reset: AtomicBool,
    /// The engine makes no progress, until it is reset.
    frozen: AtomicBool,
}

impl Engine {
    /// An engine and its thread.
    pub fn start(kind: Kind, gpu: Arc<Gpu>, firmware: Arc<dyn Listener>) -> io::Result<Arc<Engine>> {
        let engine = Arc::new(Engine::new(kind, gpu, firmware));
        let this = engine.clone();
        thread::Builder::new().name(format!("gpu{} {}", this.gpu.index, kind.name)).spawn(move || this.run())?;
        Ok(engine)
    }

    fn new(kind: Kind, gpu: Arc<Gpu>, firmware: Arc<dyn Listener>) -> Engine {
        Engine {
            kind,
            gpu,
            firmware,
            queue: Mutex::default(),
            changed: Condvar::new(),
            tlb: Mutex::default(),
            wanted: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Its numbers.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The GPU that it is part of.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Its translations. Nobody else can use or change them meanwhile.
    pub fn tlb(&self) -> MutexGuard<'_, Tlb> {
        self.tlb.lock()
    }

    /// Forgets translations, after all accesses under way.
    pub fn invalidate(&self, scope: Scope) -> usize {
        self.tlb.lock().invalidate(scope)
    }

    /// Changes the queue, and lets the engine look at it.
    pub fn schedule<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let result = change(&mut self.queue.lock());
        self.changed.notify_all();
        result
    }

    /// Keeps a context off the engine. Says whether it is still there; then an event tells when it left.
    pub fn disable(&self, id: u32) -> bool {
        let mut queue = self.queue.lock();
        let running = queue.disable(id);
        if running {
            self.wanted.store(true, Ordering::Release);
            self.changed.notify_all();
        }
        running
    }

    /// Takes a context off the engine by force, if it is there. An event tells when it left.
    pub fn reset_context(&self, id: u32) {
        if self.queue.lock().running() == Some(id) {
            self.force();
        }
    }

    /// Forgets all contexts and translations. When this returns, none of them touches memory any more.
    pub fn clear(&self) {
        let mut queue = self.queue.lock();
        queue.clear();
        while queue.running().is_some() {
            self.force();
            self.changed.wait_for(&mut queue, TURN);
        }
        drop(queue);
        self.invalidate(Scope::All);
    }

    fn force(&self) {
        self.reset.store(true, Ordering::Release);
        self.thaw();
    }

    /// From now on the engine makes no progress, until it is reset or thawed.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Release);
    }

    /// The engine goes on.
    pub fn thaw(&self) {
        self.frozen.store(false, Ordering::Release);
        self.changed.notify_all();
    }

    /// Whether the context must leave the engine between two commands, or in the middle of a long one.
    pub fn is_wanted(&self, context: &Context) -> bool {
        self.reset.load(Ordering::Acquire) || context.preemptible && self.wanted.load(Ordering::Acquire)
    }

    /// Does nothing for a while, unless the engine is reset.
    pub fn linger(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.reset.load(Ordering::Acquire) {
            thread::sleep(TURN.min(end.saturating_duration_since(Instant::now())));
        }
    }

    fn run(&self) {
        loop {
            let mut context = self.next();
            let (outcome, asid) = (self.turn(&mut context), context.asid);
            self.end_turn(context, outcome, asid);
        }
    }

    /// Waits until a context has use for the engine.
    fn next(&self) -> Box<Context> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(context) = queue.take() {
                self.wanted.store(false, Ordering::Release);
                self.reset.store(false, Ordering::Release);
                return context;
            }
            self.changed.wait(&mut queue);
        }
    }

    /// Gives a context its turn.
    fn turn(&self, context: &mut Context) -> Outcome {
        Counters::count(&self.gpu.counters.turns);
        if let Err(unmapped) = context.load(&self.gpu.ggtt) {
            return Outcome::Failed(Failure::Memory(unmapped.to_string()));
        }
        let mut streamer = Streamer::new(self, context);
        let outcome = self.advance(&mut streamer);
        let time = streamer.time();
        match context.save(&self.gpu.ggtt, time) {
            Ok(()) => outcome,
            Err(unmapped) => Outcome::Failed(Failure::Memory(unmapped.to_string())),
        }
    }

    fn advance(&self, streamer: &mut Streamer<'_>) -> Outcome {
        for count in 0u32.. {
            if self.reset.load(Ordering::Acquire) || !self.gpu.is_alive() {
                return Outcome::Reset;
            }
            if self.frozen.load(Ordering::Acquire) {
                thread::sleep(PAUSE);
                continue;
            }
            let late = count % UNTIMED == 0 && streamer.time() >= TURN;
            if streamer.context.preemptible && (late || self.wanted.load(Ordering::Acquire)) {
                return Outcome::Over;
            }
            match streamer.step() {
                Ok(Step::Done) => {}
                Ok(Step::Drained) => return Outcome::Drained,
                Err(Stop::Wait) if self.pause(streamer) => {}
                Err(Stop::Wait) => return Outcome::Waiting,
                Err(Stop::Leave) => return Outcome::Over,
                Err(Stop::Fault(fault)) => return Outcome::Faulted(fault),
                Err(Stop::Failed(failure)) => return Outcome::Failed(failure),
            }
        }
        Outcome::Over
    }

    /// Sleeps until the semaphore is worth another look; says no where the context should rather leave the engine.
    fn pause(&self, streamer: &Streamer<'_>) -> bool {
        let mut queue = self.queue.lock();
        if !streamer.context.preemptible {
            self.changed.wait_for(&mut queue, PAUSE);
            return true;
        }
        if !queue.has_ready() && !self.wanted.load(Ordering::Acquire) {
            self.changed.wait_for(&mut queue, PAUSE);
        }
        !queue.has_ready() && streamer.time() < TURN
    }

    fn end_turn(&self, context: Box<Context>, outcome: Outcome, asid: u32) {
        let id = context.id;
        let state = match outcome {
            Outcome::Drained => State::Idle,
            Outcome::Over => State::Ready,
            Outcome::Waiting => State::Waiting,
            Outcome::Faulted(_) => State::Faulted,
            Outcome::Failed(_) | Outcome::Reset => State::Dead,
        };
        self.gpu.note(|| format!("{} context {id}: turn ends, {outcome:?}", self.name()));
        if let Outcome::Failed(failure) = &outcome {
            let place = context.place();
            self.gpu.report(format_args!("{} context {id}, {place}: {failure}", self.name()));
        }
        let (left, known) = self.schedule(|queue| {
            let known = queue.states().any(|(other, _)| other == id);
            (queue.put_back(context, state), known)
        });
        if !known {
            return;
        }
        match outcome {
            Outcome::Faulted(fault) => self.firmware.hear(Event::Fault { context: id, asid, fault, engine: self.kind }),
            Outcome::Failed(Failure::Memory(_)) => self.firmware.hear(Event::MemoryError { context: id }),
            Outcome::Failed(Failure::Command(_)) | Outcome::Reset => self.firmware.hear(Event::Reset { context: id }),
            Outcome::Drained | Outcome::Over | Outcome::Waiting => {}
        }
        if left {
            self.firmware.hear(Event::Left { context: id });
        }
    }
}
