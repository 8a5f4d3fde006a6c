// SPDX-License-Identifier: MIT OR Apache-2.0
//! How one range is spread over several locations, from C.

use crate::{
    location::{range, xep_location},
    raw::{self, plain},
    status::{Failure, Result, status},
};
use libc::{c_int, c_void};
use std::mem::MaybeUninit;
use xeplace::{Layout, Location, Step};

/// A location and how much of a range it takes, against the others.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_share {
    /// The location.
    pub location: xep_location,
    /// Its weight. All weights together are at least 1 and at most 4294967296.
    pub weight: u64,
}

/// How a range is spread over several locations. It can grow: pass its size, and set what you do not use to 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_layout {
    /// The locations, in the order of addresses.
    pub shares: *const xep_share,
    /// How many there are.
    pub share_count: u32,
    /// 0.
    pub reserved: u32,
    /// 0 for one contiguous part for each location. Otherwise stripes of so many bytes, a multiple of 2 MiB, dealt out in
    /// turn, as many a round as each location's weight says.
    pub stripe: u64,
}

/// One range of a plan and its location.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_step {
    /// The range.
    pub address: u64,
    /// In bytes.
    pub length: u64,
    /// Where it belongs.
    pub location: xep_location,
}

plain!(xep_share, xep_layout, xep_step);

/// Says which parts of a range belong where: disjoint steps in order, covering all of it. Nothing is done.
///
/// Cuts lie on blocks of 2 MiB, so shares are exact to a block where the range begins on one. `size` is that of the
/// caller's struct xep_layout. Fills at most `capacity` elements and stores in `count` how many there are. -EINVAL for a
/// layout that makes no sense, or more than a million steps.
#[unsafe(no_mangle)]
pub extern "C" fn xep_layout_plan(
    layout: *const xep_layout,
    size: usize,
    address: *const c_void,
    length: usize,
    steps: *mut xep_step,
    capacity: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> c_int {
    status(|| {
        let layout: Layout = take(layout, size)?;
        let (array, count) = (raw::array(steps, capacity, "array")?, raw::out(count, "count")?);
        let plan = layout.plan(range(address, length)?)?;
        count.write(array.fill(plan.steps.iter().map(xep_step::from)));
        Ok(())
    })
}

/// The layout that a caller describes.
pub(crate) fn take(layout: *const xep_layout, size: usize) -> Result<Layout> {
    let xep_layout { shares, share_count, reserved, stripe } = raw::take(layout, size, "layout")?;
    if reserved != 0 {
        return Err(Failure::invalid("a reserved field of a layout is not 0"));
    }
    let shares = raw::list(shares, share_count as usize, "list of shares")?;
    let shares: Vec<(Location, u64)> =
        shares.iter().map(|share| Ok((share.location.try_into()?, share.weight))).collect::<Result<_>>()?;
    Ok(if stripe == 0 { Layout::shard(shares) } else { Layout::interleave(stripe, shares) })
}

impl From<&Step> for xep_step {
    fn from(step: &Step) -> xep_step {
        xep_step { address: step.range.start(), length: step.range.len(), location: step.location.into() }
    }
}
