// SPDX-License-Identifier: MIT OR Apache-2.0
//! A home for pages, and where they are.

use crate::{
    raw::plain,
    status::{Failure, Result},
};
use xeplace::{Confidence, GpuId, Location, Place, Range, Region, StoredLocation};

/// `XEP_UNKNOWN` of the header.
pub(crate) const XEP_UNKNOWN: u32 = u32::MAX;

/// Kinds of locations.
#[repr(C)]
pub enum xep_location_kind {
    /// The VRAM of whichever GPU faults on the pages: what the kernel starts with.
    XEP_LOCATION_DEFAULT = 0,
    /// Host memory.
    XEP_LOCATION_SYSTEM = 1,
    /// Host memory of one NUMA node, as /sys/devices/system/node numbers them.
    XEP_LOCATION_HOST_NODE = 2,
    /// One region of one GPU's VRAM.
    XEP_LOCATION_VRAM = 3,
    /// No location at all. Only the library says so.
    XEP_LOCATION_NONE = 4,
    /// Named by a descriptor that is not this library's: somebody else's advice. Only the library says so.
    XEP_LOCATION_FOREIGN = 5,
}

/// A home for pages. What its kind does not use is 0. See xep_default(), xep_system(), xep_host_node() and xep_vram().
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct xep_location {
    /// enum xep_location_kind.
    pub kind: u32,
    /// XEP_LOCATION_VRAM: the GPU's place in the machine.
    pub gpu: u32,
    /// XEP_LOCATION_VRAM: the kernel's instance number of the region: 1 for the first tile, 2 for the second.
    pub region: u32,
    /// XEP_LOCATION_HOST_NODE: the NUMA node.
    pub node: u32,
}

/// Kinds of places.
#[repr(C)]
pub enum xep_place_kind {
    /// In host memory.
    XEP_PLACE_SYSTEM = 0,
    /// In some GPU's VRAM.
    XEP_PLACE_VRAM = 1,
    /// In swap.
    XEP_PLACE_SWAPPED = 2,
    /// Nowhere: never touched, or given back.
    XEP_PLACE_ABSENT = 3,
    /// A guard page (MADV_GUARD_INSTALL): touching it is an error.
    XEP_PLACE_GUARD = 4,
    /// A place that this header does not know.
    XEP_PLACE_OTHER = 5,
}

/// How a VRAM region was found out. That pages are in VRAM at all is always measured.
#[repr(C)]
pub enum xep_confidence {
    /// Nothing says which.
    XEP_CONFIDENCE_UNKNOWN = 0,
    /// It is where it was wished; a GPU's fault may have brought it there.
    XEP_CONFIDENCE_WISHED = 1,
    /// This library's last prefetch brought it there.
    XEP_CONFIDENCE_PREFETCHED = 2,
    /// The page frames lie in that region's memory: needs CAP_SYS_ADMIN.
    XEP_CONFIDENCE_EXACT = 3,
}

/// Where a page is.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct xep_place {
    /// enum xep_place_kind.
    pub kind: u32,
    /// XEP_PLACE_VRAM: enum xep_confidence.
    pub confidence: u32,
    /// XEP_PLACE_VRAM: the GPU, or XEP_UNKNOWN.
    pub gpu: u32,
    /// XEP_PLACE_VRAM: the region's instance number; 0 if it is not known.
    pub region: u32,
}

plain!(xep_location, xep_place);

impl TryFrom<xep_location> for Location {
    type Error = Failure;

    fn try_from(location: xep_location) -> Result<Location> {
        use xep_location_kind::*;
        let xep_location { kind, gpu, region, node } = location;
        let (found, unused) = match kind {
            kind if kind == XEP_LOCATION_DEFAULT as u32 => (Location::Default, [gpu, region, node]),
            kind if kind == XEP_LOCATION_SYSTEM as u32 => (Location::System, [gpu, region, node]),
            kind if kind == XEP_LOCATION_HOST_NODE as u32 => (Location::HostNode(node), [gpu, region, 0]),
            kind if kind == XEP_LOCATION_VRAM as u32 => (vram(gpu, region)?.into(), [node, 0, 0]),
            _ => return Err(Failure::invalid(format_args!("{kind} is no kind of location to wish for"))),
        };
        if unused != [0; 3] {
            return Err(Failure::invalid(format_args!("a location of kind {kind} sets what its kind does not use")));
        }
        Ok(found)
    }
}

