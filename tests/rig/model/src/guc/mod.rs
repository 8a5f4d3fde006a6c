// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware that stands between driver and engines (GuC).
//!
//! The driver talks to it first through the mailbox, then through command buffers. It gives contexts to engines, and tells
//! the driver what happens to them. It acts on the thread of whoever calls it, so that no message waits for a thread to wake
//! up; a thread of its own only watches the time. Who calls it holds no lock of an engine.

pub mod ctb;
pub mod faults;
pub mod hwconfig;
pub mod invalidation;
pub mod klv;
pub mod mailbox;
pub mod media;
pub mod messages;
pub mod relay;
mod scheduling;
#[cfg(test)]
mod tests;

use crate::{
    engine::{Engine, kind::Kind},
    gpu::{Counters, Gpu},
    interrupts,
    ppgtt::Fault,
};
use klv::SelfConfig;
use messages::{Header, Words, error, event, failure, success};
use parking_lot::{Condvar, Mutex};
use scheduling::{Leaving, Registered};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// The event "the firmware has a message" in its interrupt vector (GUC_INTR_GUC2HOST, `regs/xe_guc_regs.h`). Event 0 there
/// would tell a virtual function that it was migrated.
const MESSAGE: u64 = 15;

/// How often the firmware looks whether the driver has made room for its messages.
const RETRY: Duration = Duration::from_millis(1);

/// What an engine tells the firmware.
#[derive(Debug)]
pub enum Event {
    /// A context needs a page.
    Fault {
        /// The context.
        context: u32,
        /// Its address space.
        asid: u32,
        /// What it needs.
        fault: Fault,
        /// The engine that it is on.
        engine: Kind,
    },
    /// A context used memory that it must not.
    MemoryError {
        /// The context.
        context: u32,
    },
    /// A context was taken off its engine by force, or made it hang.
    Reset {
        /// The context.
        context: u32,
    },
    /// A context that was told to leave its engine did.
    Left {
        /// The context.
        context: u32,
    },
}

/// The state of the firmware of one GPU.
#[derive(Debug)]
struct Firmware {
    gpu: Arc<Gpu>,
    engines: Vec<Arc<Engine>>,
    config: SelfConfig,
    connected: bool,
    contexts: BTreeMap<u32, Registered>,
    leaving: Vec<Leaving>,
    /// Messages to the driver that wait for room: the number of the request that they answer, and the words.
    outbox: VecDeque<(u16, Vec<u32>)>,
}

/// Who is told what happens on engines.
pub trait Listener: fmt::Debug + Send + Sync {
    /// Something happened.
    fn hear(&self, event: Event);
}

/// The firmware as its callers see it.
#[derive(Debug)]
pub struct Guc {
    firmware: Mutex<Firmware>,
    /// There is something to watch the time for.
    waits: Condvar,
}

impl Listener for Guc {
    fn hear(&self, event: Event) {
        self.act(|firmware| firmware.hear(event));
    }
}

impl Guc {
    /// The firmware of `gpu`, and the thread that watches the time for it.
    pub fn start(gpu: Arc<Gpu>) -> io::Result<Arc<Guc>> {
        let name = format!("gpu{} guc", gpu.index);
        let guc = Arc::new(Guc { firmware: Mutex::new(Firmware::new(gpu)), waits: Condvar::new() });
        let this = guc.clone();
        thread::Builder::new().name(name).spawn(move || this.watch())?;
        Ok(guc)
    }

    /// These are its engines.
    pub fn connect(&self, engines: Vec<Arc<Engine>>) {
        self.firmware.lock().engines = engines;
    }

    /// The driver wrote to the mailbox.
    pub fn mail(&self, request: mailbox::Message) -> mailbox::Message {
        self.act(|firmware| firmware.mail(request))
    }

    /// The driver wrote to the command buffer.
    pub fn doorbell(&self) {
        self.act(Firmware::read_messages);
    }

    /// The function is reset.
    pub fn reset(&self) {
        self.act(Firmware::reset);
    }

    fn act<T>(&self, act: impl FnOnce(&mut Firmware) -> T) -> T {
        let mut firmware = self.firmware.lock();
        let result = act(&mut firmware);
        firmware.deliver();
        if firmware.next_deadline().is_some() {
            self.waits.notify_one();
        }
        result
    }

    fn watch(&self) {
        let mut firmware = self.firmware.lock();
        loop {
            match firmware.next_deadline() {
                Some(deadline) => {
                    self.waits.wait_until(&mut firmware, deadline);
                }
                None => self.waits.wait(&mut firmware),
            }
            firmware.force_late_ones();
            firmware.deliver();
        }
    }
}

