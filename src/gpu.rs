// SPDX-License-Identifier: MIT OR Apache-2.0
//! One GPU: what it is, what memory it has, and its device file.

use crate::{
    address::PciAddress,
    capabilities::{Capabilities, Support},
    counters::SvmCounters,
    descriptors::Descriptors,
    driver::Driver,
    error::{Error, Result},
    files::Files,
    location::{GpuId, Location, Region},
    pcie::{Bridge, BusPath, PcieLink},
    query::{self, Description, Engine, EngineClass, Gt, MemoryRegion},
    uapi::*,
};
use once_cell::sync::OnceCell;
use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// An xe GPU of a machine.
#[derive(Debug)]
pub struct Gpu {
    id: GpuId,
    found: Found,
    name: String,
    driver: Arc<dyn Driver>,
    files: Files,
    descriptors: Arc<Descriptors>,
    lost: AtomicBool,
    /// The number of the device file denotes an inert file.
    retired: AtomicBool,
    path: OnceCell<BusPath>,
    probed: OnceCell<Capabilities>,
    autoreset: OnceCell<bool>,
    /// `probed` with what `autoreset` has added.
    complete: OnceCell<Capabilities>,
}

/// What discovery finds of a GPU.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) address: PciAddress,
    pub(crate) node: PathBuf,
    /// Major and minor number of the node.
    pub(crate) number: (u32, u32),
    pub(crate) device: OwnedFd,
    pub(crate) description: Description,
    pub(crate) numa_node: Option<u32>,
}

impl Gpu {
    pub(crate) fn new(
        id: GpuId,
        found: Found,
        driver: Arc<dyn Driver>,
        files: Files,
        descriptors: Arc<Descriptors>,
    ) -> Gpu {
        Gpu {
            id,
            name: name_of(found.description.device_id),
            found,
            driver,
            files,
            descriptors,
            lost: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            path: OnceCell::new(),
            probed: OnceCell::new(),
            autoreset: OnceCell::new(),
            complete: OnceCell::new(),
        }
    }

    /// Its place in [`Machine::gpus`](crate::Machine::gpus).
    pub fn id(&self) -> GpuId {
        self.id
    }

    /// Its PCI address.
    pub fn address(&self) -> PciAddress {
        self.found.address
    }

    /// What the PCI ID database calls it, or `Intel GPU e20b`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its render node. The kernel may give another number to the same GPU when it comes back; see
    /// [`Gpu::address`].
    pub fn node(&self) -> &Path {
        &self.found.node
    }

    /// Its PCI device id.
    pub fn device_id(&self) -> u16 {
        self.found.description.device_id
    }

    /// Its PCI revision.
    pub fn revision(&self) -> u8 {
        self.found.description.revision
    }

    /// The NUMA node of the host that it is attached to, if the firmware says so.
    pub fn numa_node(&self) -> Option<u32> {
        self.found.numa_node
    }

    /// Whether it has no memory of its own.
    pub fn is_integrated(&self) -> bool {
        !self.has(DRM_XE_QUERY_CONFIG_FLAG_HAS_VRAM)
    }

    /// Its GTs.
    pub fn gts(&self) -> &[Gt] {
        &self.found.description.gts
    }

    /// The engines that programs can use.
    pub fn engines(&self) -> &[Engine] {
        &self.found.description.engines
    }

    /// Whether programs can use a copy engine.
    pub fn has_copy_engine(&self) -> bool {
        self.engines().iter().any(|engine| engine.class == EngineClass::Copy)
    }

    /// Bits of an address in its vms.
    pub fn va_bits(&self) -> u32 {
        self.found.description.va_bits
    }

    /// The alignment that buffers and their addresses need, in bytes.
    pub fn min_alignment(&self) -> u64 {
        self.found.description.min_alignment
    }

    /// The flags of its CONFIG reply: `DRM_XE_QUERY_CONFIG_FLAG_*`.
    pub fn config_flags(&self) -> u64 {
        self.found.description.flags
    }

    fn has(&self, flag: u64) -> bool {
        self.config_flags() & flag != 0
    }

    /// The VRAM regions as they were at discovery.
    pub fn regions(&self) -> &[MemoryRegion] {
        &self.found.description.regions
    }

