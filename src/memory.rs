// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the library's own, which is advised from the start and until it is dropped.

use crate::{
    driver::MapKind,
    error::{Error, Result},
    layout::{Layout, Plan},
    range::{BLOCK, Range},
    report::Report,
    space::Space,
    uapi::memory::Mapping,
    wish::Advice,
};
use std::ops::{Deref, DerefMut};

/// Zeroed memory with a location or a layout. Its advice is taken back when it is dropped.
///
/// It begins on a 2 MiB block, so that no advice on it cuts a block of somebody else's memory, and its life is known:
/// advice that stands already costs no call to the kernel.
#[derive(Debug)]
pub struct Memory<'fd> {
    space: Space<'fd>,
    mapping: Option<Mapping>,
    plan: Plan,
    reports: Vec<Report>,
}

impl<'fd> Space<'fd> {
    /// `length` bytes of zeroed memory, rounded up to pages, placed as `layout` says: a [`Layout`] or a location.
    ///
    /// Nothing is in VRAM yet: a GPU's first touch, or [`Space::prefetch`], brings it there. Refused, with nothing left
    /// behind: zero length, an unknown region, a location that some vm cannot live with.
    pub fn allocate(&self, length: u64, layout: impl Into<Layout>) -> Result<Memory<'fd>> {
        let range = Range::around(0, length)?;
        // Whole blocks are mapped, so that other memory cannot share the last one.
        let mapping = self.driver_map(range.blocks().len())?;
        let range = Range::new(mapping.start(), range.len())?;
        let plan = layout.into().plan(range)?;
        let mut memory = Memory { space: self.clone(), mapping: Some(mapping), plan, reports: Vec::new() };
        memory.space.declare_stable(range.blocks())?;
        for step in &memory.plan.steps {
            let report = self.advise(step.range, Advice::prefer(step.location))?.accepted()?;
            memory.reports.push(report);
        }
        Ok(memory)
    }

    fn driver_map(&self, length: u64) -> Result<Mapping> {
        let map = self.machine().driver().map(length, BLOCK, MapKind::Private);
        map.map_err(Error::kernel("mmap", format!("{length} bytes")))
    }
}

impl Memory<'_> {
    /// Its addresses.
    pub fn range(&self) -> Range {
        let last = self.plan.steps.last().expect("a plan covers its range");
        Range::between(self.plan.steps[0].range.start(), last.range.end()).expect("a plan covers its range")
    }

    /// What belongs where.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What became of the advice for each step of the plan.
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }

    fn mapping(&self) -> &Mapping {
        self.mapping.as_ref().expect("memory is mapped until it is dropped")
    }
}

impl Deref for Memory<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.mapping().bytes()[..self.range().len() as usize]
    }
}

impl DerefMut for Memory<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        let length = self.range().len() as usize;
        &mut self.mapping.as_mut().expect("memory is mapped until it is dropped").bytes_mut()[..length]
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        let Some(mapping) = self.mapping.take() else { return };
        // In a closed space, or in a forked child, there is nothing to take back: only the memory goes.
        let _ = self.space.reset(self.range().blocks());
        self.space.machine().driver().unmap(mapping);
    }
}
