// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which version of the library this is, and what went wrong last.

use crate::status::last_error;
use libc::c_char;

/// The version of this header: an incompatible change of the library changes it, or the minor one below 1.0.
pub const XEP_VERSION_MAJOR: u32 = 0;
/// See XEP_VERSION_MAJOR.
pub const XEP_VERSION_MINOR: u32 = 1;
/// See XEP_VERSION_MAJOR.
pub const XEP_VERSION_PATCH: u32 = 0;

/// Says which version of the library runs: 1000000 times the major, 1000 times the minor, and the patch number.
#[unsafe(no_mangle)]
pub extern "C" fn xep_version() -> u32 {
    XEP_VERSION_MAJOR * 1_000_000 + XEP_VERSION_MINOR * 1_000 + XEP_VERSION_PATCH
}

/// Says what went wrong in the last call of this thread that failed.
///
/// The text is valid until this thread's next call. Never NULL; empty if nothing has failed yet.
#[unsafe(no_mangle)]
pub extern "C" fn xep_last_error() -> *const c_char {
    last_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_version_of_the_package() {
        let header = format!("{XEP_VERSION_MAJOR}.{XEP_VERSION_MINOR}.{XEP_VERSION_PATCH}");
        assert_eq!(header, env!("CARGO_PKG_VERSION"));
        assert_eq!(xep_version(), 1_000);
    }
}
