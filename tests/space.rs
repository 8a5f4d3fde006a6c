// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a space does. Runs on simulated machines, and on this host's GPUs with `XEPLACE_TEST_HOST=1` (as root, with two
//! GPUs in one interconnect group); what needs a simulated fault is left out there.

use std::os::fd::AsFd;
use xeplace::{driver::Access, uapi::*, *};

const MIB: u64 = 1 << 20;

/// Two GPUs that reach each other.
struct Pair {
    machine: Machine,
    a: GpuId,
    b: GpuId,
}

impl Pair {
    fn new() -> Pair {
        Pair::on("cpu=zen switch(2x bmg vram=256M)")
    }

    fn on(text: &str) -> Pair {
        let machine = if on_host() { Machine::open() } else { Machine::simulated(text) };
        let machine = machine.unwrap();
        let (a, b) = (machine.gpus()[0].id(), machine.gpus()[1].id());
        Pair { machine, a, b }
    }

    fn vram(&self, gpu: GpuId) -> Region {
        self.machine.gpu(gpu).unwrap().region(0).unwrap()
    }

    fn space(&self) -> Space<'static> {
        Space::create(&self.machine).unwrap()
    }
}

fn on_host() -> bool {
    std::env::var_os("XEPLACE_TEST_HOST").is_some()
}

fn obstacles(outcome: &Outcome) -> Vec<&Obstacle> {
    outcome.stays.iter().map(|stay| &stay.obstacle).collect()
}

#[test]
fn memory_goes_where_it_was_allocated_and_is_used_there() {
    let pair = Pair::new();
    let space = pair.space();
    let vram = pair.vram(pair.b);
    let memory = space.allocate(16 * MIB, vram).unwrap();
    assert!(memory.reports().iter().all(|report| report.answers.len() == 2));
    let outcome = space.prefetch(memory.range(), vram, &[pair.a, pair.b]).unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    for gpu in [pair.a, pair.b] {
        space.touch(gpu, memory.range(), Access::Read).unwrap();
    }
    assert_eq!(space.residency(memory.range()).unwrap().bytes_in(vram), 16 * MIB);
    assert_eq!(space.explain(memory.range()).unwrap(), []);
}

#[test]
fn memory_keeps_its_content_wherever_it_goes() {
    let pair = Pair::new();
    let space = pair.space();
    let mut memory = space.allocate(8 * MIB, pair.vram(pair.a)).unwrap();
    for (index, byte) in memory.iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    for gpu in [pair.a, pair.b, pair.a] {
        let outcome = space.prefetch(memory.range(), pair.vram(gpu), &[]).unwrap();
        assert_eq!(outcome.bytes_elsewhere, 0, "{outcome:?}");
    }
    assert_eq!(space.prefetch(memory.range(), Location::System, &[]).unwrap().bytes_in_place, 8 * MIB);
    assert!(memory.iter().enumerate().all(|(index, byte)| *byte == (index % 251) as u8));
}

#[test]
fn an_accessor_that_was_told_something_else_is_not_mapped_for() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, Location::Default).unwrap();
    let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[pair.a, pair.b]).unwrap();
    assert_eq!(outcome.bytes_elsewhere, 0);
    let [unmapped] = &outcome.unmapped[..] else { panic!("{outcome:?}") };
    assert_eq!(unmapped.gpu, pair.b);
    assert!(matches!(unmapped.obstacle, Obstacle::OtherWish { .. }));
    assert_eq!(space.residency(memory.range()).unwrap().bytes_in_vram(), 4 * MIB);
}

#[test]
fn what_cannot_move_is_skipped_and_named() {
    let pair = Pair::new();
    let space = pair.space();
    let mut block = driver::Mapping::anonymous(12 << 20, 2 << 20, false).unwrap();
    block.bytes_mut().fill(1);
    block.protect(4 << 20, 4096, false).unwrap();
    let range = Range::new(block.start(), block.len() as u64).unwrap();
    let outcome = space.prefetch(range, pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::ReadOnly]);
    assert_eq!(outcome.bytes_elsewhere, 4096, "{outcome:?}");
    let shared = driver::Mapping::anonymous(4 << 20, 2 << 20, true).unwrap();
    let range = Range::new(shared.start(), shared.len() as u64).unwrap();
    let outcome = space.prefetch(range, pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::Backing(Backing::Shared)]);
    assert_eq!(outcome.bytes_in_place, 0);
    drop(shared);
    let outcome = space.prefetch(range, pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::NotMapped]);
}

