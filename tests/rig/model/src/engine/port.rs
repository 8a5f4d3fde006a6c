// SPDX-License-Identifier: MIT OR Apache-2.0
//! A context's way to memory: addresses of its process through page tables and translations, global ones through theirs.
//!
//! The engine's translations are locked from the look-up to the end of the access, so an invalidation waits for accesses
//! under way, as the driver asks ("heavy" mode in `abi/guc_actions_abi.h`).

use super::{
    stop::{Failure, Stop},
    streamer::Streamer,
};
use crate::{
    bus::Place,
    gpu::Counters,
    ppgtt::{ADDRESS_BITS, Access, Fault, Kind, Leaf, Miss, walk},
    tlb::{Scope, Tlb},
};

/// Bytes that are copied or filled before the engine looks whether it is wanted.
const SPAN: u64 = 2 << 20;

/// An address in a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Of the process.
    Process(u64),
    /// Of the GPU as a whole.
    Global(u64),
}

impl Address {
    /// `address`, global if so.
    pub fn new(address: u64, global: bool) -> Address {
        if global { Address::Global(address) } else { Address::Process(address) }
    }

    fn plus(self, offset: u64) -> Address {
        match self {
            Address::Process(address) => Address::Process(address + offset),
            Address::Global(address) => Address::Global(address + offset),
        }
    }
}

/// A rectangle of bytes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Address of the first row, of the process.
    pub start: u64,
    /// Bytes from one row to the next.
    pub pitch: u64,
}

