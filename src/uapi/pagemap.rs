// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PAGEMAP_SCAN` and the entries of `/proc/PID/pagemap`: `<linux/fs.h>`, `Documentation/admin-guide/mm/pagemap.rst`.

#![allow(non_camel_case_types, missing_docs, reason = "kernel names, documented by the kernel")]

use std::mem::{offset_of, size_of};

pub const PAGEMAP_SCAN: libc::Ioctl = libc::_IOWR::<pm_scan_arg>(b'f' as u32, 16);

pub const PAGE_IS_FILE: u64 = 1 << 2;
pub const PAGE_IS_PRESENT: u64 = 1 << 3;
pub const PAGE_IS_SWAPPED: u64 = 1 << 4;
pub const PAGE_IS_PFNZERO: u64 = 1 << 5;
pub const PAGE_IS_HUGE: u64 = 1 << 6;
pub const PAGE_IS_GUARD: u64 = 1 << 8;

/// Bits of one 64-bit entry of `/proc/PID/pagemap`.
pub const PM_PRESENT: u64 = 1 << 63;
pub const PM_SWAP: u64 = 1 << 62;
pub const PM_FILE: u64 = 1 << 61;
pub const PM_GUARD_REGION: u64 = 1 << 58;
/// The frame of a present page; of a swap entry, its type in the low 5 bits and its offset above.
pub const PM_PFRAME_MASK: u64 = (1 << 55) - 1;
pub const PM_SWAP_TYPE_BITS: u32 = 5;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct pm_scan_arg {
    pub size: u64,
    pub flags: u64,
    pub start: u64,
    pub end: u64,
    pub walk_end: u64,
    pub vec: u64,
    pub vec_len: u64,
    pub max_pages: u64,
    pub category_inverted: u64,
    pub category_mask: u64,
    pub category_anyof_mask: u64,
    pub return_mask: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct page_region {
    pub start: u64,
    pub end: u64,
    pub categories: u64,
}

const _: () = {
    assert!(PAGEMAP_SCAN == 0xc060_6610);
    assert!(size_of::<pm_scan_arg>() == 96);
    assert!(offset_of!(pm_scan_arg, walk_end) == 32);
    assert!(offset_of!(pm_scan_arg, return_mask) == 88);
    assert!(size_of::<page_region>() == 24);
};
