// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the driver counts in debugfs, which root alone may read.

use crate::pair::*;
use std::io;
use xeplace::{driver::Access, *};

const NAMES: [&str; 5] =
    ["svm_device_copy_kb", "svm_cpu_copy_kb", "svm_pagefault_count", "svm_2M_pagefault_count", "svm_2M_migrate_count"];

/// The counts of one GPU, in the order of `NAMES`.
fn counts(pair: &Pair, gpu: GpuId) -> io::Result<[u64; 5]> {
    let address = pair.machine.gpu(gpu).unwrap().address();
    let text = pair.machine.files().text(format!("/sys/kernel/debug/dri/{address}/gt0/stats"))?;
    let found =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok());
    Ok(NAMES.map(|name| found(name).unwrap_or_else(|| panic!("no {name} in {text}"))))
}

/// What `action` adds to the counts of both GPUs, those of `a` first; nothing if this process may not look.
fn added(pair: &Pair, action: impl FnOnce()) -> Option<[[u64; 5]; 2]> {
    let both = || -> io::Result<[[u64; 5]; 2]> { Ok([counts(pair, pair.a)?, counts(pair, pair.b)?]) };
    let before = match both() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            action();
            return None;
        }
        answer => answer.unwrap(),
    };
    action();
    let mut after = both().unwrap();
    for (after, before) in after.iter_mut().flatten().zip(before.iter().flatten()) {
        *after -= before;
    }
    Some(after)
}

const NOTHING: [u64; 5] = [0; 5];

#[track_caller]
fn assert_counts(found: Option<[[u64; 5]; 2]>, a: [u64; 5], b: [u64; 5]) {
    if let Some(found) = found {
        assert_eq!(found, [a, b], "{NAMES:?} of a and b");
    }
}

fn prefetch(pair: &Pair, space: &Space<'_>, range: Range, to: impl Into<Location>) -> Option<[[u64; 5]; 2]> {
    let to = to.into();
    added(pair, || assert_eq!(space.prefetch(range, to, &[]).unwrap().bytes_elsewhere, 0))
}

#[test]
fn memory_is_copied_once_there_and_once_back() {
    let pair = Pair::seen_by_root();
    let space = pair.space();
    let memory = others(8 * MIB);
    let (range, kib) = (range_of(&memory), 8 << 10);
    assert_counts(prefetch(&pair, &space, range, pair.vram(pair.a)), [kib, 0, 0, 0, 0], NOTHING);
    assert_counts(prefetch(&pair, &space, range, pair.vram(pair.a)), NOTHING, NOTHING);
    assert_counts(prefetch(&pair, &space, range, Location::System), [0, kib, 0, 0, 0], NOTHING);
}

#[test]
fn the_source_counts_a_copy_between_gpus() {
    let pair = Pair::seen_by_root();
    let space = pair.space();
    let memory = others(8 * MIB);
    let (range, kib) = (range_of(&memory), 8 << 10);
    prefetch(&pair, &space, range, pair.vram(pair.a));
    assert_counts(prefetch(&pair, &space, range, pair.vram(pair.b)), [0, kib, 0, 0, 0], NOTHING);
}

#[test]
fn a_block_that_was_never_touched_is_copied_twice() {
    let pair = Pair::seen_by_root();
    let space = pair.space();
    let memory = space.allocate(8 * MIB, pair.vram(pair.a)).unwrap();
    let kib = 8 << 10;
    assert_counts(prefetch(&pair, &space, memory.range(), pair.vram(pair.a)), [kib, kib, 0, 0, 0], NOTHING);
    let memory = space.allocate(8 * MIB, pair.vram(pair.b)).unwrap();
    let touched = added(&pair, || space.touch(pair.b, memory.range(), Access::Write).unwrap());
    assert_counts(touched, NOTHING, [kib, kib, 4, 4, 4]);
}

#[test]
fn of_a_block_that_was_touched_in_part_only_that_part_is_copied() {
    let pair = Pair::seen_by_root();
    let space = pair.space();
    let mut memory = driver::Mapping::anonymous(4 << 20, 2 << 20, false).unwrap();
    memory.madvise(0, 4 << 20, libc::MADV_NOHUGEPAGE).unwrap();
    memory.bytes_mut()[..64 << 10].fill(1);
    memory.bytes_mut()[2 << 20] = 1;
    assert_counts(prefetch(&pair, &space, range_of(&memory), pair.vram(pair.a)), [68, 0, 0, 0, 0], NOTHING);
}

#[test]
fn a_fault_is_one_try_and_one_copy() {
    let pair = Pair::seen_by_root();
    let space = pair.space();
    let memory = others(8 * MIB);
    let (range, kib) = (range_of(&memory), 8 << 10);
    let read = || space.touch(pair.a, range, Access::Read).unwrap();
    assert_counts(added(&pair, read), [kib, 0, 4, 4, 4], NOTHING);
    assert_counts(added(&pair, read), NOTHING, NOTHING);
    let others = || space.touch(pair.b, range, Access::Write).unwrap();
    assert_counts(added(&pair, others), [0, kib, 0, 0, 0], [0, 0, 4, 4, 4]);
    let first = || assert_eq!(pair.read(&memory, 8), 3);
    assert_counts(added(&pair, first), NOTHING, [0, 2 << 10, 0, 0, 0]);
}