#[test]
fn a_guard_page_keeps_its_block_and_no_other() {
    let pair = Pair::new();
    let space = pair.space();
    let mut block = driver::Mapping::anonymous(12 << 20, 2 << 20, false).unwrap();
    block.bytes_mut().fill(1);
    let range = Range::new(block.start(), block.len() as u64).unwrap();
    let guard = Range::new(range.start() + 5 * MIB, PAGE).unwrap();
    const MADV_GUARD_INSTALL: i32 = 102;
    if on_host() {
        block.madvise(5 << 20, 4096, MADV_GUARD_INSTALL).unwrap();
    } else {
        pair.machine.simulation().unwrap().guard(guard);
    }
    let outcome = space.prefetch(range, pair.vram(pair.a), &[]).unwrap();
    assert_eq!(obstacles(&outcome), [&Obstacle::GuardPage]);
    assert_eq!(outcome.stays[0].range, guard.blocks());
    assert_eq!(outcome.bytes_in_place, 10 * MIB);
}

#[test]
fn more_than_fits_leaves_the_last_part() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(320 * MIB, pair.vram(pair.a)).unwrap();
    let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[]).unwrap();
    assert!(obstacles(&outcome).iter().all(|found| matches!(found, Obstacle::Evicted { .. })), "{outcome:?}");
    assert!((160 * MIB..=256 * MIB).contains(&outcome.bytes_in_place), "{outcome:?}");
}

#[test]
fn wishes_are_read_back_and_reset() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.b)).unwrap();
    let told = |space: &Space<'_>| -> Vec<StoredLocation> {
        space.attributes(memory.range()).unwrap().iter().map(|run| run.location).collect()
    };
    assert_eq!(told(&space), [StoredLocation::Known(pair.vram(pair.b).into()); 2]);
    let report = space.advise(memory.range(), Advice::prefer(Location::System).atomics(Atomics::Device)).unwrap();
    assert!(report.is_accepted() && !report.elided);
    assert_eq!(told(&space), [StoredLocation::Known(Location::System); 2]);
    assert!(space.attributes(memory.range()).unwrap().iter().all(|run| run.atomics == 1));
    space.reset(memory.range()).unwrap();
    assert_eq!(told(&space), [StoredLocation::Known(Location::Default); 2]);
    assert!(space.attributes(memory.range()).unwrap().iter().all(|run| run.atomics == 0));
}

#[test]
fn equal_advice_costs_nothing_where_the_life_of_memory_is_known() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    assert!(space.advise(memory.range(), Advice::prefer(pair.vram(pair.a))).unwrap().elided);
    assert!(!space.advise(memory.range(), Advice::prefer(pair.vram(pair.b))).unwrap().elided);
    let others = driver::Mapping::anonymous(4 << 20, 2 << 20, false).unwrap();
    let range = Range::new(others.start(), 4 * MIB).unwrap();
    for _ in 0..2 {
        assert!(!space.advise(range, Advice::prefer(Location::System)).unwrap().elided);
    }
    space.declare_stable(range).unwrap();
    assert!(space.advise(range, Advice::prefer(Location::System)).unwrap().elided);
    space.reset(range).unwrap();
    assert!(!space.advise(range, Advice::prefer(Location::System)).unwrap().elided);
}

#[test]
fn the_policy_that_no_kernel_follows_is_said_to_be_inert() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(2 * MIB, Location::Default).unwrap();
    let advice = Advice::prefer(pair.vram(pair.a)).migration_policy(MigrationPolicy::OnlySystemPages);
    let report = space.advise(memory.range(), &advice).unwrap();
    let policies: Vec<Effect> = report
        .answers
        .iter()
        .filter(|answer| answer.attribute == Attribute::MigrationPolicy)
        .map(|answer| answer.effect)
        .collect();
    assert_eq!(policies, [Effect::Inert; 2]);
    assert!(space.attributes(memory.range()).unwrap().iter().all(|run| run.migration_policy == 1));
}

