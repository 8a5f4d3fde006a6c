// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the firmware answers to a driver, from the first message to the last.

use super::*;
use crate::{
    engine::kind::KINDS,
    ggtt,
    mishaps::{Mishap, Subject},
    ppgtt::Leaf,
    rig::tests::small,
};

/// Where things are in the first pages of VRAM, which are also the first global pages.
const TO_GUC: u64 = 0x1000;
const TO_HOST: u64 = 0x2000;
const INTERRUPTS: u64 = 0x3000;
const IMAGE: u64 = 0x4000;
const RING: u64 = 0x6000;
const SEMAPHORE: u64 = 0x7000;

/// A driver and its GPU.
struct Driver {
    gpu: Arc<Gpu>,
    guc: Arc<Guc>,
    engines: Vec<Arc<Engine>>,
    to_guc: ctb::Ring,
    to_host: ctb::Ring,
}

impl Driver {
    /// A driver that has got as far as the command buffers.
    fn new() -> Driver {
        let (gpu, _) = small();
        for page in 0..16u64 {
            gpu.bar0.span(ggtt::OFFSET + page * 8, 8).unwrap().write(&(page << 12 | 0b11).to_le_bytes());
        }
        let guc = Guc::start(gpu.clone()).unwrap();
        let start = |kind| Engine::start(kind, gpu.clone(), guc.clone()).unwrap();
        let engines: Vec<_> = KINDS.into_iter().map(start).collect();
        guc.connect(engines.clone());
        let ring = |descriptor| ctb::Ring { descriptor, buffer: descriptor + 0x800, length: 512 };
        let mut driver = Driver { gpu, guc, engines, to_guc: ring(TO_GUC), to_host: ring(TO_HOST) };
        driver.connect();
        driver
    }

    fn connect(&mut self) {
        assert_eq!(self.guc.mail([messages::VF_RESET.into(), 0, 0, 0])[0], success(0));
        assert_eq!(self.guc.mail([messages::MATCH_VERSION.into(), 1 << 16 | 2 << 8, 0, 0])[1], mailbox::VERSION);
        for (key, value) in [
            (0x0900, INTERRUPTS + 0x190),
            (0x0901, INTERRUPTS + 0x419),
            (0x0902, self.to_guc.buffer),
            (0x0903, self.to_guc.descriptor),
            (0x0904, 2048),
            (0x0905, self.to_host.buffer),
            (0x0906, self.to_host.descriptor),
            (0x0907, 2048),
        ] {
            let answer = self.guc.mail([messages::SELF_CFG.into(), key << 16 | 2, value as u32, 0]);
            assert_eq!(answer[0], success(1), "{key:#x}");
        }
        assert_eq!(self.guc.mail([messages::CONTROL_CTB.into(), 1, 0, 0])[0], success(0));
    }

    /// Sends a message that wants no answer.
    fn tell(&mut self, action: u16, words: &[u32]) {
        self.send(0, 1 << 28 | u32::from(action), words);
    }

    fn send(&mut self, fence: u16, first: u32, words: &[u32]) {
        let message: Vec<u32> = std::iter::once(first).chain(words.iter().copied()).collect();
        assert!(self.to_guc.send(&self.gpu.ggtt, fence, &message).unwrap());
        self.guc.doorbell();
    }

    /// The next message of the firmware.
    fn hear(&self) -> Vec<u32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(message) = self.to_host.receive(&self.gpu.ggtt).unwrap() {
                return message.words;
            }
            assert!(Instant::now() < deadline, "the firmware has nothing to say");
            thread::yield_now();
        }
    }

    /// Registers context number 9 for bcs0, with these commands in its ring, and lets it run.
    fn start(&mut self, commands: &[u32]) {
        let memory = &self.gpu.ggtt;
        for (index, word) in commands.iter().enumerate() {
            memory.write32(RING + index as u64 * 4, *word).unwrap();
        }
        let at = |index: u64| IMAGE + 4096 + index * 4;
        for (index, value) in [(0x05, 0), (0x07, commands.len() as u32 * 4), (0x09, RING as u32), (0x0b, 1)] {
            memory.write32(at(index), value).unwrap();
        }
        self.tell(messages::REGISTER_CONTEXT, &[0, 9, 3, 1, 0, 0, 0, 0, 0, IMAGE as u32, 0]);
        self.tell(messages::SCHED_CONTEXT_MODE_SET, &[9, 1]);
        assert_eq!(self.hear(), [event(messages::SCHED_CONTEXT_MODE_DONE), 9, 1]);
    }

    fn engine(&self) -> &Engine {
        &self.engines[1]
    }

    fn wait_until_running(&self) {
        while self.engine().schedule(|queue| queue.running()).is_none() {
            thread::yield_now();
        }
    }
}

/// Waits until the word at SEMAPHORE is 1.
const WAIT: [u32; 5] = [0x1c << 23 | 1 << 22 | 4 << 12 | 3, 1, SEMAPHORE as u32, 0, 0];

