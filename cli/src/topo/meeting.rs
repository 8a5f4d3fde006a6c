// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the ways of two GPUs up to the processors meet.

use xeplace::{Bridge, Gpu};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Meeting {
    /// On one card, or in one slot.
    Card,
    /// In a switch of the platform.
    Switch,
    /// In one host bridge.
    HostBridge,
    /// Nowhere below the host bridges.
    Apart,
}

/// A GPU's way up.
pub struct Way {
    bridges: Vec<Bridge>,
    root: (u32, u8),
}

impl Way {
    /// `None` if its place on the bus cannot be read.
    pub fn of(gpu: &Gpu) -> Option<Way> {
        let bridges = gpu.bridges().ok()?;
        let top = bridges.last().map_or(gpu.address(), |bridge| bridge.address);
        Some(Way { bridges, root: (top.domain, top.bus) })
    }

    pub fn meets(&self, other: &Way) -> Meeting {
        let is_common = |bridge: &&Bridge| other.bridges.iter().any(|found| found.address == bridge.address);
        match self.bridges.iter().find(is_common) {
            // A root port has one slot.
            Some(bridge) if bridge.on_card || Some(bridge) == self.bridges.last() => Meeting::Card,
            Some(_) => Meeting::Switch,
            None if self.root == other.root => Meeting::HostBridge,
            None => Meeting::Apart,
        }
    }
}

impl Meeting {
    /// Behind a number of hops.
    pub fn mark(self) -> &'static str {
        match self {
            Meeting::Card => "c",
            Meeting::Switch => "",
            Meeting::HostBridge => "h",
            Meeting::Apart => "x",
        }
    }

    /// In a legend.
    pub fn words(self) -> &'static str {
        match self {
            Meeting::Card => "on one card",
            Meeting::Switch => "below one switch",
            Meeting::HostBridge => "below one host bridge",
            Meeting::Apart => "across host bridges",
        }
    }

    /// In JSON.
    pub fn name(self) -> &'static str {
        match self {
            Meeting::Card => "card",
            Meeting::Switch => "switch",
            Meeting::HostBridge => "host_bridge",
            Meeting::Apart => "apart",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xeplace::Machine;

    #[test]
    fn gpus_meet_on_a_card_in_a_switch_in_a_host_bridge_or_nowhere() {
        let machine = "cpu=xeon host(bmg vfs=1 switch(switch(bmg) bmg)) host(bmg)";
        let machine = Machine::simulated(machine).unwrap();
        let ways: Vec<Way> = machine.gpus().iter().map(|gpu| Way::of(gpu).unwrap()).collect();
        let first: Vec<Meeting> = ways[1..].iter().map(|other| ways[0].meets(other)).collect();
        assert_eq!(first, [Meeting::Card, Meeting::HostBridge, Meeting::HostBridge, Meeting::Apart]);
        assert_eq!(ways[2].meets(&ways[3]), Meeting::Switch);
        assert_eq!(ways[4].meets(&ways[3]), Meeting::Apart);
    }
}
