// SPDX-License-Identifier: MIT OR Apache-2.0
//! One GPU: the parts that its function, its firmware and its engines share.

use crate::{
    bus::{Bus, Fabric},
    clock::Clock,
    ggtt::Ggtt,
    interrupts::Interrupts,
    memory::Block,
    mishaps::Mishaps,
    settings::Settings,
    trace::Trace,
};
use std::{
    fmt::Display,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Bytes of BAR 0: registers below, the global translation table above (`xe_mmio.c`, `xe_ggtt.c`).
pub const BAR0: u64 = 16 << 20;

/// What a GPU did so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Commands that engines executed.
    pub commands: AtomicU64,
    /// Turns of a context on an engine.
    pub turns: AtomicU64,
    /// Page faults reported to the driver.
    pub faults: AtomicU64,
    /// Invalidations of translations that the driver asked the firmware for.
    pub invalidations: AtomicU64,
    /// Translations that were looked up in the page tables.
    pub walks: AtomicU64,
    /// Register reads.
    pub reads: AtomicU64,
    /// Register writes.
    pub writes: AtomicU64,
    /// Contexts that were taken off their engine by force.
    pub resets: AtomicU64,
}

impl Counters {
    /// Counts one more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// All, with their names.
    pub fn all(&self) -> [(&'static str, u64); 8] {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("commands", value(&self.commands)),
            ("turns", value(&self.turns)),
            ("faults", value(&self.faults)),
            ("invalidations", value(&self.invalidations)),
            ("walks", value(&self.walks)),
            ("reads", value(&self.reads)),
            ("writes", value(&self.writes)),
            ("resets", value(&self.resets)),
        ]
    }
}

/// One GPU.
#[derive(Debug)]
pub struct Gpu {
    /// Its number in this rig.
    pub index: usize,
    /// What it was made to be.
    pub settings: Settings,
    /// Its memory.
    pub vram: Arc<Block>,
    /// Its registers and global translation table; registers are not kept there.
    pub bar0: Arc<Block>,
    /// Its way to the rest of the machine.
    pub bus: Arc<Bus>,
    /// Its global address space.
    pub ggtt: Ggtt,
    /// Its MSI.
    pub interrupts: Interrupts,
    /// What is to go wrong.
    pub mishaps: Mishaps,
    /// What it did.
    pub counters: Counters,
    /// Its clock.
    pub clock: Clock,
    alive: AtomicBool,
    trace: Arc<Trace>,
}

/// The memory of a GPU that is to be.
pub fn memory(settings: Settings) -> io::Result<Arc<Block>> {
    Block::new("vram", settings.vram)
}

impl Gpu {
    /// GPU number `index`, with `vram`, on `fabric`.
    pub fn new(
        index: usize,
        settings: Settings,
        vram: Arc<Block>,
        fabric: Arc<Fabric>,
        trace: Arc<Trace>,
    ) -> io::Result<Arc<Gpu>> {
        let bar0 = Block::new("bar0", BAR0)?;
        let bus = Arc::new(Bus::new(index, fabric));
        Ok(Arc::new(Gpu {
            index,
            settings,
            ggtt: Ggtt::new(bar0.clone(), vram.clone(), bus.clone()),
            vram,
            bar0,
            bus,
            interrupts: Interrupts::default(),
            mishaps: Mishaps::default(),
            counters: Counters::default(),
            clock: Clock::default(),
            alive: AtomicBool::new(true),
            trace,
        }))
    }

    /// Whether it is still in its slot.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// Takes it out of its slot, without a word to anybody: from now on nothing answers, and its memory reads all ones.
    ///
    /// A mapping that the guest already has cannot be taken away. It reads ones until the guest itself writes there.
    pub fn drop_off(&self) {
        self.alive.store(false, Ordering::Release);
        self.bus.fabric().cut_off(self.index);
        for block in [&self.vram, &self.bar0] {
            block.span(0, block.len()).expect("all of it").fill(0xff);
        }
    }

    /// Notes an event.
    pub fn note<T: Display>(&self, text: impl FnOnce() -> T) {
        self.trace.note(self.index, text);
    }

    /// Tells of something that should not happen.
    pub fn report(&self, text: impl Display) {
        self.trace.report(self.index, text);
    }

    /// Raises the MSI, if it is still there to do so.
    pub fn interrupt(&self) {
        if self.is_alive()
            && let Err(error) = self.interrupts.raise()
        {
            self.report(format_args!("MSI is lost: {error}"));
        }
    }
}
