// SPDX-License-Identifier: MIT OR Apache-2.0
//! sysfs and procfs of a simulated machine.

use super::{
    config::config,
    grammar::Description,
    models::INTEL,
    procfs::HostFiles,
    topology::{Function, Gpu, Kind, Topology},
    windows::{Windows, lines},
};
use crate::{address::PciAddress, files::Tree};

/// Major number of DRM devices (`DRM_MAJOR` in `include/drm/drm_drv.h`).
const DRM_MAJOR: u32 = 226;

/// All files of `machine` that do not change as it runs.
pub(super) fn tree(machine: &Description, topology: &Topology) -> Tree {
    let host = HostFiles::new(machine, topology);
    let mut maker = Maker { machine, topology, host, paths: paths(topology), tree: Tree::default() };
    maker.buses();
    let windows = Windows::new(topology);
    for (index, function) in topology.functions.iter().enumerate() {
        maker.function(index, function, &windows);
    }
    topology.gpus.iter().for_each(|gpu| maker.gpu(gpu));
    if machine.iommu {
        maker.iommu();
    }
    let mut tree = maker.tree;
    maker.host.numa(&mut tree);
    maker.host.proc(&mut tree, topology, &windows);
    tree
}

/// The directory of each function.
fn paths(topology: &Topology) -> Vec<String> {
    let mut paths: Vec<String> = Vec::with_capacity(topology.functions.len());
    for function in &topology.functions {
        let host = &topology.hosts[function.host];
        let path = match function.parent {
            Some(parent) => format!("{}/{}", paths[parent], function.address),
            None => format!("/sys/devices/pci{:04x}:{:02x}/{}", host.domain, host.bus, function.address),
        };
        paths.push(path);
    }
    paths
}

struct Maker<'a> {
    machine: &'a Description,
    topology: &'a Topology,
    host: HostFiles,
    paths: Vec<String>,
    tree: Tree,
}

impl Maker<'_> {
    /// Directories that are there whether or not something is in them.
    fn buses(&mut self) {
        for driver in ["pcieport", "xe"] {
            self.tree.directory(format!("/sys/bus/pci/drivers/{driver}"));
        }
        for directory in ["/sys/bus/pci/devices", "/sys/class/drm", "/sys/class/iommu", "/sys/kernel/iommu_groups"] {
            self.tree.directory(directory);
        }
        self.tree.file("/sys/class/drm/version", "drm 1.1.0 20060810\n");
    }

    fn function(&mut self, index: usize, function: &Function, windows: &Windows) {
        let path = self.paths[index].clone();
        let Function { ids, class, revision, address, .. } = *function;
        let (vendor, device) = subsystem(function);
        let node = function.node.map_or(-1, i64::from);
        for (name, value) in [
            ("vendor", format!("{:#06x}", ids.vendor)),
            ("device", format!("{:#06x}", ids.device)),
            ("class", format!("{class:#08x}")),
            ("revision", format!("{revision:#04x}")),
            ("subsystem_vendor", format!("{vendor:#06x}")),
            ("subsystem_device", format!("{device:#06x}")),
            ("numa_node", node.to_string()),
            ("local_cpulist", self.host.cpus(function.node)),
            ("enable", "1".to_owned()),
            ("power_state", "D0".to_owned()),
            ("uevent", uevent(function)),
        ] {
            self.tree.file(format!("{path}/{name}"), value + "\n");
        }
        if let Some(link) = function.link {
            for (when, lanes) in [("current", link.now), ("max", link.most)] {
                self.tree.file(format!("{path}/{when}_link_speed"), speed(lanes.generation));
                self.tree.file(format!("{path}/{when}_link_width"), format!("{}\n", lanes.count));
            }
        }
        if let Some((secondary, subordinate)) = function.buses {
            self.tree.file(format!("{path}/secondary_bus_number"), format!("{secondary}\n"));
            self.tree.file(format!("{path}/subordinate_bus_number"), format!("{subordinate}\n"));
        }
        self.tree.file(format!("{path}/resource"), lines(function, windows.of(index)));
        self.tree.file(format!("{path}/config"), config(function, windows.of(index), self.machine.root));
        self.link(format!("/sys/bus/pci/devices/{address}"), &path);
        self.link(format!("{path}/subsystem"), "/sys/bus/pci");
        if let Some(driver) = function.kind.driver() {
            self.link(format!("{path}/driver"), &format!("/sys/bus/pci/drivers/{driver}"));
            self.link(format!("/sys/bus/pci/drivers/{driver}/{address}"), &path);
        }
        if let Kind::VirtualFunction(physical) = function.kind {
            self.virtual_function(physical, function.address);
        }
    }

    /// The links between a physical function and a virtual one of it.
    fn virtual_function(&mut self, physical: usize, address: PciAddress) {
        let (above, below) = (&self.topology.functions[physical], address);
        let number = below.device * 8 + below.function - 1;
        let path = &self.paths[physical];
        let beside = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        self.tree.link(format!("{beside}/{below}/physfn"), format!("../{}", above.address));
        self.tree.link(format!("{path}/virtfn{number}"), format!("../{below}"));
        self.tree.file(format!("{path}/sriov_numvfs"), format!("{}\n", number + 1));
    }

    /// The device nodes of a GPU.
    fn gpu(&mut self, gpu: &Gpu) {
        let path = self.paths[gpu.function].clone();
        let address = gpu.spec.address;
        let (card, render) = (gpu.card_minor, gpu.spec.render_minor);
        for (name, minor) in [(format!("card{card}"), card), (format!("renderD{render}"), render)] {
            let node = format!("{path}/drm/{name}");
            self.tree.file(format!("{node}/dev"), format!("{DRM_MAJOR}:{minor}\n"));
            let uevent = format!("MAJOR={DRM_MAJOR}\nMINOR={minor}\nDEVNAME=dri/{name}\nDEVTYPE=drm_minor\n");
            self.tree.file(format!("{node}/uevent"), uevent);
            self.tree.link(format!("{node}/device"), format!("../../../{address}"));
            self.link(format!("{node}/subsystem"), "/sys/class/drm");
            self.link(format!("/sys/class/drm/{name}"), &node);
            self.link(format!("/sys/dev/char/{DRM_MAJOR}:{minor}"), &node);
        }
    }

    fn iommu(&mut self) {
        let intel = self.topology.cpu.vendor == "GenuineIntel";
        for number in 0..self.topology.hosts.len() {
            let name = if intel { format!("dmar{number}") } else { format!("ivhd{number}") };
            let path = format!("/sys/devices/virtual/iommu/{name}");
            self.tree.file(format!("{path}/{}-iommu/cap", if intel { "intel" } else { "amd" }), "0\n");
            self.link(format!("/sys/class/iommu/{name}"), &path);
        }
        for (index, group) in self.topology.iommu_groups().into_iter().enumerate() {
            let (path, address) = (self.paths[index].clone(), self.topology.functions[index].address);
            let directory = format!("/sys/kernel/iommu_groups/{group}");
            self.link(format!("{path}/iommu_group"), &directory);
            self.link(format!("{directory}/devices/{address}"), &path);
            self.tree.file(format!("{directory}/type"), "DMA-FQ\n");
        }
    }

    /// A link as sysfs writes it: relative, from the directory that holds it.
    fn link(&mut self, from: String, to: &str) {
        let up = from.matches('/').count() - 2;
        let target = to.strip_prefix("/sys/").unwrap_or(to);
        self.tree.link(from, "../".repeat(up) + target);
    }
}

