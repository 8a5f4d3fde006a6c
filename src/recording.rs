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

use crate::{descriptors::Descriptors, driver::Driver, files::Files, gpu::Gpu, location::GpuId};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) use read::read;
pub(crate) use write::write;

/// What of a machine is written down.
pub(crate) struct Subject<'a> {
    pub(crate) files: &'a Files,
    pub(crate) driver: &'a Arc<dyn Driver>,
    pub(crate) descriptors: &'a Arc<Descriptors>,
    pub(crate) gpus: &'a [Gpu],
    /// The pairs on which the kernel has given its word.
    pub(crate) links: BTreeMap<(GpuId, GpuId), bool>,
}

/// How the `README` of a recording starts.
const README: &str = "A recording of a machine by xeplace, format 1.";
/// What stands in `links`.
const CONNECTED: &str = "connected";
const NOT_CONNECTED: &str = "not-connected";

#[cfg(test)]
mod tests;
