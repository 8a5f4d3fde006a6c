// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever is done in whatever order, the simulated kernel's books are in order.

use super::*;
use crate::sim::{span::Span, state::State, vm::Held};
use proptest::prelude::*;

const BLOCKS: u64 = 4;
const PAGES: u64 = BLOCKS * BLOCK / PAGE;

/// One thing done to a part of the memory by or to one of the GPUs.
#[derive(Clone, Copy, Debug)]
struct Step {
    kind: u8,
    gpu: usize,
    page: u64,
    pages: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let page = prop_oneof![Just(0), Just(512), Just(1024), 0..PAGES];
    let pages = prop_oneof![Just(1), Just(16), Just(512), 1..PAGES];
    (0u8..13, 0usize..2, page, pages).prop_map(|(kind, gpu, page, pages)| {
        let pages = pages.min(PAGES - page);
        Step { kind, gpu, page, pages }
    })
}

/// Errors are part of the game: only the books count.
fn perform(sim: &Arc<Sim>, vms: &[TestVm; 2], memory: &Memory, step: Step) {
    let range = memory.part(step.page * PAGE, step.pages * PAGE);
    let (vm, other) = (&vms[step.gpu], &vms[1 - step.gpu]);
    let gpu = GpuId(step.gpu as u32);
    let _ = match step.kind {
        0 => vm.prefetch(range, 1),
        1 => vm.prefetch(range, CONSULT),
        2 => vm.prefetch(range, 0),
        3 => vm.touch(range, Access::Write),
        4 => vm.touch(range, Access::Atomic),
        5 => vm.prefer(range, other.raw()),
        6 => vm.prefer(range, SYSTEM),
        7 => vm.mirror(range, DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET),
        8 => sim.fill_vram(region(step.gpu as u32), VRAM - step.pages * PAGE).map_err(|_| io::ErrorKind::Other.into()),
        _ => Ok(()),
    };
    match step.kind {
        9 => sim.cpu_touched(range, Access::Read),
        10 => sim.discarded(range),
        11 => sim.swap_out(range),
        12 if step.pages == 1 => sim.unplug(gpu).and_then(|()| sim.replug(gpu)).unwrap(),
        _ => {}
    }
}

fn check(state: &State) {
    let all = Span { start: 0, end: u64::MAX };
    for (device, pagemap) in state.pagemaps() {
        let shown = state.pages.in_vram(all);
        let shown = shown.iter().filter(|(_, allocation)| allocation.pagemap == pagemap);
        let mut used = 0;
        for (part, allocation) in shown {
            let found = state.pages.vram.allocation(*allocation).expect("what is shown is allocated");
            assert!(part.len() <= found.size);
            used += if state.pages.shown(*allocation)[0] == *part { found.size } else { 0 };
        }
        assert_eq!(used, state.pages.vram.used(pagemap), "what is used is shown");
        assert!(state.vram_used(device, 0) <= VRAM);
    }
    for (span, range) in state.vms.values().flat_map(|vm| vm.ranges.iter()) {
        let there = state.pages.in_vram(span);
        match range.held {
            Some(Held::Ram) => assert!(there.is_empty(), "no vm takes for RAM what is in VRAM"),
            Some(Held::Vram(pagemap)) => {
                assert_eq!(there.len(), 1, "a mapped range is one allocation");
                assert_eq!((there[0].0, there[0].1.pagemap), (span, pagemap));
            }
            None => assert_eq!(range.bound, 0, "nothing is mapped that is not held"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..Default::default() })]

    #[test]
    fn books_are_kept(linked: bool, steps in proptest::collection::vec(step(), 1..40)) {
        let sim = if linked { pair() } else { strangers() };
        let vms = [TestVm::mirroring(&sim, 0), TestVm::mirroring(&sim, 1)];
        let memory = Memory::new(&sim, BLOCKS * BLOCK);
        for step in steps {
            perform(&sim, &vms, &memory, step);
            check(&sim.state.lock());
        }
        memory.unmap();
        check(&sim.state.lock());
        prop_assert_eq!(sim.state.lock().pages.in_vram(Span { start: 0, end: u64::MAX }), vec![]);
    }
}
