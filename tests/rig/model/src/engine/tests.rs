// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an engine does with commands.

use super::{
    Engine,
    context::{Context, tests::image},
    kind::KINDS,
    stop::{Failure, Stop},
    streamer::{Step, Streamer},
};
use crate::{
    ggtt,
    gpu::Gpu,
    guc::{Event, Listener},
    mishaps::{Mishap, Subject},
    ppgtt::{Access, Fault, Kind},
    rig::tests::small,
    tlb::Scope,
};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

/// Entry bits, as in the module of the page tables.
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const ATOMIC: u64 = 1 << 10;
const IN_VRAM: u64 = 1 << 11;
const ALL: u64 = PRESENT | WRITABLE | ATOMIC | IN_VRAM;

/// The ring and the image of the context are in the first pages of VRAM, which are also the first global pages.
const RING: u64 = 0x1000;
/// Tables: one for each level.
const TABLES: u64 = 0x10_0000;
/// A page of the process is at this address plus 4 KiB times its number.
const BASE: u64 = 0x7f00_0000_0000;
/// What pages of the process are is from here on in VRAM.
const DATA: u64 = 0x20_0000;

const END: u32 = 0x0a << 23;

impl Listener for Sender<Event> {
    fn hear(&self, event: Event) {
        self.send(event).expect("the test listens");
    }
}

/// An engine of an idle GPU, and a context for it.
struct Bench {
    engine: Arc<Engine>,
    context: Context,
    events: Receiver<Event>,
}

impl Bench {
    fn new() -> Bench {
        let (gpu, _) = small();
        for page in 0..16 {
            write64(&gpu.bar0, ggtt::OFFSET + page * 8, page << 12 | 0b11);
        }
        for level in 1..5 {
            let index = BASE >> (12 + 9 * level) & 511;
            write64(&gpu.vram, table(level) + index * 8, table(level - 1) | PRESENT | WRITABLE);
        }
        let context = image(&gpu.ggtt, 0, 0);
        let at = |index: u64| context.image + 4096 + index * 4;
        gpu.ggtt.write32(at(0x33), table(4) as u32).unwrap();
        gpu.ggtt.write32(at(0x2f), 5).unwrap();
        gpu.ggtt.write32(at(0x57), 0x8000).unwrap();
        gpu.ggtt.write32(at(0x59), 0x8400).unwrap();
        let (sender, events) = channel();
        Bench { engine: Arc::new(Engine::new(KINDS[1], gpu, Arc::new(sender))), context, events }
    }

    fn gpu(&self) -> &Gpu {
        self.engine.gpu()
    }

    /// Makes page number `page` of the process the page number `target` of the data.
    fn map(&self, page: u64, target: u64, flags: u64) {
        let entry = if flags == 0 { 0 } else { (DATA + (target << 12)) | flags };
        write64(&self.gpu().vram, table(0) + page * 8, entry);
    }

    /// A word of page number `page` of the data.
    fn word(&self, page: u64, index: u64) -> u32 {
        let mut word = [0; 4];
        self.gpu().vram.span(DATA + (page << 12) + index * 4, 4).unwrap().read(&mut word);
        u32::from_le_bytes(word)
    }

    fn set_word(&self, page: u64, index: u64, value: u32) {
        self.gpu().vram.span(DATA + (page << 12) + index * 4, 4).unwrap().write(&value.to_le_bytes());
    }

    /// Appends commands to the ring.
    fn emit(&mut self, words: &[u32]) {
        self.context.load(&self.engine.gpu().ggtt).unwrap();
        let tail = self.context.ring.tail;
        for (index, word) in words.iter().enumerate() {
            self.gpu().ggtt.write32(RING + tail + index as u64 * 4, *word).unwrap();
        }
        let tail_at = self.context.image + 4096 + 7 * 4;
        self.gpu().ggtt.write32(tail_at, tail as u32 + words.len() as u32 * 4).unwrap();
    }

