// SPDX-License-Identifier: MIT OR Apache-2.0
//! All GPUs of a host.

use crate::{
    address::PciAddress,
    descriptors::Descriptors,
    discovery::{self, Unusable},
    driver::{Driver, Kernel},
    error::{Error, Result},
    files::Files,
    gpu::Gpu,
    interconnect::{Group, Interconnect, Link},
    location::{GpuId, Region},
    query::MemoryRegion,
    range::PAGE,
    recording,
    sim::{self, Sim, spec::Spec},
    uapi,
};
use std::{collections::BTreeMap, os::fd::BorrowedFd, path::Path, sync::Arc};

/// All GPUs of a host: found once, then unchanging. A clone is the same machine.
#[derive(Clone, Debug)]
pub struct Machine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gpus: Vec<Gpu>,
    unusable: Vec<Unusable>,
    interconnect: Interconnect,
    driver: Arc<dyn Driver>,
    files: Files,
    descriptors: Arc<Descriptors>,
    simulation: Option<Arc<Sim>>,
}

/// Major number of DRM device files (`DRM_MAJOR` in `<drm/drm.h>`'s kernel part, `include/drm/drm_file.h`).
const DRM_MAJOR: u32 = 226;

impl Machine {
    /// This host.
    ///
    /// A host without GPUs of the xe driver is a machine without GPUs. A GPU that cannot be opened is not an error; see
    /// [`Machine::unusable`]. [`Error::Unsupported`] where pages are not 4096 bytes long or addresses not 64 bits.
    pub fn open() -> Result<Machine> {
        Machine::open_with(Arc::new(Kernel::default()), Files::host())
    }

    /// This host or another one, through `driver`, as `files` describe it.
    ///
    /// With the files of this host ([`Files::host`]), descriptors that name devices to the kernel are shared with all
    /// other machines of this process that have them.
    pub fn open_with(driver: Arc<dyn Driver>, files: Files) -> Result<Machine> {
        Machine::assemble(driver, files, None)
    }

    /// A simulated machine, from a machine string.
    ///
    /// [`Error::MachineString`] says where the string cannot be understood.
    pub fn simulated(text: &str) -> Result<Machine> {
        Machine::of(sim::parse(text)?)
    }

    /// A recorded machine; placing on it runs on a simulation seeded from it.
    ///
    /// [`Error::File`] names what is missing or makes no sense. Nothing outside of `directory` is read.
    pub fn recorded(directory: impl AsRef<Path>) -> Result<Machine> {
        let (spec, words) = recording::read(directory.as_ref())?;
        let addresses: Vec<PciAddress> = spec.devices.iter().map(|device| device.address).collect();
        let machine = Machine::of(spec)?;
        let id = |place: usize| machine.gpus().iter().find(|gpu| gpu.address() == addresses[place]).map(Gpu::id);
        for ((from, to), connected) in words {
            if let Some((from, to)) = id(from).zip(id(to)) {
                machine.learn_link(from, to, connected);
            }
        }
        Ok(machine)
    }

    fn of(spec: Spec) -> Result<Machine> {
        let simulation = Sim::new(spec);
        Machine::assemble(simulation.clone(), simulation.files(), Some(simulation))
    }

    fn assemble(driver: Arc<dyn Driver>, files: Files, simulation: Option<Arc<Sim>>) -> Result<Machine> {
        supported(uapi::memory::page_size(), usize::BITS)?;
        let descriptors = if files.is_host() { Descriptors::of_process() } else { Arc::default() };
        let (gpus, unusable) = discovery::discover(&driver, &files, &descriptors)?;
        let interconnect = Interconnect::new(files.clone());
        Ok(Machine(Arc::new(Inner { gpus, unusable, interconnect, driver, files, descriptors, simulation })))
    }

    /// A directory is a recorded machine, anything else a machine string: what `--machine` takes.
    pub fn named(name: &str) -> Result<Machine> {
        if Path::new(name).is_dir() { Machine::recorded(name) } else { Machine::simulated(name) }
    }

    /// The GPUs in the order of their PCI addresses.
    pub fn gpus(&self) -> &[Gpu] {
        &self.0.gpus
    }

    /// The GPUs of the xe driver that are there and cannot be used, with the reason.
    pub fn unusable(&self) -> &[Unusable] {
        &self.0.unusable
    }

    /// One GPU.
    pub fn gpu(&self, id: GpuId) -> Result<&Gpu> {
        self.0.gpus.get(id.0 as usize).ok_or_else(|| Error::NotFound(id.to_string()))
    }

    /// The GPU of a region, if there is such a region.
    pub fn owner(&self, region: Region) -> Result<&Gpu> {
        self.memory(region)?;
        self.gpu(region.gpu)
    }

    /// A region as it was at discovery.
    pub fn memory(&self, region: Region) -> Result<&MemoryRegion> {
        let found = self.gpu(region.gpu)?.regions().iter().find(|found| found.instance == region.instance);
        found.ok_or_else(|| Error::NotFound(region.to_string()))
    }

