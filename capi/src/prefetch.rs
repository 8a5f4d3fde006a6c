// SPDX-License-Identifier: MIT OR Apache-2.0
//! Moving pages now, from C.

use crate::{
    advice::gpu_ids,
    handle::Handles,
    location::{range, xep_location},
    obstacle::xep_obstacle,
    raw::{self, plain},
    space::{self, xep_space},
    status::{Failure, Result, status},
};
use libc::{c_int, c_void};
use parking_lot::Mutex;
use std::{mem::MaybeUninit, ops::ControlFlow, sync::Arc};
use xeplace::{GpuId, Location, Outcome, PrefetchJob, Progress, Stay, Unmapped};

/// A prefetch that its caller pumps: no thread works on it in between.
#[allow(dead_code, reason = "C knows it as an incomplete type")]
pub struct xep_prefetch_job(());

/// What to move where. It can grow: pass its size, and set what you do not use to 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_prefetch {
    /// Where to. XEP_LOCATION_DEFAULT is the VRAM of the first GPU of `map_for`.
    pub location: xep_location,
    /// The GPUs for which the pages are mapped, so that they take no fault on them. A vm is mapped for only where it was
    /// advised to the same location before.
    pub map_for: *const u32,
    /// How many GPUs.
    pub map_for_count: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes that one step moves: a power of two of at least 2 MiB, or 0 for 64 MiB. GPU faults wait for a step. Never more
    /// than a quarter of the target's VRAM is moved in one.
    pub chunk: u64,
    /// Called after each step; NULL for none. xep_space_start_prefetch() takes none: its caller sees each step.
    pub progress: xep_progress_function,
    /// Its first argument.
    pub user: *mut c_void,
}

/// What a prefetch achieved, as measured when it had ended. It can grow: pass its size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_outcome {
    /// What was to move: the caller's range, rounded outward to pages.
    pub address: u64,
    /// In bytes.
    pub length: u64,
    /// Where to.
    pub location: xep_location,
    /// Bytes that are there.
    pub bytes_in_place: u64,
    /// Bytes that are not.
    pub bytes_elsewhere: u64,
    /// How many runs of pages are not there.
    pub stay_count: u32,
    /// How many GPUs some of the pages were not mapped for.
    pub unmapped_count: u32,
}

/// Pages that are not where they were to go.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_stay {
    /// The pages.
    pub address: u64,
    /// In bytes.
    pub length: u64,
    /// Why.
    pub obstacle: xep_obstacle,
}

/// A GPU that will fault on some of the pages.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_unmapped {
    /// The GPU.
    pub gpu: u32,
    /// 0.
    pub reserved: u32,
    /// Why nothing was mapped for it.
    pub obstacle: xep_obstacle,
}

/// Told after each step how many bytes of how many are dealt with. Returns 0 to go on, anything else to stop. Must not
/// throw.
pub type xep_progress_function = Option<extern "C" fn(user: *mut c_void, done: u64, total: u64) -> c_int>;

plain!(xep_prefetch, xep_outcome, xep_stay, xep_unmapped);

type Job = Arc<Mutex<PrefetchJob<'static>>>;

static JOBS: Handles<xep_prefetch_job, Job> = Handles::new(3, "prefetch job");

/// Moves a range to a location now, and maps it for some GPUs.
///
/// `outcome` is required. `prefetch_size` and `outcome_size` are those of the caller's structures. At most `capacity`
/// runs that did not move are stored in `stays`.
///
/// Returns 0 if every byte is in place and mapped. If not, outcome and stays are written all the same, and the negative
/// errno of the first obstacle is returned, such as -EBUSY for a pinned page, -ENOSPC for a full VRAM, -ECANCELED if
/// `progress` stopped it. Any other failure moves and writes nothing; the errors are those of xep_space_advise().
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_prefetch(
    space: *const xep_space,
    address: *const c_void,
    length: usize,
    prefetch: *const xep_prefetch,
    prefetch_size: usize,
    outcome: *mut xep_outcome,
    outcome_size: usize,
    stays: *mut xep_stay,
    capacity: usize,
) -> c_int {
    status(|| {
        let outcome = raw::structure(outcome, outcome_size, "outcome")?;
        let stays = raw::array(stays, capacity, "array of stays")?;
        let prefetch = raw::take(prefetch, prefetch_size, "prefetch")?;
        let mut job = start(space, address, length, prefetch)?;
        let found = job.run(progress(prefetch.progress, prefetch.user))?;
        outcome.write(&xep_outcome::from(&found));
        stays.fill(found.stays.iter().map(xep_stay::from));
        drop(found.completed()?);
        Ok(())
    })
}