    /// Executes until the ring is empty, or a command cannot be.
    fn run(&mut self) -> Result<(), Stop> {
        let engine = self.engine.clone();
        let mut streamer = Streamer::new(&engine, &mut self.context);
        let result = loop {
            match streamer.step() {
                Ok(Step::Done) => {}
                Ok(Step::Drained) => break Ok(()),
                Err(stop) => break Err(stop),
            }
        };
        self.context.save(&engine.gpu().ggtt, Duration::from_micros(1)).unwrap();
        result
    }

    fn emit_and_run(&mut self, words: &[u32]) -> Result<(), Stop> {
        self.emit(words);
        self.context.load(&self.engine.gpu().ggtt).unwrap();
        self.run()
    }

    fn next_event(&self) -> Event {
        self.events.recv_timeout(Duration::from_secs(20)).expect("an event")
    }

    /// Gives the context to the engine's own thread.
    fn start(&mut self) {
        let context = std::mem::take(&mut self.context);
        let id = context.id;
        self.engine.schedule(|queue| {
            queue.add(context);
            queue.enable(id);
        });
        let engine = self.engine.clone();
        std::thread::spawn(move || engine.run());
    }
}

fn table(level: u64) -> u64 {
    TABLES + level * 4096
}

fn write64(block: &Arc<crate::memory::Block>, at: u64, value: u64) {
    block.span(at, 8).unwrap().write(&value.to_le_bytes());
}

fn at(page: u64, index: u64) -> [u32; 2] {
    let address = BASE + (page << 12) + index * 4;
    [address as u32, (address >> 32) as u32]
}

fn store(page: u64, index: u64, value: u32) -> [u32; 4] {
    let [low, high] = at(page, index);
    [0x20 << 23 | 2, low, high, value]
}

fn copy(from: u64, to: u64, pages: u32) -> [u32; 10] {
    let ([a, b], [c, d]) = (at(from, 0), at(to, 0));
    [2 << 29 | 0x5a << 22 | 1 << 19 | 8, pages * 16 - 1, 0, 0, 0, a, b, c, d, 0]
}

#[test]
fn stores_reach_the_memory_of_the_process_and_global_memory() {
    let mut bench = Bench::new();
    bench.map(0, 3, ALL);
    let mut words = store(0, 7, 0xcafe).to_vec();
    words.extend([0x20 << 23 | 1 << 22 | 2, 0x9004, 0, 0xbeef]);
    bench.emit_and_run(&words).unwrap();
    assert_eq!(bench.word(3, 7), 0xcafe);
    assert_eq!(bench.gpu().ggtt.read32(0x9004), Ok(0xbeef));
}

#[test]
fn a_command_whose_page_is_absent_is_repeated_when_it_is_there() {
    let mut bench = Bench::new();
    let address = BASE + 4;
    let fault = Fault { address, level: 0, kind: Kind::NotPresent, access: Access::Write };
    assert_eq!(bench.emit_and_run(&store(0, 1, 9)), Err(Stop::Fault(fault)));
    bench.map(0, 0, PRESENT | IN_VRAM);
    assert_eq!(bench.run(), Err(Stop::Fault(Fault { kind: Kind::Write, ..fault })));
    bench.map(0, 0, ALL);
    bench.run().unwrap();
    assert_eq!(bench.word(0, 1), 9);
}

#[test]
fn a_translation_is_used_until_it_is_invalidated() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    bench.emit_and_run(&store(0, 0, 1)).unwrap();
    bench.map(0, 1, ALL);
    bench.emit_and_run(&store(0, 0, 2)).unwrap();
    assert_eq!((bench.word(0, 0), bench.word(1, 0)), (2, 0));
    bench.engine.invalidate(Scope::Range { asid: 5, start: BASE, length: 4096 });
    bench.emit_and_run(&store(0, 0, 3)).unwrap();
    assert_eq!((bench.word(0, 0), bench.word(1, 0)), (2, 3));
}

#[test]
fn a_flush_can_forget_translations() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    bench.emit_and_run(&store(0, 0, 1)).unwrap();
    bench.map(0, 1, ALL);
    bench.emit_and_run(&[0x26 << 23 | 1 << 18 | 2, 0, 0, 0]).unwrap();
    bench.emit_and_run(&store(0, 0, 2)).unwrap();
    assert_eq!((bench.word(0, 0), bench.word(1, 0)), (1, 2));
}

