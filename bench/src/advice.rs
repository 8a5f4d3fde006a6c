// SPDX-License-Identifier: MIT OR Apache-2.0
//! Advice: what it costs beyond the kernel's calls, and what it costs where none is needed.

use crate::{
    measure::side_by_side,
    metered::Metered,
    report::{Goal, Report, Row},
};
use std::{hint::black_box, os::unix::process::parent_id};
use xeplace::{Advice, BLOCK, Location, Range, Result, Space, driver::Driver, uapi::*};

/// Four GPUs that can all use each other's memory.
const MACHINE: &str = "switch(4x bmg)";
/// Addresses that no program has mapped: the driver beneath does not look.
const START: u64 = 1 << 40;

/// The same wish for a thousand ranges, through the library and by the same calls without it, for one, two and four vms.
pub(crate) fn sent(report: &mut Report) -> Result<()> {
    const RANGES: usize = 1000;
    // Every other block, so that the record holds as many spans.
    let ranges = (0..RANGES as u64).map(|block| Range::new(START + 2 * block * BLOCK, BLOCK));
    let ranges = ranges.collect::<Result<Vec<Range>>>()?;
    for vms in [1, 2, 4] {
        let (machine, metered) = Metered::machine(MACHINE)?;
        let space = Space::empty(&machine)?;
        for gpu in &machine.gpus()[..vms] {
            space.add(gpu.id())?;
        }
        // What is wished changes from round to round, or the record would not have to be changed.
        let target: Location = machine.gpus()[0].region(0)?.into();
        let wishes = [Advice::prefer(target).or(Location::System), Advice::prefer(Location::System)];
        let advise = |round: usize| {
            for range in &ranges {
                let report = space.advise(*range, &wishes[round % 2]).and_then(|report| report.accepted());
                drop(black_box(report.expect("all vms take it")));
            }
        };
        let bare = |round: usize| {
            let devmem_fd = if round % 2 == 0 { 7 } else { DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM };
            let region_instance = u16::from(round % 2 == 0);
            let at = drm_xe_madvise_preferred_mem_loc { devmem_fd, region_instance, ..Default::default() };
            for range in &ranges {
                for vm_id in 1..=vms as u32 {
                    let advice = drm_xe_madvise::preferred_mem_loc(vm_id, range.start(), range.len(), at);
                    metered.madvise(metered.fd(), black_box(&advice), None).expect("it is answered with 0");
                }
            }
        };
        // Vms and descriptors are made, and capabilities asked for, at the first advice.
        advise(0);
        metered.calls();
        advise(1);
        let ours = metered.calls();
        bare(1);
        assert_eq!(ours, metered.calls(), "the library makes the calls that are needed, and no other");
        assert_eq!(ours, RANGES * vms);
        let times = side_by_side(101, [&mut |round| advise(round), &mut |round| bare(round)]);
        report.add(Row {
            what: format!("advice to {vms} vm{}", if vms == 1 { "" } else { "s" }),
            with: "the same ioctls",
            item: "range",
            nanoseconds: (times.nanoseconds(0, RANGES), times.nanoseconds(1, RANGES)),
            ratio: times.ratio(0, 1),
            excess: times.excess(0, 1, RANGES),
            goal: Goal::Excess(300.0),
        });
    }
    Ok(())
}

/// Advice that the record holds already, for 100,000 ranges in the order of their addresses, as a program that walks its
/// memory gives it, and in random order. There nearly each look-up waits for memory, which alone takes longer than a
/// quarter of an empty system call: the goal is to be cheaper than the call.
pub(crate) fn elided(report: &mut Report) -> Result<()> {
    const RANGES: usize = 100_000;
    for (vms, order, goal) in
        [(1, "in order", 0.25), (2, "in order", 0.25), (1, "at random", 1.0), (2, "at random", 1.0)]
    {
        let (machine, metered) = Metered::machine(MACHINE)?;
        let space = Space::empty(&machine)?;
        for gpu in &machine.gpus()[..vms] {
            space.add(gpu.id())?;
        }
        let target: Location = machine.gpus()[0].region(0)?.into();
        // Neighbours differ, or they would be one span.
        let wishes = [Advice::prefer(target), Advice::prefer(Location::System)];
        let range = |place: u32| Range::new(START + u64::from(place) * BLOCK, BLOCK).expect("it is a block");
        space.declare_stable(Range::new(START, RANGES as u64 * BLOCK)?)?;
        let mut places: Vec<u32> = (0..RANGES as u32).collect();
        for place in &places {
            drop(space.advise(range(*place), &wishes[*place as usize % 2])?.accepted()?);
        }
        if order == "at random" {
            fastrand::Rng::with_seed(1).shuffle(&mut places);
        }
        metered.calls();
        let mut advise = |_| {
            for place in &places {
                let report = space.advise(range(*place), &wishes[*place as usize % 2]);
                assert!(report.expect("it is on record").elided);
            }
        };
        let mut empty = |_| {
            for _ in 0..RANGES {
                black_box(parent_id());
            }
        };
        let times = side_by_side(51, [&mut advise, &mut empty]);
        assert_eq!(metered.calls(), 0, "what the record holds costs no call");
        report.add(Row {
            what: format!("advice on record, {RANGES} ranges {order}, {vms} vm{}", if vms == 1 { "" } else { "s" }),
            with: "an empty system call (getppid)",
            item: "range",
            nanoseconds: (times.nanoseconds(0, RANGES), times.nanoseconds(1, RANGES)),
            ratio: times.ratio(0, 1),
            excess: times.excess(0, 1, RANGES),
            goal: Goal::Ratio(goal),
        });
    }
    Ok(())
}
