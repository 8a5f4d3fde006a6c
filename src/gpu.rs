// SPDX-License-Identifier: MIT OR Apache-2.0
//! One GPU: what it is, what memory it has, what its driver can do.

use crate::{
    address::PciAddress,
    driver::Driver,
    error::Result,
    files::Files,
    location::{GpuId, Location, Region},
};
use once_cell::sync::OnceCell;
use std::{
    fmt,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

/// An xe GPU of a machine.
#[derive(Debug)]
pub struct Gpu {
    id: GpuId,
    address: PciAddress,
    node: PathBuf,
    name: String,
    device_id: u16,
    revision: u8,
    regions: Vec<MemoryRegion>,
    gts: Vec<Gt>,
    numa_node: Option<u32>,
    pcie: Option<PcieLink>,
    driver: Arc<dyn Driver>,
    device: Arc<OwnedFd>,
    lost: AtomicBool,
    capabilities: OnceCell<Capabilities>,
}

/// One memory region, as DRM_XE_DEVICE_QUERY_MEM_REGIONS tells of it. Sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryRegion {
    /// The kernel's number of it: 1 for the first tile's VRAM.
    pub instance: u16,
    /// Usable VRAM.
    pub total: u64,
    /// In use, by whomever, when it was asked.
    pub used: u64,
    /// What the CPU, and so any peer GPU, reaches through the BAR.
    pub cpu_visible: u64,
    /// Smallest page.
    pub min_page: u32,
}

impl MemoryRegion {
    /// Whether all of it lies behind the BAR. Peers can use it only then: the kernel hands out bus addresses beyond a
    /// small BAR without looking (`xe_page_to_pcie` in `xe_svm.c`).
    pub fn is_fully_visible(&self) -> bool {
        self.cpu_visible >= self.total
    }

    /// Bytes that nobody uses.
    pub fn free(&self) -> u64 {
        self.total.saturating_sub(self.used)
    }
}

/// One GT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gt {
    /// The kernel's number of it.
    pub id: u16,
    /// The tile it belongs to.
    pub tile: u16,
    /// Media rather than main.
    pub media: bool,
}

/// The narrowest PCIe link between a GPU and the root of its bus.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PcieLink {
    /// Gigatransfers a second and lane.
    pub gigatransfers: f64,
    /// Lanes.
    pub lanes: u32,
    /// Where: the function above whose slot the link is.
    pub at: PciAddress,
}

impl PcieLink {
    /// Bytes a second in one direction, after line encoding (8b/10b to 5 GT/s, 128b/130b above; PCI Express Base
    /// Specification 3.0, section 4.2).
    pub fn bytes_per_second(&self) -> f64 {
        let encoding = if self.gigatransfers <= 5.0 { 0.8 } else { 128.0 / 130.0 };
        self.gigatransfers * 1e9 * f64::from(self.lanes) * encoding / 8.0
    }
}

/// How far a feature is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Support {
    /// The driver acts on it.
    Enforced,
    /// The driver takes it and does not act on it.
    AcceptedOnly,
    /// The driver or the device does not know it.
    Unsupported,
    /// Not asked yet, because asking has a price: it is known once the GPU has a vm of its own here.
    Unprobed,
}

/// What a GPU's driver can do, found by asking and not by its version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Capabilities {
    /// CPU address mirrors: shared virtual memory.
    pub mirror: Support,
    /// MADVISE with a preferred location.
    pub preferred_location: Support,
    /// MADVISE with another device's VRAM.
    pub multi_device: Support,
    /// MADVISE with an atomic mode.
    pub atomic: Support,
    /// MADVISE with a PAT index.
    pub pat: Support,
    /// The migration policy of a preferred location.
    pub migration_policy: Support,
    /// MADVISE of buffer objects as purgeable.
    pub purgeable: Support,
    /// VM_QUERY_MEM_RANGE_ATTRS.
    pub attribute_query: Support,
    /// PREFETCH to wherever the advice says.
    pub prefetch_consult: Support,
    /// Mirrors that reset advice when memory is unmapped.
    pub autoreset: Support,
}

impl Gpu {
    /// Its place in [`Machine::gpus`](crate::Machine::gpus).
    pub fn id(&self) -> GpuId {
        self.id
    }
    /// Its PCI address.
    pub fn address(&self) -> PciAddress {
        self.address
    }
    /// The VRAM region of tile `tile` (0, 1, …).
    pub fn region(&self, _tile: usize) -> Result<Region> {
        todo!()
    }
    /// The regions with their use as it is now.
    pub fn usage(&self) -> Result<Vec<MemoryRegion>> {
        todo!()
    }
    /// The VRAM regions as they were at discovery.
    pub fn regions(&self) -> &[MemoryRegion] {
        &self.regions
    }
    /// What its driver can do.
    pub fn capabilities(&self) -> Result<&Capabilities> {
        todo!()
    }
    /// Its device file. ENODEV if lost.
    pub(crate) fn device(&self) -> Result<BorrowedFd<'_>> {
        todo!()
    }
    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }
}
impl Gpu {
    pub(crate) fn write_back_pat(&self) -> u16 {
        todo!()
    }
    pub(crate) fn note_autoreset(&self, _known: bool) {
        todo!()
    }
    pub(crate) fn lose(&self) {
        todo!()
    }
    pub(crate) fn can_mirror(&self) -> bool {
        todo!()
    }
    pub(crate) fn is_lost(&self) -> bool {
        todo!()
    }
    pub(crate) fn is_integrated(&self) -> bool {
        todo!()
    }
}

impl From<&Gpu> for Location {
    fn from(_gpu: &Gpu) -> Location {
        todo!()
    }
}
