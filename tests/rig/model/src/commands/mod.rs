// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands: which there are, how long they are, what they do.
//!
//! Bits 31:29 of the first word tell the type: 0 memory interface, 2 copy engine, 3 render and compute, 5 fence
//! (`instructions/xe_instr_defs.h`; Programmer's Reference Manual, volume "Command Reference: Instructions"). To add a
//! command, write a function like those in the modules below and name it in [`find`].

mod atomic;
mod blit;
mod control;
mod flush;
mod math;
mod registers;
mod semaphore;
mod state;
mod store;

use crate::engine::{context::Batch, stop::Stop, streamer::Streamer};

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The command behind it.
    Next,
    /// A batch; a nested one returns behind this command.
    Start {
        /// Where it begins.
        batch: Batch,
        /// Whether it returns.
        nested: bool,
    },
    /// What was before the batch.
    End,
    /// What was before all batches: the ring.
    EndAll,
}

/// How long a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// One word.
    One,
    /// As the low bits of the first word say, which count two words less.
    Field {
        /// Which bits.
        mask: u32,
    },
}

impl Length {
    /// How many words the command with this first word has.
    pub fn words(self, header: u32) -> usize {
        match self {
            Length::One => 1,
            Length::Field { mask } => (header & mask) as usize + 2,
        }
    }
}

/// What a command does. It gets all its words.
pub type Run = fn(&mut Streamer<'_>, &[u32]) -> Result<Flow, Stop>;

/// A command.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name in the Programmer's Reference Manual.
    pub name: &'static str,
    /// How long it is.
    pub length: Length,
    /// What it does.
    pub run: Run,
}

/// A command of one word.
const fn one(name: &'static str, run: Run) -> Command {
    Command { name, length: Length::One, run }
}

/// A command whose length is in bits 7:0.
const fn many(name: &'static str, run: Run) -> Command {
    Command { name, length: Length::Field { mask: 0xff }, run }
}

/// The command with this first word.
pub fn find(header: u32) -> Option<Command> {
    match header >> 29 {
        0 => memory_interface(header >> 23 & 0x3f),
        2 => copy_engine(header >> 22 & 0x7f),
        3 => state::find(header),
        5 if header >> 24 & 0x1f == 3 => Some(many("RESOURCE_BARRIER", nothing)),
        _ => None,
    }
}

fn memory_interface(opcode: u32) -> Option<Command> {
    Some(match opcode {
        0x00 => one("MI_NOOP", nothing),
        0x02 => one("MI_USER_INTERRUPT", control::user_interrupt),
        0x05 => one("MI_ARB_CHECK", nothing),
        0x08 => one("MI_ARB_ON_OFF", control::arbitration),
        0x09 => one("MI_MEM_FENCE", nothing),
        0x0a => one("MI_BATCH_BUFFER_END", control::batch_end),
        0x0d => one("MI_TOPOLOGY_FILTER", nothing),
        0x0e => one("MI_SET_APPID", nothing),
        0x1a => many("MI_MATH", math::run),
        0x1c => many("MI_SEMAPHORE_WAIT", semaphore::wait),
        0x1d => many("MI_FORCE_WAKEUP", nothing),
        0x20 => Command { name: "MI_STORE_DATA_IMM", length: Length::Field { mask: 0x3ff }, run: store::immediate },
        0x22 => many("MI_LOAD_REGISTER_IMM", registers::load_immediate),
        0x24 => many("MI_STORE_REGISTER_MEM", registers::store),
        0x26 => Command { name: "MI_FLUSH_DW", length: Length::Field { mask: 0x3f }, run: flush::flush_dw },
        0x29 => many("MI_LOAD_REGISTER_MEM", registers::load),
        0x2a => many("MI_LOAD_REGISTER_REG", registers::copy),
        0x2e => many("MI_COPY_MEM_MEM", store::copy),
        0x2f => many("MI_ATOMIC", atomic::run),
        0x31 => many("MI_BATCH_BUFFER_START", control::batch_start),
        0x36 => many("MI_CONDITIONAL_BATCH_BUFFER_END", semaphore::conditional_end),
        _ => return None,
    })
}

fn copy_engine(opcode: u32) -> Option<Command> {
    Some(match opcode {
        0x42 => many("XY_FAST_COPY_BLT", blit::fast_copy),
        0x44 => many("XY_FAST_COLOR_BLT", blit::fast_color),
        // Copies the state of compressed memory, and nothing here is ever compressed.
        0x48 => many("XY_CTRL_SURF_COPY_BLT", nothing),
        0x5a => many("MEM_COPY", blit::mem_copy),
        0x5b => many("MEM_SET", blit::mem_set),
        _ => return None,
    })
}

/// A command that changes nothing that can be seen here.
fn nothing(_: &mut Streamer<'_>, _: &[u32]) -> Result<Flow, Stop> {
    Ok(Flow::Next)
}

/// The word at `index`; a command that is too short for it is bad.
fn word(words: &[u32], index: usize) -> Result<u32, Stop> {
    words.get(index).copied().map_or_else(
        || crate::engine::stop::bad_command(format!("only {} words, first {:#x}", words.len(), words[0])),
        Ok,
    )
}

/// The address in two words from `index` on.
fn wide(words: &[u32], index: usize) -> Result<u64, Stop> {
    Ok(u64::from(word(words, index)?) | u64::from(word(words, index + 1)?) << 32)
}

/// Whether bit number `bit` of the first word is set.
fn has(words: &[u32], bit: u32) -> bool {
    words[0] >> bit & 1 == 1
}
