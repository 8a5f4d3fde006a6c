// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the library's own, from C.

use crate::{
    handle::Handles,
    layout::{self, xep_layout},
    raw,
    space::{self, xep_space},
    status::{Result, status, value},
};
use libc::{c_int, c_void};
use std::{mem::MaybeUninit, ptr, sync::Arc};
use xeplace::{Memory, Range};

/// Zeroed memory with a layout. Its advice is taken back when it is closed.
#[allow(dead_code, reason = "C knows it as an incomplete type")]
pub struct xep_memory(());

static MEMORIES: Handles<xep_memory, Arc<Memory<'static>>> = Handles::new(4, "memory");

fn range(memory: *const xep_memory) -> Result<Range> {
    Ok(MEMORIES.get(memory)?.range())
}

/// Maps zeroed memory, rounded up to pages, and advises all vms of a space as a layout says.
///
/// It begins on a 2 MiB block and shares none with other memory, and advice that stands already costs nothing there.
/// Nothing is in VRAM yet: a GPU's first touch, or xep_space_prefetch(), brings it there. `size` is that of the caller's
/// struct xep_layout. The errors are those of xep_space_advise(), which leave nothing behind, and -ENOMEM. Close it with
/// xep_memory_close().
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_allocate(
    space: *const xep_space,
    length: u64,
    layout: *const xep_layout,
    size: usize,
    memory: Option<&mut MaybeUninit<*mut xep_memory>>,
) -> c_int {
    status(|| {
        let place = raw::out(memory, "memory")?;
        let space = space::get(space)?;
        let memory = space.allocate(length, layout::take(layout, size)?)?;
        place.write(MEMORIES.open(Arc::new(memory))?);
        Ok(())
    })
}

/// Says where memory begins; NULL for a handle that is NULL or closed.
#[unsafe(no_mangle)]
pub extern "C" fn xep_memory_address(memory: *const xep_memory) -> *mut c_void {
    value(ptr::null_mut(), || Ok(ptr::with_exposed_provenance_mut(range(memory)?.start() as usize)))
}

/// Says how many bytes memory has; 0 for a handle that is NULL or closed.
#[unsafe(no_mangle)]
pub extern "C" fn xep_memory_length(memory: *const xep_memory) -> u64 {
    value(0, || Ok(range(memory)?.len()))
}

/// Takes back the advice on memory and unmaps it. NULL is nothing; -EBADF if it is closed already.
#[unsafe(no_mangle)]
pub extern "C" fn xep_memory_close(memory: *mut xep_memory) -> c_int {
    status(|| MEMORIES.close(memory).map(drop))
}
