// SPDX-License-Identifier: MIT OR Apache-2.0
//! Moving pages, and what is true afterwards.

use crate::{PAIR, both::*};
use xeplace::{Location, Obstacle, Place, driver::Access};

fn bytes_in(space: &dyn Space, span: Span, gpu: u32) -> u64 {
    let runs = space.residency(span).unwrap();
    let there = |place| matches!(place, Place::Vram { region: Some(found), .. } if found == region(gpu));
    runs.iter().filter(|run| there(run.place)).map(|run| run.range.len()).sum()
}

#[test]
fn promise_3_prefetch_reports_what_is_true_afterwards() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 16 * MIB);
        space.advise(data.span(), &Wish::prefer(&[vram(1)])).unwrap().accepted.unwrap();
        let moved = space.prefetch(data.span(), &Order::to(vram(1)).map_for(&[0, 1])).unwrap();
        assert_eq!((moved.in_place, moved.elsewhere, moved.completed), (16 * MIB, 0, Ok(())));
        assert_eq!(bytes_in(&*space, data.span(), 1), 16 * MIB);
        // Mapped for both: neither faults, and one of them reaches over the link.
        let before = [machine.counted(0), machine.counted(1)];
        for gpu in [0, 1] {
            space.touch(gpu, data.span(), Access::Read).unwrap();
        }
        for (gpu, before) in [0, 1].into_iter().zip(before) {
            assert_eq!(machine.counted(gpu).page_faults, before.page_faults, "gpu {gpu}");
        }
        assert!(machine.counted(0).bytes_at_peers > before[0].bytes_at_peers);
        assert_eq!(machine.counted(1).bytes_at_peers, before[1].bytes_at_peers);
    });
}

#[test]
fn promise_3_a_pinned_page_stays_and_is_named() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 8 * MIB);
        let (start, _) = data.span();
        machine.pin((start + 4 * MIB, 4096));
        let moved = space.prefetch(data.span(), &Order::to(vram(0))).unwrap();
        assert_eq!(moved.completed, Err(libc::EBUSY));
        assert_eq!(moved.obstacles(), [Obstacle::Pinned]);
        assert!(moved.stays[0].range.contains(start + 4 * MIB), "{moved:?}");
        assert_eq!((moved.in_place, moved.elsewhere), (8 * MIB - moved.elsewhere, moved.stays[0].range.len()));
        assert!(moved.elsewhere <= 2 * MIB, "what lies around the pinned page's block has moved: {moved:?}");
    });
}

#[test]
fn promise_5_a_call_that_the_kernel_would_repeat_for_ever_ends() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let memory = space.allocate(320 * MIB, &[(vram(0), 1)], None).unwrap();
        let moved = space.prefetch(memory.span(), &Order::to(vram(0))).unwrap();
        assert_eq!(moved.completed, Err(libc::ENOSPC));
        assert!(moved.obstacles().iter().all(|one| matches!(one, Obstacle::Evicted { .. } | Obstacle::Full { .. })));
        assert!((128 * MIB..=256 * MIB).contains(&moved.in_place), "{moved:?}");
    });
}

#[test]
fn vram_that_is_full_of_other_things_is_named() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 8 * MIB);
        machine.fill_vram(region(0), 256 * MIB);
        let moved = space.prefetch(data.span(), &Order::to(vram(0))).unwrap();
        assert_eq!((moved.in_place, moved.completed), (0, Err(libc::ENOSPC)));
        assert!(matches!(moved.obstacles()[..], [Obstacle::Full { free: 0, .. }]), "{moved:?}");
        assert_eq!(space.residency(data.span()).unwrap()[0].place, Place::System);
    });
}

