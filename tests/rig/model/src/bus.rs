// SPDX-License-Identifier: MIT OR Apache-2.0
//! The addresses that a GPU can reach over PCI: guest RAM, and the VRAM windows of its peers.

use crate::memory::{Block, Span};
use parking_lot::RwLock;
use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Accesses in one direction between one pair of GPUs.
#[derive(Debug, Default)]
pub struct Meter {
    reads: AtomicU64,
    bytes_read: AtomicU64,
    writes: AtomicU64,
    bytes_written: AtomicU64,
}

/// What a [`Meter`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Read accesses; a copy of up to 2 MiB is one.
    pub reads: u64,
    /// Bytes that they read.
    pub bytes_read: u64,
    /// Write accesses.
    pub writes: u64,
    /// Bytes that they wrote.
    pub bytes_written: u64,
}

impl Meter {
    fn count_read(&self, bytes: u64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    fn count_write(&self, bytes: u64) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What it shows now.
    pub fn reading(&self) -> Reading {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            reads: value(&self.reads),
            bytes_read: value(&self.bytes_read),
            writes: value(&self.writes),
            bytes_written: value(&self.bytes_written),
        }
    }
}

/// A GPU's VRAM window as the others see it.
#[derive(Debug)]
struct Window {
    vram: Arc<Block>,
    length: u64,
    /// Where the guest put it; none while memory decoding is off.
    base: Option<u64>,
    alive: bool,
}

/// The PCI fabric between the GPUs of this machine.
#[derive(Debug)]
pub struct Fabric {
    windows: RwLock<Vec<Window>>,
    /// By accessing GPU, then by owner of the memory.
    meters: Vec<Vec<Arc<Meter>>>,
    strays: AtomicU64,
}

impl Fabric {
    /// A fabric for the windows of `vrams`, each with its CPU-visible length.
    pub fn new(vrams: impl IntoIterator<Item = (Arc<Block>, u64)>) -> Arc<Fabric> {
        let window = |(vram, length)| Window { vram, length, base: None, alive: true };
        let windows: Vec<_> = vrams.into_iter().map(window).collect();
        let row = || windows.iter().map(|_| Arc::default()).collect();
        let meters = windows.iter().map(|_| row()).collect();
        Arc::new(Fabric { windows: RwLock::new(windows), meters, strays: AtomicU64::new(0) })
    }

    /// The guest put the window of `gpu` at `base`, or switched it off.
    pub fn place_window(&self, gpu: usize, base: Option<u64>) {
        self.windows.write()[gpu].base = base;
    }

    /// The window of `gpu` answers no more.
    pub fn cut_off(&self, gpu: usize) {
        self.windows.write()[gpu].alive = false;
    }

    /// Traffic from `accessor` to the memory of `owner`.
    pub fn traffic(&self, accessor: usize, owner: usize) -> Reading {
        self.meters[accessor][owner].reading()
    }

    /// Accesses that met neither memory nor a living device.
    pub fn strays(&self) -> u64 {
        self.strays.load(Ordering::Relaxed)
    }

    /// Why nothing answers at `address`.
    pub fn why_nowhere(&self, address: u64) -> String {
        for (owner, window) in self.windows.read().iter().enumerate() {
            let Some(offset) = window.base.and_then(|base| address.checked_sub(base)) else { continue };
            match offset {
                _ if offset < window.length && !window.alive => return format!("gpu{owner} is gone"),
                _ if (window.length..window.vram.len()).contains(&offset) => {
                    return format!("gpu{owner} shows only {:#x} of its {:#x} bytes", window.length, window.vram.len());
                }
                _ => {}
            }
        }
        "no memory, no GPU".into()
    }

    /// What `accessor` meets at `address`, as far as it is contiguous.
    fn find(&self, accessor: usize, address: u64, length: u64) -> Option<Place> {
        let windows = self.windows.read();
        let (owner, window) = windows.iter().enumerate().find(|(_, window)| {
            window.base.is_some_and(|base| (base..base + window.length).contains(&address)) && window.alive
        })?;
        let offset = address - window.base?;
        let span = window.vram.span(offset, length.min(window.length - offset))?;
        Some(Place::Peer(span, self.meters[accessor][owner].clone()))
    }
}

