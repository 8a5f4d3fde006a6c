// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host lets through: its CPU, its host bridges, its kernel.

use super::{HostBridgeId, config_space};
use crate::{
    address::PciAddress,
    files::Files,
    pcie::{Function, root_bus},
};
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The facts of a host that decide over links. Each is read once, when it is first needed.
#[derive(Debug)]
pub(super) struct Host {
    files: Files,
    has_p2pdma: OnceCell<bool>,
    cpu: OnceCell<Answer>,
    bridges: Mutex<BTreeMap<PathBuf, Arc<Bridge>>>,
    bus_order: OnceCell<Option<BTreeMap<u16, usize>>>,
    kernel_line: OnceCell<String>,
}

/// Yes or no, and whether every input was at hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) yes: bool,
    pub(super) certain: bool,
}

impl Answer {
    fn and(self, other: Answer) -> Answer {
        let yes = self.yes && other.yes;
        // One certain no is enough.
        let no = |answer: Answer| !answer.yes && answer.certain;
        Answer { yes, certain: (self.certain && other.certain) || no(self) || no(other) }
    }
}

/// The function that stands for a host bridge in the kernel's list, if one does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bridge {
    id: Option<HostBridgeId>,
    certain: bool,
}

/// `pci_p2pdma_whitelist` in `drivers/pci/p2pdma.c`, Linux 7.3: devices whose host bridge passes peer traffic.
const ANYWHERE: [(u16, u16); 20] = [
    (0x8086, 0x2030),
    (0x8086, 0x2031),
    (0x8086, 0x2032),
    (0x8086, 0x2033),
    (0x8086, 0x2020),
    (0x8086, 0x09a2),
    (0x8086, 0x0b25),
    (0x8086, 0x0cfe),
    (0x8086, 0x11fb),
    (0x8086, 0x1212),
    (0x8086, 0x1216),
    (0x8086, 0x4940),
    (0x8086, 0x4942),
    (0x8086, 0x4944),
    (0x8086, 0x4946),
    (0x8086, 0x4948),
    (0x10de, 0x2f95),
    (0x10de, 0x2f96),
    (0x10de, 0x2f97),
    (0x10de, 0x2f98),
];
/// The same, where both devices have to be below one host bridge.
const WITHIN_ONE: [(u16, u16); 4] = [(0x8086, 0x3c00), (0x8086, 0x3c01), (0x8086, 0x2f00), (0x8086, 0x2f01)];
/// The same, every device of a vendor.
const ANY_OF_VENDOR: u16 = 0x1ae0;
/// AMD Zen, the first family that the kernel trusts with peer traffic.
const ZEN: u32 = 0x17;

impl Host {
    pub(super) fn new(files: Files) -> Host {
        Host {
            files,
            has_p2pdma: OnceCell::new(),
            cpu: OnceCell::new(),
            bridges: Mutex::default(),
            bus_order: OnceCell::new(),
            kernel_line: OnceCell::new(),
        }
    }

    /// Reads everything about a host bridge, and of the host.
    pub(super) fn look_at(&self, root: &Path) {
        self.has_p2pdma();
        self.cpu_passes();
        self.bridge(root);
    }

    /// Whether the kernel has CONFIG_PCI_P2PDMA. A kernel that does not show its configuration is taken to have it.
    pub(super) fn has_p2pdma(&self) -> bool {
        *self.has_p2pdma.get_or_init(|| {
            let Ok(release) = self.files.text("/proc/sys/kernel/osrelease") else { return true };
            if release.is_empty() || release.contains('/') {
                return true;
            }
            let places = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
            let Some(config) = places.iter().find_map(|path| self.files.text(path).ok()) else { return true };
            let is_config = config.lines().any(|line| line == "CONFIG_PCI=y");
            !is_config || config.lines().any(|line| line == "CONFIG_PCI_P2PDMA=y")
        })
    }

    /// Whether the CPU passes peer traffic between its root ports, whatever its host bridges are.
    pub(super) fn cpu_passes(&self) -> Answer {
        *self.cpu.get_or_init(|| match self.files.text("/proc/cpuinfo") {
            Ok(text) => Answer { yes: is_zen(&text), certain: true },
            Err(_) => Answer { yes: false, certain: false },
        })
    }

