// SPDX-License-Identifier: MIT OR Apache-2.0
//! A driver that answers as an older kernel does.

use super::{Access, BindSyncs, Driver, Features, MapKind, Mapping, MemoryPolicy};
use crate::{range::Range, uapi::*};
use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd, RawFd},
    path::Path,
    sync::Arc,
};

/// A driver as it was before it had all features: it refuses what it does not know yet, and hands on the rest.
///
/// For trying what a program does on kernels that one does not have at hand:
///
/// ```
/// use std::sync::Arc;
/// use xeplace::{Files, Machine, Support, driver::{Features, Kernel, Older}};
///
/// let before_7_0 = Features::all() - Features::MULTI_DEVICE;
/// let driver = Older::new(Arc::new(Kernel::default()), before_7_0);
/// let machine = Machine::open_with(Arc::new(driver), Files::host())?;
/// for gpu in machine.gpus() {
///     assert_eq!(gpu.capabilities()?.multi_device, Support::Unsupported);
/// }
/// # Ok::<(), xeplace::Error>(())
/// ```
#[derive(Debug)]
pub struct Older {
    driver: Arc<dyn Driver>,
    features: Features,
}

impl Older {
    /// `driver` with no more than `features`.
    pub fn new(driver: Arc<dyn Driver>, features: Features) -> Older {
        Older { driver, features }
    }

    /// EINVAL where a request is not `known`, unless the device is in such a state that it does not look at requests.
    fn check(&self, fd: BorrowedFd<'_>, known: bool) -> io::Result<()> {
        if known {
            return Ok(());
        }
        self.driver.device_query(fd, DRM_XE_DEVICE_QUERY_CONFIG, &mut [])?;
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

/// Where `info[DRM_XE_QUERY_CONFIG_FLAGS]` lies in `struct drm_xe_query_config`.
const CONFIG_FLAGS: std::ops::Range<usize> = 16..24;

impl Driver for Older {
    fn device_query(&self, fd: BorrowedFd<'_>, query: u32, reply: &mut [u8]) -> io::Result<u32> {
        let size = self.driver.device_query(fd, query, reply)?;
        if let (DRM_XE_DEVICE_QUERY_CONFIG, Some(bytes)) = (query, reply.get_mut(CONFIG_FLAGS)) {
            let flags = u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
            bytes.copy_from_slice(&self.features.config_flags(flags).to_ne_bytes());
        }
        Ok(size)
    }

    fn vm_bind(&self, fd: BorrowedFd<'_>, bind: &drm_xe_vm_bind, syncs: BindSyncs) -> io::Result<()> {
        self.check(fd, self.features.knows_bind(&bind.bind))?;
        self.driver.vm_bind(fd, bind, syncs)
    }

    fn madvise(&self, fd: BorrowedFd<'_>, advice: &drm_xe_madvise, retained: Option<&mut u32>) -> io::Result<()> {
        self.check(fd, self.features.knows_advice(advice))?;
        self.driver.madvise(fd, &self.features.understood(advice), retained)
    }

    fn vm_query_mem_range_attrs(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_query_mem_range_attr,
        found: &mut [drm_xe_mem_range_attr],
    ) -> io::Result<()> {
        self.check(fd, self.features.knows_attribute_query())?;
        self.driver.vm_query_mem_range_attrs(fd, query, found)
    }

    // All that follows is as old as the driver, or no affair of its.

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        self.driver.open(path)
    }

    fn driver_name(&self, fd: BorrowedFd<'_>) -> io::Result<String> {
        self.driver.driver_name(fd)
    }

    fn device_number(&self, fd: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
        self.driver.device_number(fd)
    }

    fn duplicate(&self, fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
        self.driver.duplicate(fd, lowest)
    }

    fn retire(&self, kept: &OwnedFd) -> io::Result<()> {
        self.driver.retire(kept)
    }

    fn read_at(&self, fd: BorrowedFd<'_>, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.driver.read_at(fd, offset, bytes)
    }

    fn vm_create(&self, fd: BorrowedFd<'_>, vm: &mut drm_xe_vm_create) -> io::Result<()> {
        self.driver.vm_create(fd, vm)
    }

    fn vm_destroy(&self, fd: BorrowedFd<'_>, vm: &drm_xe_vm_destroy) -> io::Result<()> {
        self.driver.vm_destroy(fd, vm)
    }

    fn vm_get_property(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_get_property,
        found: &mut [xe_vm_fault],
    ) -> io::Result<()> {
        self.driver.vm_get_property(fd, query, found)
    }

    fn pagemap_scan(
        &self,
        pagemap: BorrowedFd<'_>,
        scan: &mut pm_scan_arg,
        found: &mut [page_region],
    ) -> io::Result<usize> {
        self.driver.pagemap_scan(pagemap, scan, found)
    }

    fn mincore(&self, range: Range, pages: &mut [u8]) -> io::Result<()> {
        self.driver.mincore(range, pages)
    }

    fn mbind(&self, range: Range, policy: &MemoryPolicy, move_pages: bool) -> io::Result<()> {
        self.driver.mbind(range, policy, move_pages)
    }

    fn get_mempolicy(&self, address: u64) -> io::Result<MemoryPolicy> {
        self.driver.get_mempolicy(address)
    }

    fn page_nodes(&self, range: Range, nodes: &mut [i32]) -> io::Result<()> {
        self.driver.page_nodes(range, nodes)
    }

    fn map(&self, length: u64, alignment: u64, kind: MapKind) -> io::Result<Mapping> {
        self.driver.map(length, alignment, kind)
    }

    fn unmap(&self, mapping: Mapping) {
        self.driver.unmap(mapping);
    }

    fn gpu_touch(&self, vm: (BorrowedFd<'_>, u32), range: Range, access: Access) -> io::Result<()> {
        self.driver.gpu_touch(vm, range, access)
    }

    fn cpu_touched(&self, range: Range, access: Access) {
        self.driver.cpu_touched(range, access);
    }

    fn moved(&self, old: Range, mapping: &Mapping) {
        self.driver.moved(old, mapping);
    }
}
