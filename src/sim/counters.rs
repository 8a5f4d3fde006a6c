// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the simulated machine counts, and its clock.

use super::inject::Call;
use crate::{location::GpuId, range::BLOCK};
use std::collections::BTreeMap;

/// What happened since the start, or since [`Sim::reset_counters`](crate::Sim::reset_counters).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// In the order of the machine's GPUs.
    pub gpus: Vec<GpuCounters>,
    /// From the GPU that uses or receives memory to the GPU that has it.
    pub links: BTreeMap<(GpuId, GpuId), LinkCounters>,
    /// Requests, each try counted.
    pub calls: BTreeMap<Call, u64>,
    /// The simulated clock: what all of it would have taken on modest hardware, see [`Costs`].
    pub nanoseconds: u64,
    /// GPU faults that the kernel would retry for ever.
    pub endless_faults: u64,
    /// How often the real kernel would have crashed.
    pub oopses: u64,
}

/// What happened at one GPU.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct GpuCounters {
    /// Page faults of the GPU, the refused ones included.
    pub page_faults: u64,
    /// Page faults that the driver could not serve: each costs a queue.
    pub refused_faults: u64,
    /// Ranges moved into its VRAM.
    pub migrations: u64,
    /// CPU accesses that brought memory back out of its VRAM.
    pub cpu_faults: u64,
    /// Allocations that had to make room in its VRAM.
    pub evictions: u64,
    /// Bytes copied into its VRAM.
    pub bytes_in: u64,
    /// Bytes copied out of its VRAM.
    pub bytes_out: u64,
    /// Bytes that it used in place in host memory.
    pub bytes_in_place: u64,
    /// Page faults on ranges of 2 MiB, 64 KiB and 4 KiB.
    pub page_faults_by_size: [u64; 3],
    /// Tries of page faults to move ranges of 2 MiB, 64 KiB and 4 KiB.
    pub migrate_tries_by_size: [u64; 3],
}

/// What went over one link, in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct LinkCounters {
    /// Bytes used where they are, in the peer's VRAM.
    pub bytes_in_place: u64,
    /// Bytes copied from the peer's VRAM.
    pub bytes_copied: u64,
    /// Of all these, bytes at bus addresses that nobody answers for, since a BAR is smaller than the VRAM behind it: on
    /// real hardware these are lost, or hit another device.
    pub bytes_astray: u64,
}

/// What the simulated clock charges. Round numbers of the right size, chosen and not measured: use them to compare
/// ways of placing, not to predict times.
#[derive(Clone, Copy, Debug)]
pub struct Costs;

impl Costs {
    /// One request to the kernel.
    pub const CALL: u64 = 1_000;
    /// One page fault of a GPU, without what it moves.
    pub const GPU_FAULT: u64 = 30_000;
    /// One page fault of the CPU on VRAM, without what it moves.
    pub const CPU_FAULT: u64 = 10_000;
    /// Starting one copy.
    pub const COPY: u64 = 10_000;
    /// One function passed on the way between two GPUs.
    pub const HOP: u64 = 150;
    /// Bytes a second over PCI Express: 4.0, 8 lanes, as an Arc B580 has (16 GT/s, 128b/130b).
    pub const PCIE_BYTES_PER_SECOND: u64 = 15_753_846_153;
    /// Bytes a second from VRAM: what the data sheet of an Arc B580 says.
    pub const VRAM_BYTES_PER_SECOND: u64 = 456_000_000_000;
}

/// An end of a copy or an access: host memory or a GPU's VRAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Host,
    Gpu(usize),
}

impl Counters {
    pub(super) fn of(gpus: usize) -> Counters {
        Counters { gpus: vec![GpuCounters::default(); gpus], ..Default::default() }
    }

    pub(super) fn call(&mut self, call: Call) {
        *self.calls.entry(call).or_default() += 1;
        self.nanoseconds += Costs::CALL;
    }

    pub(super) fn link(&mut self, user: usize, holder: usize) -> &mut LinkCounters {
        self.links.entry((gpu(user), gpu(holder))).or_default()
    }

    /// `bytes` were copied, over a way of `hops` functions.
    pub(super) fn copied(&mut self, from: End, to: End, bytes: u64, hops: u32) {
        if bytes == 0 {
            return;
        }
        if let End::Gpu(source) = from {
            self.gpus[source].bytes_out += bytes;
        }
        if let End::Gpu(target) = to {
            self.gpus[target].bytes_in += bytes;
        }
        if let (End::Gpu(source), End::Gpu(target)) = (from, to) {
            self.link(target, source).bytes_copied += bytes;
        }
        self.nanoseconds += Costs::COPY + u64::from(hops) * Costs::HOP + time(bytes, Costs::PCIE_BYTES_PER_SECOND);
    }

    /// `user` used `bytes` where they are.
    pub(super) fn used(&mut self, user: usize, at: End, bytes: u64, hops: u32) {
        let rate = match at {
            End::Gpu(holder) if holder == user => Costs::VRAM_BYTES_PER_SECOND,
            End::Gpu(holder) => {
                self.link(user, holder).bytes_in_place += bytes;
                Costs::PCIE_BYTES_PER_SECOND
            }
            End::Host => {
                self.gpus[user].bytes_in_place += bytes;
                Costs::PCIE_BYTES_PER_SECOND
            }
        };
        self.nanoseconds += u64::from(hops) * Costs::HOP + time(bytes, rate);
    }

    pub(super) fn gpu_fault(&mut self, user: usize) {
        self.gpus[user].page_faults += 1;
        self.nanoseconds += Costs::GPU_FAULT;
    }

    pub(super) fn cpu_fault(&mut self, holder: usize) {
        self.gpus[holder].cpu_faults += 1;
        self.nanoseconds += Costs::CPU_FAULT;
    }
}

/// Where the numbers of a range of `size` bytes are among the counters by size.
pub(super) fn size_class(size: u64) -> usize {
    match size {
        BLOCK.. => 0,
        0x1_0000.. => 1,
        _ => 2,
    }
}

fn time(bytes: u64, bytes_per_second: u64) -> u64 {
    (u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second)) as u64
}

fn gpu(index: usize) -> GpuId {
    GpuId(index as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_between_gpus_is_counted_at_both_and_on_the_link() {
        let mut counters = Counters::of(2);
        counters.copied(End::Gpu(0), End::Gpu(1), BLOCK, 4);
        assert_eq!((counters.gpus[0].bytes_out, counters.gpus[1].bytes_in), (BLOCK, BLOCK));
        assert_eq!(counters.links[&(GpuId(1), GpuId(0))].bytes_copied, BLOCK);
        assert!(counters.nanoseconds > Costs::COPY);
    }

    #[test]
    fn what_is_near_is_used_faster() {
        let mut counters = [Counters::of(2), Counters::of(2), Counters::of(2)];
        for (counters, at) in counters.iter_mut().zip([End::Gpu(0), End::Gpu(1), End::Host]) {
            counters.used(0, at, BLOCK, 0);
        }
        assert!(counters[0].nanoseconds < counters[1].nanoseconds);
        assert_eq!(counters[1].nanoseconds, counters[2].nanoseconds);
    }
}
