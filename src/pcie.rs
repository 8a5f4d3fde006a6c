// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way from a GPU up to the root of its bus, and the PCIe links on it.

use crate::{
    address::PciAddress,
    error::{Error, Result},
    files::Files,
};
use once_cell::sync::OnceCell;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The narrowest PCIe link between a GPU and the root of its bus.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PcieLink {
    /// Gigatransfers a second and lane.
    pub gigatransfers: f64,
    /// Lanes.
    pub lanes: u32,
    /// Where: the function at the lower end of the link. For the slot that is the card's own upstream port, or the GPU
    /// if the card has no bridges of its own.
    pub at: PciAddress,
}

impl PcieLink {
    /// Bytes a second in one direction, after line encoding (8b/10b to 5 GT/s, 128b/130b above; PCI Express Base
    /// Specification 3.0, section 4.2).
    pub fn bytes_per_second(&self) -> f64 {
        let encoding = if self.gigatransfers <= 5.0 { 0.8 } else { 128.0 / 130.0 };
        self.gigatransfers * 1e9 * f64::from(self.lanes) * encoding / 8.0
    }
}

/// A bridge above a GPU: a root port, or a port of a PCIe switch.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Bridge {
    /// Its PCI address.
    pub address: PciAddress,
    /// The PCIe link that it is an end of, as it is trained now: of a switch's upstream port the one above, of other
    /// ports the one below. `None` for a link inside the card, and where the files do not tell.
    pub link: Option<PcieLink>,
    /// Whether it is on the GPU's own card.
    pub on_card: bool,
}

/// One PCI function on the way.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) address: PciAddress,
    /// Where its files are.
    pub(crate) directory: PathBuf,
}

impl Function {
    /// A number such as `0x8086` in one of its files.
    pub(crate) fn number(&self, files: &Files, name: &str) -> io::Result<u32> {
        let text = files.text(self.directory.join(name))?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        u32::from_str_radix(digits, 16).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not a number"))
    }

    /// As it was trained, or `None` if it has no link or does not say.
    fn link(&self, files: &Files) -> Option<PcieLink> {
        let speed = files.text(self.directory.join("current_link_speed")).ok()?;
        let gigatransfers: f64 = speed.split_whitespace().next()?.parse().ok()?;
        let lanes: u32 = files.text(self.directory.join("current_link_width")).ok()?.parse().ok()?;
        // 64 GT/s and 32 lanes are the most that a specification has.
        let plausible = gigatransfers > 0.0 && gigatransfers <= 1024.0 && (1..=64).contains(&lanes);
        plausible.then_some(PcieLink { gigatransfers, lanes, at: self.address })
    }

    fn is(&self, files: &Files, vendor: u32, class: u32) -> bool {
        self.number(files, "vendor").is_ok_and(|found| found == vendor)
            && self.number(files, "class").is_ok_and(|found| found >> 8 == class)
    }
}

/// The way from a device up to the root port, and the host bridge above.
#[derive(Debug)]
pub(crate) struct BusPath {
    files: Files,
    /// The directory of the root bus: `/sys/devices/pci0000:00`.
    pub(crate) host: PathBuf,
    /// The device, the bridge above it, …, the function on the root bus. Never empty. Above a virtual function is what
    /// is above its physical function.
    pub(crate) functions: Vec<Function>,
    links: OnceCell<Vec<Option<PcieLink>>>,
}

/// More bridges than this on one way are refused: there are 256 buses in a domain, and nobody nests a tenth of them.
const MAX_DEPTH: usize = 64;

