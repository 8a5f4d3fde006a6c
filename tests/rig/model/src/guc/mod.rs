// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware that stands between driver and engines (GuC), as a thread with an inbox.
//!
//! The driver talks to it first through the mailbox, then through command buffers. It gives contexts to engines, and tells
//! the driver what happens to them.

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
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use klv::SelfConfig;
use messages::{Header, Words, error, event, failure, success};
use scheduling::{Leaving, Registered};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// The event "the firmware has a message" in its interrupt vector (GUC_INTR_GUC2HOST, `regs/xe_guc_regs.h`). Event 0 there
/// would tell a virtual function that it was migrated.
const MESSAGE: u64 = 15;

/// How often the firmware looks whether the driver has made room for its messages.
const RETRY: Duration = Duration::from_millis(1);

/// What the firmware is told.
#[derive(Debug)]
pub enum Event {
    /// The driver wrote to the mailbox, and waits for the answer.
    Mail(mailbox::Message, Sender<mailbox::Message>),
    /// The driver wrote to the command buffer.
    Doorbell,
    /// The function is reset; an answer says that it is done.
    FunctionReset(Sender<()>),
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

/// The firmware of one GPU.
#[derive(Debug)]
pub struct Firmware {
    gpu: Arc<Gpu>,
    engines: Vec<Arc<Engine>>,
    config: SelfConfig,
    connected: bool,
    contexts: BTreeMap<u32, Registered>,
    leaving: Vec<Leaving>,
    /// Messages to the driver that wait for room: the number of the request that they answer, and the words.
    outbox: VecDeque<(u16, Vec<u32>)>,
}

/// Starts the firmware's thread.
pub fn start(gpu: Arc<Gpu>, engines: Vec<Arc<Engine>>, inbox: Receiver<Event>) -> io::Result<()> {
    let name = format!("gpu{} guc", gpu.index);
    let firmware = Firmware {
        gpu,
        engines,
        config: SelfConfig::default(),
        connected: false,
        contexts: BTreeMap::new(),
        leaving: Vec::new(),
        outbox: VecDeque::new(),
    };
    thread::Builder::new().name(name).spawn(move || firmware.run(&inbox))?;
    Ok(())
}

impl Firmware {
    fn run(mut self, inbox: &Receiver<Event>) {
        loop {
            let event = match self.next_deadline() {
                Some(deadline) => inbox.recv_deadline(deadline),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.force_late_ones();
            self.deliver();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let retry = (!self.outbox.is_empty()).then(|| Instant::now() + RETRY);
        self.leaving.iter().map(|leaving| leaving.latest).chain(retry).min()
    }

    fn handle(&mut self, event: Event) {
        match event {
            // Whoever waits for an answer gets one even from a dead GPU; the device then shows all ones.
            Event::Mail(request, answer) => {
                let _ = answer.send(self.mail(request));
            }
            Event::FunctionReset(done) => {
                self.reset();
                let _ = done.send(());
            }
            _ if !self.gpu.is_alive() => {}
            Event::Doorbell => self.read_messages(),
            Event::Fault { context, asid, fault, engine } => self.report_fault(context, asid, &fault, engine),
            Event::MemoryError { context } => self.memory_error(context),
            Event::Reset { context } => self.was_reset(context),
            Event::Left { context } => self.left(context),
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
        while self.connected {
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
