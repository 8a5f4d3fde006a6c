// SPDX-License-Identifier: MIT OR Apache-2.0
//! What keeps a page from where it was wished, from C.

use crate::{
    location::{XEP_UNKNOWN, xep_location},
    raw::plain,
    status::Text,
};
use libc::c_char;
use xeplace::{Backing, Location, Obstacle};

/// Kinds of obstacles.
#[repr(C)]
pub enum xep_obstacle_kind {
    /// One that this header does not know; see the text.
    XEP_OBSTACLE_OTHER = 0,
    /// Nothing is mapped at the address.
    XEP_OBSTACLE_NOT_MAPPED = 1,
    /// Mapped, but made of pages that never migrate: see `backing`.
    XEP_OBSTACLE_BACKING = 2,
    /// The CPU may not write it: the driver refuses to map it for a GPU.
    XEP_OBSTACLE_READ_ONLY = 3,
    /// The CPU may not even read it (PROT_NONE).
    XEP_OBSTACLE_NO_ACCESS = 4,
    /// A guard page lies in its 2 MiB block.
    XEP_OBSTACLE_GUARD_PAGE = 5,
    /// The vm does not mirror the address.
    XEP_OBSTACLE_NOT_MIRRORED = 6,
    /// The target's VRAM is full of what the driver cannot evict: see `bytes` and `total`.
    XEP_OBSTACLE_FULL = 7,
    /// It was there and was pushed out again by what came later: see `total`.
    XEP_OBSTACLE_EVICTED = 8,
    /// The kernel did not move it though there was room: pinned for I/O, or changed at that moment.
    XEP_OBSTACLE_PINNED = 9,
    /// Locked into memory with mlock(2). Locked pages can move; a later mlock brings them back.
    XEP_OBSTACLE_LOCKED = 10,
    /// No link: the text says why.
    XEP_OBSTACLE_NO_LINK = 11,
    /// Only part of the target's VRAM, `bytes` of `total`, lies behind its BAR, so other GPUs must not use it.
    XEP_OBSTACLE_SMALL_BAR = 12,
    /// The GPU has gone.
    XEP_OBSTACLE_LOST = 13,
    /// A vm was told something else, and the GPU that faults last wins: see `vm` and `location`.
    XEP_OBSTACLE_OTHER_WISH = 14,
    /// The kernel or device lacks a feature.
    XEP_OBSTACLE_UNSUPPORTED = 15,
    /// The kernel refused: see `error`.
    XEP_OBSTACLE_KERNEL = 16,
    /// It is in some VRAM; which one cannot be told without CAP_SYS_ADMIN.
    XEP_OBSTACLE_UNTOLD = 17,
    /// Nothing has moved it yet: an advice takes effect at a GPU's next fault, and at a prefetch.
    XEP_OBSTACLE_NOT_MOVED_YET = 18,
    /// It has no page yet, which comes at its first use.
    XEP_OBSTACLE_NEVER_TOUCHED = 19,
    /// The caller stopped the prefetch before.
    XEP_OBSTACLE_CANCELLED = 20,
    /// It is in host memory, but of another NUMA node: see `location`.
    XEP_OBSTACLE_OTHER_NODE = 21,
}

/// What a mapping's pages are made of. Only private anonymous pages migrate to VRAM.
#[repr(C)]
pub enum xep_backing {
    /// Private anonymous memory: malloc, mmap, the stack.
    XEP_BACKING_ANONYMOUS = 0,
    /// A private mapping of a file.
    XEP_BACKING_PRIVATE_FILE = 1,
    /// Shared memory or a shared mapping of a file.
    XEP_BACKING_SHARED = 2,
    /// Huge pages of hugetlbfs.
    XEP_BACKING_HUGETLB = 3,
    /// A device's memory, the kernel's own pages, or something that this header does not know.
    XEP_BACKING_SPECIAL = 4,
}