#[test]
fn a_copy_goes_on_after_a_fault_where_it_stopped() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    bench.map(1, 1, ALL);
    bench.map(2, 2, ALL);
    bench.set_word(0, 1023, 5);
    bench.set_word(1, 1023, 6);
    let stopped = bench.emit_and_run(&copy(0, 2, 2));
    assert!(matches!(stopped, Err(Stop::Fault(Fault { access: Access::Write, .. }))), "{stopped:?}");
    assert_eq!(bench.word(2, 1023), 5);
    // What was copied is not copied again.
    bench.set_word(2, 1023, 7);
    bench.map(3, 3, ALL);
    bench.run().unwrap();
    assert_eq!((bench.word(2, 1023), bench.word(3, 1023)), (7, 6));
}

#[test]
fn atomics_need_pages_that_allow_them() {
    let mut bench = Bench::new();
    bench.map(0, 0, PRESENT | WRITABLE | IN_VRAM);
    let [low, high] = at(0, 0);
    let increment = [0x2f << 23 | 0x05 << 8 | 1, low, high];
    let stopped = bench.emit_and_run(&increment);
    let wanted = Fault { address: BASE, level: 0, kind: Kind::Atomic, access: Access::Atomic };
    assert_eq!(stopped, Err(Stop::Fault(wanted)));
    bench.map(0, 0, ALL);
    bench.run().unwrap();
    bench.emit_and_run(&increment).unwrap();
    assert_eq!(bench.word(0, 0), 2);
}

#[test]
fn atomics_take_operands_from_the_command_and_return_the_old_value() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    bench.set_word(0, 0, 10);
    let [low, high] = at(0, 0);
    // Compare with 10 and write 99; then store what was there.
    let mut words = vec![0x2f << 23 | 1 << 18 | 1 << 16 | 0x0e << 8 | 9, low, high, 10, 0, 0, 0, 99, 0, 0, 0];
    let [low, high] = at(0, 1);
    words.extend([0x24 << 23 | 1 << 19 | 2, 0x600, low, high]);
    bench.emit_and_run(&words).unwrap();
    assert_eq!((bench.word(0, 0), bench.word(0, 1)), (99, 10));
}

#[test]
fn what_is_unknown_is_told_with_its_place() {
    let mut bench = Bench::new();
    let Err(Stop::Failed(Failure::Command(text))) = bench.emit_and_run(&[0, 0x3f << 23]) else { panic!() };
    assert_eq!(text, "0x1f800000 is unknown, in ring at 0x1000+0x4");
}

#[test]
fn batches_return_and_those_of_a_process_stay_in_it() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    bench.map(1, 1, ALL);
    let [low, high] = at(0, 0);
    let [inner_low, inner_high] = at(0, 256);
    // The inner batch is started without the bit that says it is the process's.
    let outer = [0x31 << 23 | 1 << 22 | 1, inner_low, inner_high];
    for (index, word) in outer.into_iter().chain(store(1, 0, 1)).chain([END]).enumerate() {
        bench.set_word(0, index as u64, word);
    }
    for (index, word) in store(1, 1, 2).into_iter().chain([END]).enumerate() {
        bench.set_word(0, 256 + index as u64, word);
    }
    let mut words = vec![0x31 << 23 | 1 << 8 | 1, low, high];
    words.extend(store(1, 2, 3));
    bench.emit_and_run(&words).unwrap();
    assert_eq!([bench.word(1, 0), bench.word(1, 1), bench.word(1, 2)], [1, 2, 3]);
    assert!(matches!(bench.emit_and_run(&[END]), Err(Stop::Failed(Failure::Command(_)))));
}

