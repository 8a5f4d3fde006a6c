// SPDX-License-Identifier: MIT OR Apache-2.0
//! What keeps a page from where it was wished.

use crate::{location::Location, mappings::Backing, vm::VmId};
use std::fmt;

/// What keeps a page from where it was wished.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Obstacle {
    /// Nothing is mapped at the address.
    NotMapped,
    /// Mapped, but made of pages that never migrate.
    Backing(Backing),
    /// The CPU may not write it: the driver refuses to map it for a GPU (`drm_gpusvm_range_find_or_insert`).
    ReadOnly,
    /// The CPU may not even read it (PROT_NONE).
    NoAccess,
    /// A guard page lies in its 2 MiB block.
    GuardPage,
    /// The vm does not mirror the address.
    NotMirrored,
    /// The target's VRAM is full of what the driver cannot evict.
    Full {
        /// Bytes not in use.
        free: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It was there and was pushed out again by what came later.
    Evicted {
        /// Bytes of VRAM in all.
        total: u64,
    },
    /// The kernel did not move it though there was room: pinned for I/O, or changed at that moment.
    Pinned,
    /// Locked into memory with mlock(2). Locked pages can move; a later mlock brings them back.
    Locked,
    /// No link, with its reason.
    NoLink(String),
    /// Only part of the target's VRAM lies behind its BAR, so other GPUs must not use it.
    SmallBar {
        /// Bytes behind the BAR.
        cpu_visible: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It is in host memory, but of this other NUMA node.
    OtherNode(u32),
    /// The GPU has gone.
    Lost,
    /// A vm was told something else; the GPU that faults last wins.
    OtherWish {
        /// The vm.
        vm: VmId,
        /// What it was told; `None` if by a descriptor that is not this library's.
        location: Option<Location>,
    },
    /// The kernel or device lacks this feature.
    Unsupported(&'static str),
    /// The kernel refused with this errno.
    Kernel(i32),
    /// It is in some VRAM; which one cannot be told without CAP_SYS_ADMIN.
    Untold,
    /// Nothing has moved it yet: an advice only takes effect at a GPU's next fault, and at a prefetch.
    NotMovedYet,
    /// It has no page yet, which comes at its first use.
    NeverTouched,
    /// The caller stopped the prefetch before.
    Cancelled,
}

impl Obstacle {
    /// The errno that stands for it, where a C caller is told of one number only.
    pub fn errno(&self) -> i32 {
        match self {
            Obstacle::Kernel(errno) => *errno,
            Obstacle::NotMapped => libc::ENOMEM,
            Obstacle::Backing(_) | Obstacle::Unsupported(_) => libc::EOPNOTSUPP,
            Obstacle::ReadOnly | Obstacle::NoAccess => libc::EACCES,
            Obstacle::GuardPage => libc::EFAULT,
            Obstacle::NotMirrored => libc::ENXIO,
            Obstacle::Full { .. } | Obstacle::Evicted { .. } | Obstacle::OtherNode(_) => libc::ENOSPC,
            Obstacle::Pinned | Obstacle::Locked => libc::EBUSY,
            Obstacle::NoLink(_) | Obstacle::SmallBar { .. } => libc::ENOLINK,
            Obstacle::Lost => libc::ENODEV,
            Obstacle::OtherWish { .. } => libc::EEXIST,
            Obstacle::Untold | Obstacle::NeverTouched => libc::ENODATA,
            Obstacle::NotMovedYet => libc::EAGAIN,
            Obstacle::Cancelled => libc::ECANCELED,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: &u64| bytes >> 20;
        match self {
            Obstacle::NotMapped => out.write_str("nothing is mapped here"),
            Obstacle::Backing(backing) => write!(out, "{backing} never migrates; only private anonymous memory does"),
            Obstacle::ReadOnly => out.write_str("read-only for the CPU, so no GPU may have it through a mirror"),
            Obstacle::NoAccess => out.write_str("no access for the CPU (PROT_NONE)"),
            Obstacle::GuardPage => out.write_str("a guard page lies in this 2 MiB block"),
            Obstacle::NotMirrored => out.write_str("the vm does not mirror these addresses"),
            Obstacle::Full { free, total } => write!(out, "VRAM is full: {} of {} MiB free", mib(free), mib(total)),
            Obstacle::Evicted { total } => {
                write!(out, "pushed out again: more was brought than {} MiB of VRAM hold", mib(total))
            }
            Obstacle::Pinned => out.write_str("pinned for I/O, or changed while it was to move"),
            Obstacle::Locked => out.write_str("locked with mlock, which brings pages back to system memory"),
            Obstacle::NoLink(reason) => write!(out, "no link: {reason}"),
            Obstacle::SmallBar { cpu_visible, total } => {
                write!(out, "only {} of {} MiB of VRAM lie behind the BAR", mib(cpu_visible), mib(total))
            }
            Obstacle::OtherNode(node) => write!(out, "in host memory of node {node}"),
            Obstacle::Lost => out.write_str("the GPU is gone"),
            Obstacle::OtherWish { vm, location: Some(location) } => write!(out, "{vm} was told {location}"),
            Obstacle::OtherWish { vm, location: None } => write!(out, "somebody else advised {vm}"),
            Obstacle::Unsupported(feature) => write!(out, "{feature} is not supported here"),
            Obstacle::Kernel(errno) => write!(out, "the kernel refused: {}", std::io::Error::from_raw_os_error(*errno)),
            Obstacle::Untold => out.write_str("in some VRAM; which one cannot be told without CAP_SYS_ADMIN"),
            Obstacle::NotMovedYet => {
                out.write_str("nothing has moved it yet: prefetch it, or wait for a GPU to fault on it")
            }
            Obstacle::NeverTouched => out.write_str("never touched, so it has no page yet"),
            Obstacle::Cancelled => out.write_str("the prefetch was cancelled before"),
        }
    }
}
