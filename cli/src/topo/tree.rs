// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the GPUs hang below host bridges and switches.

use super::way::{self, Way};
use crate::words;
use xeplace::{GpuId, Machine, PciAddress, PcieLink};

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

/// From a port to the next thing: a switch, or at last the GPU.
struct Line {
    port: Option<PciAddress>,
    link: Option<PcieLink>,
    switch: Option<PciAddress>,
}

/// The host bridges with all that is below them. Bridges on a GPU's own card are part of the card.
pub fn hosts(ways: &[Way]) -> Vec<Host> {
    let ways = way::sorted(ways);
    let host = |ways: &[&Way]| {
        let (domain, bus) = ways[0].root();
        let lines: Vec<_> = ways.iter().map(|way| (way.gpu, lines(way))).collect();
        Host { domain, bus, below: branches(&lines, 0) }
    };
    ways.chunk_by(|one, other| one.root() == other.root()).map(host).collect()
}

/// What is so many switches below a host bridge.
fn branches(ways: &[(GpuId, Vec<Line>)], depth: usize) -> Vec<Branch> {
    let switch = |lines: &[Line]| lines[depth].switch;
    let together = ways.chunk_by(|(_, one), (_, other)| switch(one).is_some() && switch(one) == switch(other));
    let branch = |ways: &[(GpuId, Vec<Line>)]| {
        let Line { port, link, switch } = ways[0].1[depth];
        let end = match switch {
            Some(address) => End::Switch(Switch { address, below: branches(ways, depth + 1) }),
            None => End::Gpu(ways[0].0),
        };
        Branch { port, link, end }
    };
    together.map(branch).collect()
}

/// A port, a switch's upstream port, a port of that switch, …, the GPU.
fn lines(way: &Way) -> Vec<Line> {
    let mut down = way.bridges_of_the_platform();
    let mut lines = Vec::new();
    loop {
        let port = down.next();
        if let Some(upstream) = down.next() {
            let (port, switch) = (port.map(|port| port.address), Some(upstream.address));
            lines.push(Line { port, link: upstream.link, switch });
        } else {
            let card = way.bridges.iter().find(|bridge| bridge.on_card);
            let link = card.or(port).and_then(|bridge| bridge.link);
            lines.push(Line { port: port.map(|port| port.address), link, switch: None });
            return lines;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(machine: &Machine) -> Vec<Host> {
        hosts(&machine.gpus().iter().map(Way::of).collect::<Vec<_>>())
    }

    /// `00(0 s(1 2))`: bus, GPUs and switches.
    fn drawn(machine: &str) -> String {
        let machine = Machine::simulated(machine).unwrap();
        let host = |host: &Host| format!("{:02x}({})", host.bus, list(&host.below));
        of(&machine).iter().map(host).collect::<Vec<_>>().join(" ")
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
        let hosts = of(&machine);
        let [branch] = &hosts[0].below[..] else { panic!("one slot") };
        assert_eq!(branch.port.unwrap().to_string(), "0000:00:01.0");
        assert_eq!(branch.link.map(|link| (link.gigatransfers, link.lanes)), Some((8.0, 4)));
    }
}