/// The region that C names by two numbers.
pub(crate) fn vram(gpu: u32, region: u32) -> Result<Region> {
    let instance = u16::try_from(region)
        .map_err(|_| Failure::new(libc::ENOENT, format_args!("no such gpu {gpu} vram {region}")))?;
    Ok(Region { gpu: GpuId(gpu), instance })
}

impl From<Location> for xep_location {
    fn from(location: Location) -> xep_location {
        let of = |kind: xep_location_kind| xep_location { kind: kind as u32, ..xep_location::default() };
        match location {
            Location::Default => of(xep_location_kind::XEP_LOCATION_DEFAULT),
            Location::System => of(xep_location_kind::XEP_LOCATION_SYSTEM),
            Location::HostNode(node) => xep_location { node, ..of(xep_location_kind::XEP_LOCATION_HOST_NODE) },
            Location::Vram(Region { gpu, instance }) => {
                let vram = of(xep_location_kind::XEP_LOCATION_VRAM);
                xep_location { gpu: gpu.0, region: u32::from(instance), ..vram }
            }
            // A kind that was added to the library and not to its header.
            _ => of(xep_location_kind::XEP_LOCATION_NONE),
        }
    }
}

impl From<Option<Location>> for xep_location {
    fn from(location: Option<Location>) -> xep_location {
        let none = xep_location { kind: xep_location_kind::XEP_LOCATION_NONE as u32, ..xep_location::default() };
        location.map_or(none, xep_location::from)
    }
}

impl xep_location {
    /// Named by somebody else's descriptor.
    pub(crate) fn foreign() -> xep_location {
        xep_location { kind: xep_location_kind::XEP_LOCATION_FOREIGN as u32, ..xep_location::default() }
    }
}

impl From<StoredLocation> for xep_location {
    fn from(location: StoredLocation) -> xep_location {
        match location {
            StoredLocation::Known(location) => location.into(),
            StoredLocation::Foreign(_) => xep_location::foreign(),
        }
    }
}

impl From<Place> for xep_place {
    fn from(place: Place) -> xep_place {
        let of = |kind: xep_place_kind| xep_place { kind: kind as u32, confidence: 0, gpu: XEP_UNKNOWN, region: 0 };
        match place {
            Place::System => of(xep_place_kind::XEP_PLACE_SYSTEM),
            Place::Vram { region, confidence } => xep_place {
                confidence: confidence_of(confidence) as u32,
                gpu: region.map_or(XEP_UNKNOWN, |region| region.gpu.0),
                region: region.map_or(0, |region| u32::from(region.instance)),
                ..of(xep_place_kind::XEP_PLACE_VRAM)
            },
            Place::Swapped => of(xep_place_kind::XEP_PLACE_SWAPPED),
            Place::Absent => of(xep_place_kind::XEP_PLACE_ABSENT),
            Place::Guard => of(xep_place_kind::XEP_PLACE_GUARD),
            _ => of(xep_place_kind::XEP_PLACE_OTHER),
        }
    }
}

fn confidence_of(confidence: Confidence) -> xep_confidence {
    match confidence {
        Confidence::Unknown => xep_confidence::XEP_CONFIDENCE_UNKNOWN,
        Confidence::Wished => xep_confidence::XEP_CONFIDENCE_WISHED,
        Confidence::Prefetched => xep_confidence::XEP_CONFIDENCE_PREFETCHED,
        Confidence::Exact => xep_confidence::XEP_CONFIDENCE_EXACT,
    }
}

/// The pages that hold any of `length` bytes at `address`.
pub(crate) fn range(address: *const libc::c_void, length: usize) -> Result<Range> {
    Ok(Range::around(address.addr() as u64, length as u64)?)
}
