// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a space does when the kernel refuses, VRAM is full or a GPU goes: on simulated machines, which can be told to.

use std::sync::Arc;
use xeplace::{
    driver::Driver,
    sim::{Call, Fault},
    uapi::{drm_xe_mem_range_attr, drm_xe_vm_query_mem_range_attr},
    *,
};

const MIB: u64 = 1 << 20;

struct Pair {
    machine: Machine,
    sim: Arc<Sim>,
    a: GpuId,
    b: GpuId,
}

impl Pair {
    fn new() -> Pair {
        let machine = Machine::simulated("cpu=zen switch(2x bmg vram=256M)").unwrap();
        let sim = machine.simulation().unwrap().clone();
        let (a, b) = (machine.gpus()[0].id(), machine.gpus()[1].id());
        Pair { machine, sim, a, b }
    }

    fn vram(&self, gpu: GpuId) -> Region {
        self.machine.gpu(gpu).unwrap().region(0).unwrap()
    }

    /// A space whose two vms are made already, on GPUs that were asked what they can do.
    fn space(&self) -> Space<'static> {
        let space = Space::create(&self.machine).unwrap();
        drop(space.allocate(2 * MIB, self.vram(self.a)).unwrap());
        space
    }
}

/// The descriptor number by which the kernel remembers the wish of the first vm.
fn remembered_number(pair: &Pair, space: &Space<'_>, range: Range) -> u32 {
    let (vm, _) = space.members().unwrap()[0];
    // Earlier advice may have split the range in two.
    let mut found = [drm_xe_mem_range_attr::default(); 4];
    let asked = space.with_handle(vm, |fd, vm_id| {
        let (start, range) = (range.start(), range.len());
        let mut query = drm_xe_vm_query_mem_range_attr { vm_id, start, range, ..Default::default() };
        pair.sim.vm_query_mem_range_attrs(fd, &mut query, &mut found)
    });
    asked.unwrap().unwrap();
    found[0].preferred_mem_loc.devmem_fd
}

fn told(space: &Space<'_>, range: Range) -> Vec<StoredLocation> {
    space.attributes(range).unwrap().iter().map(|run| run.location).collect()
}

fn known(location: impl Into<Location>) -> StoredLocation {
    StoredLocation::Known(location.into())
}

#[test]
fn a_refusal_by_the_kernel_alone_is_learned_and_answered_with_the_fallback() {
    let pair = Pair::new();
    let space = pair.space();
    assert_eq!(pair.machine.link(pair.a, pair.b).unwrap().verdict, Verdict::Connected);
    pair.sim.inject(Fault { call: Call::Madvise, skip: 0, times: 1, errno: libc::ENOLINK });
    assert_eq!(space.allocate(4 * MIB, Location::Default).unwrap_err().errno(), libc::ENOLINK);

    let memory = space.allocate(4 * MIB, Location::Default).unwrap();
    pair.sim.inject(Fault { call: Call::Madvise, skip: 1, times: 1, errno: libc::ENOLINK });
    let advice = Advice::prefer(pair.vram(pair.a)).or(Location::System);
    let report = space.advise(memory.range(), advice).unwrap();
    assert_eq!(report.location, Some(Location::System));
    assert_eq!(report.refusals[0].gpu, pair.b);
    assert_eq!(told(&space, memory.range()), [known(Location::System); 2]);
    assert_eq!(pair.machine.link(pair.b, pair.a).unwrap().verdict, Verdict::NotConnected);
}

#[test]
fn strict_advice_gives_back_what_was_recorded() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    pair.sim.inject(Fault { call: Call::Madvise, skip: 1, times: 1, errno: libc::ENOBUFS });
    let report = space.advise(memory.range(), Advice::prefer(Location::System).strict()).unwrap();
    assert!(report.warnings.contains(Warnings::RESTORED) && !report.warnings.contains(Warnings::NOT_RESTORED));
    assert_eq!(report.accepted().unwrap_err().errno(), libc::ENOBUFS);
    assert_eq!(told(&space, memory.range()), [known(pair.vram(pair.a)); 2]);
    assert!(space.advise(memory.range(), Advice::prefer(pair.vram(pair.a))).unwrap().elided);
}

#[test]
fn advice_that_is_not_strict_leaves_what_was_taken_and_records_it() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    pair.sim.inject(Fault { call: Call::Madvise, skip: 1, times: 1, errno: libc::ENOBUFS });
    let report = space.advise(memory.range(), Advice::prefer(Location::System)).unwrap();
    let effects: Vec<Effect> = report.answers.iter().map(|answer| answer.effect).collect();
    assert_eq!(effects, [Effect::Stored, Effect::Failed(libc::ENOBUFS)]);
    assert_eq!(told(&space, memory.range()), [known(Location::System), known(pair.vram(pair.a))]);
    assert!(!space.advise(memory.range(), Advice::prefer(Location::System)).unwrap().elided);
}

#[test]
fn full_vram_is_said_with_figures() {
    let pair = Pair::new();
    let space = pair.space();
    pair.sim.fill_vram(pair.vram(pair.a), 255 * MIB).unwrap();
    let memory = space.allocate(32 * MIB, pair.vram(pair.a)).unwrap();
    let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[]).unwrap();
    assert_eq!(outcome.bytes_in_place, 0);
    let [stay] = &outcome.stays[..] else { panic!("{outcome:?}") };
    assert!(matches!(stay.obstacle, Obstacle::Full { free, total } if free < BLOCK && total == 256 * MIB), "{stay:?}");
    let explained = space.explain(memory.range()).unwrap();
    assert!(explained.iter().any(|found| found.obstacles.iter().any(|found| matches!(found, Obstacle::Full { .. }))));
}