impl Streamer<'_> {
    /// Reads `bytes`.
    pub fn read(&mut self, address: Address, bytes: &mut [u8]) -> Result<(), Stop> {
        let mut done = 0;
        while done < bytes.len() {
            done += match address.plus(done as u64) {
                Address::Process(at) => self.read_part(at, &mut bytes[done..])?,
                Address::Global(at) => self.read_global_part(at, &mut bytes[done..])?,
            };
        }
        Ok(())
    }

    /// Reads a word.
    pub fn read32(&mut self, address: Address) -> Result<u32, Stop> {
        let mut word = [0; 4];
        self.read(address, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    /// Writes `bytes`.
    pub fn write(&mut self, address: Address, bytes: &[u8]) -> Result<(), Stop> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let write = |place: &Place| place.write(&rest[..place.len() as usize]);
            done += self.touch(address.plus(done as u64), rest.len() as u64, Access::Write, write)? as usize;
        }
        Ok(())
    }

    /// Lets `change` change memory in one step. The place that it gets is as long as asked for and aligned to that.
    pub fn change<T>(&mut self, address: Address, length: u64, change: impl FnOnce(&Place) -> T) -> Result<T, Stop> {
        let (Address::Process(at) | Address::Global(at)) = address;
        if at % length != 0 {
            return Err(Stop::Failed(Failure::Command(format!("an atomic operation on {length} bytes at {at:#x}"))));
        }
        let mut result = None;
        self.touch(address, length, Access::Atomic, |place| result = Some(change(place)))?;
        Ok(result.expect("the memory was touched"))
    }

    /// Copies `rows` rows of `width` bytes, on from where the command stopped before.
    pub fn copy(&mut self, from: Area, to: Area, width: u64, rows: u64) -> Result<(), Stop> {
        let (from, to, width, rows) = match from.pitch == width && to.pitch == width {
            true => (from, to, width * rows, 1),
            false => (from, to, width, rows),
        };
        while let Some((row, column, rest)) = self.next_part(width, rows) {
            let source_at = from.start + row * from.pitch + column;
            let target_at = to.start + row * to.pitch + column;
            let length = {
                let mut tlb = self.engine.tlb();
                let source = self.reach(&mut tlb, source_at, rest, Access::Read)?;
                let target = self.reach(&mut tlb, target_at, source.len(), Access::Write)?;
                source.first(target.len()).copy_to(&target);
                self.spoil(&target);
                target.len()
            };
            self.end_part(length)?;
        }
        Ok(())
    }

    /// Sets the bytes of `rows` rows of `width` bytes, on from where the command stopped before.
    pub fn fill(&mut self, area: Area, width: u64, rows: u64, value: u8) -> Result<(), Stop> {
        let (width, rows) = if area.pitch == width { (width * rows, 1) } else { (width, rows) };
        while let Some((row, column, rest)) = self.next_part(width, rows) {
            let at = Address::Process(area.start + row * area.pitch + column);
            let length = self.touch(at, rest, Access::Write, |place| place.fill(value))?;
            self.end_part(length)?;
        }
        Ok(())
    }

    /// Forgets the engine's translations.
    pub fn forget_translations(&self) {
        self.engine.tlb().invalidate(Scope::All);
    }

    /// What is left of the present command: row, column, and how many bytes of the row to take at once.
    fn next_part(&self, width: u64, rows: u64) -> Option<(u64, u64, u64)> {
        let done = self.context.progress;
        (done < width * rows).then(|| (done / width, done % width, (width - done % width).min(SPAN)))
    }

    fn end_part(&mut self, length: u64) -> Result<(), Stop> {
        self.context.progress += length;
        if self.engine.is_wanted(self.context) { Err(Stop::Leave) } else { Ok(()) }
    }

    /// Reads from an address of the process up to the end of its page, and says how much that was.
    pub(super) fn read_part(&mut self, address: u64, bytes: &mut [u8]) -> Result<usize, Stop> {
        let mut tlb = self.engine.tlb();
        let place = self.reach(&mut tlb, address, bytes.len() as u64, Access::Read)?;
        let length = place.len() as usize;
        place.read(&mut bytes[..length]);
        Ok(length)
    }

    /// The same from a global address.
    pub(super) fn read_global_part(&mut self, address: u64, bytes: &mut [u8]) -> Result<usize, Stop> {
        let place = self.gpu().ggtt.find(address, bytes.len() as u64)?;
        let length = place.len() as usize;
        place.read(&mut bytes[..length]);
        Ok(length)
    }

    /// Writes up to the end of a page, and says how much that was.
    fn touch(
        &mut self,
        address: Address,
        length: u64,
        access: Access,
        write: impl FnOnce(&Place),
    ) -> Result<u64, Stop> {
        let mut tlb = self.engine.tlb();
        let place = match address {
            Address::Process(at) => self.reach(&mut tlb, at, length, access)?,
            Address::Global(at) => self.gpu().ggtt.find(at, length)?,
        };
        write(&place);
        self.spoil(&place);
        Ok(place.len())
    }

    /// Inverts the first byte, if that was asked for.
    fn spoil(&mut self, place: &Place) {
        if std::mem::take(&mut self.corrupt) {
            let mut first = [0];
            place.read(&mut first);
            place.write(&[!first[0]]);
        }
    }

    /// What is at an address of the process, up to the end of its page.
    fn reach(&self, tlb: &mut Tlb, address: u64, length: u64, access: Access) -> Result<Place, Stop> {
        let known = tlb.find(self.context.asid, address).filter(|(_, leaf)| leaf.allows(access).is_ok());
        // A translation that forbids is looked up again before it is a fault.
        let (start, leaf) = match known {
            Some(known) => known,
            None => self.look_up(tlb, address, access)?,
        };
        let offset = (address & ADDRESS_BITS) - start;
        let length = length.min(leaf.length - offset);
        let target = leaf.target + offset;
        match (leaf.null, leaf.in_vram) {
            (true, _) => Ok(Place::Null(length)),
            (false, true) => self.gpu().vram.span(target, length).map(Place::Memory).ok_or_else(|| {
                Stop::Failed(Failure::Memory(format!("{address:#x} is at {target:#x}, beyond the end of VRAM")))
            }),
            (false, false) => {
                let place = self.gpu().bus.find(target, length);
                if let Place::Nowhere(_) = place {
                    self.gpu().report(format_args!(
                        "{} context {}, {access:?} of {address:#x}: nothing answers at bus address {target:#x}: {}",
                        self.engine.name(),
                        self.context.id,
                        self.gpu().bus.fabric().why_nowhere(target)
                    ));
                }
                Ok(place)
            }
        }
    }

    fn look_up(&self, tlb: &mut Tlb, address: u64, access: Access) -> Result<(u64, Leaf), Stop> {
        Counters::count(&self.gpu().counters.walks);
        let vram = &self.gpu().vram;
        let entry = |at| {
            let mut entry = [0; 8];
            vram.span(at, 8)?.read(&mut entry);
            Some(u64::from_le_bytes(entry))
        };
        let fault = |level, kind| Stop::Fault(Fault { address: address & ADDRESS_BITS, level, kind, access });
        let leaf = walk(self.context.root, address, entry).map_err(|miss| match miss {
            Miss::Absent(level) => fault(level, Kind::NotPresent),
            Miss::Lost(table) => {
                Stop::Failed(Failure::Memory(format!("the page table at {table:#x} for {address:#x} is not in VRAM")))
            }
        })?;
        leaf.allows(access).map_err(|kind| fault(leaf.level, kind))?;
        Ok((tlb.insert(self.context.asid, address, leaf), leaf))
    }
}