    /// Whether the host bridges of two root buses pass traffic between them, and those of them that do not.
    pub(super) fn bridges_pass(&self, one: &Path, other: &Path) -> (Answer, Vec<HostBridgeId>) {
        let same = one == other;
        let bridges = if same { vec![self.bridge(one)] } else { vec![self.bridge(one), self.bridge(other)] };
        let start = Answer { yes: true, certain: true };
        let answer = bridges.iter().fold(start, |answer, bridge| answer.and(bridge.passes(same)));
        let mut refusing: Vec<HostBridgeId> =
            bridges.iter().filter(|bridge| !bridge.passes(same).yes).filter_map(|bridge| bridge.id).collect();
        refusing.sort();
        refusing.dedup();
        (answer, refusing)
    }

    fn bridge(&self, root: &Path) -> Arc<Bridge> {
        if let Some(known) = self.bridges.lock().get(root) {
            return known.clone();
        }
        let bridge = Arc::new(self.read_bridge(root));
        self.bridges.lock().insert(root.to_owned(), bridge.clone());
        bridge
    }

    /// The kernel takes the first device in its list of the root bus, if that is function 00.0 or a root port.
    fn read_bridge(&self, root: &Path) -> Bridge {
        let (first, certain) = self.first_on(root);
        let Some(first) = first else { return Bridge { id: None, certain } };
        if (first.address.device, first.address.function) == (0, 0) {
            return Bridge { id: self.id_of(&first), certain };
        }
        match self.is_root_port(&first) {
            (true, sure) => Bridge { id: self.id_of(&first), certain: certain && sure },
            (false, sure) => Bridge { id: None, certain: certain && sure },
        }
    }

    /// The first device in the kernel's list of a root bus. The list is in the order of `/proc/bus/pci/devices`, which
    /// names no domains; where it cannot be used, devices are taken to be in the order of their numbers.
    fn first_on(&self, root: &Path) -> (Option<Function>, bool) {
        let Some((domain, bus)) = root_bus(root) else { return (None, true) };
        let Ok(names) = self.files.list(root) else { return (None, false) };
        let addresses = names.iter().filter_map(|name| name.parse::<PciAddress>().ok());
        let mut on_bus: Vec<PciAddress> =
            addresses.filter(|address| (address.domain, address.bus) == (domain, bus)).collect();
        on_bus.sort();
        let order = self.bus_order.get_or_init(|| bus_order(&self.files.text("/proc/bus/pci/devices").ok()?));
        let place = |address: &PciAddress| {
            let key = u16::from(address.bus) << 8 | u16::from(address.device) << 3 | u16::from(address.function);
            order.as_ref()?.get(&key).copied()
        };
        let places: Option<Vec<usize>> = on_bus.iter().map(place).collect();
        let first = match &places {
            Some(places) => places.iter().zip(&on_bus).min().map(|(_, address)| *address),
            None => on_bus.first().copied(),
        };
        let function = |address: PciAddress| Function { address, directory: root.join(address.to_string()) };
        (first.map(function), places.is_some())
    }

    fn is_root_port(&self, function: &Function) -> (bool, bool) {
        let config = self.files.read(function.directory.join("config")).unwrap_or_default();
        if let Some(answer) = config_space::is_root_port(&config) {
            return (answer, true);
        }
        let is_bridge = function.number(&self.files, "class").is_ok_and(|class| class >> 8 == 0x0604);
        // Only PCI Express functions have it.
        let is_express = self.files.text(function.directory.join("current_link_speed")).is_ok();
        (is_bridge && is_express, false)
    }

    fn id_of(&self, function: &Function) -> Option<HostBridgeId> {
        let number = |name| function.number(&self.files, name).ok()?.try_into().ok();
        Some(HostBridgeId { vendor: number("vendor")?, device: number("device")? })
    }

    /// Whether `pci=disable_acs_redir=` on the kernel's command line names the function.
    pub(super) fn is_redirect_disabled(&self, address: PciAddress) -> bool {
        let line = self.kernel_line.get_or_init(|| self.files.text("/proc/cmdline").unwrap_or_default());
        let options =
            line.split_whitespace().filter_map(|word| word.strip_prefix("pci=")).flat_map(|pci| pci.split(','));
        let lists = options.filter_map(|option| option.strip_prefix("disable_acs_redir="));
        let named = lists.flat_map(|list| list.split(';'));
        named
            .map(|name| name.parse().or_else(|_| format!("0000:{name}").parse()))
            .any(|found| found.ok() == Some(address))
    }
}

impl Bridge {
    fn passes(&self, within_one: bool) -> Answer {
        let yes = self.id.is_some_and(|HostBridgeId { vendor, device }| {
            vendor == ANY_OF_VENDOR
                || ANYWHERE.contains(&(vendor, device))
                || (within_one && WITHIN_ONE.contains(&(vendor, device)))
        });
        Answer { yes, certain: self.certain }
    }
}

