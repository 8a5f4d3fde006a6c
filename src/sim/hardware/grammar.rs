// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine string says, and its canonical form.
//!
//! ```text
//! machine  = { setting } ( "none" | { slot } | { [count] "host(" { setting-of-host } { slot } ")" } )
//! setting  = "cpu=" cpu | "host=" VVVV:DDDD | "ram=" size | "without=" feature { "," feature } | "iommu" | "root"
//! setting-of-host = "host=" VVVV:DDDD | "node=" number
//! slot     = [count] ( gpu | switch | "port(" { "acs" | "noacs" | link } ( gpu | switch ) ")" )
//! switch   = "switch(" { "acs" | "noacs" | "acs=up" | link } { slot } ")"
//! gpu      = model { "vram=" size | "bar=" size | "tiles=" number | "vfs=" number | "node=" number
//!                  | "without=" feature { "," feature } | "acs" | "noacs" | link }
//! link     = "gen=" 1…6 | "x" ( 1 | 2 | 4 | 8 | 16 )
//! count    = number "x"
//! size     = number [ "K" | "M" | "G" | "T" ]
//! ```
//!
//! Words after a model belong to that model; words of a group stand before its first slot. `docs/machine-strings.md`
//! has the meaning of each and examples.

use super::{
    models::{CPUS, CpuModel, GpuModel, Ids},
    words::Size,
};
use crate::driver::Features;
use std::fmt;

/// A machine string, understood: what was said and nothing filled in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Description {
    pub(crate) cpu: Option<&'static CpuModel>,
    pub(crate) bridge: Option<Ids>,
    /// Host memory of each NUMA node, in bytes.
    pub(crate) ram: Option<u64>,
    /// What the driver lacks.
    pub(crate) without: Features,
    pub(crate) iommu: bool,
    pub(crate) root: bool,
    pub(crate) hosts: Hosts,
}

/// Host bridges, each with a root bus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Hosts {
    /// One that needs no mention.
    Implied(Vec<Counted<Slot>>),
    Named(Vec<Counted<Host>>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Counted<T> {
    pub(crate) count: u32,
    pub(crate) what: T,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Host {
    pub(crate) bridge: Option<Ids>,
    pub(crate) node: Option<u32>,
    pub(crate) slots: Vec<Counted<Slot>>,
}

/// A root port or a switch's downstream port, with what is plugged in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    /// `None` where the port is not mentioned.
    pub(crate) port: Option<Port>,
    pub(crate) card: Card,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Port {
    pub(crate) acs: Acs,
    pub(crate) link: Link,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Card {
    Gpu(GpuText),
    Switch(Switch),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Switch {
    /// Of every downstream port that does not say otherwise.
    pub(crate) acs: Acs,
    /// The upstream port redirects.
    pub(crate) upstream_redirects: bool,
    /// Of the upstream port.
    pub(crate) link: Link,
    pub(crate) slots: Vec<Counted<Slot>>,
}

/// Access control services of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Acs {
    /// There, and set to redirect if the machine has an IOMMU.
    #[default]
    AsBooted,
    /// Set to redirect.
    Redirect,
    /// The port does not have them.
    Absent,
}

/// PCIe generation and lanes, where said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Link {
    pub(crate) generation: Option<u8>,
    pub(crate) lanes: Option<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GpuText {
    pub(crate) model: &'static GpuModel,
    /// Of each tile, in bytes.
    pub(crate) vram: Option<u64>,
    /// BAR 2, in bytes.
    pub(crate) bar: Option<u64>,
    pub(crate) tiles: Option<u8>,
    /// Virtual functions.
    pub(crate) vfs: Option<u8>,
    pub(crate) node: Option<u32>,
    /// What the driver lacks.
    pub(crate) without: Features,
    /// `Redirect` is the GPU's own function, `Absent` the bridge on its card.
    pub(crate) acs: Acs,
    pub(crate) link: Link,
}

impl Default for Hosts {
    fn default() -> Hosts {
        Hosts::Implied(Vec::new())
    }
}

impl Description {
    pub(crate) fn cpu(&self) -> &'static CpuModel {
        self.cpu.unwrap_or(&CPUS[0])
    }
}

impl GpuText {
    pub(crate) fn new(model: &'static GpuModel) -> GpuText {
        GpuText {
            model,
            vram: None,
            bar: None,
            tiles: None,
            vfs: None,
            node: None,
            without: Features::empty(),
            acs: Acs::AsBooted,
            link: Link::default(),
        }
    }

    /// VRAM of each tile in bytes; no tile on an integrated GPU.
    pub(crate) fn tiles(&self) -> Vec<u64> {
        let tiles = if self.model.is_integrated() { 0 } else { self.tiles.unwrap_or(self.model.tiles) };
        vec![self.vram.unwrap_or(self.model.vram); usize::from(tiles)]
    }

    /// BAR 2 in bytes: as given, or the smallest that holds all VRAM.
    pub(crate) fn bar(&self) -> u64 {
        self.bar.unwrap_or(self.tiles().iter().sum::<u64>().next_power_of_two())
    }

    /// How many PCI functions of the driver it is.
    pub(crate) fn functions(&self) -> u64 {
        1 + u64::from(self.vfs.unwrap_or(0))
    }
}

impl Slot {
    pub(crate) fn is_integrated(&self) -> bool {
        matches!(&self.card, Card::Gpu(gpu) if gpu.model.is_integrated())
    }
}

/// Bus numbers of a bus that holds `slots`, and of all behind it.
pub(crate) fn buses(slots: &[Counted<Slot>]) -> u32 {
    let behind = |slot: &Slot| match &slot.card {
        Card::Gpu(_) if slot.is_integrated() => 0,
        // Of the port, inside the card, and the GPU's own.
        Card::Gpu(_) => 3,
        Card::Switch(switch) => 1 + buses(&switch.slots),
    };
    1 + slots.iter().map(|slot| slot.count * behind(&slot.what)).sum::<u32>()
}

/// The canonical form: parsing it gives the same description.
impl fmt::Display for Description {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.cpu.map(|cpu| format!("cpu={}", cpu.name)));
        words.extend(self.bridge.map(|ids| format!("host={ids}")));
        words.extend(self.ram.map(|bytes| format!("ram={}", Size(bytes))));
        words.extend(without(self.without));
        words.extend(self.iommu.then(|| "iommu".to_owned()));
        words.extend(self.root.then(|| "root".to_owned()));
        match &self.hosts {
            Hosts::Implied(slots) if slots.is_empty() => words.push("none".to_owned()),
            Hosts::Implied(slots) => words.extend(slots.iter().map(Counted::to_string)),
            Hosts::Named(hosts) => words.extend(hosts.iter().map(Counted::to_string)),
        }
        out.write_str(&words.join(" "))
    }
}

