// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the GPUs hang below host bridges and switches.

use crate::words;
use xeplace::{Bridge, Gpu, GpuId, Machine, PciAddress, PcieLink};

/// A host bridge.
pub struct Host {
    /// Where its root bus begins.
    pub domain: u32,
    pub bus: u8,
    pub below: Vec<Branch>,
}

/// One line of the tree: a port, and what is plugged into it.
pub struct Branch {
    /// `None` for what sits on the bus itself, as an integrated GPU does.
    pub port: Option<PciAddress>,
    pub link: Option<PcieLink>,
    pub end: End,
}

pub enum End {
    Gpu(GpuId),
    Switch(Switch),
}

pub struct Switch {
    /// Of its upstream port.
    pub address: PciAddress,
    pub below: Vec<Branch>,
}

impl Host {
    /// `0000:00`, as its root bus is called.
    pub fn name(&self) -> String {
        format!("{:04x}:{:02x}", self.domain, self.bus)
    }

    /// The NUMA node of all its GPUs.
    pub fn node(&self, machine: &Machine) -> Option<u32> {
        let mut nodes = gpus_of(&self.below).into_iter().map(|gpu| machine.gpu(gpu).ok()?.numa_node());
        let first = nodes.next()??;
        nodes.all(|node| node == Some(first)).then_some(first)
    }
}

impl Branch {
    /// Beside the line: its port and its link.
    pub fn label(&self) -> Vec<String> {
        let short = |port: PciAddress| port.to_string().trim_start_matches("0000:").to_owned();
        self.port.map(short).into_iter().chain(self.link.map(|link| words::generation(&link))).collect()
    }

    pub fn gpus(&self) -> Vec<GpuId> {
        match &self.end {
            End::Gpu(gpu) => vec![*gpu],
            End::Switch(switch) => gpus_of(&switch.below),
        }
    }
}

/// The GPUs at the ends of `branches`, in their order.
pub fn gpus_of(branches: &[Branch]) -> Vec<GpuId> {
    branches.iter().flat_map(Branch::gpus).collect()
}

/// The way down to a GPU.
struct Way {
    gpu: GpuId,
    root: (u32, u8),
    lines: Vec<Line>,
}

/// From a port to the next thing: a switch, or at last the GPU.
#[derive(Clone)]
struct Line {
    port: Option<PciAddress>,
    link: Option<PcieLink>,
    switch: Option<PciAddress>,
}

/// The host bridges with all that is below them. Bridges on a GPU's own card are part of the card. A GPU whose place on
/// the bus cannot be read is shown on the root bus that its address names.
pub fn hosts(machine: &Machine) -> Vec<Host> {
    let mut ways: Vec<Way> = machine.gpus().iter().map(Way::of).collect();
    ways.sort_by_key(|way| (way.root, way.lines.iter().map(|line| (line.port, line.switch)).collect::<Vec<_>>()));
    let host = |ways: &[Way]| Host { domain: ways[0].root.0, bus: ways[0].root.1, below: branches(ways, 0) };
    ways.chunk_by(|one, other| one.root == other.root).map(host).collect()
}

fn branches(ways: &[Way], depth: usize) -> Vec<Branch> {
    let switch = |way: &Way| way.lines[depth].switch;
    let together = ways.chunk_by(|one, other| switch(one).is_some() && switch(one) == switch(other));
    let branch = |ways: &[Way]| {
        let Line { port, link, switch } = ways[0].lines[depth];
        let end = match switch {
            Some(address) => End::Switch(Switch { address, below: branches(ways, depth + 1) }),
            None => End::Gpu(ways[0].gpu),
        };
        Branch { port, link, end }
    };
    together.map(branch).collect()
}

impl Way {
    fn of(gpu: &Gpu) -> Way {
        let mut bridges = gpu.bridges().unwrap_or_default();
        let slot = bridges.iter().rfind(|bridge| bridge.on_card).or(bridges.first()).and_then(|bridge| bridge.link);
        bridges.retain(|bridge| !bridge.on_card);
        let root = bridges.last().map_or(gpu.address(), |bridge| bridge.address);
        Way { gpu: gpu.id(), root: (root.domain, root.bus), lines: lines(&bridges, slot) }
    }
}

/// From the root down: a port, a switch's upstream port, a port of that switch, …, the GPU.
fn lines(bridges: &[Bridge], slot: Option<PcieLink>) -> Vec<Line> {
    let mut down = bridges.iter().rev();
    let mut lines = Vec::new();
    loop {
        let port = down.next().map(|bridge| bridge.address);
        match down.next() {
            Some(upstream) => lines.push(Line { port, link: upstream.link, switch: Some(upstream.address) }),
            None => {
                lines.push(Line { port, link: slot, switch: None });
                return lines;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `0000:00(00:01.0=switch(…) …)`, in short.
    fn drawn(machine: &str) -> String {
        let machine = Machine::simulated(machine).unwrap();
        let host = |host: &Host| format!("{:02x}({})", host.bus, list(&host.below));
        hosts(&machine).iter().map(host).collect::<Vec<_>>().join(" ")
    }

    fn list(branches: &[Branch]) -> String {
        let end = |branch: &Branch| match &branch.end {
            End::Gpu(gpu) => gpu.0.to_string(),
            End::Switch(switch) => format!("s({})", list(&switch.below)),
        };
        branches.iter().map(end).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn gpus_hang_below_the_switches_of_the_platform() {
        assert_eq!(drawn("2x bmg"), "00(0 1)");
        assert_eq!(drawn("lnl bmg switch(2x bmg switch(pvc bmg))"), "00(0 1 s(2 3 s(4 5)))");
        assert_eq!(drawn("bmg vfs=2"), "00(0 1 2)");
        assert_eq!(drawn("none"), "");
    }

    #[test]
    fn each_host_bridge_has_its_own() {
        let buses = drawn("cpu=xeon host(switch(2x bmg)) host(bmg)");
        assert!(buses.starts_with("00(s(0 1)) ") && buses.ends_with("(2)"), "{buses}");
    }

    #[test]
    fn a_line_has_the_port_and_the_link_of_its_slot() {
        let machine = Machine::simulated("port(gen=3 x4 b570)").unwrap();
        let hosts = hosts(&machine);
        let [branch] = &hosts[0].below[..] else { panic!("one slot") };
        assert_eq!(branch.port.unwrap().to_string(), "0000:00:01.0");
        assert_eq!(branch.link.map(|link| (link.gigatransfers, link.lanes)), Some((8.0, 4)));
    }
}