/// What an access meets.
#[derive(Clone, Debug)]
pub enum Place {
    /// Guest RAM, or the GPU's own VRAM.
    Memory(Span),
    /// The VRAM of another GPU.
    Peer(Span, Arc<Meter>),
    /// A page that reads zero and forgets what is written.
    Null(u64),
    /// Nothing answers: reads all ones, and forgets what is written.
    Nowhere(u64),
}

impl Place {
    /// How many bytes from here on are of the same kind.
    pub fn len(&self) -> u64 {
        match self {
            Place::Memory(span) | Place::Peer(span, _) => span.len(),
            Place::Null(length) | Place::Nowhere(length) => *length,
        }
    }

    /// Whether there is nothing, not even a page that forgets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its first `length` bytes.
    pub fn first(self, length: u64) -> Place {
        match self {
            Place::Memory(span) => Place::Memory(span.first(length)),
            Place::Peer(span, meter) => Place::Peer(span.first(length), meter),
            Place::Null(all) => Place::Null(all.min(length)),
            Place::Nowhere(all) => Place::Nowhere(all.min(length)),
        }
    }

    /// Reads `bytes`.
    pub fn read(&self, bytes: &mut [u8]) {
        self.count_read(bytes.len() as u64);
        match self {
            Place::Memory(span) | Place::Peer(span, _) => span.read(bytes),
            Place::Null(_) => bytes.fill(0),
            Place::Nowhere(_) => bytes.fill(0xff),
        }
    }

    /// Writes `bytes`.
    pub fn write(&self, bytes: &[u8]) {
        self.count_write(bytes.len() as u64);
        if let Place::Memory(span) | Place::Peer(span, _) = self {
            span.write(bytes);
        }
    }

    /// Sets every byte.
    pub fn fill(&self, value: u8) {
        self.count_write(self.len());
        if let Place::Memory(span) | Place::Peer(span, _) = self {
            span.fill(value);
        }
    }

    /// Copies it to `target`, which is as long.
    pub fn copy_to(&self, target: &Place) {
        use Place::{Memory, Nowhere, Null, Peer};
        match (self, target) {
            (Memory(from) | Peer(from, _), Memory(to) | Peer(to, _)) => from.copy_to(to),
            (Null(_), Memory(to) | Peer(to, _)) => to.fill(0),
            (Nowhere(_), Memory(to) | Peer(to, _)) => to.fill(0xff),
            (_, Null(_) | Nowhere(_)) => {}
        }
        self.count_read(self.len());
        target.count_write(target.len());
    }

    /// Changes 4 aligned bytes atomically, and returns what they were.
    pub fn update32(&self, change: impl FnMut(u32) -> u32) -> u32 {
        self.count_read(4);
        self.count_write(4);
        match self {
            Place::Memory(span) | Place::Peer(span, _) => span.update32(change),
            Place::Null(_) => 0,
            Place::Nowhere(_) => u32::MAX,
        }
    }

    /// Changes 8 aligned bytes atomically, and returns what they were.
    pub fn update64(&self, change: impl FnMut(u64) -> u64) -> u64 {
        self.count_read(8);
        self.count_write(8);
        match self {
            Place::Memory(span) | Place::Peer(span, _) => span.update64(change),
            Place::Null(_) => 0,
            Place::Nowhere(_) => u64::MAX,
        }
    }

    fn count_read(&self, bytes: u64) {
        if let Place::Peer(_, meter) = self {
            meter.count_read(bytes);
        }
    }

    fn count_write(&self, bytes: u64) {
        if let Place::Peer(_, meter) = self {
            meter.count_write(bytes);
        }
    }
}

/// Guest RAM as QEMU mapped it for one GPU.
#[derive(Debug)]
struct Ram {
    base: u64,
    block: Arc<Block>,
}

/// One GPU's way to the rest of the machine.
#[derive(Debug)]
pub struct Bus {
    gpu: usize,
    ram: RwLock<Vec<Ram>>,
    fabric: Arc<Fabric>,
}

