// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the ways of two GPUs up to the processors meet.

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