impl BusPath {
    /// Reads the way of the device at `address`.
    pub(crate) fn read(files: &Files, address: PciAddress) -> Result<BusPath> {
        let link = PathBuf::from(format!("/sys/bus/pci/devices/{address}"));
        let directory = files.resolve(&link).map_err(Error::file(&link))?;
        let (host, mut functions) = functions_of(&directory).map_err(Error::file(&directory))?;
        if functions[0].address != address {
            return Err(Error::file(link)(misplaced()));
        }
        let physical = directory.join("physfn");
        if let Some(physical) = files.resolve(&physical).ok().filter(|found| *found != physical) {
            let (_, above) = functions_of(&physical).map_err(Error::file(&physical))?;
            functions.truncate(1);
            functions.extend(above.into_iter().skip(1));
        }
        Ok(BusPath { files: files.clone(), host, functions, links: OnceCell::new() })
    }

    /// The device itself.
    pub(crate) fn address(&self) -> PciAddress {
        self.functions[0].address
    }

    /// The bridges above the device, the nearest first.
    pub(crate) fn bridges(&self) -> Vec<Bridge> {
        let on_card = if self.has_bridges_of_its_own() { 2 } else { 0 };
        let links = self.links.get_or_init(|| self.read_links());
        let bridge = |(place, (function, link)): (usize, (&Function, &Option<PcieLink>))| Bridge {
            address: function.address,
            link: *link,
            on_card: place <= on_card,
        };
        self.functions.iter().zip(links).enumerate().skip(1).map(bridge).collect()
    }

    /// The lowest function that is on this way and on the other: its places on both.
    pub(crate) fn common(&self, other: &BusPath) -> Option<(usize, usize)> {
        self.functions.iter().enumerate().find_map(|(here, function)| {
            let there = other.functions.iter().position(|found| found.address == function.address)?;
            Some((here, there))
        })
    }

    /// The narrowest link up to the root.
    pub(crate) fn narrowest(&self) -> Option<PcieLink> {
        self.narrowest_below(self.functions.len())
    }

    /// The narrowest of the links that the first `count` functions tell of.
    pub(crate) fn narrowest_below(&self, count: usize) -> Option<PcieLink> {
        let links = self.links.get_or_init(|| self.read_links());
        let narrower = |best: PcieLink, next: PcieLink| {
            if next.bytes_per_second() < best.bytes_per_second() { next } else { best }
        };
        links.iter().take(count).copied().flatten().reduce(narrower)
    }

    /// Both ends of a link tell of it: the port above and the function below.
    fn read_links(&self) -> Vec<Option<PcieLink>> {
        let inside = if self.has_bridges_of_its_own() { 2 } else { 0 };
        let link = |(place, function): (usize, &Function)| {
            if place < inside { None } else { function.link(&self.files) }
        };
        self.functions.iter().enumerate().map(link).collect()
    }

    /// Whether the two bridges above the GPU are on its card.
    ///
    /// Arc and Flex cards have a small switch: an upstream port in the slot, and behind it one downstream port for the
    /// GPU and others for its audio function. The link between the downstream port and the GPU is no real one and claims
    /// 2.5 GT/s x1. A switch of the platform is told from it by what is below: a card's own holds one Intel display
    /// device, Intel audio, and nothing else, and its bridges are Intel's, which makes no switches for mainboards.
    fn has_bridges_of_its_own(&self) -> bool {
        let [_, downstream, upstream, _, ..] = &self.functions[..] else { return false };
        let is_bridge = |function: &Function| function.is(&self.files, INTEL, CLASS_BRIDGE);
        if !is_bridge(downstream) || !is_bridge(upstream) {
            return false;
        }
        children(&self.files, upstream).iter().all(|port| {
            let is_ours = port.address == downstream.address;
            is_bridge(port) && children(&self.files, port).iter().all(|function| self.is_of_the_card(function, is_ours))
        })
    }

    fn is_of_the_card(&self, function: &Function, beside_the_gpu: bool) -> bool {
        let class = function.number(&self.files, "class").map(|class| class >> 16);
        let allowed = match class {
            Ok(CLASS_DISPLAY) => beside_the_gpu,
            Ok(CLASS_MULTIMEDIA) => true,
            _ => false,
        };
        allowed && function.number(&self.files, "vendor").is_ok_and(|vendor| vendor == INTEL)
    }
}

