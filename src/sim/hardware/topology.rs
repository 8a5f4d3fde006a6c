// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PCI functions of a simulated machine, and how far apart the kernel sees them.

use super::models::{CpuModel, Ids};
use crate::address::PciAddress;
use crate::sim::spec::DeviceSpec;

/// A machine's PCI functions.
#[derive(Debug)]
pub(super) struct Topology {
    pub(super) cpu: &'static CpuModel,
    pub(super) hosts: Vec<HostBridge>,
    /// In the order in which the kernel finds them: all of a bus, then what is behind each of its bridges; virtual
    /// functions, which come into being later, last. A bridge stands before whatever is behind it.
    pub(super) functions: Vec<Function>,
    /// In the order of their addresses.
    pub(super) gpus: Vec<Gpu>,
}

/// A host bridge with its root bus.
#[derive(Debug)]
pub(super) struct HostBridge {
    pub(super) domain: u32,
    pub(super) bus: u8,
    /// Of function 00.0 on the root bus.
    pub(super) ids: Ids,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) address: PciAddress,
    pub(super) kind: Kind,
    pub(super) ids: Ids,
    pub(super) revision: u8,
    pub(super) class: u32,
    /// Index of the host bridge.
    pub(super) host: usize,
    /// Index of the bridge above; none on a root bus.
    pub(super) parent: Option<usize>,
    /// ACS control register; none where the function has no such capability.
    pub(super) acs: Option<u16>,
    pub(super) link: Option<LinkState>,
    /// Secondary and subordinate bus of a bridge.
    pub(super) buses: Option<(u8, u8)>,
    /// NUMA node, if firmware names one.
    pub(super) node: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    HostBridge,
    RootPort,
    Upstream,
    Downstream,
    Gpu,
    IntegratedGpu,
    /// With the index of its physical function.
    VirtualFunction(usize),
}

/// What a function's PCIe link could do, and what both ends of it agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LinkState {
    pub(super) most: Lanes,
    pub(super) now: Lanes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lanes {
    pub(super) generation: u8,
    pub(super) count: u8,
}

/// A GPU function, physical or virtual.
#[derive(Debug)]
pub(super) struct Gpu {
    pub(super) function: usize,
    /// Of `/dev/dri/cardN`. The render node's is in `spec`.
    pub(super) card_minor: u32,
    /// BAR 2, in bytes.
    pub(super) bar: u64,
    pub(super) spec: DeviceSpec,
}

impl Function {
    /// Whether its ACS sends requests up that could go straight to a peer: request redirect, completion redirect or
    /// egress control (`pci_bridge_has_acs_redir` in `p2pdma.c`).
    pub(super) fn redirects(&self) -> bool {
        self.acs.is_some_and(|control| control & (0x04 | 0x08 | 0x20) != 0)
    }
}

/// How many bridges a function has above it, itself included, and how many of those redirect.
#[derive(Clone, Copy, Default)]
struct Height {
    functions: u32,
    redirects: u32,
}

impl Topology {
    /// `pci_p2pdma_distance` from each GPU to each, `None` where the kernel answers -1.
    ///
    /// 0 from a GPU to itself: the driver does not ask then (`xe_has_interconnect` in `xe_svm.c`).
    pub(super) fn distances(&self) -> Vec<Vec<Option<u32>>> {
        let mut heights: Vec<Height> = Vec::with_capacity(self.functions.len());
        for function in &self.functions {
            let above = function.parent.map_or(Height::default(), |parent| heights[parent]);
            let redirects = above.redirects + u32::from(function.redirects());
            heights.push(Height { functions: above.functions + 1, redirects });
        }
        let row = |from: &Gpu| self.gpus.iter().map(|to| self.distance(&heights, from.function, to.function)).collect();
        self.gpus.iter().map(row).collect()
    }

    /// The rule of `calc_map_type_and_dist` in `p2pdma.c`.
    fn distance(&self, heights: &[Height], from: usize, to: usize) -> Option<u32> {
        if from == to {
            return Some(0);
        }
        let [here, there] = [heights[from], heights[to]];
        let mut hops = here.functions + there.functions;
        if let Some(common) = self.common(heights, from, to) {
            let top = heights[common];
            hops -= 2 * top.functions;
            let on_the_way = here.redirects + there.redirects - 2 * top.redirects;
            if on_the_way == 0 && !self.functions[common].redirects() {
                return Some(hops);
            }
        }
        self.hosts_pass(self.functions[from].host, self.functions[to].host).then_some(hops)
    }

