// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PCI side: host bridges, all bridges below them, and the GPUs.

use super::{Counter, Devices, nodes::Host, object::Object};
use crate::{
    topo::{
        Topology,
        way::{self, Way},
    },
    words,
};
use xeplace::{Bridge, Files, Gpu, PciAddress};

/// `HWLOC_OBJ_OSDEV_GPU` of hwloc 2 (`hwloc.h`).
const GPU: u32 = 1;

struct Builder<'a> {
    topology: &'a Topology,
    counter: &'a mut Counter,
    devices: &'a mut Devices,
}

pub fn hosts(topology: &Topology, counter: &mut Counter, devices: &mut Devices) -> Vec<Host> {
    let ways = way::sorted(&topology.ways);
    let mut builder = Builder { topology, counter, devices };
    ways.chunk_by(|one, other| one.root() == other.root()).map(|ways| builder.host(ways)).collect()
}

impl Builder<'_> {
    fn host(&mut self, ways: &[&Way]) -> Host {
        let bridge = self.counter.object("Bridge").with("bridge_type", "0-1").with("depth", 0);
        let bridge = bridge.with("bridge_pci", buses(ways, 0)).around(self.below(ways, 0));
        (self.topology.gpu(ways[0].gpu).numa_node(), bridge)
    }

    /// What is on one bus, so many bridges below the root bus.
    fn below(&mut self, ways: &[&Way], depth: usize) -> Vec<Object> {
        let bridge = |way: &Way| way.bridges.get(depth).map(|bridge| bridge.address);
        let together = ways.chunk_by(|one, other| bridge(one).is_some() && bridge(one) == bridge(other));
        let object = |ways: &[&Way]| match ways[0].bridges.get(depth) {
            Some(bridge) => self.bridge(bridge, ways, depth + 1),
            None => self.gpu(self.topology.gpu(ways[0].gpu)),
        };
        together.map(object).collect()
    }

    fn bridge(&mut self, bridge: &Bridge, ways: &[&Way], depth: usize) -> Object {
        let object = self.counter.object("Bridge").with("bridge_type", "1-1").with("depth", depth);
        let object = object.with("bridge_pci", buses(ways, depth));
        let speed = bridge.link.map_or(0.0, |link| link.bytes_per_second());
        let object = function(object, self.topology.machine.files(), bridge.address, speed);
        object.around(self.below(ways, depth))
    }

    fn gpu(&mut self, gpu: &Gpu) -> Object {
        let mut device = self.counter.object("OSDev").with("osdev_type", GPU);
        if let Some(name) = gpu.node().file_name() {
            device = device.with("name", name.to_string_lossy());
        }
        let regions = &self.topology.regions[gpu.id().0 as usize];
        let vram: u64 = regions.iter().map(|region| region.total).sum();
        device = device.info("XeplaceGPU", gpu.id().0).info("XeplaceVRAMBytes", vram);
        if let Some(place) = self.topology.group(gpu) {
            device = device.info("XeplaceGroup", words::letters(place));
        }
        self.devices.insert(gpu.id(), device.number);
        let speed = gpu.pcie().map_or(0.0, |link| link.bytes_per_second());
        let object = self.counter.object("PCIDev").with("name", gpu.name());
        function(object, self.topology.machine.files(), gpu.address(), speed).around([device])
    }
}

/// What hwloc says of each PCI function; gigabytes a second for its link.
fn function(object: Object, files: &Files, address: PciAddress, bytes_per_second: f64) -> Object {
    let number = |name: &str| {
        let text = files.text(format!("/sys/bus/pci/devices/{address}/{name}")).unwrap_or_default();
        u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
    };
    let kind = format!(
        "{:04x} [{:04x}:{:04x}] [{:04x}:{:04x}] {:02x}",
        number("class") >> 8,
        number("vendor"),
        number("device"),
        number("subsystem_vendor"),
        number("subsystem_device"),
        number("revision")
    );
    let object = object.with("pci_busid", address).with("pci_type", kind);
    object.with("pci_link_speed", format!("{:.6}", bytes_per_second / 1e9))
}

/// From the bus directly below the first `depth` bridges to the highest one below: `0000:[03-0b]`.
fn buses(ways: &[&Way], depth: usize) -> String {
    let below = || ways.iter().flat_map(|way| way.functions().skip(depth));
    let (first, last) = (below().map(|found| found.bus).min(), below().map(|found| found.bus).max());
    format!("{:04x}:[{:02x}-{:02x}]", ways[0].root().0, first.unwrap_or(0), last.unwrap_or(0))
}