#[test]
fn a_pinned_page_keeps_its_block_and_what_lies_behind_it_moves() {
    let pair = Pair::new();
    let space = pair.space();
    let mut memory = space.allocate(16 * MIB, pair.vram(pair.a)).unwrap();
    memory.fill(1);
    pair.sim.pin(Range::new(memory.range().start() + 5 * MIB, PAGE).unwrap());
    let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[]).unwrap();
    let [stay] = &outcome.stays[..] else { panic!("{outcome:?}") };
    assert_eq!((stay.range.len(), &stay.obstacle), (BLOCK, &Obstacle::Pinned));
    assert_eq!(outcome.bytes_in_place, 14 * MIB);
}

#[test]
fn vram_full_of_what_can_be_evicted_is_not_taken_for_full() {
    let pair = Pair::new();
    let space = pair.space();
    let (mut others, mut memory) =
        (space.allocate(256 * MIB, pair.vram(pair.a)).unwrap(), space.allocate(16 * MIB, pair.vram(pair.a)).unwrap());
    others.fill(1);
    memory.fill(1);
    space.prefetch(others.range(), pair.vram(pair.a), &[]).unwrap();
    pair.sim.pin(Range::new(memory.range().start() + 5 * MIB, PAGE).unwrap());
    let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[]).unwrap();
    let [stay] = &outcome.stays[..] else { panic!("{outcome:?}") };
    assert_eq!((stay.range.len(), &stay.obstacle), (BLOCK, &Obstacle::Pinned));
    assert_eq!(outcome.bytes_in_place, 14 * MIB);
}

#[test]
fn a_prefetch_that_the_kernel_asks_to_repeat_is_repeated() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    for errno in [libc::EAGAIN, libc::EBUSY] {
        pair.sim.inject(Fault { call: Call::VmBind, skip: 0, times: 2, errno });
        let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[]).unwrap();
        assert!(outcome.is_complete(), "{outcome:?}");
    }
}

#[test]
fn an_error_that_stays_is_reported_for_the_block_that_has_it() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    // The whole, then its first half.
    pair.sim.inject(Fault { call: Call::VmBind, skip: 0, times: 2, errno: libc::EIO });
    let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[]).unwrap();
    assert_eq!(outcome.bytes_in_place, 2 * MIB, "{outcome:?}");
    assert_eq!(outcome.stays[0].obstacle, Obstacle::Kernel(libc::EIO));
}

#[test]
fn a_gpu_that_goes_is_lost_at_once_and_its_number_stays_taken() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.b)).unwrap();
    assert!(space.prefetch(memory.range(), pair.vram(pair.b), &[]).unwrap().is_complete());
    let number = remembered_number(&pair, &space, memory.range());
    pair.sim.unplug(pair.b).unwrap();
    let other = Advice::prefer(pair.vram(pair.b)).or(Location::System).atomics(Atomics::Device).for_gpus(&[pair.a]);
    let report = space.advise(memory.range(), &other).unwrap().accepted().unwrap();
    assert_eq!(report.location, Some(Location::System));
    assert_eq!(report.refusals[0].errno, libc::ENODEV);
    assert!(matches!(space.prefetch(memory.range(), pair.vram(pair.b), &[]), Err(Error::Lost(_))));
    assert!(matches!(space.advise(memory.range(), Advice::prefer(Location::System)), Err(Error::Lost(_))));
    let denoted = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    assert_eq!(denoted, std::path::Path::new("/dev/null"));
    let back = space.prefetch(memory.range(), Location::System, &[pair.a]).unwrap();
    assert_eq!(back.bytes_in_place, 4 * MIB, "{back:?}");
}

#[test]
fn pages_in_a_vram_that_cannot_be_told_are_not_claimed() {
    let pair = Pair::new();
    let space = pair.space();
    let mut memory = space.allocate(4 * MIB, Location::Default).unwrap();
    memory.fill(1);
    space.touch(pair.a, memory.range(), driver::Access::Read).unwrap();
    let residency = space.residency(memory.range()).unwrap();
    assert!(
        residency
            .runs
            .iter()
            .all(|run| matches!(run.place, Place::Vram { region: None, confidence: Confidence::Unknown }))
    );
    // They do move, which shows in how much of the target is in use.
    let outcome = space.prefetch(memory.range(), pair.vram(pair.b), &[]).unwrap();
    assert_eq!(outcome.bytes_in_place, 4 * MIB, "{outcome:?}");
    let Place::Vram { region, confidence } = space.residency(memory.range()).unwrap().runs[0].place else { panic!() };
    assert_eq!((region, confidence), (Some(pair.vram(pair.b)), Confidence::Prefetched));
    pair.sim.privileged(true);
    let Place::Vram { region, confidence } = space.residency(memory.range()).unwrap().runs[0].place else { panic!() };
    assert_eq!((region, confidence), (Some(pair.vram(pair.b)), Confidence::Exact));
}

#[test]
fn nothing_is_lost_on_the_way_to_behind_a_small_bar() {
    for privileged in [true, false] {
        let machine = Machine::simulated("cpu=zen switch(bmg vram=256M bar=64M bmg vram=256M)").unwrap();
        let sim = machine.simulation().unwrap();
        sim.privileged(privileged);
        let [small, full] = machine.gpus() else { panic!("two GPUs") };
        let space = Space::create(&machine).unwrap();
        let mut memory = space.allocate(4 * MIB, Location::Default).unwrap();
        memory.fill(1);
        for gpu in [full, small] {
            let outcome = space.prefetch(memory.range(), gpu, &[]).unwrap();
            assert_eq!(outcome.bytes_in_place, 4 * MIB, "{outcome:?}");
        }
        let astray: u64 = sim.counters().links.values().map(|link| link.bytes_astray).sum();
        assert_eq!(astray, 0, "privileged: {privileged}");
    }
}