const INTEL: u32 = 0x8086;
/// Classes of `<linux/pci_ids.h>`: a PCI-to-PCI bridge with its subclass, the others without.
const CLASS_BRIDGE: u32 = 0x0604;
const CLASS_DISPLAY: u32 = 0x03;
const CLASS_MULTIMEDIA: u32 = 0x04;

/// The functions directly below a bridge.
fn children(files: &Files, bridge: &Function) -> Vec<Function> {
    let names = files.list(&bridge.directory).unwrap_or_default();
    let function = |name: String| {
        let address = name.parse().ok()?;
        Some(Function { address, directory: bridge.directory.join(name) })
    };
    names.into_iter().filter_map(function).collect()
}

/// The root bus directory above a device's directory, and the functions on the way, the device first.
fn functions_of(directory: &Path) -> io::Result<(PathBuf, Vec<Function>)> {
    let steps: Vec<&Path> = directory.ancestors().collect();
    // The last root bus counts: behind Intel VMD one nests in another.
    let host = steps.iter().position(|step| root_bus(step).is_some()).ok_or_else(misplaced)?;
    if host == 0 || host > MAX_DEPTH {
        return Err(misplaced());
    }
    let function = |step: &&Path| {
        let address = step.file_name().and_then(|name| name.to_str()?.parse().ok()).ok_or_else(misplaced)?;
        Ok(Function { address, directory: step.to_path_buf() })
    };
    Ok((steps[host].to_owned(), steps[..host].iter().map(function).collect::<io::Result<_>>()?))
}

/// Domain and bus of a root bus directory, which is named `pciDDDD:BB`.
pub(crate) fn root_bus(directory: &Path) -> Option<(u32, u8)> {
    let name = directory.file_name()?.to_str()?.strip_prefix("pci")?;
    let first: PciAddress = format!("{name}:00.0").parse().ok()?;
    Some((first.domain, first.bus))
}