impl Firmware {
    fn new(gpu: Arc<Gpu>) -> Firmware {
        Firmware {
            gpu,
            engines: Vec::new(),
            config: SelfConfig::default(),
            connected: false,
            contexts: BTreeMap::new(),
            leaving: Vec::new(),
            outbox: VecDeque::new(),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let retry = (!self.outbox.is_empty()).then(|| Instant::now() + RETRY);
        self.leaving.iter().map(|leaving| leaving.latest).chain(retry).min()
    }

    fn hear(&mut self, event: Event) {
        let (Event::Fault { context, .. }
        | Event::MemoryError { context }
        | Event::Reset { context }
        | Event::Left { context }) = event;
        // It may be forgotten by now.
        if !self.gpu.is_alive() || !self.contexts.contains_key(&context) {
            return;
        }
        match event {
            Event::Fault { asid, fault, engine, .. } => self.report_fault(context, asid, &fault, engine),
            Event::MemoryError { .. } => self.memory_error(context),
            Event::Reset { .. } => self.was_reset(context),
            Event::Left { .. } => self.left(context),
        }
    }

    /// Forgets the driver.
    fn reset(&mut self) {
        for engine in &self.engines {
            engine.clear();
        }
        self.contexts.clear();
        self.leaving.clear();
        self.outbox.clear();
        self.connected = false;
    }

    fn read_messages(&mut self) {
        while self.connected && self.gpu.is_alive() {
            match self.config.to_guc.receive(&self.gpu.ggtt) {
                Ok(Some(message)) => self.read(&message),
                Ok(None) => return,
                Err(broken) => {
                    self.gpu.report(format_args!("GuC: command buffer to it: {broken}"));
                    self.connected = false;
                }
            }
        }
    }

    fn read(&mut self, message: &ctb::Message) {
        let words = &message.words[..];
        self.gpu.note(|| format!("GuC <- {:#x} {}", message.fence, Words(words)));
        let Some(header) = words.first().and_then(|word| Header::of_host(*word)) else { return self.malformed(words) };
        let answer = self.act(header, words);
        if header.wants_answer {
            self.send(message.fence, vec![answer]);
        }
    }

    /// Does what a message asks for; the first word of the answer says how that went.
    fn act(&mut self, header: Header, words: &[u32]) -> u32 {
        match header.action {
            messages::RELAY_TO_PF => self.relay(words),
            messages::REGISTER_CONTEXT => self.register(words),
            messages::DEREGISTER_CONTEXT => self.deregister(words),
            messages::SCHED_CONTEXT => self.submit(words),
            messages::SCHED_CONTEXT_MODE_SET => self.set_mode(words),
            messages::UPDATE_CONTEXT_POLICIES => self.set_policies(words),
            messages::PAGE_FAULT_RESPONSE => self.fault_answered(words),
            messages::TLB_INVALIDATION | messages::TLB_INVALIDATION_ALL => self.invalidate(words),
            // How the firmware shares engines between functions, and which fields it adds to messages: neither shows here.
            messages::UPDATE_SCHEDULING_POLICIES_KLV | messages::OPT_IN_FEATURE_KLV => {}
            _ => {
                self.gpu.report(format_args!("GuC: {} is unknown", Words(words)));
                return failure(error::UNKNOWN_ACTION);
            }
        }
        success(0)
    }

    fn relay(&mut self, words: &[u32]) {
        let [_, number, request @ ..] = words else { return self.malformed(words) };
        let mut message = vec![event(messages::RELAY_FROM_PF), *number];
        message.extend(relay::answer(request));
        self.send(0, message);
    }

    fn report_fault(&mut self, context: u32, asid: u32, fault: &Fault, engine: Kind) {
        Counters::count(&self.gpu.counters.faults);
        self.send(0, faults::report(fault, context, asid, engine.class, engine.instance).to_vec());
    }

    fn malformed(&self, words: &[u32]) {
        self.gpu.report(format_args!("GuC: {} makes no sense", Words(words)));
    }

    fn send(&mut self, fence: u16, words: Vec<u32>) {
        self.gpu.note(|| format!("GuC -> {fence:#x} {}", Words(&words)));
        self.outbox.push_back((fence, words));
    }

    /// Puts messages into the driver's command buffer as long as there is room, and calls it.
    fn deliver(&mut self) {
        if !self.connected || !self.gpu.is_alive() {
            self.outbox.clear();
        }
        let mut delivered = false;
        while let Some((fence, words)) = self.outbox.front() {
            match self.config.to_host.send(&self.gpu.ggtt, *fence, words) {
                Ok(true) => {
                    self.outbox.pop_front();
                    delivered = true;
                }
                Ok(false) => break,
                Err(broken) => {
                    self.gpu.report(format_args!("GuC: command buffer from it: {broken}"));
                    return self.outbox.clear();
                }
            }
        }
        if delivered {
            self.call_driver();
        }
    }

    fn call_driver(&self) {
        match interrupts::mark(&self.gpu.ggtt, self.config.status, MESSAGE, self.config.source) {
            Ok(()) => self.gpu.interrupt(),
            Err(unmapped) => self.gpu.report(format_args!("GuC: interrupt page: {unmapped}")),
        }
    }
}