#[test]
fn what_cannot_move_is_skipped_and_the_rest_moves() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let mut data = Data::new(machine, 8 * MIB);
        data.read_only(4 * MIB, 4096);
        let moved = space.prefetch(data.span(), &Order::to(vram(0))).unwrap();
        assert_eq!((moved.completed, moved.obstacles()), (Err(libc::EACCES), vec![Obstacle::ReadOnly]));
        assert_eq!((moved.in_place, moved.elsewhere), (8 * MIB - 4096, 4096));
        let span = data.span();
        drop(data);
        machine.unmapped(span);
        let moved = space.prefetch(span, &Order::to(vram(0))).unwrap();
        assert_eq!((moved.completed, moved.obstacles()), (Err(libc::ENOMEM), vec![Obstacle::NotMapped]));
    });
}

#[test]
fn a_prefetch_stops_when_its_caller_has_enough() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 8 * MIB);
        let order = Order { chunk: Some(2 * MIB), patience: Some(2), ..Order::to(vram(0)) };
        let moved = space.prefetch(data.span(), &order).unwrap();
        assert_eq!((moved.completed, moved.in_place), (Err(libc::ECANCELED), 4 * MIB));
        assert_eq!(moved.obstacles(), [Obstacle::Cancelled]);
        // It can be taken up again.
        assert_eq!(space.prefetch(data.span(), &Order::to(vram(0))).unwrap().completed, Ok(()));
    });
}

#[test]
fn a_prefetch_can_be_pumped_by_hand() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 6 * MIB);
        let order = Order { chunk: Some(2 * MIB), ..Order::to(vram(0)) };
        let mut job = space.start_prefetch(data.span(), &order).unwrap();
        assert_eq!(bytes_in(&*space, data.span(), 0), 0);
        for step in 1..=3 {
            assert_eq!(job.step(), Ok((step * 2 * MIB, 6 * MIB)));
        }
        assert_eq!(job.step(), Ok((6 * MIB, 6 * MIB)));
        assert_eq!(job.outcome().unwrap().completed, Ok(()));
        job.cancel();
        assert_eq!(job.outcome().unwrap().completed, Ok(()));
    });
}

#[test]
fn a_gpu_that_was_told_something_else_is_not_mapped_for() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let mut job = space.start_prefetch(data.span(), &Order::to(vram(1)).map_for(&[0, 1])).unwrap();
        job.step().unwrap();
        let moved = job.outcome().unwrap();
        assert_eq!((moved.elsewhere, moved.completed), (0, Err(libc::EEXIST)));
        let [unmapped] = &moved.unmapped[..] else { panic!("{moved:?}") };
        assert_eq!(unmapped.gpu.0, 0);
        assert!(matches!(unmapped.obstacle, Obstacle::OtherWish { .. }));
    });
}

#[test]
fn pages_come_home() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        space.prefetch(data.span(), &Order::to(vram(0))).unwrap().completed.unwrap();
        let moved = space.prefetch(data.span(), &Order::to(Location::System)).unwrap();
        assert_eq!((moved.in_place, moved.completed), (4 * MIB, Ok(())));
        assert_eq!(space.residency(data.span()).unwrap()[0].place, Place::System);
    });
}

#[test]
fn a_prefetch_that_makes_no_sense_moves_nothing() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let refused = |order: Order| space.prefetch(data.span(), &order).err();
        // To the faulting device: of which GPU?
        assert_eq!(refused(Order::to(Location::Default)), Some(libc::EINVAL));
        assert_eq!(refused(Order { chunk: Some(MIB), ..Order::to(vram(0)) }), Some(libc::EINVAL));
        assert_eq!(refused(Order { chunk: Some(3 * MIB), ..Order::to(vram(0)) }), Some(libc::EINVAL));
        assert_eq!(refused(Order::to(vram(2))), Some(libc::ENOENT));
        assert_eq!(refused(Order::to(vram(0)).map_for(&[7])), Some(libc::ENOENT));
        assert_eq!(refused(Order::to(Location::HostNode(99))), Some(libc::ENOENT));
        assert_eq!(machine.counted(0).bytes_in, 0);
        let moved = space.prefetch(data.span(), &Order::to(Location::Default).map_for(&[1])).unwrap();
        assert_eq!(moved.completed, Ok(()));
        assert_eq!(bytes_in(&*space, data.span(), 1), 4 * MIB);
    });
}