fn misplaced() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "is not a PCI function below a root bus")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Tree;

    const ROOT: &str = "/sys/devices/pci0000:00";

    fn function(tree: &mut Tree, path: &str, vendor: &str, class: &str, link: Option<(&str, &str)>) {
        let directory = format!("{ROOT}/{path}");
        let address = path.rsplit('/').next().unwrap();
        tree.link(format!("/sys/bus/pci/devices/{address}"), directory.clone());
        tree.file(format!("{directory}/vendor"), format!("{vendor}\n"));
        tree.file(format!("{directory}/class"), format!("{class}\n"));
        if let Some((speed, width)) = link {
            tree.file(format!("{directory}/current_link_speed"), format!("{speed} GT/s PCIe\n"));
            tree.file(format!("{directory}/current_link_width"), format!("{width}\n"));
        }
    }

    const PORT: &str = "0000:00:01.0";
    const UP: &str = "0000:00:01.0/0000:01:00.0";
    const DOWN: &str = "0000:00:01.0/0000:01:00.0/0000:02:01.0";
    const GPU: &str = "0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:03:00.0";
    const BESIDE: &str = "0000:00:01.0/0000:01:00.0/0000:02:04.0";

    /// An Arc B580 in a x16 slot: the numbers are those of its `lspci -vv`.
    fn card(other: (&str, &str)) -> Files {
        let mut tree = Tree::default();
        function(&mut tree, PORT, "0x8086", "0x060400", Some(("16.0", "8")));
        function(&mut tree, UP, "0x8086", "0x060400", Some(("16.0", "8")));
        function(&mut tree, DOWN, "0x8086", "0x060400", Some(("2.5", "1")));
        function(&mut tree, GPU, "0x8086", "0x030000", Some(("2.5", "1")));
        function(&mut tree, BESIDE, "0x8086", "0x060400", Some(("2.5", "1")));
        function(&mut tree, &format!("{BESIDE}/0000:04:00.0"), other.0, other.1, None);
        Files::tree(tree)
    }

    fn path(files: &Files) -> BusPath {
        BusPath::read(files, "0000:03:00.0".parse().unwrap()).unwrap()
    }

    #[test]
    fn links_inside_a_card_do_not_count() {
        let link = path(&card(("0x8086", "0x040300"))).narrowest().unwrap();
        assert_eq!((link.gigatransfers, link.lanes, link.at), (16.0, 8, "0000:01:00.0".parse().unwrap()));
        assert!((link.bytes_per_second() - 15.75e9).abs() < 0.01e9);
    }

    #[test]
    fn bridges_tell_whether_they_are_on_the_card() {
        let bridges = path(&card(("0x8086", "0x040300"))).bridges();
        let told: Vec<_> = bridges.iter().map(|bridge| (bridge.address.to_string(), bridge.on_card)).collect();
        let expected = [("0000:02:01.0", true), ("0000:01:00.0", true), ("0000:00:01.0", false)];
        assert_eq!(told, expected.map(|(address, on_card)| (address.to_owned(), on_card)));
        assert_eq!(bridges[0].link, None, "the link inside is no real one");
        assert_eq!(bridges[1].link.map(|link| link.lanes), Some(8));
        assert!(path(&card(("0x144d", "0x010802"))).bridges().iter().all(|bridge| !bridge.on_card));
    }

    #[test]
    fn a_switch_with_anything_else_below_is_the_platforms() {
        for other in [("0x8086", "0x030000"), ("0x144d", "0x010802"), ("0x10de", "0x040300")] {
            let link = path(&card(other)).narrowest().unwrap();
            assert_eq!((link.gigatransfers, link.lanes), (2.5, 1), "{other:?}");
        }
    }

    #[test]
    fn an_integrated_gpu_has_no_link() {
        let mut tree = Tree::default();
        function(&mut tree, "0000:00:02.0", "0x8086", "0x030000", Some(("Unknown", "0")));
        let path = BusPath::read(&Files::tree(tree), "0000:00:02.0".parse().unwrap()).unwrap();
        assert_eq!(path.narrowest(), None);
        assert_eq!(path.host, Path::new(ROOT));
    }

    #[test]
    fn a_virtual_function_is_below_the_bridges_of_its_physical_one() {
        let mut tree = Tree::default();
        function(&mut tree, "0000:00:01.0/0000:01:00.0", "0x8086", "0x030000", None);
        function(&mut tree, "0000:00:01.0/0000:01:00.1", "0x8086", "0x030000", None);
        tree.link(format!("{ROOT}/0000:00:01.0/0000:01:00.1/physfn"), "../0000:01:00.0");
        let files = Files::tree(tree);
        let path = BusPath::read(&files, "0000:01:00.1".parse().unwrap()).unwrap();
        let addresses: Vec<String> = path.functions.iter().map(|function| function.address.to_string()).collect();
        assert_eq!(addresses, ["0000:01:00.1", "0000:00:01.0"]);
    }

    #[test]
    fn behind_vmd_the_inner_root_bus_counts() {
        let inner = Path::new("/sys/devices/pci0000:e0/0000:e0:05.5/pci10000:e0/10000:e0:02.0/10000:e1:00.0");
        let (host, functions) = functions_of(inner).unwrap();
        assert_eq!(root_bus(&host), Some((0x10000, 0xe0)));
        assert_eq!(functions.len(), 2);
    }

    #[test]
    fn what_is_no_pci_function_is_refused() {
        for path in ["/sys/devices/virtual/drm", "/sys/devices/pci0000:00", "/", "/sys/devices/pci0000:00/usb1/1-1"] {
            assert!(functions_of(Path::new(path)).is_err(), "{path}");
        }
        let mut tree = Tree::default();
        tree.link("/sys/bus/pci/devices/0000:03:00.0", format!("{ROOT}/0000:04:00.0"));
        tree.directory(format!("{ROOT}/0000:04:00.0"));
        assert!(BusPath::read(&Files::tree(tree), "0000:03:00.0".parse().unwrap()).is_err());
    }
}