#[test]
fn registers_are_loaded_computed_with_and_stored() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    let [low, high] = at(0, 0);
    let base = KINDS[1].base;
    let mut words = vec![0x22 << 23 | 1 << 19 | 3, 0x600, 40, 0x604, 0];
    // By address, of this engine and of the render engine remapped.
    words.extend([0x22 << 23 | 1, base + 0x608, 2]);
    words.extend([0x22 << 23 | 1 << 17 | 1, 0x260c, 0]);
    // R2 = R0 + R1.
    words.extend([0x1a << 23 | 3, 0x080 << 20 | 0x20 << 10, 0x080 << 20 | 0x21 << 10 | 1]);
    words.extend([0x100 << 20, 0x180 << 20 | 2 << 10 | 0x31]);
    words.extend([0x24 << 23 | 1 << 19 | 2, 0x610, low, high]);
    bench.emit_and_run(&words).unwrap();
    assert_eq!(bench.word(0, 0), 42);
}

#[test]
fn a_semaphore_is_waited_for() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    let [low, high] = at(0, 0);
    let mut words = vec![0x1c << 23 | 4 << 12 | 3, 7, low, high, 0];
    words.extend(store(0, 1, 1));
    assert_eq!(bench.emit_and_run(&words), Err(Stop::Wait));
    assert_eq!(bench.run(), Err(Stop::Wait));
    bench.set_word(0, 0, 7);
    bench.run().unwrap();
    assert_eq!(bench.word(0, 1), 1);
}

#[test]
fn the_watchdog_ends_a_wait_that_never_ends() {
    let mut bench = Bench::new();
    let mut words = vec![0x22 << 23 | 1 << 19 | 3, 0x17c, 2, 0x178, 0];
    words.extend([0x1c << 23 | 1 << 22 | 4 << 12 | 3, 0xdead, 0x9000, 0, 0]);
    bench.emit_and_run(&words).unwrap();
    assert_eq!(bench.emit_and_run(&words[5..]), Err(Stop::Wait));
}

#[test]
fn a_batch_ends_early_where_the_comparison_fails() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    bench.map(1, 1, ALL);
    let ([low, high], [batch_low, batch_high]) = (at(1, 0), at(0, 0));
    // Goes on while memory is greater than 3.
    let batch = [0x36 << 23 | 1 << 21 | 2, 3, low, high];
    for (index, word) in batch.into_iter().chain(store(1, 1, 8)).chain([END]).enumerate() {
        bench.set_word(0, index as u64, word);
    }
    let start = [0x31 << 23 | 1 << 8 | 1, batch_low, batch_high];
    bench.emit_and_run(&start).unwrap();
    assert_eq!(bench.word(1, 1), 0);
    bench.set_word(1, 0, 4);
    bench.emit_and_run(&start).unwrap();
    assert_eq!(bench.word(1, 1), 8);
}

#[test]
fn a_comparison_that_fails_ends_the_innermost_batch_or_all() {
    for (bit, expected) in [(1 << 18, 8), (0, 0)] {
        let mut bench = Bench::new();
        bench.map(0, 0, ALL);
        bench.map(1, 1, ALL);
        let ([low, high], [outer_low, outer_high], [inner_low, inner_high]) = (at(1, 0), at(0, 0), at(0, 256));
        let outer = [0x31 << 23 | 1 << 22 | 1 << 8 | 1, inner_low, inner_high];
        for (index, word) in outer.into_iter().chain(store(1, 1, 8)).chain([END]).enumerate() {
            bench.set_word(0, index as u64, word);
        }
        for (index, word) in [0x36 << 23 | 1 << 21 | bit | 2, 3, low, high, END].into_iter().enumerate() {
            bench.set_word(0, 256 + index as u64, word);
        }
        bench.emit_and_run(&[0x31 << 23 | 1 << 8 | 1, outer_low, outer_high]).unwrap();
        assert_eq!(bench.word(1, 1), expected);
    }
}

#[test]
fn a_user_interrupt_is_marked_in_the_pages_of_the_context() {
    let mut bench = Bench::new();
    bench.emit_and_run(&[0x02 << 23, 0]).unwrap();
    assert_eq!(bench.gpu().ggtt.read32(0x8000 + 15 * 16), Ok(0xff));
    assert_eq!(bench.gpu().ggtt.read32(0x840c), Ok(0xff00_0000));
}

