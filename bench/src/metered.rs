// SPDX-License-Identifier: MIT OR Apache-2.0
//! A driver on which advice costs a real system call and nothing else.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use xeplace::{
    Machine, Range, Sim,
    driver::{Access, BindSyncs, Driver, Kernel, MapKind, Mapping, MemoryPolicy},
    uapi::*,
};

/// The simulated machine, but for MADVISE, which is counted and goes to the running kernel: an ioctl on `/dev/null`,
/// which is refused as soon as it is looked at.
#[derive(Debug)]
pub(crate) struct Metered {
    sim: Arc<Sim>,
    kernel: Kernel,
    null: OwnedFd,
    calls: AtomicUsize,
}

impl Metered {
    /// The machine that `text` describes, and the driver beneath it.
    pub(crate) fn machine(text: &str) -> xeplace::Result<(Machine, Arc<Metered>)> {
        let simulated = Machine::simulated(text)?;
        let sim = simulated.simulation().expect("it is simulated").clone();
        let null = Kernel::default().open(Path::new("/dev/null")).expect("every Linux has it");
        let files = sim.files();
        let metered = Arc::new(Metered { sim, kernel: Kernel::default(), null, calls: AtomicUsize::new(0) });
        Ok((Machine::open_with(metered.clone(), files)?, metered))
    }

    /// How often MADVISE was called since the last time.
    pub(crate) fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// For the bare calls.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.null.as_fd()
    }
}

impl Driver for Metered {
    fn madvise(&self, _: BorrowedFd<'_>, _: &drm_xe_madvise, _: Option<&mut u32>) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match self.kernel.vm_destroy(self.null.as_fd(), &drm_xe_vm_destroy::default()) {
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => Ok(()),
            answer => answer,
        }
    }

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        self.sim.open(path)
    }

    fn driver_name(&self, fd: BorrowedFd<'_>) -> io::Result<String> {
        self.sim.driver_name(fd)
    }

    fn device_number(&self, fd: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
        self.sim.device_number(fd)
    }

    fn duplicate(&self, fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
        self.sim.duplicate(fd, lowest)
    }

    fn retire(&self, kept: &OwnedFd) -> io::Result<()> {
        self.sim.retire(kept)
    }

    fn read_at(&self, fd: BorrowedFd<'_>, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.sim.read_at(fd, offset, bytes)
    }

    fn device_query(&self, fd: BorrowedFd<'_>, query: u32, reply: &mut [u8]) -> io::Result<u32> {
        self.sim.device_query(fd, query, reply)
    }

    fn vm_create(&self, fd: BorrowedFd<'_>, vm: &mut drm_xe_vm_create) -> io::Result<()> {
        self.sim.vm_create(fd, vm)
    }

    fn vm_destroy(&self, fd: BorrowedFd<'_>, vm: &drm_xe_vm_destroy) -> io::Result<()> {
        self.sim.vm_destroy(fd, vm)
    }

    fn vm_bind(&self, fd: BorrowedFd<'_>, bind: &drm_xe_vm_bind, syncs: BindSyncs) -> io::Result<()> {
        self.sim.vm_bind(fd, bind, syncs)
    }

    fn vm_query_mem_range_attrs(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_query_mem_range_attr,
        found: &mut [drm_xe_mem_range_attr],
    ) -> io::Result<()> {
        self.sim.vm_query_mem_range_attrs(fd, query, found)
    }

    fn vm_get_property(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_get_property,
        found: &mut [xe_vm_fault],
    ) -> io::Result<()> {
        self.sim.vm_get_property(fd, query, found)
    }

    fn pagemap_scan(
        &self,
        pagemap: BorrowedFd<'_>,
        scan: &mut pm_scan_arg,
        found: &mut [page_region],
    ) -> io::Result<usize> {
        self.sim.pagemap_scan(pagemap, scan, found)
    }

    fn mincore(&self, range: Range, pages: &mut [u8]) -> io::Result<()> {
        self.sim.mincore(range, pages)
    }

    fn mbind(&self, range: Range, policy: &MemoryPolicy, move_pages: bool) -> io::Result<()> {
        self.sim.mbind(range, policy, move_pages)
    }

    fn get_mempolicy(&self, address: u64) -> io::Result<MemoryPolicy> {
        self.sim.get_mempolicy(address)
    }

    fn page_nodes(&self, range: Range, nodes: &mut [i32]) -> io::Result<()> {
        self.sim.page_nodes(range, nodes)
    }

    fn map(&self, length: u64, alignment: u64, kind: MapKind) -> io::Result<Mapping> {
        self.sim.map(length, alignment, kind)
    }

    fn unmap(&self, mapping: Mapping) {
        self.sim.unmap(mapping);
    }

    fn gpu_touch(&self, vm: (BorrowedFd<'_>, u32), range: Range, access: Access) -> io::Result<()> {
        self.sim.gpu_touch(vm, range, access)
    }

    fn cpu_touched(&self, range: Range, access: Access) {
        self.sim.cpu_touched(range, access);
    }

    fn moved(&self, old: Range, mapping: &Mapping) {
        self.sim.moved(old, mapping);
    }
}