#[test]
fn ends_inside_a_block_are_warned_of() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, Location::Default).unwrap();
    let part = Range::new(memory.range().start() + MIB, MIB).unwrap();
    assert!(space.advise(part, Advice::prefer(Location::System)).unwrap().warnings.contains(Warnings::CUTS_BLOCK));
    assert!(space.advise(memory.range(), Advice::prefer(Location::System)).unwrap().warnings.is_empty());
}

/// A runtime's vm: made by hand on a file of its own.
struct Runtime {
    file: std::os::fd::OwnedFd,
    vm_id: u32,
}

impl Runtime {
    fn new(pair: &Pair, gpu: GpuId, flags: u32, mirror: bool) -> Runtime {
        let driver = driver_of(&pair.machine);
        let file = driver.open(pair.machine.gpu(gpu).unwrap().node()).unwrap();
        let mut vm = drm_xe_vm_create { flags, ..Default::default() };
        driver.vm_create(file.as_fd(), &mut vm).unwrap();
        if mirror {
            let bind = drm_xe_vm_bind_op {
                op: DRM_XE_VM_BIND_OP_MAP,
                flags: DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR | DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET,
                range: Range::ALL.len(),
                ..Default::default()
            };
            let bind = drm_xe_vm_bind { vm_id: vm.vm_id, num_binds: 1, bind, ..Default::default() };
            driver.vm_bind(file.as_fd(), &bind, driver::BindSyncs::None).unwrap();
        }
        Runtime { file, vm_id: vm.vm_id }
    }

    fn mirroring(pair: &Pair, gpu: GpuId) -> Runtime {
        Runtime::new(pair, gpu, DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE, true)
    }
}

fn driver_of(machine: &Machine) -> std::sync::Arc<dyn driver::Driver> {
    match machine.simulation() {
        Some(simulation) => simulation.clone(),
        None => std::sync::Arc::new(driver::Kernel::default()),
    }
}

#[test]
fn a_runtime_s_vms_are_advised_where_they_are() {
    let pair = Pair::new();
    let runtimes = [pair.a, pair.b].map(|gpu| Runtime::mirroring(&pair, gpu));
    let vms: Vec<_> = runtimes.iter().map(|runtime| (runtime.file.as_fd(), runtime.vm_id)).collect();
    let space = Space::borrow(&pair.machine, &vms).unwrap();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    let outcome = space.prefetch(memory.range(), pair.vram(pair.a), &[pair.a, pair.b]).unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    space.close();
    space.close();
    assert!(matches!(space.advise(memory.range(), Advice::prefer(Location::System)), Err(Error::Closed(_))));
    drop(memory);
    // The runtime's vm is still there.
    let again = Space::borrow(&pair.machine, &vms[..1]).unwrap();
    assert_eq!(again.members().unwrap().len(), 1);
}

#[test]
fn vms_that_are_not_mirrors_are_refused() {
    let pair = Pair::new();
    let other = Runtime::new(&pair, pair.a, 0, false);
    let fault_mode = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE;
    let empty = Runtime::new(&pair, pair.a, fault_mode, false);
    let null = std::fs::File::open("/dev/null").unwrap();
    for (fd, vm_id) in [
        (other.file.as_fd(), other.vm_id),
        (empty.file.as_fd(), empty.vm_id),
        (empty.file.as_fd(), 77),
        (null.as_fd(), 1),
    ] {
        assert!(Space::borrow(&pair.machine, &[(fd, vm_id)]).is_err(), "{vm_id}");
    }
}

#[test]
fn a_vm_that_joins_later_is_told_of_memory_whose_life_is_known() {
    let pair = Pair::new();
    let runtime = Runtime::mirroring(&pair, pair.b);
    let space = Space::empty(&pair.machine).unwrap();
    space.add(pair.a).unwrap();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    let others = driver::Mapping::anonymous(4 << 20, 2 << 20, false).unwrap();
    let unknown = Range::new(others.start(), 4 * MIB).unwrap();
    assert!(space.advise(unknown, Advice::prefer(pair.vram(pair.a))).unwrap().is_accepted());
    let joined = space.attach(runtime.file.as_fd(), runtime.vm_id).unwrap();
    let told = |range| {
        let found = space.attributes(range).unwrap();
        found.iter().find(|run| run.vm == joined).unwrap().location
    };
    assert_eq!(told(memory.range()), StoredLocation::Known(pair.vram(pair.a).into()));
    assert_eq!(told(unknown), StoredLocation::Known(Location::Default));
    space.detach(joined).unwrap();
    assert!(space.detach(joined).is_err());
    assert_eq!(space.members().unwrap().len(), 1);
}

