// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a simulated machine is made of, however it was described.

use crate::{address::PciAddress, driver::Features, files::Files};

/// Everything that the simulated driver needs to know of its machine.
#[derive(Debug)]
pub(crate) struct Spec {
    /// In the order of their PCI addresses.
    pub(crate) devices: Vec<DeviceSpec>,
    /// `pci_p2pdma_distance` of device i to device j, `None` where the kernel answers -1. Indices as in `devices`.
    pub(crate) distances: Vec<Vec<Option<u32>>>,
    /// Whether this process has the administrator's view, as `Sim::privileged` sets it later.
    pub(crate) privileged: bool,
    /// sysfs and procfs, without what changes as the machine runs (see `Sim`).
    pub(crate) files: Files,
}

/// One simulated GPU.
#[derive(Clone, Debug)]
pub(crate) struct DeviceSpec {
    pub(crate) address: PciAddress,
    /// Of its render node: 128 for `/dev/dri/renderD128`.
    pub(crate) render_minor: u32,
    pub(crate) device_id: u16,
    pub(crate) revision: u8,
    /// VRAM of each tile; none on an integrated GPU.
    pub(crate) tiles: Vec<TileSpec>,
    /// What its driver knows: all of it unless a machine string or a recording says otherwise.
    pub(crate) features: Features,
}

/// The VRAM of one tile, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TileSpec {
    pub(crate) total: u64,
    pub(crate) cpu_visible: u64,
}
