// SPDX-License-Identifier: MIT OR Apache-2.0
//! procfs and the NUMA nodes of a simulated machine.

use super::{
    grammar::Description,
    models::CpuModel,
    topology::Topology,
    windows::{Resource, Windows},
};
use crate::files::Tree;
use std::{collections::BTreeSet, fmt::Write};

/// CPUs of each NUMA node.
const CPUS_A_NODE: u32 = 8;
/// Host memory of each NUMA node, if nothing else is said.
const RAM: u64 = 64 << 30;
/// The kernel whose behaviour is simulated.
const RELEASE: &str = "7.3.4";

/// What the files of a host speak of.
pub(super) struct HostFiles {
    cpu: &'static CpuModel,
    iommu: bool,
    /// kB of each node.
    memory: u64,
    /// Every node that something lies on, and node 0.
    nodes: BTreeSet<u32>,
}

impl HostFiles {
    pub(super) fn new(machine: &Description, topology: &Topology) -> HostFiles {
        HostFiles {
            cpu: machine.cpu(),
            iommu: machine.iommu,
            memory: machine.ram.unwrap_or(RAM) >> 10,
            nodes: topology.functions.iter().filter_map(|function| function.node).chain([0]).collect(),
        }
    }

    /// The list of the CPUs of a node, or of all.
    pub(super) fn cpus(&self, node: Option<u32>) -> String {
        let all = self.nodes.len() as u32 * CPUS_A_NODE;
        let place = node.and_then(|node| self.nodes.iter().position(|found| *found == node));
        let first = place.map_or(0, |place| place as u32 * CPUS_A_NODE);
        list(first..place.map_or(all, |_| first + CPUS_A_NODE))
    }

    /// `/sys/devices/system/node`.
    pub(super) fn numa(&self, tree: &mut Tree) {
        let base = "/sys/devices/system/node";
        for name in ["online", "possible", "has_cpu", "has_memory", "has_normal_memory"] {
            tree.file(format!("{base}/{name}"), list(self.nodes.iter().copied()) + "\n");
        }
        for node in &self.nodes {
            let distances = self.nodes.iter().map(|other| if other == node { "10" } else { "21" });
            tree.file(format!("{base}/node{node}/distance"), distances.collect::<Vec<_>>().join(" ") + "\n");
            tree.file(format!("{base}/node{node}/cpulist"), self.cpus(Some(*node)) + "\n");
            let [total, free] = [self.memory, self.memory - self.memory / 8];
            let used = total - free;
            let mut text = String::new();
            for (name, value) in [("MemTotal:", total), ("MemFree:", free), ("MemUsed:", used)] {
                let _ = writeln!(text, "Node {node} {name:<15} {value:>8} kB");
            }
            tree.file(format!("{base}/node{node}/meminfo"), text);
        }
    }

    /// `/proc`.
    pub(super) fn proc(&self, tree: &mut Tree, topology: &Topology, windows: &Windows) {
        let total = self.memory * self.nodes.len() as u64;
        let free = total - total / 8;
        let mut text = String::new();
        for (name, value) in
            [("MemTotal:", total), ("MemFree:", free), ("MemAvailable:", free), ("SwapTotal:", 0), ("SwapFree:", 0)]
        {
            let _ = writeln!(text, "{name:<15} {value:>8} kB");
        }
        tree.file("/proc/meminfo", text);
        tree.file("/proc/cpuinfo", self.cpuinfo());
        let iommu = if self.iommu && self.cpu.vendor == "GenuineIntel" { " intel_iommu=on" } else { "" };
        tree.file("/proc/cmdline", format!("BOOT_IMAGE=/boot/vmlinuz-{RELEASE} root=/dev/nvme0n1p2 ro quiet{iommu}\n"));
        tree.file("/proc/sys/kernel/osrelease", format!("{RELEASE}\n"));
        tree.file("/proc/version", format!("Linux version {RELEASE} (xeplace@simulated) #1 SMP PREEMPT_DYNAMIC\n"));
        tree.file("/proc/bus/pci/devices", devices(topology, windows));
    }

    fn cpuinfo(&self) -> String {
        let CpuModel { vendor, family, model, brand, .. } = self.cpu;
        let mut text = String::new();
        for (place, node) in self.nodes.iter().enumerate() {
            for core in 0..CPUS_A_NODE {
                let number = place as u32 * CPUS_A_NODE + core;
                let _ = writeln!(
                    text,
                    "processor\t: {number}\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n\
                     model name\t: {brand}\nstepping\t: 1\nphysical id\t: {node}\nsiblings\t: {CPUS_A_NODE}\n\
                     core id\t\t: {core}\ncpu cores\t: {CPUS_A_NODE}\naddress sizes\t: 52 bits physical, 48 bits virtual\n"
                );
            }
        }
        text
    }
}

/// `/proc/bus/pci/devices` (`show_device` in `drivers/pci/proc.c`): in the order in which the kernel found them.
fn devices(topology: &Topology, windows: &Windows) -> String {
    let mut text = String::new();
    for (index, function) in topology.functions.iter().enumerate() {
        let address = function.address;
        let place = address.device << 3 | address.function;
        let _ =
            write!(text, "{:02x}{place:02x}\t{:04x}{:04x}\t0", address.bus, function.ids.vendor, function.ids.device);
        let bar = |line: usize| windows.of(index).iter().find(move |resource| resource.line == line);
        let start = |found: &Resource| found.start | found.flags & 0xf;
        for value in (0..7).map(|line| bar(line).map_or(0, start)) {
            let _ = write!(text, "\t{value:>16x}");
        }
        for value in (0..7).map(|line| bar(line).map_or(0, |found| found.size)) {
            let _ = write!(text, "\t{value:>16x}");
        }
        let _ = writeln!(text, "\t{}", function.kind.driver().unwrap_or(""));
    }
    text
}

/// Ascending numbers as the kernel lists them: `0-7,16`.
fn list(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let run = |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    runs.into_iter().map(run).collect::<Vec<_>>().join(",")
}
