// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that this process shares with the virtual machine: guest RAM, VRAM, the global translation table.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

/// A file mapped into this process. All that touches the mapping goes through [`Span`].
#[derive(Debug)]
pub struct Block {
    region: MmapRegion,
}

impl Block {
    /// New memory of `length` bytes that reads zero, in a file that can be handed to another process.
    pub fn new(name: &str, length: u64) -> io::Result<Arc<Block>> {
        let file = File::from(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?);
        file.set_len(length)?;
        Block::of(file, 0, length)
    }

    /// `length` bytes of `file` from `offset` on.
    pub fn of(file: File, offset: u64, length: u64) -> io::Result<Arc<Block>> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let region = MmapRegion::from_file(FileOffset::new(file, offset), length).map_err(io::Error::other)?;
        Ok(Arc::new(Block { region }))
    }

    /// How many bytes.
    pub fn len(&self) -> u64 {
        self.region.size() as u64
    }

    /// Whether it has no bytes, which no block that was made has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file behind it.
    pub fn file(&self) -> &File {
        self.region.file_offset().expect("a block always has a file").file()
    }

    /// A part of it, if it lies inside.
    pub fn span(self: &Arc<Block>, offset: u64, length: u64) -> Option<Span> {
        let end = offset.checked_add(length)?;
        (end <= self.len()).then(|| Span { block: self.clone(), offset: offset as usize, length: length as usize })
    }
}

/// A part of a [`Block`], which stays mapped as long as this lives.
#[derive(Clone, Debug)]
pub struct Span {
    block: Arc<Block>,
    offset: usize,
    length: usize,
}

/// Filled at once.
const STROKE: usize = 64 << 10;

impl Span {
    /// How many bytes.
    pub fn len(&self) -> u64 {
        self.length as u64
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Its first `length` bytes, or all where it has fewer.
    pub fn first(mut self, length: u64) -> Span {
        self.length = self.length.min(length as usize);
        self
    }

    /// Copies the beginning of the span to `bytes`, which must not be longer. A word of 4 or 8 aligned bytes is read whole.
    pub fn read(&self, bytes: &mut [u8]) {
        match bytes.len() {
            4 if self.offset.is_multiple_of(4) => {
                bytes.copy_from_slice(&self.word32().load(Ordering::Acquire).to_le_bytes())
            }
            8 if self.offset.is_multiple_of(8) => {
                bytes.copy_from_slice(&self.word64().load(Ordering::Acquire).to_le_bytes())
            }
            _ => self.slice().read_slice(bytes, 0).expect("the caller asked for no more than the span has"),
        }
    }

    /// Copies `bytes` to the beginning of the span. A word of 4 or 8 aligned bytes is written whole.
    pub fn write(&self, bytes: &[u8]) {
        match *bytes {
            [a, b, c, d] if self.offset.is_multiple_of(4) => {
                self.word32().store(u32::from_le_bytes([a, b, c, d]), Ordering::Release);
            }
            [a, b, c, d, e, f, g, h] if self.offset.is_multiple_of(8) => {
                self.word64().store(u64::from_le_bytes([a, b, c, d, e, f, g, h]), Ordering::Release);
            }
            _ => self.slice().write_slice(bytes, 0).expect("the caller gave no more than the span holds"),
        }
    }

    /// Copies as much as both hold; they may overlap.
    pub fn copy_to(&self, target: &Span) {
        self.slice().copy_to_volatile_slice(target.slice());
    }

    /// Sets every byte.
    pub fn fill(&self, value: u8) {
        let stroke = vec![value; self.length.min(STROKE)];
        for start in (0..self.length).step_by(STROKE) {
            let part = &stroke[..stroke.len().min(self.length - start)];
            self.slice().write_slice(part, start).expect("the part lies inside");
        }
    }

    /// Replaces the first 4 bytes in one atomic step, and returns what they were. They must be aligned.
    pub fn update32(&self, mut change: impl FnMut(u32) -> u32) -> u32 {
        let word = self.word32();
        word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(change(old))).expect("every change is made")
    }

    /// Replaces the first 8 bytes in one atomic step, and returns what they were. They must be aligned.
    pub fn update64(&self, mut change: impl FnMut(u64) -> u64) -> u64 {
        let word = self.word64();
        word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(change(old))).expect("every change is made")
    }

    fn slice(&self) -> VolatileSlice<'_> {
        self.block.region.get_slice(self.offset, self.length).expect("checked when the span was made")
    }

    fn word32(&self) -> &AtomicU32 {
        self.block.region.get_atomic_ref(self.offset).expect("aligned, and inside")
    }

    fn word64(&self) -> &AtomicU64 {
        self.block.region.get_atomic_ref(self.offset).expect("aligned, and inside")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_ends_where_its_block_ends() {
        let block = Block::new("test", 8192).unwrap();
        assert!(block.span(4096, 4096).is_some());
        assert!(block.span(4097, 4096).is_none());
        assert!(block.span(u64::MAX, 2).is_none());
    }

    #[test]
    fn what_is_written_is_read_at_any_alignment() {
        let block = Block::new("test", 4096).unwrap();
        for offset in [0, 1, 4, 6, 8] {
            let span = block.span(offset, 8).unwrap();
            span.write(&[1, 2, 3, 4, 5, 6, 7, offset as u8]);
            let mut seen = [0; 8];
            span.read(&mut seen);
            assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, offset as u8]);
        }
    }

    #[test]
    fn copies_and_fills_reach_the_last_byte_and_no_further() {
        let block = Block::new("test", 256 << 10).unwrap();
        block.span(0, 100_001).unwrap().fill(7);
        block.span(0, 100_001).unwrap().copy_to(&block.span(130_000, 100_001).unwrap());
        let mut seen = [0; 2];
        block.span(230_000, 2).unwrap().read(&mut seen);
        assert_eq!(seen, [7, 0]);
    }

    #[test]
    fn an_update_tells_what_was_there() {
        let block = Block::new("test", 4096).unwrap();
        block.span(8, 4).unwrap().write(&5u32.to_le_bytes());
        assert_eq!(block.span(8, 4).unwrap().update32(|old| old + 1), 5);
        assert_eq!(block.span(8, 8).unwrap().update64(|old| old << 4), 6);
        assert_eq!(block.span(8, 8).unwrap().update64(|old| old), 0x60);
    }
}