/// The first processor decides, as in the kernel.
fn is_zen(cpuinfo: &str) -> bool {
    let block = cpuinfo.lines().take_while(|line| !line.trim().is_empty());
    let fields: BTreeMap<&str, &str> =
        block.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim())).collect();
    let family = fields.get("cpu family").and_then(|family| family.parse::<u32>().ok());
    fields.get("vendor_id") == Some(&"AuthenticAMD") && family.is_some_and(|family| family >= ZEN)
}

/// Bus and function number of each device with its place in the list; `None` if one is there twice, in two domains.
fn bus_order(text: &str) -> Option<BTreeMap<u16, usize>> {
    let mut order = BTreeMap::new();
    for (place, line) in text.lines().enumerate() {
        let key = u16::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
        if order.insert(key, place).is_some() {
            return None;
        }
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Tree;

    #[test]
    fn zen_and_later_pass_peer_traffic_and_no_other_cpu() {
        let cpu = |vendor: &str, family: &str| {
            is_zen(&format!("processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\n"))
        };
        assert!(cpu("AuthenticAMD", "23") && cpu("AuthenticAMD", "26"));
        assert!(!cpu("AuthenticAMD", "21") && !cpu("HygonGenuine", "24") && !cpu("GenuineIntel", "25"));
        assert!(!is_zen("processor\t: 0\n\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\n"), "the second processor");
    }

    const ROOT: &str = "/sys/devices/pci0000:00";

    fn root_function(tree: &mut Tree, name: &str, id: (&str, &str), class: &str) {
        for (file, value) in [("vendor", id.0), ("device", id.1), ("class", class)] {
            tree.file(format!("{ROOT}/{name}/{file}"), format!("{value}\n"));
        }
    }

    #[test]
    fn the_first_function_in_the_kernels_list_stands_for_its_bridge() {
        let mut tree = Tree::default();
        root_function(&mut tree, "0000:00:00.0", ("0x8086", "0x09a2"), "0x060000");
        root_function(&mut tree, "0000:00:01.0", ("0x8086", "0x1234"), "0x060400");
        // 00.0 was removed and found again: it is at the end now.
        tree.file("/proc/bus/pci/devices", "0008\t80861234\n0000\t808609a2\n");
        let host = Host::new(Files::tree(tree));
        let (answer, refusing) = host.bridges_pass(Path::new(ROOT), Path::new(ROOT));
        assert!(!answer.yes);
        assert_eq!(refusing, [], "01.0 does not say that it is PCI Express, so nobody stands for the bridge");
    }

    #[test]
    fn one_bridge_in_the_list_is_not_enough_for_two() {
        let mut tree = Tree::default();
        root_function(&mut tree, "0000:00:00.0", ("0x8086", "0x2f00"), "0x060000");
        tree.file("/proc/bus/pci/devices", "0000\t80862f00\n");
        let host = Host::new(Files::tree(tree));
        let root = Path::new(ROOT);
        assert_eq!(host.bridges_pass(root, root).0, Answer { yes: true, certain: true });
        assert!(!host.bridges_pass(root, Path::new("/sys/devices/pci0000:80")).0.yes);
    }

    #[test]
    fn a_kernel_without_peer_to_peer_says_so_in_its_configuration() {
        let kernel = |config: &str| {
            let mut tree = Tree::default();
            tree.file("/proc/sys/kernel/osrelease", "7.3.4\n");
            tree.file("/boot/config-7.3.4", config);
            Host::new(Files::tree(tree)).has_p2pdma()
        };
        assert!(kernel("CONFIG_PCI=y\nCONFIG_PCI_P2PDMA=y\n"));
        assert!(!kernel("CONFIG_PCI=y\n# CONFIG_PCI_P2PDMA is not set\n"));
        assert!(kernel("something else"));
        assert!(Host::new(Files::tree(Tree::default())).has_p2pdma());
    }

    #[test]
    fn functions_on_the_command_line_are_found() {
        let mut tree = Tree::default();
        tree.file("/proc/cmdline", "quiet pci=noaer,disable_acs_redir=0000:01:00.0;02:01.0 root=/dev/sda\n");
        let host = Host::new(Files::tree(tree));
        for (address, expected) in [("0000:01:00.0", true), ("0000:02:01.0", true), ("0000:02:02.0", false)] {
            assert_eq!(host.is_redirect_disabled(address.parse().unwrap()), expected, "{address}");
        }
    }
}