/// What keeps a page from where it was wished.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_obstacle {
    /// enum xep_obstacle_kind.
    pub kind: u32,
    /// The positive errno that stands for it; of XEP_OBSTACLE_KERNEL the kernel's own.
    pub error: i32,
    /// XEP_OBSTACLE_BACKING: enum xep_backing.
    pub backing: u32,
    /// XEP_OBSTACLE_OTHER_WISH: the vm; else XEP_UNKNOWN.
    pub vm: u32,
    /// XEP_OBSTACLE_OTHER_WISH: what it was told; XEP_LOCATION_FOREIGN if by a descriptor that is not this library's.
    /// XEP_OBSTACLE_OTHER_NODE: where it is. Else XEP_LOCATION_NONE.
    pub location: xep_location,
    /// XEP_OBSTACLE_FULL: bytes not in use. XEP_OBSTACLE_SMALL_BAR: bytes behind the BAR.
    pub bytes: u64,
    /// Bytes of VRAM in all, where it is a matter of that.
    pub total: u64,
    /// In words.
    pub text: [c_char; 208],
}

plain!(xep_obstacle);

impl From<&Obstacle> for xep_obstacle {
    fn from(obstacle: &Obstacle) -> xep_obstacle {
        let mut found = xep_obstacle {
            kind: kind(obstacle) as u32,
            error: obstacle.errno(),
            backing: 0,
            vm: XEP_UNKNOWN,
            location: None.into(),
            bytes: 0,
            total: 0,
            text: Text::of(obstacle),
        };
        match obstacle {
            Obstacle::Backing(of) => found.backing = backing(*of) as u32,
            Obstacle::Full { free, total } => (found.bytes, found.total) = (*free, *total),
            Obstacle::SmallBar { cpu_visible, total } => (found.bytes, found.total) = (*cpu_visible, *total),
            Obstacle::Evicted { total } => found.total = *total,
            Obstacle::OtherNode(node) => found.location = Location::HostNode(*node).into(),
            Obstacle::OtherWish { vm, location } => {
                found.vm = vm.0;
                found.location = location.map_or_else(xep_location::foreign, xep_location::from);
            }
            _ => {}
        }
        found
    }
}

fn kind(obstacle: &Obstacle) -> xep_obstacle_kind {
    use xep_obstacle_kind::*;
    match obstacle {
        Obstacle::NotMapped => XEP_OBSTACLE_NOT_MAPPED,
        Obstacle::Backing(_) => XEP_OBSTACLE_BACKING,
        Obstacle::ReadOnly => XEP_OBSTACLE_READ_ONLY,
        Obstacle::NoAccess => XEP_OBSTACLE_NO_ACCESS,
        Obstacle::GuardPage => XEP_OBSTACLE_GUARD_PAGE,
        Obstacle::NotMirrored => XEP_OBSTACLE_NOT_MIRRORED,
        Obstacle::Full { .. } => XEP_OBSTACLE_FULL,
        Obstacle::Evicted { .. } => XEP_OBSTACLE_EVICTED,
        Obstacle::Pinned => XEP_OBSTACLE_PINNED,
        Obstacle::Locked => XEP_OBSTACLE_LOCKED,
        Obstacle::NoLink(_) => XEP_OBSTACLE_NO_LINK,
        Obstacle::SmallBar { .. } => XEP_OBSTACLE_SMALL_BAR,
        Obstacle::Lost => XEP_OBSTACLE_LOST,
        Obstacle::OtherWish { .. } => XEP_OBSTACLE_OTHER_WISH,
        Obstacle::Unsupported(_) => XEP_OBSTACLE_UNSUPPORTED,
        Obstacle::Kernel(_) => XEP_OBSTACLE_KERNEL,
        Obstacle::Untold => XEP_OBSTACLE_UNTOLD,
        Obstacle::NotMovedYet => XEP_OBSTACLE_NOT_MOVED_YET,
        Obstacle::NeverTouched => XEP_OBSTACLE_NEVER_TOUCHED,
        Obstacle::Cancelled => XEP_OBSTACLE_CANCELLED,
        Obstacle::OtherNode(_) => XEP_OBSTACLE_OTHER_NODE,
        _ => XEP_OBSTACLE_OTHER,
    }
}

fn backing(backing: Backing) -> xep_backing {
    match backing {
        Backing::Anonymous => xep_backing::XEP_BACKING_ANONYMOUS,
        Backing::PrivateFile => xep_backing::XEP_BACKING_PRIVATE_FILE,
        Backing::Shared => xep_backing::XEP_BACKING_SHARED,
        Backing::Hugetlb => xep_backing::XEP_BACKING_HUGETLB,
        _ => xep_backing::XEP_BACKING_SPECIAL,
    }
}
