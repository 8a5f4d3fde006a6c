// SPDX-License-Identifier: MIT OR Apache-2.0
//! Vms that others have made: a runtime's, beside or in place of the library's own.

use crate::pair::*;
use std::os::fd::AsFd;
use xeplace::{uapi::*, *};

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
fn a_runtime_s_vm_keeps_no_advice_on_memory_of_the_library() {
    let pair = Pair::new();
    let runtime = Runtime::mirroring(&pair, pair.a);
    let handle = (runtime.file.as_fd(), runtime.vm_id);
    let space = Space::borrow(&pair.machine, &[handle]).unwrap();
    for detach in [false, true] {
        let memory = space.allocate(4 * MIB, pair.vram(pair.b)).unwrap();
        space.touch(pair.a, memory.range(), driver::Access::Write).unwrap();
        let others = others(4 * MIB);
        tell(&space, range_of(&others), Advice::prefer(Location::System));
        if detach {
            space.detach(space.members().unwrap()[0].0).unwrap();
        }
        drop(memory);
        pair.settle();
        let advised: Vec<_> = vmas(&pair, handle);
        assert!(advised.iter().all(|found| found.pat_index.val == 2), "{advised:x?}");
        let told = |found: &&drm_xe_mem_range_attr| found.preferred_mem_loc.devmem_fd != 0;
        let told: Vec<_> = advised.iter().filter(told).map(|found| found.start).collect();
        assert_eq!(told, [others.start()], "the advice on others' memory stays");
        if !detach {
            space.reset(range_of(&others)).unwrap();
        }
    }
}

#[test]
fn vms_that_are_not_mirrors_are_refused() {
    let pair = Pair::new();
    let other = Runtime::new(&pair, pair.a, 0, None);
    let empty = Runtime::new(&pair, pair.a, FAULT_MODE, None);
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
    let driver = pair.driver();
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
