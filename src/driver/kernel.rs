// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running kernel.

use super::{Access, BindSyncs, Driver, MapKind, copy_engine};
use crate::{
    range::Range,
    uapi::{
        self, Door, IoctlFunction,
        memory::{self, Mapping, MemoryPolicy},
        *,
    },
};
use std::{
    ffi::c_void,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

/// The running kernel, reached by `ioctl(2)` or by a function of the caller's.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    door: Door,
}

impl Default for Kernel {
    fn default() -> Self {
        Kernel { door: Door::KERNEL }
    }
}

impl Kernel {
    /// The running kernel, with each ioctl sent through `function(user, fd, request, argument)` in place of `ioctl(2)`.
    ///
    /// For a runtime's own wrapper: its mocks, its tracing, its reset handling.
    ///
    /// # Safety
    ///
    /// The function can be called from any thread with `user`, answers as the kernel does, and writes no more than the
    /// size in the request number says.
    #[allow(unsafe_code, reason = "passes the caller's promise on")]
    pub const unsafe fn with_ioctl(function: IoctlFunction, user: *mut c_void) -> Kernel {
        // SAFETY: the caller promises the same.
        Kernel { door: unsafe { Door::injected(function, user) } }
    }

    pub(super) fn door(&self) -> Door {
        self.door
    }
}

impl Driver for Kernel {
    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = if path.starts_with("/proc") { libc::O_RDONLY } else { libc::O_RDWR };
        uapi::open(path, flags)
    }

    fn driver_name(&self, fd: BorrowedFd<'_>) -> io::Result<String> {
        let mut name = Vec::new();
        drm_ffi::get_version(fd, Some(&mut name), None, None)?;
        let name: Vec<u8> = name.into_iter().map(|character| character as u8).collect();
        Ok(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned())
    }

    fn device_number(&self, fd: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
        use std::os::fd::AsRawFd;
        uapi::identify(fd.as_raw_fd()).map(|identity| identity.special)
    }

    fn duplicate(&self, fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
        uapi::duplicate(fd, lowest)
    }

    fn retire(&self, kept: &OwnedFd) -> io::Result<()> {
        let inert = uapi::open(Path::new("/dev/null"), libc::O_RDONLY)?;
        uapi::replace(kept, inert.as_fd())
    }

    fn read_at(&self, fd: BorrowedFd<'_>, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        uapi::read_at(fd, offset, bytes)
    }

    fn device_query(&self, fd: BorrowedFd<'_>, query: u32, reply: &mut [u8]) -> io::Result<u32> {
        self.door.device_query(fd, query, reply)
    }

    fn vm_create(&self, fd: BorrowedFd<'_>, vm: &mut drm_xe_vm_create) -> io::Result<()> {
        self.door.send(fd, vm).map(drop)
    }

    fn vm_destroy(&self, fd: BorrowedFd<'_>, vm: &drm_xe_vm_destroy) -> io::Result<()> {
        self.door.send(fd, &mut vm.clone()).map(drop)
    }

    fn vm_bind(&self, fd: BorrowedFd<'_>, bind: &drm_xe_vm_bind, syncs: BindSyncs) -> io::Result<()> {
        self.door.vm_bind(fd, bind, syncs)
    }

    fn madvise(&self, fd: BorrowedFd<'_>, advice: &drm_xe_madvise, retained: Option<&mut u32>) -> io::Result<()> {
        self.door.madvise(fd, advice, retained)
    }

    fn vm_query_mem_range_attrs(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_query_mem_range_attr,
        found: &mut [drm_xe_mem_range_attr],
    ) -> io::Result<()> {
        self.door.vm_query_mem_range_attrs(fd, query, found)
    }

    fn vm_get_property(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_get_property,
        found: &mut [xe_vm_fault],
    ) -> io::Result<()> {
        self.door.vm_get_property(fd, query, found)
    }

    fn pagemap_scan(
        &self,
        pagemap: BorrowedFd<'_>,
        scan: &mut pm_scan_arg,
        found: &mut [page_region],
    ) -> io::Result<usize> {
        Door::KERNEL.pagemap_scan(pagemap, scan, found)
    }

    fn mincore(&self, range: Range, pages: &mut [u8]) -> io::Result<()> {
        assert_eq!(range.pages(), pages.len() as u64, "a byte a page");
        memory::mincore(range.start(), pages)
    }

    fn mbind(&self, range: Range, policy: &MemoryPolicy, move_pages: bool) -> io::Result<()> {
        memory::mbind(range.start(), range.len(), policy, move_pages)
    }

    fn get_mempolicy(&self, address: u64) -> io::Result<MemoryPolicy> {
        memory::get_mempolicy(address)
    }

    fn page_nodes(&self, range: Range, nodes: &mut [i32]) -> io::Result<()> {
        assert_eq!(range.pages(), nodes.len() as u64, "a number a page");
        memory::page_nodes(range.start(), nodes)
    }

    fn map(&self, length: u64, alignment: u64, kind: MapKind) -> io::Result<Mapping> {
        Mapping::anonymous(length as usize, alignment as usize, kind == MapKind::Shared)
    }

    fn unmap(&self, mapping: Mapping) {
        drop(mapping);
    }

    fn gpu_touch(&self, vm: (BorrowedFd<'_>, u32), range: Range, access: Access) -> io::Result<()> {
        copy_engine::touch(self, vm, range, access)
    }

    fn cpu_touched(&self, _: Range, _: Access) {}

    fn moved(&self, _: Range, _: &Mapping) {}
}
