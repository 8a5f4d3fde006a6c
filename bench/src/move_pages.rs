// SPDX-License-Identifier: MIT OR Apache-2.0
//! `move_pages(2)` as a question: on which node is each page? The library never asks so; it is compared with it.

#![allow(unsafe_code, reason = "a system call that the library does not make")]

use std::{ffi::c_int, io, ptr};
use xeplace::Range;

/// The node of each page of `range`, or a negative errno for it. Pages are asked about `chunk` at a time.
pub(crate) fn nodes(range: Range, chunk: usize) -> io::Result<Vec<c_int>> {
    let pages: Vec<u64> = range.addresses().step_by(4096).collect();
    let mut nodes: Vec<c_int> = vec![0; pages.len()];
    for (pages, nodes) in pages.chunks(chunk).zip(nodes.chunks_mut(chunk)) {
        // SAFETY: as many addresses are read, and as many nodes written, as the slices have. Without target nodes nothing
        // moves: the addresses are only asked about.
        let answer = unsafe {
            let no_targets = ptr::null::<c_int>();
            libc::syscall(libc::SYS_move_pages, 0, pages.len(), pages.as_ptr(), no_targets, nodes.as_mut_ptr(), 0)
        };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(nodes)
}
