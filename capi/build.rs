// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the shared library is linked.

/// Changes with each incompatible change of the ABI; the crate's version has nothing to do with it.
const SONAME: &str = "libxeplace.so.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    // Threads of the host keep error texts of this library until they end: it must not be unmapped before.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
