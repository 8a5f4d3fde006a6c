// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines as directories, to be looked at elsewhere.
//!
//! | in the directory | |
//! |---|---|
//! | `README` | says what it is |
//! | `sys`, `proc`, `boot` | the files and links that the library read, and nothing else |
//! | `query/<PCI address>/…` | the device's replies to DRM_IOCTL_XE_DEVICE_QUERY, as they came |
//! | `query/<PCI address>/capabilities` | a line each: a capability and how far it is there |
//! | `links` | a line each: two PCI addresses and what the kernel said of them |
//!
//! Serial numbers are wiped from configuration spaces, and of the kernel's command line only `pci=` is kept. Whoever
//! reads a recording cannot know who wrote it: nothing in it is believed, and no link leads out of the directory.

mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{Original, write};

/// How the `README` of a recording starts.
const README: &str = "A recording of a machine by xeplace, format 1.";
/// What stands in `links`.
const CONNECTED: &str = "connected";
const NOT_CONNECTED: &str = "not-connected";

#[cfg(test)]
mod tests;
