// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where pages are, what was told of them, and why they are not where they were wished, from C.

use crate::{
    location::{range, xep_location, xep_place},
    obstacle::xep_obstacle,
    raw::{self, plain},
    space::{self, xep_space},
    status::status,
};
use libc::{c_int, c_void};
use std::mem::MaybeUninit;
use xeplace::{AttributeRun, Explanation, Run, StoredLocation};

/// Pages in one place.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_run {
    /// The pages.
    pub address: u64,
    /// In bytes.
    pub length: u64,
    /// Where they are.
    pub place: xep_place,
}

/// The kernel's attributes of one vm for a run of addresses.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_attribute_run {
    /// The addresses: the vm's own mapping, clipped to what was asked about.
    pub address: u64,
    /// In bytes.
    pub length: u64,
    /// The vm.
    pub vm: u32,
    /// Its GPU.
    pub gpu: u32,
    /// The preferred location.
    pub location: xep_location,
    /// XEP_LOCATION_FOREIGN: the descriptor's number when it was told; else -1.
    pub foreign_fd: i32,
    /// enum xep_migration_policy.
    pub migration_policy: u32,
    /// enum xep_atomics.
    pub atomics: u32,
    /// PAT index.
    pub pat: u32,
}

/// One obstacle of one run of pages that is not where it was wished.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_explanation {
    /// The pages.
    pub address: u64,
    /// In bytes.
    pub length: u64,
    /// Where they were wished.
    pub wished: xep_location,
    /// Where they are.
    pub place: xep_place,
    /// Which obstacle of these pages this is, the hardest first, counted from 0.
    pub rank: u32,
    /// How many obstacles these pages have.
    pub obstacle_count: u32,
    /// What is in the way.
    pub obstacle: xep_obstacle,
}

plain!(xep_run, xep_attribute_run, xep_explanation);

/// Says where the pages of a range are now: runs in order, without gaps. Nothing is touched, so nothing moves.
///
/// That a page is in VRAM is measured; in whose, only with CAP_SYS_ADMIN or where the machine has one region. Else the
/// record tells, and the confidence says so. Fills at most `capacity` elements and stores in `count` how many there are.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_residency(
    space: *const xep_space,
    address: *const c_void,
    length: usize,
    runs: *mut xep_run,
    capacity: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> c_int {
    status(|| {
        let space = space::get(space)?;
        let (array, count) = (raw::array(runs, capacity, "array")?, raw::out(count, "count")?);
        let found = space.residency(range(address, length)?)?;
        count.write(array.fill(found.runs.iter().map(xep_run::from)));
        Ok(())
    })
}

/// Says what each vm was told of a range, as the kernel has it, vm by vm.
///
/// Just after memory was unmapped it can still show what it is about to reset. -EOPNOTSUPP if the kernel does not tell.
/// Fills at most `capacity` elements and stores in `count` how many there are.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_attributes(
    space: *const xep_space,
    address: *const c_void,
    length: usize,
    runs: *mut xep_attribute_run,
    capacity: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> c_int {
    status(|| {
        let space = space::get(space)?;
        let (array, count) = (raw::array(runs, capacity, "array")?, raw::out(count, "count")?);
        let found = space.attributes(range(address, length)?)?;
        count.write(array.fill(found.iter().map(xep_attribute_run::from)));
        Ok(())
    })
}

/// Says for each run of a range that is not where it was wished through this space everything that is in the way.
///
/// One element for each obstacle; those of the same pages follow each other. Fills at most `capacity` elements and stores
/// in `count` how many there are: 0 if everything is as wished.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_explain(
    space: *const xep_space,
    address: *const c_void,
    length: usize,
    explanations: *mut xep_explanation,
    capacity: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> c_int {
    status(|| {
        let space = space::get(space)?;
        let (array, count) = (raw::array(explanations, capacity, "array")?, raw::out(count, "count")?);
        let found = space.explain(range(address, length)?)?;
        count.write(array.fill(found.iter().flat_map(obstacles)));
        Ok(())
    })
}

impl From<&Run> for xep_run {
    fn from(run: &Run) -> xep_run {
        xep_run { address: run.range.start(), length: run.range.len(), place: run.place.into() }
    }
}

impl From<&AttributeRun> for xep_attribute_run {
    fn from(run: &AttributeRun) -> xep_attribute_run {
        xep_attribute_run {
            address: run.range.start(),
            length: run.range.len(),
            vm: run.vm.0,
            gpu: run.gpu.0,
            location: run.location.into(),
            foreign_fd: match run.location {
                StoredLocation::Foreign(number) => number,
                StoredLocation::Known(_) => -1,
            },
            migration_policy: run.migration_policy,
            atomics: run.atomics,
            pat: run.pat,
        }
    }
}

/// One element for each obstacle.
fn obstacles(explanation: &Explanation) -> impl Iterator<Item = xep_explanation> + '_ {
    explanation.obstacles.iter().enumerate().map(|(rank, obstacle)| xep_explanation {
        address: explanation.range.start(),
        length: explanation.range.len(),
        wished: explanation.wished.into(),
        place: explanation.place.into(),
        rank: rank as u32,
        obstacle_count: explanation.obstacles.len() as u32,
        obstacle: obstacle.into(),
    })
}
