// SPDX-License-Identifier: MIT OR Apache-2.0
//! The global translation table: addresses of rings, contexts and command buffers.
//!
//! The table is the upper half of BAR 0, an 8-byte entry a page (`xe_ggtt.c`). It is read at every access: a real GPU
//! caches it too, but the driver changes entries only of memory that nobody uses.

use crate::{
    bus::{Bus, Place},
    memory::Block,
};
use std::sync::Arc;

/// Where the table begins in BAR 0.
pub const OFFSET: u64 = 8 << 20;

/// Entry bits and address (`xe_gtt_defs.h`: XE_PAGE_PRESENT, XE_GGTT_PTE_DM, XE_PAGE_ADDR_MASK).
const PRESENT: u64 = 1 << 0;
const IN_VRAM: u64 = 1 << 1;
const ADDRESS: u64 = 0x0000_3fff_ffff_f000;
const PAGE: u64 = 4096;

/// An address without a valid entry was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("global address {0:#x} is not mapped")]
pub struct Unmapped(pub u64);

/// The table, and what its entries point to.
#[derive(Debug)]
pub struct Ggtt {
    bar0: Arc<Block>,
    vram: Arc<Block>,
    bus: Arc<Bus>,
}

impl Ggtt {
    /// The table inside `bar0`.
    pub fn new(bar0: Arc<Block>, vram: Arc<Block>, bus: Arc<Bus>) -> Ggtt {
        Ggtt { bar0, vram, bus }
    }

    /// What is at a global address, at most to the end of its page.
    pub fn find(&self, address: u64, length: u64) -> Result<Place, Unmapped> {
        let address = address & u64::from(u32::MAX);
        let mut entry = [0; 8];
        self.bar0.span(OFFSET + address / PAGE * 8, 8).ok_or(Unmapped(address))?.read(&mut entry);
        let entry = u64::from_le_bytes(entry);
        if entry & PRESENT == 0 {
            return Err(Unmapped(address));
        }
        let target = (entry & ADDRESS) + address % PAGE;
        let length = length.min(PAGE - address % PAGE);
        if entry & IN_VRAM == 0 {
            return Ok(self.bus.find(target, length));
        }
        self.vram.span(target, length).map(Place::Memory).ok_or(Unmapped(address))
    }

    /// Reads a word.
    pub fn read32(&self, address: u64) -> Result<u32, Unmapped> {
        let mut word = [0; 4];
        self.find(address, 4)?.read(&mut word);
        Ok(u32::from_le_bytes(word))
    }

    /// Writes a word.
    pub fn write32(&self, address: u64, value: u32) -> Result<(), Unmapped> {
        self.find(address, 4)?.write(&value.to_le_bytes());
        Ok(())
    }

    /// Writes a byte.
    pub fn write8(&self, address: u64, value: u8) -> Result<(), Unmapped> {
        self.find(address, 1)?.write(&[value]);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bus::Fabric;

    /// A table whose first pages are the first pages of VRAM.
    pub(crate) fn identity(pages: u64) -> Ggtt {
        let (bar0, vram) = (Block::new("bar0", 16 << 20).unwrap(), Block::new("vram", 1 << 20).unwrap());
        let fabric = Fabric::new([(vram.clone(), 1 << 20)]);
        for page in 0..pages {
            let entry = (page * PAGE) | PRESENT | IN_VRAM;
            bar0.span(OFFSET + page * 8, 8).unwrap().write(&entry.to_le_bytes());
        }
        Ggtt::new(bar0, vram, Arc::new(Bus::new(0, fabric)))
    }

    #[test]
    fn a_word_comes_back_and_an_unmapped_page_is_an_error() {
        let ggtt = identity(2);
        ggtt.write32(0x1ffc, 0x1234_5678).unwrap();
        assert_eq!(ggtt.read32(0x1ffc), Ok(0x1234_5678));
        assert_eq!(ggtt.read32(0x2000), Err(Unmapped(0x2000)));
        assert_eq!(ggtt.find(0xffc, 64).unwrap().len(), 4);
    }
}
