// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ioctl(2)` as an older kernel would answer it: for C what `xeplace::driver::Older` is for Rust.

use std::ffi::{c_int, c_ulong, c_void};
use xeplace::{driver::Features, uapi::*};

/// What the kernel that `user` stands for says; see [`user`].
pub extern "C" fn ioctl(user: *mut c_void, fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let features = Features::from_bits_truncate(user.addr() as u8);
    // SAFETY: the library sends the structure that belongs to the request's number, as the kernel demands it.
    unsafe {
        let is_known = match request {
            DRM_IOCTL_XE_VM_BIND => features.knows_bind(&(*argument.cast::<drm_xe_vm_bind>()).bind),
            DRM_IOCTL_XE_MADVISE => features.knows_advice(&*argument.cast()),
            DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS => features.knows_attribute_query(),
            _ => true,
        };
        if !is_known {
            *libc::__errno_location() = libc::EINVAL;
            return -1;
        }
        let answer = libc::ioctl(fd, request, argument);
        if answer == 0 && request == DRM_IOCTL_XE_DEVICE_QUERY {
            let query = &*argument.cast::<drm_xe_device_query>();
            if query.query == DRM_XE_DEVICE_QUERY_CONFIG && query.data != 0 {
                let info: *mut u64 = std::ptr::with_exposed_provenance_mut(query.data as usize + 8);
                let flags = info.add(DRM_XE_QUERY_CONFIG_FLAGS);
                flags.write_unaligned(features.config_flags(flags.read_unaligned()));
            }
        }
        answer
    }
}

/// The kernel that has no more than `features`, as the argument of [`ioctl`].
pub fn user(features: Features) -> *mut c_void {
    std::ptr::without_provenance_mut(features.bits().into())
}