    /// The VRAM region of tile `tile` (0, 1, …).
    ///
    /// [`Error::NotFound`] if it has no such tile, or no VRAM at all.
    pub fn region(&self, tile: usize) -> Result<Region> {
        // Region instances follow the tiles from 1 on (`query_mem_regions` in `xe_query.c`).
        let region = self.regions().iter().find(|region| usize::from(region.instance) == tile.saturating_add(1));
        let region = region.ok_or_else(|| Error::NotFound(format!("VRAM: tile {tile} of {self}")))?;
        Ok(Region { gpu: self.id, instance: region.instance })
    }

    /// The VRAM regions with their use as it is now, by whomever.
    ///
    /// [`Error::Lost`] if the GPU has gone.
    pub fn usage(&self) -> Result<Vec<MemoryRegion>> {
        let reply = query::ask(&*self.driver, self.device()?, DRM_XE_DEVICE_QUERY_MEM_REGIONS);
        self.answer("DRM_IOCTL_XE_DEVICE_QUERY", reply.and_then(|reply| query::vram(&reply)))
    }

    /// The narrowest PCIe link between it and the root of its bus, as it is trained now; the links inside the card do
    /// not count. `None` for an integrated GPU, and where the files do not tell.
    pub fn pcie(&self) -> Option<PcieLink> {
        self.path().ok()?.narrowest()
    }

    /// The bridges above it, from the nearest one up to the root port; none above an integrated GPU.
    ///
    /// [`Error::File`] where its place on the bus cannot be read.
    pub fn bridges(&self) -> Result<Vec<Bridge>> {
        Ok(self.path()?.bridges())
    }

    /// What its driver has counted.
    ///
    /// The counters are in debugfs: EACCES without privilege, ENOENT where debugfs is not mounted.
    pub fn counters(&self) -> Result<SvmCounters> {
        let below = Path::new("/sys/kernel/debug/dri");
        let directories = [below.join(self.address().to_string()), below.join(self.found.number.1.to_string())];
        SvmCounters::read(&self.files, &directories)
    }

    /// What its driver can do. Asked once, of a vm that is made for it and destroyed; nothing else changes.
    ///
    /// [`Error::Lost`] if the GPU has gone; any other failure is tried again at the next call.
    pub fn capabilities(&self) -> Result<&Capabilities> {
        let probed = self.probed.get_or_try_init(|| {
            let answer = Capabilities::probe(&*self.driver, self.device()?, self.config_flags());
            self.answer("capability probe", answer)
        })?;
        let Some(known) = self.autoreset.get() else { return Ok(probed) };
        let autoreset = if *known { Support::Enforced } else { Support::Unsupported };
        Ok(self.complete.get_or_init(|| Capabilities { autoreset, ..*probed }))
    }

    /// Whether its driver is known to lack a feature. Its EINVAL then says so, and nothing of the caller's arguments.
    pub(crate) fn lacks(&self, feature: impl FnOnce(&Capabilities) -> Support) -> bool {
        self.capabilities().is_ok_and(|known| feature(known) == Support::Unsupported)
    }

    /// Whether its driver can mirror the process at all.
    pub fn can_mirror(&self) -> bool {
        self.has(DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR)
    }

    /// The PAT index of memory that is cached and written back, coherent with the CPU: index 2 from Xe2 on, 3 before
    /// (`xe2_pat_table` and `xehpc_pat_table` in `xe_pat.c`).
    pub(crate) fn write_back_pat(&self) -> u16 {
        const XE2: u16 = 20;
        let main = self.gts().iter().find(|gt| !gt.media);
        if main.is_none_or(|gt| gt.ip_version.0 >= XE2) { 2 } else { 3 }
    }

    /// A vm in fault mode has answered whether it takes mirrors that reset advice.
    pub(crate) fn note_autoreset(&self, known: bool) {
        // Whoever was first has asked the same driver.
        let _ = self.autoreset.set(known);
    }

