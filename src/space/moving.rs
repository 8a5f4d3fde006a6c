// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prefetch for a whole space, with its record kept true.

use super::Space;
use crate::{
    driver::MemoryPolicy,
    error::{Error, Result},
    location::{GpuId, Location},
    mappings::mappings,
    prefetch::{Accessor, Job, Order, Outcome, Progress},
    range::{BLOCK, Range},
    uapi::DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC,
    vm::Vm,
};
use std::{ops::ControlFlow, path::Path, sync::Arc};

/// Bytes that one call to the kernel moves unless the caller says otherwise: large enough for the full speed of a link,
/// small enough that GPU faults of the same vm, which wait for the call, do not wait long.
const CHUNK: u64 = 64 << 20;

/// A prefetch that its caller pumps: no thread works on it in between.
///
/// Dropped before its end, it leaves what has not moved where it is.
#[derive(Debug)]
pub struct PrefetchJob<'fd> {
    space: Space<'fd>,
    job: Job<'fd>,
    /// The NUMA policies to be put back when it ends.
    replaced: Vec<(Range, MemoryPolicy)>,
}

impl<'fd> Space<'fd> {
    /// Moves `range` to `to` now, and maps it in the vms of `map_for`, so that these GPUs take no fault on it.
    ///
    /// A vm is mapped for only where it was told the same location before: elsewhere the same call to the kernel would
    /// move the data away. What cannot move is skipped and reported with its reason; the outcome is measured, not
    /// believed. An error means that nothing was moved.
    pub fn prefetch(&self, range: Range, to: impl Into<Location>, map_for: &[GpuId]) -> Result<Outcome> {
        self.prefetch_with(range, to, map_for, |_| ControlFlow::Continue(()))
    }

    /// As [`Space::prefetch`], telling `progress` after each chunk; it stops where `progress` breaks.
    pub fn prefetch_with(
        &self,
        range: Range,
        to: impl Into<Location>,
        map_for: &[GpuId],
        progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome> {
        self.start_prefetch(range, to, map_for, None)?.run(progress)
    }

    /// The same, pumped by the caller. `chunk` is the number of bytes that one step moves: a power of two of at least
    /// 2 MiB; 64 MiB if `None`. A step never brings more than a quarter of the target's VRAM.
    pub fn start_prefetch(
        &self,
        range: Range,
        to: impl Into<Location>,
        map_for: &[GpuId],
        chunk: Option<u64>,
    ) -> Result<PrefetchJob<'fd>> {
        let chunk = chunk.unwrap_or(CHUNK);
        if !chunk.is_power_of_two() || chunk < BLOCK {
            return Err(Error::Invalid(format!("a chunk of {chunk} bytes is not a power of two of at least 2 MiB")));
        }
        let location = self.resolved(to.into(), map_for)?;
        let mover = self.mover(range, location, map_for).map_err(|missing| self.why_no_vm(missing))?;
        let accessors = self.accessors(range, location, map_for, &mover.0)?;
        let known = self.placed(range, location)?;
        let order = Order { range, location, mover, accessors, known, chunk };
        let job = Job::new(self.machine(), self.pages()?.clone(), order)?;
        let mut job = PrefetchJob { space: self.clone(), job, replaced: Vec::new() };
        job.follow_to_node(range, location)?;
        Ok(job)
    }

    /// The default location has a meaning only for one GPU: the first that is to use the pages.
    fn resolved(&self, location: Location, map_for: &[GpuId]) -> Result<Location> {
        match (location, map_for.first()) {
            (Location::Default, Some(gpu)) => Ok(self.machine().gpu(*gpu)?.into()),
            (Location::Default, None) => {
                Err(Error::Invalid("to the faulting device of which GPU? name one to map for".to_owned()))
            }
            (Location::Vram(region), _) => self.machine().owner(region).map(|_| location),
            (Location::HostNode(node), _) if !self.machine().has_host_node(node) => {
                Err(Error::NotFound(format!("host node {node}")))
            }
            _ => Ok(location),
        }
    }

    /// The vm that can move pages to `location`, and how its PREFETCH names it. Region numbers never denote another GPU:
    /// a peer's VRAM is reached by its own vm, or by one that was told to prefer it.
    fn mover(&self, range: Range, location: Location, map_for: &[GpuId]) -> Result<(Arc<Vm<'fd>>, u32)> {
        let vms = self.vms()?;
        let Location::Vram(region) = location else {
            let wanted = |vm: &&Arc<Vm<'fd>>| map_for.contains(&vm.gpu());
            let vm = vms.iter().find(wanted).or_else(|| vms.iter().find(|vm| vm.is_made())).or(vms.first());
            let vm = vm.ok_or_else(|| Error::NotFound("vm in this space".to_owned()))?;
            vm.handle()?;
            return Ok((vm.clone(), 0));
        };
        self.machine().owner(region)?.device()?;
        if let Some(vm) = vms.iter().find(|vm| vm.gpu() == region.gpu) {
            vm.handle()?;
            return Ok((vm.clone(), u32::from(region.instance)));
        }
        for vm in vms.iter().filter(|vm| vm.is_made()) {
            if self.told(range, location, vm)?.first() == Some(&range) {
                return Ok((vm.clone(), DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC));
            }
        }
        Err(Error::NotFound(format!(
            "vm of {} in this space, nor one that was advised to prefer {location} for {range}",
            region.gpu
        )))
    }

