// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command buffers: a ring of words in each direction between driver and firmware (`abi/guc_communication_ctb_abi.h`).

use crate::ggtt::{Ggtt, Unmapped};

/// Words of a descriptor: where the reader is, where the writer is, what is wrong.
const HEAD: u64 = 0;
const TAIL: u64 = 4;
const STATUS: u64 = 8;

/// Status bits.
const OVERFLOW: u32 = 1 << 0;
const UNDERFLOW: u32 = 1 << 1;

/// Why a buffer cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It is not in memory.
    #[error(transparent)]
    Unmapped(#[from] Unmapped),
    /// Its reader or writer is outside.
    #[error("head {head} or tail {tail} is outside the buffer")]
    Outside {
        /// The reader's place.
        head: u32,
        /// The writer's place.
        tail: u32,
    },
    /// A message is longer than what was written.
    #[error("a message of {0} words is cut off")]
    CutOff(u32),
}

/// A message and the number that its answer must bear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The number.
    pub fence: u16,
    /// The words.
    pub words: Vec<u32>,
}

/// One ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Global address of its descriptor.
    pub descriptor: u64,
    /// Global address of its words.
    pub buffer: u64,
    /// How many words.
    pub length: u32,
}

impl Ring {
    /// Takes the next message out.
    pub fn receive(&self, memory: &Ggtt) -> Result<Option<Message>, Broken> {
        loop {
            let (head, tail) = self.ends(memory)?;
            if head == tail {
                return Ok(None);
            }
            let header = memory.read32(self.at(head))?;
            let length = header & 0xff;
            if length == 0 {
                // The driver fills what is left before the end with zeros (`h2g_write()` in `xe_guc_ct.c`).
                memory.write32(self.descriptor + HEAD, (head + 1) % self.length)?;
                continue;
            }
            if length >= self.used(head, tail) {
                memory.write32(self.descriptor + STATUS, UNDERFLOW)?;
                return Err(Broken::CutOff(length));
            }
            let words = (1..=length).map(|index| memory.read32(self.at(head + index)));
            let words = words.collect::<Result<_, _>>()?;
            memory.write32(self.descriptor + HEAD, (head + 1 + length) % self.length)?;
            return Ok(Some(Message { fence: (header >> 16) as u16, words }));
        }
    }

    /// Puts a message in; says no where there is no room for it.
    pub fn send(&self, memory: &Ggtt, fence: u16, words: &[u32]) -> Result<bool, Broken> {
        let (head, tail) = self.ends(memory)?;
        let length = words.len() as u32;
        if self.used(head, tail) + length + 1 >= self.length {
            return Ok(false);
        }
        memory.write32(self.at(tail), u32::from(fence) << 16 | length)?;
        for (index, word) in words.iter().enumerate() {
            memory.write32(self.at(tail + 1 + index as u32), *word)?;
        }
        memory.write32(self.descriptor + TAIL, (tail + 1 + length) % self.length)?;
        Ok(true)
    }

    fn ends(&self, memory: &Ggtt) -> Result<(u32, u32), Broken> {
        let (head, tail) = (memory.read32(self.descriptor + HEAD)?, memory.read32(self.descriptor + TAIL)?);
        if head >= self.length || tail >= self.length {
            memory.write32(self.descriptor + STATUS, OVERFLOW)?;
            return Err(Broken::Outside { head, tail });
        }
        Ok((head, tail))
    }

    fn used(&self, head: u32, tail: u32) -> u32 {
        (tail + self.length - head) % self.length
    }

    fn at(&self, index: u32) -> u64 {
        self.buffer + u64::from(index % self.length) * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ggtt::tests::identity;

    const RING: Ring = Ring { descriptor: 0x100, buffer: 0x1000, length: 16 };

    fn message(fence: u16, words: &[u32]) -> Message {
        Message { fence, words: words.to_vec() }
    }

    #[test]
    fn messages_come_out_as_they_went_in_and_wrap_around() {
        let memory = identity(2);
        for fence in 0..9 {
            assert_eq!(RING.send(&memory, fence, &[fence.into(), 2, 3]), Ok(true));
            assert_eq!(RING.receive(&memory), Ok(Some(message(fence, &[fence.into(), 2, 3]))));
        }
        assert_eq!(RING.receive(&memory), Ok(None));
    }

    #[test]
    fn a_full_ring_takes_no_more_until_it_is_read() {
        let memory = identity(2);
        for _ in 0..3 {
            assert_eq!(RING.send(&memory, 0, &[1, 2, 3, 4]), Ok(true));
        }
        assert_eq!(RING.send(&memory, 0, &[1]), Ok(false));
        RING.receive(&memory).unwrap().unwrap();
        assert_eq!(RING.send(&memory, 0, &[1]), Ok(true));
    }

    #[test]
    fn zeros_before_the_end_are_passed_over() {
        let memory = identity(2);
        memory.write32(0x100, 13).unwrap();
        memory.write32(0x104, 2).unwrap();
        memory.write32(0x1000, 7 << 16 | 1).unwrap();
        memory.write32(0x1004, 0xabc).unwrap();
        assert_eq!(RING.receive(&memory), Ok(Some(message(7, &[0xabc]))));
    }

    #[test]
    fn nonsense_is_said_in_the_descriptor() {
        let memory = identity(2);
        memory.write32(0x104, 99).unwrap();
        assert_eq!(RING.receive(&memory), Err(Broken::Outside { head: 0, tail: 99 }));
        assert_eq!(memory.read32(0x108), Ok(OVERFLOW));
        memory.write32(0x104, 2).unwrap();
        memory.write32(0x1000, 5).unwrap();
        assert_eq!(RING.receive(&memory), Err(Broken::CutOff(5)));
        assert_eq!(memory.read32(0x108), Ok(UNDERFLOW));
    }
}
