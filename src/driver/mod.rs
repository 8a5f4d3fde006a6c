// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam: one method per kernel call that the library makes.
//!
//! [`Kernel`] is the real one; [`Sim`](crate::Sim) behaves like it. Everything above runs unchanged on both. A driver
//! can wrap another one (to inject faults, to count) and hand on what it leaves alone; [`Older`] is such a one.

mod copy_engine;
mod features;
mod kernel;
mod older;

pub use crate::uapi::memory::{Mapping, MemoryPolicy};
pub use crate::uapi::{BindSyncs, IoctlFunction};
pub use features::Features;
pub use kernel::Kernel;
pub use older::Older;

use crate::{range::Range, uapi::*};
use std::{
    fmt, io,
    os::fd::{BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

/// The kernel calls that the library makes. Structures are the kernel's own; errors carry the kernel's errno.
///
/// Address fields that the kernel would write through are filled in by the driver from the slices given beside the
/// structure; whatever stands in them is ignored.
pub trait Driver: fmt::Debug + Send + Sync {
    /// Opens a device file or `/proc/PID/pagemap`.
    fn open(&self, path: &Path) -> io::Result<OwnedFd>;
    /// The name in DRM_IOCTL_VERSION: `xe`.
    fn driver_name(&self, fd: BorrowedFd<'_>) -> io::Result<String>;
    /// Major and minor number of the device file that `fd` denotes (`fstat`).
    fn device_number(&self, fd: BorrowedFd<'_>) -> io::Result<(u32, u32)>;
    /// `F_DUPFD_CLOEXEC`: a duplicate with a number of at least `lowest`.
    fn duplicate(&self, fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd>;
    /// Lets the number of `kept` denote an inert file from now on (`dup3`): the old file is closed, the number stays taken.
    fn retire(&self, kept: &OwnedFd) -> io::Result<()>;
    /// `pread`.
    fn read_at(&self, fd: BorrowedFd<'_>, offset: u64, bytes: &mut [u8]) -> io::Result<usize>;

    /// DRM_IOCTL_XE_DEVICE_QUERY. An empty `reply` asks for the size; else its length must be that size.
    fn device_query(&self, fd: BorrowedFd<'_>, query: u32, reply: &mut [u8]) -> io::Result<u32>;
    /// DRM_IOCTL_XE_VM_CREATE.
    fn vm_create(&self, fd: BorrowedFd<'_>, vm: &mut drm_xe_vm_create) -> io::Result<()>;
    /// DRM_IOCTL_XE_VM_DESTROY.
    fn vm_destroy(&self, fd: BorrowedFd<'_>, vm: &drm_xe_vm_destroy) -> io::Result<()>;
    /// DRM_IOCTL_XE_VM_BIND with one operation.
    fn vm_bind(&self, fd: BorrowedFd<'_>, bind: &drm_xe_vm_bind, syncs: BindSyncs) -> io::Result<()>;
    /// DRM_IOCTL_XE_MADVISE. PURGEABLE_STATE writes to `retained`; without one, to an address that cannot be written.
    fn madvise(&self, fd: BorrowedFd<'_>, advice: &drm_xe_madvise, retained: Option<&mut u32>) -> io::Result<()>;
    /// DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS. An empty `found` asks for the number.
    fn vm_query_mem_range_attrs(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_query_mem_range_attr,
        found: &mut [drm_xe_mem_range_attr],
    ) -> io::Result<()>;
    /// DRM_IOCTL_XE_VM_GET_PROPERTY. An empty `found` asks for the size in bytes.
    fn vm_get_property(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_get_property,
        found: &mut [xe_vm_fault],
    ) -> io::Result<()>;

    /// PAGEMAP_SCAN on an open `/proc/PID/pagemap`: how many regions were filled in.
    fn pagemap_scan(
        &self,
        pagemap: BorrowedFd<'_>,
        scan: &mut pm_scan_arg,
        found: &mut [page_region],
    ) -> io::Result<usize>;
    /// `mincore`: a byte a page.
    fn mincore(&self, range: Range, pages: &mut [u8]) -> io::Result<()>;
    /// `mbind`; with `move_pages`, pages that this process alone has move as well.
    fn mbind(&self, range: Range, policy: &MemoryPolicy, move_pages: bool) -> io::Result<()>;
    /// `get_mempolicy` of the mapping at `address`.
    fn get_mempolicy(&self, address: u64) -> io::Result<MemoryPolicy>;
    /// `move_pages` as a question: the NUMA node of each page, or a negative errno.
    fn page_nodes(&self, range: Range, nodes: &mut [i32]) -> io::Result<()>;
    /// `mmap` of anonymous memory.
    fn map(&self, length: u64, alignment: u64, kind: MapKind) -> io::Result<Mapping>;
    /// `munmap`.
    fn unmap(&self, mapping: Mapping);

    /// Lets a GPU touch memory: one byte or word of each page, in the order of their addresses. The kernel has no such
    /// call; [`Kernel`] makes one of EXEC_QUEUE_CREATE, EXEC and WAIT_USER_FENCE on the copy engine.
    fn gpu_touch(&self, vm: (BorrowedFd<'_>, u32), range: Range, access: Access) -> io::Result<()>;
    /// Says that the CPU of this process has touched `range`. A kernel sees that by itself; the simulated machine must
    /// be told.
    fn cpu_touched(&self, range: Range, access: Access);
    /// Says that `mapping` has moved away from `old` (`mremap`), for the same reason.
    fn moved(&self, old: Range, mapping: &Mapping);
}

/// What a mapping is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapKind {
    /// Private anonymous memory: the only kind that migrates.
    Private,
    /// Shared anonymous memory.
    Shared,
}

/// What is done to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Loads.
    Read,
    /// Stores.
    Write,
    /// Atomic read-modify-writes.
    Atomic,
}
