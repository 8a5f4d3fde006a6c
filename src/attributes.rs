// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says that a vm was told of a range.

use crate::{
    error::Result,
    location::{GpuId, Location, Region},
    machine::Machine,
    range::Range,
    uapi::*,
    vm::{Vm, VmId},
};
use std::os::fd::RawFd;

/// The kernel's attributes of one vm for a run of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttributeRun {
    /// The addresses, clipped to what was asked about.
    pub range: Range,
    /// The vm.
    pub vm: VmId,
    /// Its GPU.
    pub gpu: GpuId,
    /// The preferred location.
    pub location: StoredLocation,
    /// The migration policy: DRM_XE_MIGRATE_*.
    pub migration_policy: u32,
    /// The atomic mode: DRM_XE_ATOMIC_*.
    pub atomics: u32,
    /// The PAT index.
    pub pat: u32,
}

/// A preferred location as the kernel tells of it: by the number of the descriptor that named it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StoredLocation {
    /// One that this library can name.
    Known(Location),
    /// A number that this library did not give out: somebody else's advice. What it denotes now need not be what it
    /// denoted then.
    Foreign(RawFd),
}

/// The attributes that `vm` has for `range`, in the order of addresses, neighbours with equal ones as one run: the kernel
/// never joins what an advice has split. What the vm does not mirror is left out.
pub(crate) fn attributes(machine: &Machine, vm: &Vm<'_>, range: Range) -> Result<Vec<AttributeRun>> {
    let found = vm.query(range).map_err(vm.query_error(range))?;
    let runs = found.iter().filter_map(|vma| {
        Some(AttributeRun {
            range: Range::between(vma.start, vma.end.min(Range::ALL.end()))?.intersection(range)?,
            vm: vm.id(),
            gpu: vm.gpu(),
            location: location(machine, vma.preferred_mem_loc.devmem_fd),
            migration_policy: vma.preferred_mem_loc.migration_policy,
            atomics: vma.atomic.val,
            pat: vma.pat_index.val,
        })
    });
    let mut joined: Vec<AttributeRun> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last)
                if last.range.end() == run.range.start() && (AttributeRun { range: run.range, ..*last }) == run =>
            {
                last.range = Range::between(last.range.start(), run.range.end()).expect("runs are in order");
            }
            _ => joined.push(run),
        }
    }
    Ok(joined)
}

fn location(machine: &Machine, number: u32) -> StoredLocation {
    match number {
        DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE => StoredLocation::Known(Location::Default),
        DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM => StoredLocation::Known(Location::System),
        number => region(machine, number as RawFd)
            .map_or(StoredLocation::Foreign(number as RawFd), |region| StoredLocation::Known(region.into())),
    }
}

fn region(machine: &Machine, number: RawFd) -> Option<Region> {
    let (address, instance) = machine.descriptors().target(number)?;
    let gpu = machine.gpus().iter().find(|gpu| gpu.address() == address)?;
    Some(Region { gpu: gpu.id(), instance })
}