    /// Its device file. [`Error::Lost`] once it is known to have gone.
    #[inline]
    pub(crate) fn device(&self) -> Result<BorrowedFd<'_>> {
        if self.is_lost() {
            self.lose();
            return Err(Error::Lost(self.to_string()));
        }
        Ok(self.found.device.as_fd())
    }

    /// Whether it is known to have gone.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// It has gone: closes its device files at once, while their numbers stay taken.
    ///
    /// A file that stays open keeps the driver's mappings of the lost VRAM alive, and the kernel oopses on them when the
    /// process unmaps memory or exits (`xe_svm_invalidate` in `xe_svm.c`). What could not be closed is tried again with
    /// each call.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.descriptors.lose(&*self.driver, self.address());
        if !self.retired.swap(true, Ordering::AcqRel) && self.driver.retire(&self.found.device).is_err() {
            self.retired.store(false, Ordering::Release);
        }
    }

    /// The driver's answer to `call`, as this library's; the GPU is lost if it says that the device has gone or is wedged.
    pub(crate) fn answer<T>(&self, call: &'static str, answer: io::Result<T>) -> Result<T> {
        answer.map_err(|error| {
            if self.is_loss(&error) {
                self.lose();
                return Error::Lost(self.to_string());
            }
            Error::kernel(call, self)(error)
        })
    }

    /// Whether a call's error means that the device has gone (ENODEV) or is wedged (ECANCELED).
    ///
    /// A GPU that was taken off its bus, rather than unbound from its driver, cannot be woken up any more, and the driver
    /// tries that first and answers EACCES (`xe_drm_ioctl` in `xe_device.c`). Its node has gone from sysfs then.
    fn is_loss(&self, error: &io::Error) -> bool {
        let (major, minor) = self.device_number();
        match error.raw_os_error() {
            Some(libc::ENODEV | libc::ECANCELED) => true,
            Some(libc::EACCES) => !self.files.exists(format!("/sys/dev/char/{major}:{minor}")),
            _ => false,
        }
    }

    /// Its way up to the root of its bus.
    pub(crate) fn path(&self) -> Result<&BusPath> {
        self.path.get_or_try_init(|| BusPath::read(&self.files, self.address()))
    }

    /// Major and minor number of its render node.
    pub(crate) fn device_number(&self) -> (u32, u32) {
        self.found.number
    }

    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.id, self.address())
    }
}

/// Its first region; host memory if it has none of its own.
impl From<&Gpu> for Location {
    fn from(gpu: &Gpu) -> Location {
        let region = |region: &MemoryRegion| Region { gpu: gpu.id, instance: region.instance };
        gpu.regions().first().map_or(Location::System, |first| Location::Vram(region(first)))
    }
}

const INTEL: u16 = 0x8086;

fn name_of(device_id: u16) -> String {
    match pci_ids::Device::from_vid_pid(INTEL, device_id) {
        Some(device) => format!("Intel {}", device.name()),
        None => format!("Intel GPU {device_id:04x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Call, Fault};
    use std::os::fd::AsRawFd;

    #[test]
    fn j33_a_lost_gpu_lets_go_of_its_device_file_at_once_and_keeps_the_number() {
        let machine = crate::Machine::simulated("bmg").unwrap();
        let gpu = &machine.gpus()[0];
        let (file, number) = (&gpu.found.device, gpu.found.device.as_raw_fd());
        assert_eq!(machine.driver().device_number(file.as_fd()).unwrap(), gpu.device_number());
        machine.simulation().unwrap().unplug(gpu.id()).unwrap();
        assert!(!gpu.is_lost(), "nobody has asked yet");
        assert_eq!(gpu.usage().unwrap_err().errno(), libc::ENODEV);
        assert_ne!(machine.driver().device_number(file.as_fd()).unwrap(), gpu.device_number());
        assert_eq!(file.as_raw_fd(), number);
    }

    #[test]
    fn a_gpu_that_cannot_be_woken_is_lost_only_if_it_is_not_there() {
        let machine = crate::Machine::simulated("bmg").unwrap();
        let (gpu, sim) = (&machine.gpus()[0], machine.simulation().unwrap());
        let asleep = Fault { call: Call::DeviceQuery, skip: 0, times: 1, errno: libc::EACCES };
        sim.inject(asleep);
        assert_eq!(gpu.usage().unwrap_err().errno(), libc::EACCES);
        assert!(!gpu.is_lost());
        sim.unplug(gpu.id()).unwrap();
        sim.inject(asleep);
        assert!(matches!(gpu.usage(), Err(Error::Lost(_))));
        assert!(gpu.is_lost());
    }

    #[test]
    fn a_gpu_has_the_name_of_the_database_or_its_number() {
        assert_eq!(name_of(0xe20b), "Intel Battlemage G21 [Arc B580]");
        assert_eq!(name_of(0xfffe), "Intel GPU fffe");
    }
}