impl Kind {
    pub(super) fn driver(self) -> Option<&'static str> {
        match self {
            Kind::HostBridge => None,
            Kind::RootPort | Kind::Upstream | Kind::Downstream => Some("pcieport"),
            Kind::Gpu | Kind::IntegratedGpu | Kind::VirtualFunction(_) => Some("xe"),
        }
    }
}

/// Subsystem vendor and device: Intel's own card, where it is one.
pub(super) fn subsystem(function: &Function) -> (u16, u16) {
    if function.kind.driver() == Some("xe") { (INTEL, 0x1100) } else { (0, 0) }
}

/// As `pci_speed_string` in `drivers/pci/probe.c` names the generations.
fn speed(generation: u8) -> &'static str {
    match generation {
        1 => "2.5 GT/s PCIe\n",
        2 => "5.0 GT/s PCIe\n",
        3 => "8.0 GT/s PCIe\n",
        4 => "16.0 GT/s PCIe\n",
        5 => "32.0 GT/s PCIe\n",
        _ => "64.0 GT/s PCIe\n",
    }
}

/// As `pci_uevent` in `drivers/pci/pci-driver.c` writes it.
fn uevent(function: &Function) -> String {
    let driver = function.kind.driver().map_or(String::new(), |driver| format!("DRIVER={driver}\n"));
    let Function { ids, class, address, .. } = function;
    let (vendor, device) = subsystem(function);
    let [_, base, sub, interface] = class.to_be_bytes();
    format!(
        "{driver}PCI_CLASS={class:X}\nPCI_ID={:04X}:{:04X}\nPCI_SUBSYS_ID={vendor:04X}:{device:04X}\n\
         PCI_SLOT_NAME={address}\nMODALIAS=pci:v{:08X}d{:08X}sv{vendor:08X}sd{device:08X}bc{base:02X}sc{sub:02X}i{interface:02X}",
        ids.vendor, ids.device, ids.vendor, ids.device
    )
}