impl Bus {
    /// The bus of GPU number `gpu`.
    pub fn new(gpu: usize, fabric: Arc<Fabric>) -> Bus {
        Bus { gpu, ram: RwLock::default(), fabric }
    }

    /// The fabric behind it.
    pub fn fabric(&self) -> &Fabric {
        &self.fabric
    }

    /// `length` bytes of `file` from `offset` on appear at `base`.
    pub fn map(&self, base: u64, file: File, offset: u64, length: u64) -> io::Result<()> {
        let block = Block::of(file, offset, length)?;
        self.ram.write().push(Ram { base, block });
        Ok(())
    }

    /// What was mapped inside these addresses is gone.
    pub fn unmap(&self, base: u64, length: u64) {
        self.ram.write().retain(|ram| ram.base < base || ram.base - base >= length);
    }

    /// What an access of `length` bytes at `address` meets; shorter where something else begins there.
    pub fn find(&self, address: u64, length: u64) -> Place {
        for ram in self.ram.read().iter() {
            if let Some(offset) = address.checked_sub(ram.base).filter(|offset| *offset < ram.block.len())
                && let Some(span) = ram.block.span(offset, length.min(ram.block.len() - offset))
            {
                return Place::Memory(span);
            }
        }
        self.fabric.find(self.gpu, address, length).unwrap_or_else(|| {
            self.fabric.strays.fetch_add(1, Ordering::Relaxed);
            Place::Nowhere(length)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn two() -> (Bus, Arc<Fabric>, Arc<Block>) {
        let vrams: Vec<_> = (0..2).map(|_| Block::new("vram", 2 * MIB).unwrap()).collect();
        let fabric = Fabric::new(vrams.iter().map(|vram| (vram.clone(), MIB)));
        let bus = Bus::new(0, fabric.clone());
        let ram = Block::new("ram", MIB).unwrap();
        bus.map(0x1000, ram.file().try_clone().unwrap(), 0, MIB).unwrap();
        fabric.place_window(1, Some(0x8000_0000));
        (bus, fabric, vrams[1].clone())
    }

    #[test]
    fn ram_ends_where_its_map_ends() {
        let (bus, fabric, _) = two();
        assert_eq!(bus.find(0x1000 + MIB - 16, 64).len(), 16);
        assert_eq!(fabric.strays(), 0);
        bus.unmap(0, 1 << 40);
        assert!(matches!(bus.find(0x1000, 4), Place::Nowhere(4)));
        assert_eq!(fabric.strays(), 1);
    }

    #[test]
    fn a_peer_is_read_in_place_and_counted_by_direction() {
        let (bus, fabric, vram) = two();
        vram.span(0x100, 4).unwrap().write(&7u32.to_le_bytes());
        let mut seen = [0; 4];
        bus.find(0x8000_0100, 4).read(&mut seen);
        assert_eq!(u32::from_le_bytes(seen), 7);
        assert_eq!(fabric.traffic(0, 1), Reading { reads: 1, bytes_read: 4, ..Default::default() });
        assert_eq!(fabric.traffic(1, 0), Reading::default());
    }

    #[test]
    fn beyond_a_small_window_and_behind_a_dead_device_there_is_nothing() {
        let (bus, fabric, _) = two();
        assert!(matches!(bus.find(0x8000_0000 + MIB, 4), Place::Nowhere(4)));
        assert_eq!(fabric.why_nowhere(0x8000_0000 + MIB), "gpu1 shows only 0x100000 of its 0x200000 bytes");
        assert_eq!(fabric.why_nowhere(0x8000_0000 + 2 * MIB), "no memory, no GPU");
        fabric.cut_off(1);
        assert_eq!(fabric.why_nowhere(0x8000_0000), "gpu1 is gone");
        let mut seen = [0; 4];
        bus.find(0x8000_0000, 4).read(&mut seen);
        assert_eq!(seen, [0xff; 4]);
        assert_eq!(fabric.strays(), 2);
    }
}
