// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a simulated machine is made of, however it was described.

use crate::{address::PciAddress, files::Files};

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
    pub(crate) features: FeatureSpec,
}

/// The VRAM of one tile, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TileSpec {
    pub(crate) total: u64,
    pub(crate) cpu_visible: u64,
}

/// What the simulated driver knows: all of it unless a machine string says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FeatureSpec {
    /// CPU address mirrors at all.
    pub(crate) mirror: bool,
    /// MADVISE and the attribute query.
    pub(crate) madvise: bool,
    /// Another device's VRAM in MADVISE.
    pub(crate) multi_device: bool,
    /// PREFETCH to the advised place.
    pub(crate) consult: bool,
    pub(crate) autoreset: bool,
    pub(crate) purgeable: bool,
}
