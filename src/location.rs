// SPDX-License-Identifier: MIT OR Apache-2.0
//! A home for pages.

use std::fmt;

/// A GPU's place in [`Machine::gpus`](crate::Machine::gpus): GPUs are counted in the order of their PCI addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct GpuId(pub u32);

impl fmt::Display for GpuId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "gpu {}", self.0)
    }
}

/// One VRAM instance of one GPU: the memory of a tile.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Region {
    /// The GPU.
    pub gpu: GpuId,
    /// The kernel's instance number (`drm_xe_mem_region.instance`): 1 for the first tile, 2 for the second.
    pub instance: u16,
}

impl fmt::Display for Region {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} vram {}", self.gpu, self.instance)
    }
}

/// A home for pages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
#[non_exhaustive]
pub enum Location {
    /// The VRAM of whichever device faults on them. This is what the kernel starts with.
    #[default]
    Default,
    /// Host memory.
    System,
    /// Host memory of one NUMA node, as `/sys/devices/system/node` numbers them.
    HostNode(u32),
    /// One region of one GPU.
    Vram(Region),
}

impl From<Region> for Location {
    fn from(region: Region) -> Location {
        Location::Vram(region)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Default => out.write_str("the faulting device"),
            Location::System => out.write_str("system"),
            Location::HostNode(node) => write!(out, "host node {node}"),
            Location::Vram(region) => region.fmt(out),
        }
    }
}