#[test]
fn pipe_control_writes_where_its_bits_say() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    let [low, high] = at(0, 2);
    let pipe_control = |flags: u32, low: u32, high: u32| [0x7a00_0004, flags, low, high, 0x11, 0x22];
    bench.emit_and_run(&pipe_control(1 << 14, low, high)).unwrap();
    assert_eq!((bench.word(0, 2), bench.word(0, 3)), (0x11, 0x22));
    bench.emit_and_run(&pipe_control(1 << 14 | 1 << 24, 0x9000, 0)).unwrap();
    assert_eq!(bench.gpu().ggtt.read32(0x9000), Ok(0x11));
    bench.emit_and_run(&pipe_control(1 << 14 | 1 << 21, 0x40, 0)).unwrap();
    assert_eq!(bench.gpu().ggtt.read32(0x2040), Ok(0x11));
}

#[test]
fn commands_fail_or_write_nonsense_when_asked_to() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    bench.map(1, 1, ALL);
    bench.gpu().mishaps.arm(Subject::Copy, Mishap::Corrupt, 1);
    bench.emit_and_run(&copy(0, 1, 1)).unwrap();
    assert_eq!(bench.word(1, 0), 0xff);
    bench.gpu().mishaps.arm(Subject::Copy, Mishap::Fail, 1);
    assert!(matches!(bench.emit_and_run(&copy(0, 1, 1)), Err(Stop::Failed(Failure::Memory(_)))));
}

#[test]
fn page_tables_and_pages_outside_vram_are_memory_errors() {
    let mut bench = Bench::new();
    write64(&bench.gpu().vram, table(0), 1 << 40 | ALL);
    assert!(matches!(bench.emit_and_run(&store(0, 0, 1)), Err(Stop::Failed(Failure::Memory(_)))));
}

#[test]
fn a_context_that_waits_for_ever_leaves_when_it_must() {
    let mut bench = Bench::new();
    bench.emit(&[0x1c << 23 | 1 << 22 | 4 << 12 | 3, 0xdead, 0x9000, 0, 0]);
    bench.start();
    while bench.engine.schedule(|queue| queue.running()).is_none() {
        std::thread::yield_now();
    }
    if bench.engine.disable(7) {
        assert!(matches!(bench.next_event(), Event::Left { context: 7 }));
    }
    assert_eq!(bench.engine.schedule(|queue| queue.running()), None);
    assert!(bench.gpu().ggtt.read32(0x2000 + 4096 + 0x23 * 4).unwrap() > 0, "time is counted while it waits");
}

#[test]
fn a_frozen_engine_is_freed_by_a_reset_only() {
    let mut bench = Bench::new();
    bench.map(0, 0, ALL);
    bench.emit(&store(0, 0, 1));
    bench.engine.freeze();
    bench.start();
    while bench.engine.schedule(|queue| queue.running()).is_none() {
        std::thread::yield_now();
    }
    assert!(bench.engine.disable(7));
    assert!(bench.events.recv_timeout(Duration::from_millis(20)).is_err(), "it left although the engine is frozen");
    bench.engine.reset_context(7);
    assert!(matches!(bench.next_event(), Event::Reset { context: 7 }));
    assert!(matches!(bench.next_event(), Event::Left { context: 7 }));
    assert_eq!(bench.word(0, 0), 0);
}

#[test]
fn a_fault_is_told_to_the_firmware_and_the_context_goes_on_after_it() {
    let mut bench = Bench::new();
    bench.emit(&store(0, 0, 1));
    bench.start();
    let Event::Fault { context: 7, asid: 5, fault, .. } = bench.next_event() else { panic!() };
    assert_eq!(fault.address, BASE);
    bench.map(0, 0, ALL);
    bench.engine.schedule(|queue| queue.resume(7));
    while bench.word(0, 0) == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_cleared_engine_touches_memory_no_more() {
    let mut bench = Bench::new();
    bench.emit(&[0x1c << 23 | 1 << 22 | 4 << 12 | 3, 7, 0x9000, 0, 0]);
    bench.start();
    while bench.engine.schedule(|queue| queue.running()).is_none() {
        std::thread::yield_now();
    }
    bench.engine.clear();
    assert_eq!(bench.engine.schedule(|queue| queue.running()), None);
    assert!(bench.events.try_recv().is_err());
}
