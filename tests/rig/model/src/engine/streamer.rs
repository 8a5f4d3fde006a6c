// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command streamer: a context on an engine, executing one command after the other.

use super::{
    Engine,
    context::{Batch, Context},
    stop::{Failure, Stop, bad_command},
};
use crate::{
    commands::{self, Command, Flow},
    gpu::{Counters, Gpu},
    mishaps::Mishap,
};
use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

/// Bytes of a command that are read at once.
const LINE: u64 = 64;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A command was executed.
    Done,
    /// The ring is empty.
    Drained,
}

/// A context on an engine.
#[derive(Debug)]
pub struct Streamer<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The context.
    pub context: &'a mut Context,
    /// When it came onto the engine.
    pub since: Instant,
    /// The first byte that the present command writes is to be inverted.
    pub(super) corrupt: bool,
    words: Vec<u32>,
}

impl<'a> Streamer<'a> {
    /// Puts a context on an engine.
    pub fn new(engine: &'a Engine, context: &'a mut Context) -> Streamer<'a> {
        Streamer { engine, context, since: Instant::now(), corrupt: false, words: Vec::new() }
    }

    /// The GPU that it is part of.
    pub fn gpu(&self) -> &'a Gpu {
        self.engine.gpu()
    }

    /// Executes the next command.
    pub fn step(&mut self) -> Result<Step, Stop> {
        if self.context.batches.is_empty() && self.context.ring.head == self.context.ring.tail {
            self.context.load_tail(&self.gpu().ggtt)?;
            if self.context.ring.head == self.context.ring.tail {
                return Ok(Step::Drained);
            }
        }
        let command = self.fetch()?;
        let words = std::mem::take(&mut self.words);
        let flow = self.execute(&command, &words);
        let length = words.len();
        self.words = words;
        self.go(flow?, length)?;
        Counters::count(&self.gpu().counters.commands);
        Ok(Step::Done)
    }

    fn execute(&mut self, command: &Command, words: &[u32]) -> Result<Flow, Stop> {
        self.gpu().note(|| self.describe(command, words));
        // A command that goes on where it stopped has begun already.
        if self.context.progress == 0 {
            match self.gpu().mishaps.at_command(command.name) {
                Some(Mishap::Fail) => {
                    return Err(Stop::Failed(Failure::Memory(format!("{} fails as asked", command.name))));
                }
                Some(Mishap::Corrupt) => self.corrupt = true,
                Some(Mishap::Delay(time)) => self.engine.linger(time),
                Some(Mishap::Skip) | None => {}
            }
        }
        (command.run)(self, words)
    }

    fn go(&mut self, flow: Flow, length: usize) -> Result<(), Stop> {
        self.context.progress = 0;
        match flow {
            Flow::Next => self.context.advance(length),
            Flow::Start { batch, nested } => {
                self.context.advance(length);
                if !nested {
                    self.context.batches.pop();
                }
                self.context.batches.push(batch);
            }
            Flow::EndAll if self.context.batches.is_empty() => {
                return bad_command("the end of all batches outside any");
            }
            Flow::EndAll => self.context.batches.clear(),
            Flow::End => {
                if self.context.batches.pop().is_none() {
                    return bad_command("the end of a batch outside any");
                }
            }
        }
        Ok(())
    }

    /// Reads the next command, all of it.
    fn fetch(&mut self) -> Result<Command, Stop> {
        self.words.clear();
        self.read_words(1)?;
        let header = self.words[0];
        let Some(command) = commands::find(header) else {
            return bad_command(format!("{header:#010x} is unknown, in {}", self.context.place()));
        };
        self.read_words(command.length.words(header))?;
        Ok(command)
    }

    /// Reads on until `count` words of the command are there, and what else is in the same line.
    fn read_words(&mut self, count: usize) -> Result<(), Stop> {
        while self.words.len() < count {
            let missing = (count - self.words.len()) as u64 * 4;
            let mut bytes = [0; LINE as usize];
            let bytes = &mut bytes[..missing.min(LINE) as usize];
            let done = self.words.len() as u64 * 4;
            let read = match self.context.batches.last().copied() {
                Some(Batch { at, process: true }) => self.read_part(at + done, bytes)?,
                Some(Batch { at, process: false }) => self.read_global_part(at + done, bytes)?,
                None => {
                    let ring = self.context.ring;
                    let offset = (ring.head + done) % ring.length;
                    let room = (ring.length - offset).min(bytes.len() as u64) as usize;
                    self.read_global_part(ring.start + offset, &mut bytes[..room])?
                }
            };
            let words =
                bytes[..read].chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
            self.words.extend(words);
            if read < 4 {
                return bad_command("a command that is not at a word");
            }
        }
        Ok(())
    }

    /// How long the context has been on the engine this time.
    pub fn time(&self) -> Duration {
        self.since.elapsed()
    }

    fn describe(&self, command: &Command, words: &[u32]) -> String {
        let (engine, id, place) = (self.engine.name(), self.context.id, self.context.place());
        let mut text = format!("{engine} context {id} {place}: {}", command.name);
        for word in &words[..words.len().min(12)] {
            let _ = write!(text, " {word:x}");
        }
        text
    }
}