    /// A region as it is now; [`Error::Lost`] if its GPU has gone.
    pub fn memory_now(&self, region: Region) -> Result<MemoryRegion> {
        let found = self.gpu(region.gpu)?.usage()?.into_iter().find(|found| found.instance == region.instance);
        found.ok_or_else(|| Error::NotFound(region.to_string()))
    }

    /// Whether, and why, a vm of `from` can use the VRAM of `to`: as predicted from files, or as the kernel said if it
    /// was asked or has refused or granted such a wish meanwhile.
    ///
    /// [`Error::File`] if neither is possible: a GPU whose place on the bus cannot be read.
    pub fn link(&self, from: GpuId, to: GpuId) -> Result<Link> {
        self.0.interconnect.link(self.gpu(from)?, self.gpu(to)?)
    }

    /// Asks the kernel about one pair, once: in a throw-away vm of `from`'s own, with the ENOLINK test.
    ///
    /// This has a price, which is why nothing else does it: the kernel makes the memory map of both GPUs' VRAM, a 64th
    /// of its size in host memory, which stays until memory gets short; and it writes warnings to its log for each GPU
    /// that is out of reach. The answer is kept for the life of the machine.
    ///
    /// [`Error::NotFound`] if `to` has no VRAM, [`Error::Lost`], [`Error::Unsupported`] on a kernel or device that
    /// shares no virtual memory.
    pub fn probe_link(&self, from: GpuId, to: GpuId) -> Result<Link> {
        self.0.interconnect.probe(self.gpu(from)?, self.gpu(to)?)
    }

    /// The interconnect groups as the kernel would make them, by what is known of the links; unknown links join nothing.
    pub fn groups(&self) -> Vec<Group> {
        self.0.interconnect.groups(&self.0.gpus)
    }

    /// The simulated machine behind this one, if it is not real.
    pub fn simulation(&self) -> Option<&Arc<Sim>> {
        self.0.simulation.as_ref()
    }

    /// Writes a recording of this machine into `directory`, which is made: all that [`Machine::recorded`] and
    /// [`Machine::link`] need, without serial numbers. Recorded as root, it also says which bridges redirect.
    ///
    /// Links between more than 64 GPUs may lack files. [`Error::Invalid`] if there is something in the directory.
    pub fn record(&self, directory: impl AsRef<Path>) -> Result<()> {
        recording::write(self, directory.as_ref())
    }

    /// The GPU whose device file `fd` is an open of: its render node or its card node.
    ///
    /// [`Error::NotFound`] if it is none of a GPU of this machine, EBADF if it is closed.
    pub(crate) fn gpu_of(&self, fd: BorrowedFd<'_>) -> Result<&Gpu> {
        let number = self.0.driver.device_number(fd).map_err(Error::kernel("fstat", "a device file"))?;
        if let Some(gpu) = self.0.gpus.iter().find(|gpu| gpu.device_number() == number && !gpu.is_lost()) {
            return Ok(gpu);
        }
        let unknown = || Error::NotFound("GPU of this machine behind that file".to_owned());
        if number.0 != DRM_MAJOR {
            return Err(unknown());
        }
        let link = format!("/sys/dev/char/{}:{}/device", number.0, number.1);
        let address = discovery::address_of(&self.0.files, Path::new(&link)).map_err(|_| unknown())?;
        self.0.gpus.iter().find(|gpu| gpu.address() == address).ok_or_else(unknown)
    }

    /// A vm of `from` was refused (`connected` false) or granted `to`'s memory: the kernel's own word on the link.
    pub(crate) fn learn_link(&self, from: GpuId, to: GpuId, connected: bool) {
        self.0.interconnect.learn(from, to, connected);
    }

    /// The pairs on which the kernel has given its word.
    pub(crate) fn known_links(&self) -> BTreeMap<(GpuId, GpuId), bool> {
        self.0.interconnect.words()
    }

    /// The kernel answered ENODEV, which may have meant this GPU: if so, its files go at once.
    pub(crate) fn find_lost(&self, gpu: GpuId) {
        if let Ok(gpu) = self.gpu(gpu) {
            let _ = gpu.usage();
        }
    }

    /// Whether the host has this NUMA node.
    pub(crate) fn has_host_node(&self, node: u32) -> bool {
        self.0.files.exists(format!("/sys/devices/system/node/node{node}"))
    }

    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.0.driver
    }

    pub(crate) fn files(&self) -> &Files {
        &self.0.files
    }

    pub(crate) fn descriptors(&self) -> &Arc<Descriptors> {
        &self.0.descriptors
    }
}

/// The kernel interface is the same on any host; that 4096 bytes are a page is assumed all over this library.
fn supported(page_size: u64, address_bits: u32) -> Result<()> {
    if page_size != PAGE {
        return Err(Error::Unsupported("a page size other than 4096 bytes"));
    }
    if address_bits != 64 {
        return Err(Error::Unsupported("an address size other than 64 bits"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_page_sizes_and_address_sizes_are_refused() {
        assert!(supported(4096, 64).is_ok());
        assert_eq!(supported(65536, 64).unwrap_err().errno(), libc::EOPNOTSUPP);
        assert!(supported(4096, 32).is_err());
    }
}