/// Starts a prefetch that its caller pumps with xep_prefetch_job_step(). Nothing moves yet.
///
/// It can be used from any thread, by one at a time. Close it with xep_prefetch_job_close().
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_start_prefetch(
    space: *const xep_space,
    address: *const c_void,
    length: usize,
    prefetch: *const xep_prefetch,
    prefetch_size: usize,
    job: Option<&mut MaybeUninit<*mut xep_prefetch_job>>,
) -> c_int {
    status(|| {
        let place = raw::out(job, "job")?;
        let prefetch = raw::take(prefetch, prefetch_size, "prefetch")?;
        if prefetch.progress.is_some() {
            return Err(Failure::invalid("a prefetch that its caller pumps takes no progress function"));
        }
        let job = start(space, address, length, prefetch)?;
        place.write(JOBS.open(Arc::new(Mutex::new(job)))?);
        Ok(())
    })
}

/// Moves the next chunk, and stores how many bytes of how many are dealt with. It has ended when the two are equal.
#[unsafe(no_mangle)]
pub extern "C" fn xep_prefetch_job_step(
    job: *const xep_prefetch_job,
    done: Option<&mut MaybeUninit<u64>>,
    total: Option<&mut MaybeUninit<u64>>,
) -> c_int {
    status(|| {
        let (done, total) = (raw::out(done, "done")?, raw::out(total, "total")?);
        let progress = JOBS.get(job)?.lock().step()?;
        done.write(progress.done);
        total.write(progress.total);
        Ok(())
    })
}

/// Leaves what has not moved yet where it is. The outcome counts it among what stays.
#[unsafe(no_mangle)]
pub extern "C" fn xep_prefetch_job_cancel(job: *const xep_prefetch_job) -> c_int {
    status(|| {
        JOBS.get(job)?.lock().cancel();
        Ok(())
    })
}

/// Says what is true now, measured over the whole range at each call.
///
/// `outcome`, `stays` and the answer are as those of xep_space_prefetch(). At most `unmapped_capacity` GPUs that will
/// fault are stored in `unmapped`.
#[unsafe(no_mangle)]
pub extern "C" fn xep_prefetch_job_outcome(
    job: *const xep_prefetch_job,
    outcome: *mut xep_outcome,
    outcome_size: usize,
    stays: *mut xep_stay,
    stay_capacity: usize,
    unmapped: *mut xep_unmapped,
    unmapped_capacity: usize,
) -> c_int {
    status(|| {
        let job = JOBS.get(job)?;
        let outcome = raw::structure(outcome, outcome_size, "outcome")?;
        let stays = raw::array(stays, stay_capacity, "array of stays")?;
        let unmapped = raw::array(unmapped, unmapped_capacity, "array of unmapped GPUs")?;
        let found = job.lock().outcome()?;
        outcome.write(&xep_outcome::from(&found));
        stays.fill(found.stays.iter().map(xep_stay::from));
        unmapped.fill(found.unmapped.iter().map(xep_unmapped::from));
        drop(found.completed()?);
        Ok(())
    })
}

/// Closes a prefetch. What has not moved stays where it is. NULL is nothing; -EBADF if it is closed already.
#[unsafe(no_mangle)]
pub extern "C" fn xep_prefetch_job_close(job: *mut xep_prefetch_job) -> c_int {
    status(|| JOBS.close(job).map(drop))
}

fn start(
    space: *const xep_space,
    address: *const c_void,
    length: usize,
    prefetch: xep_prefetch,
) -> Result<PrefetchJob<'static>> {
    let space = space::get(space)?;
    if prefetch.reserved != 0 {
        return Err(Failure::invalid("a reserved field of a prefetch is not 0"));
    }
    let to = Location::try_from(prefetch.location)?;
    let map_for = gpu_ids(raw::list(prefetch.map_for, prefetch.map_for_count as usize, "list of GPUs to map for")?);
    let chunk = (prefetch.chunk != 0).then_some(prefetch.chunk);
    Ok(space.start_prefetch(range(address, length)?, to, &map_for, chunk)?)
}

/// The caller's progress function as one of Rust's; without one, it always goes on.
fn progress(function: xep_progress_function, user: *mut c_void) -> impl FnMut(Progress) -> ControlFlow<()> {
    move |Progress { done, total }| match function.map_or(0, |function| function(user, done, total)) {
        0 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    }
}

impl From<&Outcome> for xep_outcome {
    fn from(outcome: &Outcome) -> xep_outcome {
        xep_outcome {
            address: outcome.range.start(),
            length: outcome.range.len(),
            location: outcome.location.into(),
            bytes_in_place: outcome.bytes_in_place,
            bytes_elsewhere: outcome.bytes_elsewhere,
            stay_count: outcome.stays.len() as u32,
            unmapped_count: outcome.unmapped.len() as u32,
        }
    }
}

impl From<&Stay> for xep_stay {
    fn from(stay: &Stay) -> xep_stay {
        xep_stay { address: stay.range.start(), length: stay.range.len(), obstacle: (&stay.obstacle).into() }
    }
}

impl From<&Unmapped> for xep_unmapped {
    fn from(unmapped: &Unmapped) -> xep_unmapped {
        let GpuId(gpu) = unmapped.gpu;
        xep_unmapped { gpu, reserved: 0, obstacle: (&unmapped.obstacle).into() }
    }
}
