// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way from the root of a bus down to a GPU.

use super::meeting::Meeting;
use xeplace::{Bridge, Gpu, GpuId, PciAddress};

pub struct Way {
    pub gpu: GpuId,
    address: PciAddress,
    /// From the root port down. None where they cannot be read: then the GPU is shown on the bus that its address names.
    pub bridges: Vec<Bridge>,
}

impl Way {
    pub fn of(gpu: &Gpu) -> Way {
        let mut bridges = gpu.bridges().unwrap_or_default();
        bridges.reverse();
        Way { gpu: gpu.id(), address: gpu.address(), bridges }
    }

    /// The functions on it, the GPU last.
    pub fn functions(&self) -> impl Iterator<Item = PciAddress> {
        self.bridges.iter().map(|bridge| bridge.address).chain([self.address])
    }

    /// Domain and number of the root bus.
    pub fn root(&self) -> (u32, u8) {
        let top = self.bridges.first().map_or(self.address, |bridge| bridge.address);
        (top.domain, top.bus)
    }

    /// Those of the platform.
    pub fn bridges_of_the_platform(&self) -> impl Iterator<Item = &Bridge> {
        self.bridges.iter().filter(|bridge| !bridge.on_card)
    }

    pub fn meets(&self, other: &Way) -> Meeting {
        let both = self.bridges.iter().zip(&other.bridges);
        let common: Vec<&Bridge> =
            both.map_while(|(one, other)| (one.address == other.address).then_some(one)).collect();
        match common[..] {
            [] if self.root() == other.root() => Meeting::HostBridge,
            [] => Meeting::Apart,
            // A root port has one slot.
            [_] => Meeting::Card,
            [.., last] if last.on_card => Meeting::Card,
            _ => Meeting::Switch,
        }
    }
}

/// All of them, in an order in which those with a bridge in common are beside each other.
pub fn sorted(ways: &[Way]) -> Vec<&Way> {
    let mut sorted: Vec<&Way> = ways.iter().collect();
    let bridges = |way: &Way| way.bridges.iter().map(|bridge| bridge.address).collect::<Vec<_>>();
    sorted.sort_by_key(|way| (way.root(), bridges(way), way.gpu));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use xeplace::Machine;

    #[test]
    fn gpus_meet_on_a_card_in_a_switch_in_a_host_bridge_or_nowhere() {
        let machine = "cpu=xeon host(bmg vfs=1 switch(switch(bmg) bmg)) host(bmg)";
        let machine = Machine::simulated(machine).unwrap();
        let ways: Vec<Way> = machine.gpus().iter().map(Way::of).collect();
        let first: Vec<Meeting> = ways[1..].iter().map(|other| ways[0].meets(other)).collect();
        assert_eq!(first, [Meeting::Card, Meeting::HostBridge, Meeting::HostBridge, Meeting::Apart]);
        assert_eq!(ways[2].meets(&ways[3]), Meeting::Switch);
        assert_eq!(ways[4].meets(&ways[3]), Meeting::Apart);
    }
}
