// SPDX-License-Identifier: MIT OR Apache-2.0
//! A context: the commands of one queue, how far they got, and the registers that belong to them.
//!
//! Its image is in memory at a global address: a page of status, then the saved registers (`regs/xe_lrc_layout.h`). Only
//! the words below are kept there; the position inside batches and the other registers stay in this process.

use crate::{
    clock,
    ggtt::{Ggtt, Unmapped},
};
use std::{collections::BTreeMap, time::Duration};

/// Where the saved registers begin in the image.
const REGISTERS: u64 = 4096;

/// Words of the saved registers.
const RING_HEAD: u64 = 0x05;
const RING_TAIL: u64 = 0x07;
const RING_START: u64 = 0x09;
const RING_CTL: u64 = 0x0b;
const TIMESTAMP: u64 = 0x23;
const TIMESTAMP_UPPER: u64 = 0x25;
const ASID: u64 = 0x2f;
const ROOT_UPPER: u64 = 0x31;
const ROOT: u64 = 0x33;
const INTERRUPT_STATUS: u64 = 0x57;
const INTERRUPT_SOURCE: u64 = 0x59;

/// The ring of commands that the driver writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Global address.
    pub start: u64,
    /// Bytes, a power of two.
    pub length: u64,
    /// The next command.
    pub head: u64,
    /// Behind the last command.
    pub tail: u64,
}

/// A batch of commands outside the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The next command.
    pub at: u64,
    /// Whether that is an address of the process, not a global one.
    pub process: bool,
}

/// A context.
#[derive(Debug, Default)]
pub struct Context {
    /// The number that driver and firmware call it by.
    pub id: u32,
    /// Global address of its image.
    pub image: u64,
    /// Its ring.
    pub ring: Ring,
    /// The batches that it is inside of, the innermost last.
    pub batches: Vec<Batch>,
    /// The root of its page tables, in VRAM.
    pub root: u64,
    /// The number of its address space.
    pub asid: u32,
    /// Its registers by offset from the engine's base; those outside the engine by address.
    pub registers: BTreeMap<u32, u32>,
    /// Whether it may be taken off the engine (MI_ARB_ON_OFF).
    pub preemptible: bool,
    /// Bytes that the present command has copied or filled so far.
    pub progress: u64,
    /// Clock ticks that it has been on the engine.
    pub ticks: u64,
}

impl Context {
    /// The context with this image; `descriptor` also has flags in its low bits.
    pub fn new(id: u32, descriptor: u64) -> Context {
        Context { id, image: descriptor & 0xffff_f000, preemptible: true, ..Default::default() }
    }

    /// Reads from the image what the driver may have changed there.
    pub fn load(&mut self, memory: &Ggtt) -> Result<(), Unmapped> {
        let word = |index| self.word(memory, index);
        let wide = |upper, lower| Ok(u64::from(word(upper)?) << 32 | u64::from(word(lower)?));
        let length = (u64::from(word(RING_CTL)?) >> 12 & 0x1ff) * 4096 + 4096;
        let ring = Ring {
            start: word(RING_START)?.into(),
            length,
            head: u64::from(word(RING_HEAD)?) % length,
            tail: u64::from(word(RING_TAIL)?) % length,
        };
        let (root, asid, ticks) = (wide(ROOT_UPPER, ROOT)?, word(ASID)?, wide(TIMESTAMP_UPPER, TIMESTAMP)?);
        if ring.head != self.ring.head {
            // The driver set it back, after a reset.
            self.batches.clear();
            self.progress = 0;
        }
        (self.ring, self.root, self.asid, self.ticks) = (ring, root, asid, ticks);
        Ok(())
    }

    /// Reads how far the driver has filled the ring by now.
    pub fn load_tail(&mut self, memory: &Ggtt) -> Result<(), Unmapped> {
        self.ring.tail = u64::from(self.word(memory, RING_TAIL)?) % self.ring.length;
        Ok(())
    }

    /// Writes to the image what the driver reads there, after a turn of `time` on the engine.
    pub fn save(&mut self, memory: &Ggtt, time: Duration) -> Result<(), Unmapped> {
        self.ticks += clock::ticks(time);
        memory.write32(self.at(RING_HEAD), self.ring.head as u32)?;
        memory.write32(self.at(TIMESTAMP_UPPER), (self.ticks >> 32) as u32)?;
        memory.write32(self.at(TIMESTAMP), self.ticks as u32)
    }

    /// Global addresses of the interrupt status page and the interrupt source page.
    pub fn interrupt_pages(&self, memory: &Ggtt) -> Result<(u64, u64), Unmapped> {
        Ok((self.word(memory, INTERRUPT_STATUS)?.into(), self.word(memory, INTERRUPT_SOURCE)?.into()))
    }

    /// Goes to the command behind one of `words` words.
    pub fn advance(&mut self, words: usize) {
        let bytes = words as u64 * 4;
        match self.batches.last_mut() {
            Some(batch) => batch.at += bytes,
            None => self.ring.head = (self.ring.head + bytes) % self.ring.length,
        }
    }

    /// Where it is, for a reader.
    pub fn place(&self) -> String {
        match self.batches.last() {
            Some(Batch { at, process: true }) => format!("batch at {at:#x}"),
            Some(Batch { at, process: false }) => format!("batch at global {at:#x}"),
            None => format!("ring at {:#x}+{:#x}", self.ring.start, self.ring.head),
        }
    }

    fn at(&self, index: u64) -> u64 {
        self.image + REGISTERS + index * 4
    }

    fn word(&self, memory: &Ggtt, index: u64) -> Result<u32, Unmapped> {
        memory.read32(self.at(index))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ggtt::tests::identity;

    /// Writes the image of a context at global 0x2000 whose ring of 4 KiB is at 0x1000.
    pub(crate) fn image(memory: &Ggtt, head: u32, tail: u32) -> Context {
        let context = Context::new(7, 0x2_0000_2001);
        for (index, value) in [(RING_HEAD, head), (RING_TAIL, tail), (RING_START, 0x1000), (RING_CTL, 1)] {
            memory.write32(context.at(index), value).unwrap();
        }
        context
    }

    #[test]
    fn head_and_time_are_saved_in_the_image() {
        let memory = identity(8);
        let mut context = image(&memory, 8, 64);
        context.load(&memory).unwrap();
        assert_eq!(context.ring, Ring { start: 0x1000, length: 4096, head: 8, tail: 64 });
        context.advance(4);
        context.save(&memory, Duration::from_millis(1)).unwrap();
        assert_eq!(memory.read32(context.at(RING_HEAD)), Ok(24));
        assert_eq!(memory.read32(context.at(TIMESTAMP)), Ok(19200));
        context.load(&memory).unwrap();
        context.save(&memory, Duration::from_millis(1)).unwrap();
        assert_eq!(memory.read32(context.at(TIMESTAMP)), Ok(38400));
    }

    #[test]
    fn a_head_that_the_driver_set_back_leaves_the_batches() {
        let memory = identity(8);
        let mut context = image(&memory, 8, 64);
        context.load(&memory).unwrap();
        context.batches.push(Batch { at: 0, process: true });
        context.load(&memory).unwrap();
        assert_eq!(context.batches.len(), 1);
        memory.write32(context.at(RING_HEAD), 0).unwrap();
        context.load(&memory).unwrap();
        assert!(context.batches.is_empty());
    }

    #[test]
    fn the_ring_begins_anew_at_its_end() {
        let memory = identity(8);
        let mut context = image(&memory, 4092, 64);
        context.load(&memory).unwrap();
        context.advance(2);
        assert_eq!(context.ring.head, 4);
    }
}
