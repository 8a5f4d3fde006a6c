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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        files::Files,
        sim::{
            hardware::parser::{read, tests::machines},
            parse,
        },
    };
    use proptest::prelude::*;
    use std::path::{Path, PathBuf};

    fn files(text: &str) -> Files {
        parse(text).unwrap().files
    }

    /// Everything below `path`, links not followed.
    fn walk(files: &Files, path: &Path, visit: &mut impl FnMut(&Path)) {
        visit(path);
        if files.resolve(path).is_ok_and(|real| real == path) {
            for name in files.list(path).unwrap_or_default() {
                walk(files, &path.join(name), visit);
            }
        }
    }

    #[test]
    fn a_card_is_two_bridges_below_its_slot() {
        let files = files("cpu=client bmg");
        let real = files.resolve("/sys/bus/pci/devices/0000:03:00.0").unwrap();
        let expected = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:03:00.0";
        assert_eq!(real, Path::new(expected));
        for (name, value) in [
            ("vendor", "0x8086\n"),
            ("device", "0xe20b\n"),
            ("class", "0x030000\n"),
            ("revision", "0x00\n"),
            ("numa_node", "-1\n"),
            ("current_link_speed", "2.5 GT/s PCIe\n"),
            ("current_link_width", "1\n"),
            ("../../current_link_speed", "16.0 GT/s PCIe\n"),
            ("../../current_link_width", "8\n"),
            ("../../../max_link_width", "16\n"),
            ("../../../class", "0x060400\n"),
            ("../../../../0000:00:00.0/device", "0xa700\n"),
            ("drm/renderD128/dev", "226:128\n"),
            ("local_cpulist", "0-7\n"),
        ] {
            assert_eq!(String::from_utf8(files.read(real.join(name)).unwrap()).unwrap(), value, "{name}");
        }
        assert_eq!(files.resolve(real.join("driver")).unwrap(), Path::new("/sys/bus/pci/drivers/xe"));
        assert_eq!(files.resolve("/sys/bus/pci/drivers/xe/0000:03:00.0").unwrap(), real);
        for node in ["/sys/class/drm/renderD128", "/sys/dev/char/226:0", "/sys/dev/char/226:128"] {
            assert_eq!(files.resolve(format!("{node}/device")).unwrap(), real, "{node}");
        }
        assert!(!files.exists(real.join("iommu_group")));
        assert_eq!(files.list("/sys/class/iommu").unwrap(), [""; 0]);
    }

    #[test]
    fn a_link_is_what_both_ends_can_do() {
        let files = files("port(gen=3 x4 bmg) switch(gen=4 x8 b50)");
        let link = |address: &str| {
            let read = |name| files.text(format!("/sys/bus/pci/devices/{address}/{name}")).unwrap();
            (read("current_link_speed"), read("current_link_width"))
        };
        assert_eq!(link("0000:01:00.0"), ("8.0 GT/s PCIe".to_owned(), "4".to_owned()));
        assert_eq!(link("0000:00:01.0"), link("0000:01:00.0"));
        assert_eq!(link("0000:04:00.0"), ("16.0 GT/s PCIe".to_owned(), "8".to_owned()));
        assert_eq!(link("0000:06:00.0"), ("32.0 GT/s PCIe".to_owned(), "8".to_owned()));
    }

    #[test]
    fn the_bar_is_the_third_line() {
        let files = files("bmg bar=256M");
        let text = files.text("/sys/bus/pci/devices/0000:03:00.0/resource").unwrap();
        let line = text.lines().nth(2).unwrap();
        let numbers: Vec<u64> =
            line.split(' ').map(|word| u64::from_str_radix(word.strip_prefix("0x").unwrap(), 16).unwrap()).collect();
        assert_eq!(numbers[1] - numbers[0] + 1, 256 << 20);
        assert_eq!(text.lines().count(), 13);
        assert_eq!(files.text("/sys/bus/pci/devices/0000:02:01.0/resource").unwrap().lines().count(), 17);
    }

    #[test]
    fn only_root_sees_access_control() {
        let seen = |text: &str| files(text).read("/sys/bus/pci/devices/0000:00:01.0/config").unwrap();
        assert_eq!(seen("port(acs bmg)").len(), 64);
        let all = seen("root port(acs bmg)");
        assert_eq!(all.len(), 4096);
        assert_eq!(all[0x100..0x108], [0x0d, 0, 1, 0, 0x5f, 0, 0x1d, 0]);
        assert_eq!(seen("root iommu port(bmg)")[0x106], 0x1d);
        assert_eq!(seen("root port(bmg)")[0x106], 0);
        assert_eq!(seen("root port(noacs bmg)")[0x100..0x108], [0; 8]);
        // Express capability: version 2, root port.
        assert_eq!(all[0x40..0x44], [0x10, 0, 0x42, 0]);
    }

    #[test]
    fn iommu_groups_end_where_isolation_does() {
        let groups = |text: &str, addresses: &[&str]| -> Vec<String> {
            let files = files(text);
            let group = |address| files.resolve(format!("/sys/bus/pci/devices/{address}/iommu_group")).unwrap();
            addresses.iter().map(|address| group(address).file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        let (gpus, ports) = (["0000:05:00.0", "0000:08:00.0"], ["0000:02:00.0", "0000:02:01.0"]);
        let isolating = groups("cpu=client iommu switch(2x bmg)", &[gpus, ports].concat());
        assert!(isolating.iter().all(|group| isolating.iter().filter(|other| *other == group).count() == 1));
        // Whatever is behind a port that does not isolate is in the port's group …
        let text = "cpu=client iommu switch(noacs 2x bmg)";
        assert_eq!(groups(text, &gpus), groups(text, &ports));
        // … and if that is the root port, everything is.
        let shared =
            groups("cpu=client iommu port(noacs switch(2x bmg))", &[gpus, ports, ["0000:00:01.0"; 2]].concat());
        assert!(shared.iter().all(|group| *group == shared[0]));
    }

    #[test]
    fn host_bridges_share_a_domain_while_its_buses_last() {
        let files = files("cpu=xeon 2x host(2x bmg) 2x host(4x switch(16x bmg))");
        let devices = files.list("/sys/devices").unwrap();
        let hosts: Vec<_> = devices.iter().filter(|name| name.starts_with("pci")).map(String::as_str).collect();
        assert_eq!(hosts, ["pci0000:00", "pci0000:07", "pci0000:0e", "pci0001:00"]);
        assert_eq!(files.text("/sys/devices/pci0000:07/0000:07:00.0/numa_node").unwrap(), "1");
        assert_eq!(files.text("/sys/devices/system/node/online").unwrap(), "0-3");
        assert_eq!(files.text("/sys/devices/system/node/node2/cpulist").unwrap(), "16-23");
        let nodes = files.list("/sys/class/drm").unwrap();
        // 65th: both of its nodes from the common pool.
        assert!(nodes.contains(&"renderD192".to_owned()) && nodes.contains(&"card193".to_owned()));
    }

    #[test]
    fn virtual_functions_are_linked_with_their_physical_one() {
        let spec = parse("bmg vram=12G vfs=2").unwrap();
        let addresses: Vec<_> = spec.devices.iter().map(|device| device.address.to_string()).collect();
        assert_eq!(addresses, ["0000:03:00.0", "0000:03:00.1", "0000:03:00.2"]);
        assert!(spec.devices.iter().all(|device| device.tiles[0].total == 4 << 30));
        let resolve = |path: &str| spec.files.resolve(format!("/sys/bus/pci/devices/{path}")).unwrap();
        assert_eq!(resolve("0000:03:00.2/physfn"), resolve("0000:03:00.0"));
        assert_eq!(resolve("0000:03:00.0/virtfn1"), resolve("0000:03:00.2"));
        let config = spec.files.read("/sys/bus/pci/devices/0000:03:00.1/config").unwrap();
        assert_eq!(config[..4], [0xff; 4]);
    }

    #[test]
    fn the_cpu_and_the_memory_are_told_of() {
        let files = files("cpu=hygon ram=1G host=1022:1480 none");
        let cpuinfo = files.text("/proc/cpuinfo").unwrap();
        assert!(cpuinfo.starts_with("processor\t: 0\nvendor_id\t: HygonGenuine\ncpu family\t: 24\n"));
        assert_eq!(files.text("/proc/meminfo").unwrap().lines().next(), Some("MemTotal:        1048576 kB"));
        let devices = files.text("/proc/bus/pci/devices").unwrap();
        assert!(devices.starts_with("0000\t10221480\t0\t"));
        assert_eq!(files.list("/sys/bus/pci/drivers/xe").unwrap(), [""; 0]);
        let meminfo = files.text("/sys/devices/system/node/node0/meminfo").unwrap();
        assert_eq!(meminfo.lines().next(), Some("Node 0 MemTotal:        1048576 kB"));
    }

    #[test]
    fn a_thousand_gpus_are_no_trouble() {
        let spec = parse("cpu=xeon root iommu 16x host(4x switch(16x bmg))").unwrap();
        assert_eq!(spec.devices.len(), 1024);
        assert!(spec.distances.iter().flatten().all(Option::is_some));
        let minors: std::collections::BTreeSet<_> = spec.devices.iter().map(|device| device.render_minor).collect();
        assert_eq!(minors.len(), 1024);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_link_leads_somewhere_and_every_line_ends(machine in machines()) {
            prop_assume!(read(&machine.to_string()).is_ok());
            let files = files(&machine.to_string());
            let mut broken: Vec<PathBuf> = Vec::new();
            walk(&files, Path::new("/"), &mut |path| {
                let text = files.read(path).is_ok_and(|bytes| !bytes.is_empty() && !bytes.ends_with(b"\n"));
                if !files.exists(path) || text && !path.ends_with("config") {
                    broken.push(path.to_owned());
                }
            });
            prop_assert!(broken.is_empty(), "{broken:?}");
        }

        #[test]
        fn a_bridge_numbers_all_buses_behind_it(machine in machines()) {
            prop_assume!(read(&machine.to_string()).is_ok());
            let topology = Topology::new(&machine);
            for function in &topology.functions {
                let Some(parent) = function.parent.map(|parent| &topology.functions[parent]) else { continue };
                let (secondary, subordinate) = parent.buses.unwrap();
                prop_assert_eq!(function.address.bus, secondary);
                if let Some((_, last)) = function.buses {
                    prop_assert!(last <= subordinate);
                }
            }
            let addresses: std::collections::BTreeSet<_> =
                topology.functions.iter().map(|function| function.address).collect();
            prop_assert_eq!(addresses.len(), topology.functions.len());
        }
    }
}