impl<T: fmt::Display> fmt::Display for Counted<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count != 1 {
            write!(out, "{}x ", self.count)?;
        }
        self.what.fmt(out)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.bridge.map(|ids| format!("host={ids}")));
        words.extend(self.node.map(|node| format!("node={node}")));
        words.extend(self.slots.iter().map(Counted::to_string));
        write!(out, "host({})", words.join(" "))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(port) = self.port else { return self.card.fmt(out) };
        let mut words = Vec::new();
        words.extend(port.acs.word());
        words.extend(port.link.words());
        words.push(self.card.to_string());
        write!(out, "port({})", words.join(" "))
    }
}

impl fmt::Display for Card {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Card::Gpu(gpu) => gpu.fmt(out),
            Card::Switch(switch) => switch.fmt(out),
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.acs.word());
        words.extend(self.upstream_redirects.then(|| "acs=up".to_owned()));
        words.extend(self.link.words());
        words.extend(self.slots.iter().map(Counted::to_string));
        write!(out, "switch({})", words.join(" "))
    }
}

impl fmt::Display for GpuText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = vec![self.model.name.to_owned()];
        words.extend(self.vram.map(|bytes| format!("vram={}", Size(bytes))));
        words.extend(self.bar.map(|bytes| format!("bar={}", Size(bytes))));
        words.extend(self.tiles.map(|tiles| format!("tiles={tiles}")));
        words.extend(self.vfs.map(|vfs| format!("vfs={vfs}")));
        words.extend(self.node.map(|node| format!("node={node}")));
        words.extend(without(self.without));
        words.extend(self.acs.word());
        words.extend(self.link.words());
        out.write_str(&words.join(" "))
    }
}

impl Acs {
    fn word(self) -> Option<String> {
        match self {
            Acs::AsBooted => None,
            Acs::Redirect => Some("acs".to_owned()),
            Acs::Absent => Some("noacs".to_owned()),
        }
    }
}

impl Link {
    fn words(self) -> impl Iterator<Item = String> {
        let generation = self.generation.map(|generation| format!("gen={generation}"));
        generation.into_iter().chain(self.lanes.map(|lanes| format!("x{lanes}")))
    }
}

/// `without=` and what it takes away, unless that is nothing.
fn without(lacks: Features) -> Option<String> {
    let names: Vec<_> =
        Features::NAMES.iter().filter(|(_, feature)| lacks.contains(*feature)).map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| format!("without={}", names.join(",")))
}

impl fmt::Display for Ids {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04x}:{:04x}", self.vendor, self.device)
    }
}
