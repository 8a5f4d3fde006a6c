// SPDX-License-Identifier: MIT OR Apache-2.0
//! Learning where pages are.

use super::*;
use std::path::Path;

const LOOK: u64 = PAGE_IS_SWAPPED | PAGE_IS_HUGE;

struct Scanner {
    sim: Arc<Sim>,
    pagemap: OwnedFd,
}

impl Scanner {
    fn new(sim: &Arc<Sim>) -> Scanner {
        Scanner { sim: sim.clone(), pagemap: sim.open(Path::new("/proc/self/pagemap")).unwrap() }
    }

    fn scan(&self, mut request: pm_scan_arg, room: usize) -> (Vec<page_region>, u64) {
        let mut found = vec![page_region::default(); room];
        let count = self.sim.pagemap_scan(self.pagemap.as_fd(), &mut request, &mut found).unwrap();
        found.truncate(count);
        (found, request.walk_end)
    }

    fn entry(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        assert_eq!(self.sim.read_at(self.pagemap.as_fd(), address / PAGE * 8, &mut bytes).unwrap(), 8);
        u64::from_le_bytes(bytes)
    }
}

/// Pages that are swapped or in VRAM, guard markers excepted.
fn away(range: Range) -> pm_scan_arg {
    pm_scan_arg {
        start: range.start(),
        end: range.end(),
        category_inverted: PAGE_IS_GUARD,
        category_mask: PAGE_IS_SWAPPED | PAGE_IS_GUARD,
        return_mask: LOOK,
        ..Default::default()
    }
}

/// A block in VRAM, one in RAM, one whose first page is a guard, and one in VRAM of which a page was given back.
fn mixture(sim: &Arc<Sim>, vm: &TestVm) -> Memory {
    let memory = Memory::populated(sim, 4 * BLOCK);
    vm.prefetch(memory.part(0, BLOCK), 1).unwrap();
    vm.prefetch(memory.part(3 * BLOCK, BLOCK), 1).unwrap();
    sim.guard(memory.part(2 * BLOCK, PAGE));
    sim.discarded(memory.part(3 * BLOCK, PAGE));
    memory
}

#[test]
fn a_scan_finds_vram_as_swapped_and_whole_blocks_as_huge() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = mixture(&sim, &vm);
    let (found, end) = Scanner::new(&sim).scan(away(memory.range()), 9);
    let start = memory.range().start();
    let expected = [
        page_region { start, end: start + BLOCK, categories: PAGE_IS_SWAPPED | PAGE_IS_HUGE },
        page_region { start: start + 3 * BLOCK + PAGE, end: start + 4 * BLOCK, categories: PAGE_IS_SWAPPED },
    ];
    assert_eq!(found, expected);
    assert_eq!(end, memory.range().end());
}

#[test]
fn a_scan_stops_where_there_is_no_room() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = mixture(&sim, &vm);
    let scanner = Scanner::new(&sim);
    let (found, end) = scanner.scan(away(memory.range()), 1);
    assert_eq!((found.len(), end), (1, memory.range().start() + 3 * BLOCK + PAGE));
    let rest = pm_scan_arg { start: end, ..away(memory.range()) };
    assert_eq!(
        scanner.scan(rest, 1),
        (
            vec![page_region { start: end, end: memory.range().end(), categories: PAGE_IS_SWAPPED }],
            memory.range().end()
        )
    );
    let few = pm_scan_arg { max_pages: 10, ..away(memory.range()) };
    let (found, end) = scanner.scan(few, 9);
    assert_eq!((found[0].end, end), (memory.range().start() + 10 * PAGE, memory.range().start() + 10 * PAGE));
}

#[test]
fn a_scan_can_ask_for_what_is_absent() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, 2 * BLOCK);
    vm.prefetch(memory.part(0, BLOCK), 1).unwrap();
    let absent = pm_scan_arg {
        start: memory.range().start(),
        end: memory.range().end(),
        category_inverted: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
        category_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
        ..Default::default()
    };
    let (found, _) = Scanner::new(&sim).scan(absent, 9);
    let start = memory.range().start() + BLOCK;
    assert_eq!(found, [page_region { start, end: memory.range().end(), categories: 0 }]);
}

#[test]
fn a_scan_says_of_real_pages_what_the_real_kernel_says() {
    let sim = pair();
    let mut memory = Memory::new(&sim, BLOCK);
    memory.bytes()[(5 * PAGE) as usize] = 1;
    let all = PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_FILE | PAGE_IS_PFNZERO | PAGE_IS_HUGE;
    let request = pm_scan_arg {
        start: memory.range().start(),
        end: memory.range().end(),
        category_anyof_mask: PAGE_IS_PRESENT,
        return_mask: all,
        ..Default::default()
    };
    let real = std::fs::File::open("/proc/self/pagemap").unwrap();
    let mut found = [page_region::default(); 9];
    let count = Door::KERNEL.pagemap_scan(real.as_fd(), &mut request.clone(), &mut found).unwrap();
    assert_eq!(Scanner::new(&sim).scan(request, 9).0, found[..count]);
}