    /// The lowest function that is on both ways up.
    fn common(&self, heights: &[Height], mut one: usize, mut other: usize) -> Option<usize> {
        while one != other {
            let climb = if heights[one].functions >= heights[other].functions { &mut one } else { &mut other };
            *climb = self.functions[*climb].parent?;
        }
        Some(one)
    }

    /// Whether the CPU or the host bridges let peers through.
    fn hosts_pass(&self, one: usize, other: usize) -> bool {
        self.cpu.passes_peers() || [one, other].into_iter().all(|host| listed(self.hosts[host].ids, one == other))
    }
}

/// The kernel's list of host bridges that let peers through (`pci_p2pdma_whitelist` in `p2pdma.c`); some do so only
/// between their own root ports.
fn listed(host: Ids, same: bool) -> bool {
    match (host.vendor, host.device) {
        (0x8086, 0x3c00 | 0x3c01 | 0x2f00 | 0x2f01) => same,
        (0x8086, 0x2020 | 0x2030..=0x2033 | 0x09a2) => true,
        (0x8086, 0x0b25 | 0x0cfe | 0x11fb | 0x1212 | 0x1216) => true,
        (0x8086, 0x4940 | 0x4942 | 0x4944 | 0x4946 | 0x4948) => true,
        (0x1ae0, _) => true,
        (0x10de, 0x2f95..=0x2f98) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::hardware::parser::{read, tests::machines};
    use proptest::prelude::*;

    fn distances(text: &str) -> Vec<Vec<Option<u32>>> {
        Topology::new(&read(text).unwrap()).distances()
    }

    /// The groups of GPUs that reach each other, by their places.
    fn groups(text: &str) -> Vec<Vec<usize>> {
        let distances = distances(text);
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (gpu, to) in distances.iter().enumerate() {
            match groups.iter_mut().find(|group| group.iter().all(|member| to[*member].is_some())) {
                Some(group) => group.push(gpu),
                None => groups.push(vec![gpu]),
            }
        }
        groups
    }

    #[test]
    fn zen_passes_peers_between_root_ports() {
        assert_eq!(groups("cpu=zen iommu 2x bmg"), [[0, 1]]);
        assert_eq!(groups("cpu=amd-old 2x bmg"), [[0], [1]]);
        assert_eq!(groups("cpu=hygon 2x bmg"), [[0], [1]]);
    }

    #[test]
    fn listed_host_bridges_pass_peers() {
        assert_eq!(groups("cpu=xeon 2x host(bmg)"), [[0, 1]]);
        assert_eq!(groups("cpu=client 2x bmg"), [[0], [1]]);
        assert_eq!(groups("cpu=q35 2x bmg"), [[0], [1]]);
        assert_eq!(groups("cpu=client host=1ae0:1234 2x bmg"), [[0, 1]]);
        assert_eq!(groups("cpu=xeon host(bmg) host(host=8086:29c0 bmg) host(bmg)"), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn some_host_bridges_pass_peers_only_below_themselves() {
        assert_eq!(groups("cpu=hsw-ep 2x bmg"), [[0, 1]]);
        assert_eq!(groups("cpu=hsw-ep host(2x bmg) host(2x bmg)"), [[0, 1], [2, 3]]);
    }

    #[test]
    fn a_switch_joins_what_does_not_redirect() {
        assert_eq!(groups("cpu=client switch(2x bmg)"), [[0, 1]]);
        assert_eq!(groups("cpu=client switch(acs 2x bmg)"), [[0], [1]]);
        assert_eq!(groups("cpu=client switch(2x bmg) switch(2x bmg)"), [[0, 1], [2, 3]]);
        assert_eq!(groups("cpu=client iommu switch(2x bmg)"), [[0], [1]]);
        assert_eq!(groups("cpu=client switch(port(acs bmg) 2x bmg)"), [vec![0], vec![1, 2]]);
        assert_eq!(groups("cpu=client switch(bmg acs 2x bmg)"), [vec![0], vec![1, 2]]);
    }

    #[test]
    fn the_common_bridge_counts() {
        assert_eq!(groups("cpu=client switch(acs=up 2x bmg)"), [[0], [1]]);
        // Redirection above it does not.
        assert_eq!(groups("cpu=client switch(acs switch(2x bmg) switch(2x bmg))"), [[0, 1], [2, 3]]);
        assert_eq!(groups("cpu=client switch(acs=up switch(2x bmg))"), [[0, 1]]);
    }

    #[test]
    fn an_integrated_gpu_has_no_bridge_in_common() {
        assert_eq!(groups("cpu=client lnl bmg"), [[0], [1]]);
        assert_eq!(groups("cpu=zen lnl bmg"), [[0, 1]]);
        assert_eq!(distances("cpu=zen lnl bmg")[0][1], Some(1 + 4));
    }

    #[test]
    fn virtual_functions_share_what_is_above() {
        assert_eq!(groups("cpu=client bmg vfs=2"), [[0, 1, 2]]);
        assert_eq!(groups("cpu=client iommu bmg vfs=2"), [[0], [1], [2]]);
        assert_eq!(distances("cpu=client bmg vfs=2")[1][2], Some(2));
    }

    #[test]
    fn hops_count_the_bridges_on_the_cards() {
        // Each GPU, its card's two bridges and the port it is plugged into; nothing in common.
        assert_eq!(distances("2x bmg")[0][1], Some(8));
        // The same up to the switch's upstream port, which both share.
        assert_eq!(distances("switch(2x bmg)")[0][1], Some(8));
        assert_eq!(distances("switch(bmg) bmg")[0][1], Some(4 + 2 + 4));
        assert_eq!(distances("2x bmg")[1][1], Some(0));
    }

    #[test]
    fn distances_are_symmetric() {
        let distances = distances("cpu=hsw-ep lnl switch(port(acs bmg) bmg switch(2x pvc vfs=3)) port(bmg)");
        for (from, row) in distances.iter().enumerate() {
            for (to, distance) in row.iter().enumerate() {
                assert_eq!(*distance, distances[to][from]);
            }
        }
    }

    #[test]
    fn the_examples_of_the_documentation_are_true() {
        let page = include_str!("../../../docs/machine-strings.md");
        let mut examples = 0;
        for example in page.split("```machine\n").skip(1) {
            let mut lines = example.lines();
            let (text, expected) = (lines.next().unwrap(), lines.next().unwrap().strip_prefix("groups ").unwrap());
            let found = groups(text);
            let names: Vec<String> =
                found.iter().map(|group| group.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")).collect();
            match expected {
                "all" => assert_eq!(found.len(), 1, "{text}"),
                _ => assert_eq!(names.join(" | "), expected, "{text}"),
            }
            examples += 1;
        }
        assert!(examples >= 10);
    }

    /// The kernel's rule once more, by walking lists of bridges.
    fn walked(topology: &Topology, from: usize, to: usize) -> Option<u32> {
        let chain = |function: usize| -> Vec<usize> {
            std::iter::successors(Some(function), |function| topology.functions[*function].parent).collect()
        };
        let (here, there) = (chain(from), chain(to));
        let hosts = || {
            let [here, there] = [from, to].map(|function| topology.functions[function].host);
            topology.hosts_pass(here, there)
        };
        let Some(up) = here.iter().position(|function| there.contains(function)) else {
            return hosts().then_some((here.len() + there.len()) as u32);
        };
        let down = there.iter().position(|function| *function == here[up]).unwrap();
        let way = here[..=up].iter().chain(&there[..down]);
        let free = way.into_iter().all(|function| !topology.functions[*function].redirects());
        (free || hosts()).then_some((up + down) as u32)
    }

    proptest! {
        #[test]
        fn counting_agrees_with_walking(machine in machines()) {
            prop_assume!(read(&machine.to_string()).is_ok());
            let topology = Topology::new(&machine);
            let distances = topology.distances();
            for (one, row) in topology.gpus.iter().zip(&distances) {
                for (other, distance) in topology.gpus.iter().zip(row) {
                    if one.function != other.function {
                        prop_assert_eq!(*distance, walked(&topology, one.function, other.function));
                    }
                }
            }
        }

        #[test]
        fn a_peer_of_a_peer_is_a_peer(machine in machines()) {
            prop_assume!(read(&machine.to_string()).is_ok());
            let distances = Topology::new(&machine).distances();
            for row in &distances {
                let peers: Vec<usize> = (0..row.len()).filter(|peer| row[*peer].is_some()).collect();
                for one in &peers {
                    prop_assert!(peers.iter().all(|other| distances[*one][*other].is_some()));
                }
            }
        }
    }
}