#[test]
fn a_context_lives_from_its_registration_to_its_end() {
    let mut driver = Driver::new();
    driver.start(&[0x20 << 23 | 1 << 22 | 2, SEMAPHORE as u32, 0, 5]);
    while driver.gpu.ggtt.read32(SEMAPHORE) != Ok(5) {
        thread::yield_now();
    }
    driver.tell(messages::SCHED_CONTEXT_MODE_SET, &[9, 0]);
    assert_eq!(driver.hear(), [event(messages::SCHED_CONTEXT_MODE_DONE), 9, 0]);
    driver.tell(messages::DEREGISTER_CONTEXT, &[9]);
    assert_eq!(driver.hear(), [event(messages::DEREGISTER_CONTEXT_DONE), 9]);
    assert_eq!(driver.gpu.ggtt.read32(INTERRUPTS + 0x19c), Ok(0xff00_0000), "the interrupt is marked");
}

#[test]
fn a_context_that_hangs_leaves_when_the_driver_wants_it_to() {
    let mut driver = Driver::new();
    driver.start(&WAIT);
    driver.wait_until_running();
    driver.tell(messages::SCHED_CONTEXT_MODE_SET, &[9, 0]);
    assert_eq!(driver.hear(), [event(messages::SCHED_CONTEXT_MODE_DONE), 9, 0]);
}

#[test]
fn a_context_that_cannot_leave_is_reset_and_the_driver_told() {
    let mut driver = Driver::new();
    // Preemption is off, then an endless wait.
    let mut commands = vec![0x08 << 23];
    commands.extend(WAIT);
    driver.start(&commands);
    driver.tell(messages::UPDATE_CONTEXT_POLICIES, &[9, 0x2002_0001, 1]);
    driver.wait_until_running();
    driver.tell(messages::SCHED_CONTEXT_MODE_SET, &[9, 0]);
    assert_eq!(driver.hear(), [event(messages::CONTEXT_RESET_NOTIFICATION), 9]);
    assert_eq!(driver.hear(), [event(messages::SCHED_CONTEXT_MODE_DONE), 9, 0]);
}

#[test]
fn an_unserved_page_fault_ends_in_a_memory_error() {
    let mut driver = Driver::new();
    driver.start(&[0x20 << 23 | 2, 0x1000, 0, 5]);
    let fault = driver.hear();
    assert_eq!((fault[0], fault[3] & !0xfff), (event(messages::REPORT_PAGE_FAULT), 0x1000));
    driver.tell(messages::PAGE_FAULT_RESPONSE, &[0b11, 9 << 16]);
    assert_eq!(driver.hear()[..2], [event(messages::NOTIFY_MEMORY_CAT_ERROR), 9]);
}

#[test]
fn an_unknown_command_resets_its_context() {
    let mut driver = Driver::new();
    driver.start(&[0x3f << 23]);
    assert_eq!(driver.hear(), [event(messages::CONTEXT_RESET_NOTIFICATION), 9]);
}

#[test]
fn invalidations_are_acknowledged_and_done_unless_one_is_to_be_skipped() {
    let mut driver = Driver::new();
    let page = Leaf { target: 0, length: 4096, in_vram: true, writable: true, atomic: true, null: false, level: 0 };
    driver.engine().tlb().insert(3, 0x5000, page);
    driver.gpu.mishaps.arm(Subject::Invalidation, Mishap::Skip, 1);
    for (number, left) in [(77, 1), (78, 0)] {
        driver.tell(messages::TLB_INVALIDATION, &[number, 1, 3, 0x4000, 0, 2]);
        assert_eq!(driver.hear(), [event(messages::TLB_INVALIDATION_DONE), number]);
        assert_eq!(driver.engine().tlb().len(), left);
    }
}

#[test]
fn requests_are_answered_and_unknown_ones_refused() {
    let mut driver = Driver::new();
    driver.send(0x21, messages::OPT_IN_FEATURE_KLV.into(), &[0x4001_0000]);
    assert_eq!(driver.hear(), [success(0)]);
    driver.send(0x22, 0xdead, &[]);
    assert_eq!(driver.hear(), [failure(error::UNKNOWN_ACTION)]);
    driver.tell(messages::RELAY_TO_PF, &[4, 0x0001, 1 << 16]);
    assert_eq!(driver.hear(), [event(messages::RELAY_FROM_PF), 4, 0x7000_0000, 1 << 16]);
}

#[test]
fn the_table_of_what_the_gpu_has_is_written_where_there_is_room() {
    let driver = Driver::new();
    let ask = |room| [messages::GET_HWCONFIG.into(), SEMAPHORE as u32, 0, room];
    let length = driver.guc.mail(ask(0))[0] & 0xffff;
    assert_eq!(driver.guc.mail(ask(4))[0], failure(error::INVALID_SIZE));
    assert_eq!(driver.guc.mail(ask(length))[0], success(length));
    let written: Vec<u32> =
        (0..u64::from(length) / 4).map(|index| driver.gpu.ggtt.read32(SEMAPHORE + index * 4).unwrap()).collect();
    assert_eq!(written, hwconfig::words().collect::<Vec<_>>());
}

#[test]
fn messages_wait_for_room_in_the_command_buffer() {
    let mut driver = Driver::new();
    for number in 0..300 {
        driver.tell(messages::TLB_INVALIDATION_ALL, &[number, 0]);
    }
    assert!(!driver.guc.firmware.lock().outbox.is_empty());
    for number in 0..300 {
        assert_eq!(driver.hear(), [event(messages::TLB_INVALIDATION_DONE), number]);
    }
}