    fn accessors(
        &self,
        range: Range,
        location: Location,
        map_for: &[GpuId],
        mover: &Arc<Vm<'fd>>,
    ) -> Result<Vec<Accessor<'fd>>> {
        if map_for.is_empty() {
            return Ok(Vec::new());
        }
        let chosen = self.chosen(Some(map_for))?;
        let others = chosen.iter().filter(|vm| vm.id() != mover.id());
        others.map(|vm| Ok(Accessor { told: self.told(range, location, vm)?, vm: vm.clone() })).collect()
    }

    /// The parts of `range` of which `vm` was told `location`, neighbours joined.
    fn told(&self, range: Range, location: Location, vm: &Vm<'fd>) -> Result<Vec<Range>> {
        let on_own_default =
            matches!(location, Location::Vram(region) if region.gpu == vm.gpu() && vm.device().regions().len() == 1);
        let state = self.state()?;
        let mut told: Vec<Range> = Vec::new();
        for (part, found) in state.record.pieces(range) {
            let wished = found.and_then(|found| found.wish(vm.id())).unwrap_or_default().location;
            let equal = wished == location
                || on_own_default && wished == Location::Default
                || matches!(
                    (wished, location),
                    (Location::System | Location::HostNode(_), Location::System | Location::HostNode(_))
                );
            if equal {
                join(&mut told, part);
            }
        }
        Ok(told)
    }

    /// The parts of `range` that the last prefetch brought to `location`.
    fn placed(&self, range: Range, location: Location) -> Result<Vec<Range>> {
        let state = self.state()?;
        let mut placed = Vec::new();
        for (part, _) in state.record.inside(range).filter(|(_, found)| found.placed == Some(location)) {
            join(&mut placed, part);
        }
        Ok(placed)
    }
}

impl PrefetchJob<'_> {
    /// Moves the next chunk. Says how far it has come.
    pub fn step(&mut self) -> Result<Progress> {
        drop(self.space.state()?);
        self.job.step()
    }

    /// Moves all that is left, telling `progress` after each chunk; it stops where `progress` breaks.
    pub fn run(&mut self, mut progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<Outcome> {
        while !self.step()?.is_done() {
            if progress(self.progress()).is_break() {
                self.cancel();
                return self.outcome();
            }
        }
        let _ = progress(self.progress());
        self.outcome()
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.job.progress()
    }

    /// Leaves what has not moved yet where it is.
    pub fn cancel(&mut self) {
        self.job.cancel();
    }

    /// Pages that come home come to the node that the NUMA policy names; those that are home already move there.
    fn follow_to_node(&mut self, range: Range, location: Location) -> Result<()> {
        let Location::HostNode(node) = location else { return Ok(()) };
        let policy = MemoryPolicy::preferred(node).ok_or_else(|| Error::NotFound(location.to_string()))?;
        let driver = self.space.driver();
        for mapping in mappings(self.space.machine().files(), Path::new("/proc/self"), range)? {
            let before = driver.get_mempolicy(mapping.range.start());
            self.replaced.push((mapping.range, before.map_err(Error::kernel("get_mempolicy", mapping.range))?));
            let set = driver.mbind(mapping.range, &policy, true);
            set.map_err(Error::kernel("mbind", mapping.range))?;
        }
        Ok(())
    }

    /// What is true now: measured over the whole range at each call.
    pub fn outcome(&self) -> Result<Outcome> {
        let outcome = self.job.outcome()?;
        let mut state = self.space.state()?;
        state.record.place(outcome.range, Some(outcome.location));
        for stay in &outcome.stays {
            state.record.place(stay.range, None);
        }
        Ok(outcome)
    }
}

impl Drop for PrefetchJob<'_> {
    fn drop(&mut self) {
        for (range, policy) in &self.replaced {
            // The memory may have been unmapped meanwhile; then there is nothing to put back.
            let _ = self.space.driver().mbind(*range, policy, false);
        }
    }
}

fn join(parts: &mut Vec<Range>, part: Range) {
    match parts.last_mut() {
        Some(last) if last.end() == part.start() => {
            *last = Range::between(last.start(), part.end()).expect("parts are in order")
        }
        _ => parts.push(part),
    }
}