#[test]
fn somebody_else_s_advice_is_seen_and_overwritten() {
    let pair = Pair::new();
    let runtime = Runtime::mirroring(&pair, pair.a);
    let driver = driver_of(&pair.machine);
    let space = Space::borrow(&pair.machine, &[(runtime.file.as_fd(), runtime.vm_id)]).unwrap();
    let others = driver::Mapping::anonymous(4 << 20, 2 << 20, false).unwrap();
    let range = Range::new(others.start(), 4 * MIB).unwrap();
    let foreign = driver.duplicate(runtime.file.as_fd(), 40).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&foreign);
    let at = drm_xe_madvise_preferred_mem_loc { devmem_fd: number as u32, region_instance: 1, ..Default::default() };
    let advice = drm_xe_madvise::preferred_mem_loc(runtime.vm_id, range.start(), range.len(), at);
    driver.madvise(runtime.file.as_fd(), &advice, None).unwrap();
    let told = || space.attributes(range).unwrap()[0].location;
    assert_eq!(told(), StoredLocation::Foreign(number));
    assert!(space.advise(range, Advice::prefer(pair.vram(pair.b))).unwrap().is_accepted());
    assert_eq!(told(), StoredLocation::Known(pair.vram(pair.b).into()));
}

#[test]
fn a_job_is_pumped_and_cancelled() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(32 * MIB, pair.vram(pair.a)).unwrap();
    let mut job = space.start_prefetch(memory.range(), pair.vram(pair.a), &[], Some(8 * MIB)).unwrap();
    let progress = job.step().unwrap();
    assert_eq!((progress.done, progress.total), (8 * MIB, 32 * MIB));
    job.cancel();
    let outcome = job.outcome().unwrap();
    assert_eq!(outcome.bytes_in_place, 8 * MIB);
    assert_eq!(obstacles(&outcome), [&Obstacle::Cancelled]);
    assert!(space.start_prefetch(memory.range(), Location::System, &[], Some(3 * MIB)).is_err());
}

#[test]
fn an_explanation_names_every_obstacle() {
    let pair = Pair::new();
    let space = pair.space();
    let memory = space.allocate(4 * MIB, pair.vram(pair.a)).unwrap();
    let [found] = &space.explain(memory.range()).unwrap()[..] else { panic!() };
    assert_eq!(found.obstacles, [Obstacle::NeverTouched]);
    let shared = driver::Mapping::anonymous(2 << 20, 2 << 20, true).unwrap();
    let range = Range::new(shared.start(), 2 * MIB).unwrap();
    assert!(space.advise(range, Advice::prefer(pair.vram(pair.a))).unwrap().is_accepted());
    let [found] = &space.explain(range).unwrap()[..] else { panic!() };
    assert_eq!(found.obstacles, [Obstacle::Backing(Backing::Shared)]);
}

#[test]
fn system_memory_of_a_node_is_a_location() {
    let pair = Pair::new();
    let space = pair.space();
    let mut memory = space.allocate(4 * MIB, Location::HostNode(0)).unwrap();
    memory.fill(1);
    let outcome = space.prefetch(memory.range(), Location::HostNode(0), &[]).unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    let absent = space.advise(memory.range(), Advice::prefer(Location::HostNode(99)));
    assert_eq!(absent.unwrap_err().errno(), libc::ENOENT);
}

#[test]
fn a_touch_that_would_never_end_is_refused() {
    let pair = Pair::new();
    let space = pair.space();
    let mut block = driver::Mapping::anonymous(4 << 20, 2 << 20, false).unwrap();
    block.bytes_mut().fill(1);
    let range = Range::new(block.start(), block.len() as u64).unwrap();
    space.touch(pair.a, range, Access::Read).unwrap();
    block.protect(0, 4096, false).unwrap();
    assert_eq!(space.touch(pair.a, range, Access::Read).unwrap_err().errno(), libc::EINVAL);
    drop(block);
    assert_eq!(space.touch(pair.a, range, Access::Read).unwrap_err().errno(), libc::EINVAL);
}
