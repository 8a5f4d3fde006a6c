// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a space does where GPUs do not reach each other. With `XEPLACE_TEST_HOST=1`, on this host's first two GPUs, which
//! must be such ones.

use xeplace::{driver::Access, *};

const MIB: u64 = 1 << 20;

struct Strangers {
    machine: Machine,
    a: GpuId,
    b: GpuId,
}

impl Strangers {
    fn new() -> Strangers {
        let on_host = std::env::var_os("XEPLACE_TEST_HOST").is_some();
        let machine = if on_host { Machine::open() } else { Machine::simulated("cpu=client 2x bmg vram=256M") };
        let machine = machine.unwrap();
        let (a, b) = (machine.gpus()[0].id(), machine.gpus()[1].id());
        Strangers { machine, a, b }
    }

    fn vram(&self, gpu: GpuId) -> Region {
        self.machine.gpu(gpu).unwrap().region(0).unwrap()
    }
}

fn memory() -> (driver::Mapping, Range) {
    let mut memory = driver::Mapping::anonymous(4 << 20, 2 << 20, false).unwrap();
    memory.bytes_mut().fill(3);
    let range = Range::new(memory.start(), memory.len() as u64).unwrap();
    (memory, range)
}

fn told(space: &Space<'_>, range: Range) -> Vec<StoredLocation> {
    space.attributes(range).unwrap().iter().map(|run| run.location).collect()
}

#[test]
fn all_vms_fall_back_together() {
    let strangers = Strangers::new();
    let space = Space::create(&strangers.machine).unwrap();
    let (_memory, range) = memory();
    let advice = Advice::prefer(strangers.vram(strangers.b)).or(Location::System);
    let report = space.advise(range, advice).unwrap();
    assert_eq!((report.location, report.step), (Some(Location::System), 1));
    assert!(report.answers.iter().all(|answer| answer.effect == Effect::FellBack(Location::System)));
    assert_eq!(report.refusals[0].gpu, strangers.a);
    assert_eq!(report.refusals[0].errno, libc::ENOLINK);
    assert_eq!(told(&space, range), [StoredLocation::Known(Location::System); 2]);
}

#[test]
fn without_a_fallback_nothing_changes() {
    let strangers = Strangers::new();
    let space = Space::create(&strangers.machine).unwrap();
    let (_memory, range) = memory();
    let report = space.advise(range, Advice::prefer(strangers.vram(strangers.b))).unwrap();
    assert_eq!(report.location, None);
    assert_eq!(report.accepted().unwrap_err().errno(), libc::ENOLINK);
    assert_eq!(told(&space, range), [StoredLocation::Known(Location::Default); 2]);
    assert_eq!(space.allocate(4 * MIB, strangers.vram(strangers.b)).unwrap_err().errno(), libc::ENOLINK);
}

#[test]
fn only_those_who_use_it_must_reach_it() {
    let strangers = Strangers::new();
    let space = Space::create(&strangers.machine).unwrap();
    let (_memory, range) = memory();
    let advice = Advice::prefer(strangers.vram(strangers.b)).for_gpus(&[strangers.b]);
    let report = space.advise(range, advice).unwrap().accepted().unwrap();
    assert_eq!(report.answers.len(), 1);
    let outcome = space.prefetch(range, strangers.vram(strangers.b), &[strangers.b]).unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    // The other one pulls it when it touches it; that is seen, and said.
    space.touch(strangers.a, range, Access::Write).unwrap();
    assert_eq!(space.prefetch(range, strangers.vram(strangers.b), &[]).unwrap().bytes_in_place, 4 * MIB);
}

#[test]
fn data_moves_between_strangers_all_the_same() {
    let strangers = Strangers::new();
    let space = Space::create(&strangers.machine).unwrap();
    let (memory, range) = memory();
    for gpu in [strangers.a, strangers.b, strangers.a] {
        let outcome = space.prefetch(range, strangers.vram(gpu), &[]).unwrap();
        assert_eq!(outcome.bytes_in_place, 4 * MIB, "{outcome:?}");
    }
    assert_eq!(space.prefetch(range, Location::System, &[]).unwrap().bytes_in_place, 4 * MIB);
    assert!(memory.bytes().iter().all(|byte| *byte == 3));
}

#[test]
fn the_link_says_why_and_the_kernel_agrees() {
    let strangers = Strangers::new();
    let predicted = strangers.machine.link(strangers.a, strangers.b).unwrap();
    assert_eq!(predicted.verdict, Verdict::NotConnected);
    assert!(matches!(predicted.reason, Reason::NoCommonBridge(_)));
    let probed = strangers.machine.probe_link(strangers.a, strangers.b).unwrap();
    assert_eq!((probed.verdict, probed.basis), (Verdict::NotConnected, Basis::Probed));
    assert_eq!(strangers.machine.groups().len(), 2);
}