#[test]
fn a_scan_refuses_what_the_kernel_refuses() {
    let sim = pair();
    let scanner = Scanner::new(&sim);
    let memory = Memory::new(&sim, BLOCK);
    for bad in [
        pm_scan_arg { flags: 4, ..away(memory.range()) },
        pm_scan_arg { start: memory.range().start() + 1, ..away(memory.range()) },
        pm_scan_arg { return_mask: 1 << 20, ..away(memory.range()) },
    ] {
        refused(sim.pagemap_scan(scanner.pagemap.as_fd(), &mut bad.clone(), &mut []), libc::EINVAL);
    }
    refused(sim.pagemap_scan(open_null().as_fd(), &mut away(memory.range()), &mut []), libc::ENOTTY);
}

#[test]
fn mincore_counts_vram_as_memory_and_swap_not() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 3 * BLOCK);
    vm.prefetch(memory.part(0, BLOCK), 1).unwrap();
    sim.swap_out(memory.part(BLOCK, BLOCK));
    let mut pages = vec![9; 3 * 512];
    sim.mincore(memory.range(), &mut pages).unwrap();
    let of = |block: usize| &pages[block * 512..(block + 1) * 512];
    assert!(of(0).iter().all(|page| *page == 1));
    assert!(of(1).iter().all(|page| *page == 0));
    assert!(of(2).iter().all(|page| page & 1 == 1));
}

#[test]
fn frames_are_shown_to_the_privileged_only() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let mut memory = Memory::populated(&sim, 2 * BLOCK);
    vm.prefetch(memory.part(0, BLOCK), 1).unwrap();
    let scanner = Scanner::new(&sim);
    let start = memory.range().start();
    assert_eq!(scanner.entry(start), PM_SWAP);
    assert_ne!(scanner.entry(start + BLOCK) & PM_PRESENT, 0, "the real page");
    sim.privileged(true);
    let decode = |entry: u64| (entry & 31, (entry & PM_PFRAME_MASK) >> PM_SWAP_TYPE_BITS);
    let (kind, frame) = decode(scanner.entry(start + 7 * PAGE));
    assert_eq!(kind, 28);
    let iomem = sim.files().text("/proc/iomem").unwrap();
    let line = iomem.lines().find(|line| line.ends_with("0000:03:00.0")).unwrap();
    let ends = line.split_once(" : ").unwrap().0.split_once('-').unwrap();
    let hexadecimal = |text| u64::from_str_radix(text, 16).unwrap();
    assert!((hexadecimal(ends.0)..=hexadecimal(ends.1)).contains(&(frame * PAGE)));
    memory.mapping().protect(0, BLOCK as usize, false).unwrap();
    assert_eq!(decode(scanner.entry(start)).0, 29, "read-only now");
}

#[test]
fn a_policy_names_nodes_that_are_there() {
    use crate::driver::MemoryPolicy;
    let mut tree = Tree::default();
    tree.directory("/sys/devices/system/node/node1");
    let distances = vec![vec![Some(0)]];
    let sim = Sim::new(Spec { devices: vec![device(0, 1)], distances, privileged: false, files: Files::tree(tree) });
    let memory = Memory::new(&sim, BLOCK);
    let policy = |node| MemoryPolicy::preferred(node).unwrap();
    sim.mbind(memory.part(0, PAGE), &policy(1), true).unwrap();
    refused(sim.mbind(memory.range(), &policy(2), true), libc::EINVAL);
    assert_eq!(sim.get_mempolicy(memory.range().start()).unwrap(), policy(1));
    assert_eq!(sim.get_mempolicy(memory.range().start() + PAGE).unwrap(), MemoryPolicy::default());
    sim.mbind(memory.range(), &MemoryPolicy::default(), false).unwrap();
    assert_eq!(sim.get_mempolicy(memory.range().start()).unwrap(), MemoryPolicy::default());
    refused(sim.get_mempolicy(0), libc::EFAULT);
}

#[test]
fn a_policy_makes_a_mapping_of_its_own() {
    use crate::driver::MemoryPolicy;
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::new(&sim, 2 * BLOCK);
    let policy = MemoryPolicy::preferred(0).unwrap();
    sim.mbind(memory.part(0, 16 * PAGE), &policy, false).unwrap();
    vm.prefetch(memory.page(0), 0).unwrap();
    assert_eq!(memory.at(Place::Ram), 16 * PAGE, "no range reaches beyond it");
    sim.mbind(memory.part(BLOCK, BLOCK), &policy, false).unwrap();
    sim.mbind(memory.part(BLOCK, BLOCK), &MemoryPolicy::default(), false).unwrap();
    vm.prefetch(memory.part(BLOCK, PAGE), 0).unwrap();
    assert_eq!(memory.at(Place::Ram), 16 * PAGE + BLOCK);
}

#[test]
fn a_policy_that_cuts_a_block_lets_gpus_fault_on_it_again() {
    let sim = pair();
    let vm = TestVm::mirroring(&sim, 0);
    let memory = Memory::populated(&sim, 2 * BLOCK);
    vm.touch(memory.range(), Access::Read).unwrap();
    let policy = crate::driver::MemoryPolicy::preferred(0).unwrap();
    sim.mbind(memory.part(0, BLOCK), &policy, false).unwrap();
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Read).unwrap()), 0, "cut between blocks");
    sim.mbind(memory.part(0, BLOCK + PAGE), &policy, false).unwrap();
    assert_eq!(vm.faults(0, || vm.touch(memory.range(), Access::Read).unwrap()), 1);
}
