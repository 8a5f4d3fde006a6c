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
    sim::{self, Sim, Spec},
    uapi,
};
use std::{os::fd::BorrowedFd, path::Path, sync::Arc};

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
    #[inline]
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
    /// [`Error::Invalid`] if there is something in the directory.
    pub fn record(&self, directory: impl AsRef<Path>) -> Result<()> {
        let Inner { driver, files, descriptors, gpus, interconnect, .. } = &*self.0;
        let original = recording::Original { driver, files, descriptors, gpus, words: interconnect.words() };
        recording::write(&original, directory.as_ref())
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

    /// Whether nothing is known that keeps vms of any of `gpus` from using a region.
    pub(crate) fn is_usable_by_all(&self, gpus: impl Iterator<Item = GpuId>, region: Region) -> bool {
        let gpu = |id: GpuId| self.0.gpus.get(id.0 as usize);
        self.owner(region).is_ok_and(|to| self.0.interconnect.is_usable_by_all(gpus.filter_map(gpu), to))
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

    /// The files that describe it: sysfs and procfs, real, recorded or simulated.
    pub fn files(&self) -> &Files {
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
    use crate::{
        capabilities::Support,
        files::Tree,
        interconnect::{Basis, Reason, Verdict},
        location::Location,
        sim::{Call, Fault},
    };
    use std::os::fd::AsFd;

    fn machine(text: &str) -> Machine {
        Machine::simulated(text).unwrap()
    }

    fn sim(machine: &Machine) -> &Arc<Sim> {
        machine.simulation().unwrap()
    }

    #[test]
    fn other_page_sizes_and_address_sizes_are_refused() {
        assert!(supported(4096, 64).is_ok());
        assert_eq!(supported(65536, 64).unwrap_err().errno(), libc::EOPNOTSUPP);
        assert!(supported(4096, 32).is_err());
    }

    #[test]
    fn gpus_are_counted_in_the_order_of_their_addresses() {
        let machine = machine("cpu=xeon host(2x bmg) host(pvc)");
        let addresses: Vec<PciAddress> = machine.gpus().iter().map(Gpu::address).collect();
        assert!(addresses.is_sorted() && addresses.len() == 3);
        for (place, gpu) in machine.gpus().iter().enumerate() {
            assert_eq!(gpu.id(), GpuId(place as u32));
            assert_eq!(machine.gpu(gpu.id()).unwrap().address(), gpu.address());
        }
        assert_eq!(machine.gpu(GpuId(3)).unwrap_err().errno(), libc::ENOENT);
    }

    #[test]
    fn a_gpu_says_what_it_is() {
        let machine = machine("cpu=client lnl bmg vram=24G bar=256M pvc");
        let [integrated, card, tiles] = machine.gpus() else { panic!("three GPUs") };
        assert!(integrated.is_integrated() && integrated.regions().is_empty() && !card.is_integrated());
        assert_eq!(Location::from(integrated), Location::System);
        assert_eq!(Location::from(card), Location::Vram(Region { gpu: GpuId(1), instance: 1 }));
        assert_eq!(card.name(), "Intel Battlemage G21 [Arc B580]");
        assert_eq!(card.regions()[0].total, 24 << 30);
        assert!(!card.regions()[0].is_fully_visible());
        assert!(card.has_copy_engine() && card.va_bits() >= 48);
        assert_eq!(tiles.region(1).unwrap().instance, 2);
        assert_eq!(card.region(1).unwrap_err().errno(), libc::ENOENT);
        assert_eq!(card.region(usize::MAX).unwrap_err().errno(), libc::ENOENT);
        assert!(machine.owner(card.region(0).unwrap()).is_ok());
        assert!(machine.owner(Region { gpu: GpuId(1), instance: 2 }).is_err());
    }

    #[test]
    fn a_machine_without_gpus_is_one() {
        let machine = machine("none");
        assert!(machine.gpus().is_empty() && machine.groups().is_empty() && machine.unusable().is_empty());
        let bare = Machine::open_with(Arc::new(Kernel::default()), Files::tree(Tree::default())).unwrap();
        assert!(bare.gpus().is_empty());
    }

    #[test]
    fn a_node_that_cannot_be_opened_is_told_of() {
        let mut tree = Tree::default();
        tree.link("/sys/class/drm/renderD99", "../../devices/pci0000:00/0000:00:02.0/drm/renderD99");
        tree.link("/sys/devices/pci0000:00/0000:00:02.0/drm/renderD99/device", "../../../0000:00:02.0");
        tree.link("/sys/devices/pci0000:00/0000:00:02.0/driver", "../../../bus/pci/drivers/xe");
        tree.link("/sys/class/drm/renderD98", "../../devices/pci0000:00/0000:00:03.0/drm/renderD98");
        tree.link("/sys/devices/pci0000:00/0000:00:03.0/drm/renderD98/device", "../../../0000:00:03.0");
        tree.link("/sys/devices/pci0000:00/0000:00:03.0/driver", "../../../bus/pci/drivers/amdgpu");
        let machine = Machine::open_with(Arc::new(Kernel::default()), Files::tree(tree)).unwrap();
        assert!(machine.gpus().is_empty());
        let [unusable] = machine.unusable() else { panic!("one of the two has the xe driver") };
        assert_eq!(unusable.node, Path::new("/dev/dri/renderD99"));
        assert_eq!(unusable.address, Some("0000:00:02.0".parse().unwrap()));
        assert_eq!(unusable.reason.errno(), libc::ENOENT);
    }

    #[test]
    fn a_gpu_that_refuses_does_not_hide_the_others() {
        let whole = machine("3x bmg");
        // Each GPU is sent four queries, each twice.
        let fault = Fault { call: Call::DeviceQuery, skip: 8, times: 1, errno: libc::EACCES };
        sim(&whole).inject(fault);
        let rest = Machine::open_with(sim(&whole).clone(), whole.files().clone()).unwrap();
        assert_eq!(rest.gpus().len(), 2);
        assert_eq!(rest.gpus()[1].address(), whole.gpus()[2].address());
        let [unusable] = rest.unusable() else { panic!("one is unusable") };
        assert_eq!(unusable.address, Some(whole.gpus()[1].address()));
        assert_eq!(unusable.reason.errno(), libc::EACCES);
    }

    #[test]
    fn capabilities_are_those_of_the_driver() {
        let full = machine("bmg");
        let found = *full.gpus()[0].capabilities().unwrap();
        for (name, support) in found.list() {
            let expected = match name {
                "migration_policy" => Support::AcceptedOnly,
                "autoreset" => Support::Unprobed,
                _ => Support::Enforced,
            };
            assert_eq!(support, expected, "{name}");
        }
        full.gpus()[0].note_autoreset(true);
        assert_eq!(full.gpus()[0].capabilities().unwrap().autoreset, Support::Enforced);

        let without = |features: &str| {
            let machine = machine(&format!("bmg without={features}"));
            *machine.gpus()[0].capabilities().unwrap()
        };
        assert_eq!(without("multi-device").multi_device, Support::Unsupported);
        assert_eq!(without("consult").prefetch_consult, Support::Unsupported);
        assert_eq!(without("purgeable").purgeable, Support::Unsupported);
        let old = without("madvise,multi-device,consult,purgeable,autoreset");
        assert_eq!((old.mirror, old.preferred_location), (Support::Enforced, Support::Unsupported));
        assert_eq!((old.migration_policy, old.attribute_query), (Support::Unsupported, Support::Unsupported));
        assert_eq!((old.atomic, old.pat), (Support::Unsupported, Support::Unsupported));
        let none = without("mirror");
        assert_eq!((none.mirror, none.autoreset), (Support::Unsupported, Support::Unsupported));
    }

    #[test]
    fn probing_capabilities_leaves_nothing_behind_and_is_done_once() {
        let machine = machine("bmg");
        let gpu = &machine.gpus()[0];
        sim(&machine).inject(Fault { call: Call::Madvise, skip: 0, times: 1, errno: libc::ENOMEM });
        assert_eq!(gpu.capabilities().unwrap_err().errno(), libc::ENOMEM);
        gpu.capabilities().unwrap();
        let calls = sim(&machine).counters().calls;
        assert_eq!((calls[&Call::VmCreate], calls[&Call::VmDestroy]), (2, 2));
        sim(&machine).reset_counters();
        gpu.capabilities().unwrap();
        let counters = sim(&machine).counters();
        assert_eq!(counters.calls.values().sum::<u64>(), 0);
        assert_eq!(gpu.usage().unwrap()[0].used, gpu.regions()[0].used);
    }

    #[test]
    fn a_link_is_probed_once_in_a_vm_that_is_gone_afterwards() {
        let machine = machine("cpu=client 2x bmg");
        let [from, to] = [GpuId(0), GpuId(1)];
        assert_eq!(machine.link(from, to).unwrap().basis, Basis::Predicted);
        let probed = machine.probe_link(from, to).unwrap();
        assert_eq!((probed.verdict, probed.basis), (Verdict::NotConnected, Basis::Probed));
        let calls = sim(&machine).counters().calls;
        assert_eq!((calls[&Call::VmCreate], calls[&Call::VmDestroy]), (1, 1));
        assert_eq!(machine.probe_link(from, to).unwrap(), probed);
        assert_eq!(machine.link(from, to).unwrap(), probed);
        assert_eq!(sim(&machine).counters().calls[&Call::VmCreate], 1);
        assert_eq!(machine.link(to, from).unwrap().basis, Basis::Predicted, "the other direction was not asked");
        assert!(machine.probe_link(from, from).unwrap().verdict == Verdict::Connected);
    }

    #[test]
    fn what_the_kernel_says_in_passing_is_remembered() {
        let machine = machine("cpu=zen 2x bmg");
        let [from, to] = [GpuId(0), GpuId(1)];
        machine.learn_link(from, to, false);
        let link = machine.link(from, to).unwrap();
        assert_eq!((link.verdict, link.reason), (Verdict::NotConnected, Reason::KernelDisagrees));
        machine.learn_link(from, to, true);
        assert_eq!(machine.link(from, to).unwrap().reason, Reason::Cpu);
    }

    #[test]
    fn probing_says_what_is_missing() {
        let machine = machine("cpu=zen lnl bmg bmg without=multi-device bmg without=mirror");
        let probe = |from, to| machine.probe_link(GpuId(from), GpuId(to)).unwrap_err();
        assert_eq!(probe(1, 0).errno(), libc::ENOENT, "no VRAM to reach");
        assert_eq!(probe(2, 1).errno(), libc::EOPNOTSUPP, "no other devices in MADVISE");
        assert_eq!(probe(3, 1).errno(), libc::EOPNOTSUPP, "no shared virtual memory");
    }

    #[test]
    fn groups_are_those_of_the_kernel() {
        let members = |text: &str| -> Vec<Vec<u32>> {
            let groups = machine(text).groups();
            groups.iter().map(|group| group.gpus.iter().map(|gpu| gpu.0).collect()).collect()
        };
        assert_eq!(members("cpu=zen 3x bmg"), [[0, 1, 2]]);
        assert_eq!(members("cpu=client root switch(2x bmg) switch(2x bmg)"), [[0, 1], [2, 3]]);
        assert_eq!(members("cpu=client lnl 2x bmg"), [[0], [1], [2]]);
        assert_eq!(machine("cpu=client switch(2x bmg)").groups()[0].basis, Basis::Guessed);
    }

    #[test]
    fn a_lost_gpu_keeps_its_number_and_answers_no_more() {
        let machine = machine("2x bmg");
        let gpu = &machine.gpus()[0];
        sim(&machine).unplug(GpuId(0)).unwrap();
        assert!(matches!(gpu.usage(), Err(Error::Lost(_))));
        assert!(gpu.is_lost());
        assert_eq!(gpu.device().unwrap_err().errno(), libc::ENODEV);
        assert_eq!(gpu.capabilities().unwrap_err().errno(), libc::ENODEV);
        assert_eq!(machine.probe_link(GpuId(0), GpuId(1)).unwrap_err().errno(), libc::ENODEV);
        assert!(machine.gpus()[1].usage().is_ok());
    }

    #[test]
    fn a_wedged_gpu_is_lost_too() {
        let machine = machine("bmg");
        sim(&machine).wedge(GpuId(0)).unwrap();
        assert!(matches!(machine.gpus()[0].usage(), Err(Error::Lost(_))));
    }

    #[test]
    fn a_probe_finds_out_which_of_the_two_is_gone() {
        let machine = machine("cpu=zen 2x bmg");
        sim(&machine).unplug(GpuId(1)).unwrap();
        assert_eq!(machine.probe_link(GpuId(0), GpuId(1)).unwrap_err().errno(), libc::ENODEV);
        assert!(machine.gpus()[1].is_lost() && !machine.gpus()[0].is_lost());
    }

    #[test]
    fn a_gpu_that_comes_back_is_found_by_a_new_machine() {
        let old = machine("cpu=zen 2x bmg");
        sim(&old).unplug(GpuId(1)).unwrap();
        assert!(old.gpus()[1].usage().is_err());
        sim(&old).replug(GpuId(1)).unwrap();
        assert!(old.gpus()[1].usage().is_err(), "what was open stays dead");
        let new = Machine::open_with(sim(&old).clone(), old.files().clone()).unwrap();
        assert_eq!(new.gpus()[1].address(), old.gpus()[1].address());
        assert_eq!(new.probe_link(GpuId(0), GpuId(1)).unwrap().verdict, Verdict::Connected);
    }

    #[test]
    fn groups_that_the_kernel_made_before_something_changed_are_told_of() {
        let machine = machine("cpu=zen 2x bmg");
        let [from, to] = [GpuId(0), GpuId(1)];
        for (from, to) in [(from, to), (to, from)] {
            sim(&machine).set_distance(from, to, None).unwrap();
        }
        let link = machine.probe_link(from, to).unwrap();
        assert_eq!((link.verdict, link.reason.clone()), (Verdict::NotConnected, Reason::KernelDisagrees));
        assert!(link.to_string().contains("stale kernel groups possible"), "{link}");
    }

    #[test]
    fn a_device_file_is_traced_to_its_gpu() {
        let machine = machine("2x bmg");
        let gpu = &machine.gpus()[1];
        let opened = machine.driver().open(gpu.node()).unwrap();
        assert_eq!(machine.gpu_of(opened.as_fd()).unwrap().id(), gpu.id());
        let other = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(machine.gpu_of(other.as_fd()).unwrap_err().errno(), libc::ENOENT);
    }

    #[test]
    fn counters_are_read_from_debugfs() {
        let machine = machine("bmg");
        sim(&machine).privileged(true);
        assert_eq!(machine.gpus()[0].counters().unwrap().page_faults, 0);
    }

    #[test]
    fn a_name_is_a_directory_or_a_machine_string() {
        let directory = tempfile::tempdir().unwrap();
        machine("2x bmg").record(directory.path()).unwrap();
        assert_eq!(Machine::named(directory.path().to_str().unwrap()).unwrap().gpus().len(), 2);
        assert_eq!(Machine::named("3x bmg").unwrap().gpus().len(), 3);
        assert!(matches!(Machine::named("no such thing"), Err(Error::MachineString { .. })));
    }

    #[test]
    fn discovery_reads_as_much_for_each_gpu() {
        let reads = |text: &str| {
            let machine = machine(text);
            let (files, log) = machine.files().logged();
            Machine::open_with(machine.driver().clone(), files).unwrap();
            let log = log.lock();
            log.files.len() + log.links.len() + log.directories.len()
        };
        let [four, eight, sixteen] = ["switch(4x bmg)", "switch(8x bmg)", "switch(16x bmg)"].map(reads);
        assert_eq!(eight - four, (sixteen - eight) / 2);
        assert!((eight - four) / 4 <= 8, "{four} for four, {eight} for eight");
    }

    #[test]
    fn this_host_is_a_machine() {
        let machine = Machine::open().unwrap();
        assert!(machine.simulation().is_none());
        assert_eq!(machine.groups().iter().map(|group| group.gpus.len()).sum::<usize>(), machine.gpus().len());
    }
}
