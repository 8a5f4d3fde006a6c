// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers the buses of a described machine, depth first, as firmware does.

use super::{
    grammar::*,
    models::{INTEL, Ids, SWITCH},
    topology::*,
};
use crate::sim::spec::{DeviceSpec, TileSpec};
use crate::{address::PciAddress, range::BLOCK};

/// What boards and switches offer, if nothing else is said.
const BOARD_LINK: Lanes = Lanes { generation: 5, count: 16 };
/// What a card shows of the link inside of it, whatever that is.
const CARD_LINK: Lanes = Lanes { generation: 1, count: 1 };
/// Source validation, request and completion redirect, upstream forwarding: what the kernel sets where there is an
/// IOMMU (`pci_std_enable_acs` in `drivers/pci/pci.c`).
const ACS_OF_PORT: u16 = 0x1d;
/// Request and completion redirect: an end device has no more.
const ACS_OF_DEVICE: u16 = 0x0c;
const BRIDGE: u32 = 0x06_0400;
const HOST_BRIDGE: u32 = 0x06_0000;
/// Its device number on the root bus, on every Intel processor that has one.
const INTEGRATED_PLACE: u8 = 2;
/// The aperture of an integrated GPU.
const INTEGRATED_BAR: u64 = 256 << 20;

impl Topology {
    pub(super) fn new(machine: &Description) -> Topology {
        let implied;
        let hosts = match &machine.hosts {
            Hosts::Implied(slots) => {
                implied = [Counted { count: 1, what: Host { slots: slots.clone(), ..Host::default() } }];
                &implied[..]
            }
            Hosts::Named(hosts) => hosts,
        };
        let mut builder = Builder::new(machine, hosts.iter().map(|host| host.count).sum());
        expand(hosts).for_each(|host| builder.host(host));
        builder.virtual_functions();
        let Builder { functions, hosts, mut gpus, .. } = builder;
        gpus.sort_by_key(|gpu| gpu.spec.address);
        Topology { cpu: machine.cpu(), hosts, functions, gpus }
    }
}

/// Each thing as often as it counts.
fn expand<T>(counted: &[Counted<T>]) -> impl Iterator<Item = &T> {
    counted.iter().flat_map(|item| std::iter::repeat_n(&item.what, item.count as usize))
}

struct Builder<'a> {
    machine: &'a Description,
    /// Firmware of a machine with one host bridge does not speak of nodes.
    speaks_of_nodes: bool,
    functions: Vec<Function>,
    hosts: Vec<HostBridge>,
    gpus: Vec<Gpu>,
    /// Physical functions, with what each of their virtual functions gets.
    shared: Vec<(usize, &'a GpuText, Vec<TileSpec>)>,
    domain: u32,
    /// First free bus number in the domain.
    next_bus: u32,
}

/// A bus that is being filled.
#[derive(Clone, Copy)]
struct Bus {
    host: usize,
    number: u8,
    parent: Option<usize>,
    node: Option<u32>,
}

impl<'a> Builder<'a> {
    fn new(machine: &'a Description, hosts: u32) -> Builder<'a> {
        Builder {
            machine,
            speaks_of_nodes: hosts > 1,
            functions: Vec::new(),
            hosts: Vec::new(),
            gpus: Vec::new(),
            shared: Vec::new(),
            domain: 0,
            next_bus: 0,
        }
    }

    fn host(&mut self, host: &'a Host) {
        if self.next_bus + buses(&host.slots) > 256 {
            (self.domain, self.next_bus) = (self.domain + 1, 0);
        }
        let index = self.hosts.len();
        let node = host.node.or(self.speaks_of_nodes.then_some(index as u32));
        let bus = Bus { host: index, number: self.take_bus(), parent: None, node };
        let ids = host.bridge.or(self.machine.bridge).unwrap_or(self.machine.cpu().host);
        self.hosts.push(HostBridge { domain: self.domain, bus: bus.number, ids });
        self.add(Function { class: HOST_BRIDGE, ..self.function(bus, 0, Kind::HostBridge, ids) });
        self.fill(bus, &host.slots, Kind::RootPort, Acs::AsBooted);
    }

    fn take_bus(&mut self) -> u8 {
        self.next_bus += 1;
        (self.next_bus - 1) as u8
    }

    /// Puts what the slots of a bus need on it, then fills what is behind each of their ports.
    fn fill(&mut self, bus: Bus, slots: &'a [Counted<Slot>], ports: Kind, acs: Acs) {
        let free: &mut dyn Iterator<Item = u8> = match ports {
            Kind::RootPort => &mut (1..32).filter(|place| *place != INTEGRATED_PLACE),
            _ => &mut (0..32),
        };
        let mut placed: Vec<(u8, &Slot)> = Vec::new();
        for slot in expand(slots) {
            let place = if slot.is_integrated() { Some(INTEGRATED_PLACE) } else { free.next() };
            placed.extend(place.map(|place| (place, slot)));
        }
        placed.sort_by_key(|(place, _)| *place);
        let mut behind = Vec::new();
        for (place, slot) in placed {
            match &slot.card {
                Card::Gpu(gpu) if slot.is_integrated() => self.gpu(bus, place, gpu),
                card => behind.push((self.port(bus, place, ports, slot, acs), card)),
            }
        }
        for (port, card) in behind {
            let now = self.functions[port].link.map_or(BOARD_LINK, |link| link.now);
            self.behind(bus, port, |builder, below| match card {
                Card::Gpu(gpu) => builder.card(below, gpu, now),
                Card::Switch(switch) => builder.switch(below, switch, now),
            });
        }
    }

    /// The port of a slot.
    fn port(&mut self, bus: Bus, place: u8, kind: Kind, slot: &Slot, acs: Acs) -> usize {
        let port = slot.port.unwrap_or_default();
        let acs = if port.acs == Acs::AsBooted { acs } else { port.acs };
        let ids = if kind == Kind::RootPort { self.machine.cpu().root_port } else { SWITCH };
        let most = port.link.or(BOARD_LINK);
        let link = Some(LinkState { most, now: most.agree(slot.card.edge()) });
        let acs = self.control(acs);
        self.add(Function { class: BRIDGE, acs, link, ..self.function(bus, place, kind, ids) })
    }

    /// Numbers the bus behind bridge `port` and lets `fill` fill it.
    fn behind(&mut self, bus: Bus, port: usize, fill: impl FnOnce(&mut Self, Bus)) {
        let number = self.take_bus();
        fill(self, Bus { number, parent: Some(port), ..bus });
        self.functions[port].buses = Some((number, (self.next_bus - 1) as u8));
    }

    fn switch(&mut self, bus: Bus, switch: &'a Switch, now: Lanes) {
        let acs = switch.upstream_redirects.then_some(ACS_OF_PORT);
        let link = Some(LinkState { most: switch.link.or(BOARD_LINK), now });
        let port = self.add(Function { class: BRIDGE, acs, link, ..self.function(bus, 0, Kind::Upstream, SWITCH) });
        self.behind(bus, port, |builder, below| builder.fill(below, &switch.slots, Kind::Downstream, switch.acs));
    }

    /// A card has a switch of its own in front of the GPU. On real ones a second port leads to an audio function, which
    /// nothing here needs.
    fn card(&mut self, bus: Bus, gpu: &'a GpuText, now: Lanes) {
        let bus = Bus { node: gpu.node.or(bus.node), ..bus };
        let [upstream, downstream] = gpu.model.bridges.map(|device| Ids { vendor: INTEL, device });
        let link = Some(LinkState { most: gpu.edge(), now });
        let upstream = self.function(bus, 0, Kind::Upstream, upstream);
        let port = self.add(Function { class: BRIDGE, revision: 1, link, ..upstream });
        self.behind(bus, port, |builder, below| {
            let downstream = builder.function(below, 1, Kind::Downstream, downstream);
            let acs = builder.control(if gpu.acs == Acs::Absent { Acs::Absent } else { Acs::AsBooted });
            let link = Some(LinkState { most: CARD_LINK, now: CARD_LINK });
            let port = builder.add(Function { class: BRIDGE, acs, link, ..downstream });
            builder.behind(below, port, |builder, below| builder.gpu(below, 0, gpu));
        });
    }

    fn gpu(&mut self, bus: Bus, place: u8, gpu: &'a GpuText) {
        let integrated = gpu.model.is_integrated();
        let kind = if integrated { Kind::IntegratedGpu } else { Kind::Gpu };
        let ids = Ids { vendor: INTEL, device: gpu.model.device };
        let index = self.add(Function {
            class: gpu.model.class,
            revision: gpu.model.revision,
            acs: (gpu.acs == Acs::Redirect).then_some(ACS_OF_DEVICE),
            link: (!integrated).then_some(LinkState { most: CARD_LINK, now: CARD_LINK }),
            node: gpu.node.or(bus.node),
            ..self.function(bus, place, kind, ids)
        });
        let (own, share) = share(gpu);
        self.driven(index, gpu, if integrated { INTEGRATED_BAR } else { gpu.bar() }, own);
        if gpu.vfs.is_some() {
            self.shared.push((index, gpu, share));
        }
    }

    /// Virtual functions follow their physical one's number, as on Battlemage.
    fn virtual_functions(&mut self) {
        for (physical, gpu, share) in std::mem::take(&mut self.shared) {
            for number in 1..=gpu.vfs.unwrap_or(0) {
                let Function { address, ids, revision, class, host, parent, acs, link, node, .. } =
                    self.functions[physical];
                let address = PciAddress { device: number / 8, function: number % 8, ..address };
                let kind = Kind::VirtualFunction(physical);
                let function =
                    Function { address, kind, ids, revision, class, host, parent, acs, link, buses: None, node };
                let index = self.add(function);
                let bar = share.iter().map(|tile| tile.total).sum::<u64>().next_power_of_two();
                self.driven(index, gpu, bar, share.clone());
            }
        }
    }

    /// Function `index` is driven by xe.
    fn driven(&mut self, index: usize, gpu: &GpuText, bar: u64, tiles: Vec<TileSpec>) {
        let (render_minor, card_minor) = minors(self.gpus.len() as u32);
        let spec = DeviceSpec {
            address: self.functions[index].address,
            render_minor,
            device_id: gpu.model.device,
            revision: gpu.model.revision,
            tiles,
            features: !(gpu.without | self.machine.without),
        };
        self.gpus.push(Gpu { function: index, card_minor, bar, spec });
    }

    fn add(&mut self, function: Function) -> usize {
        self.functions.push(function);
        self.functions.len() - 1
    }

    fn function(&self, bus: Bus, device: u8, kind: Kind, ids: Ids) -> Function {
        let address = PciAddress { domain: self.domain, bus: bus.number, device, function: 0 };
        let Bus { host, parent, node, .. } = bus;
        let (revision, class) = (0, 0);
        Function { address, kind, ids, revision, class, host, parent, acs: None, link: None, buses: None, node }
    }

    fn control(&self, acs: Acs) -> Option<u16> {
        match acs {
            Acs::Absent => None,
            Acs::AsBooted => Some(if self.machine.iommu { ACS_OF_PORT } else { 0 }),
            Acs::Redirect => Some(ACS_OF_PORT),
        }
    }
}

/// The VRAM that a GPU's own function keeps, and that each of its virtual functions gets: equal parts in whole blocks,
/// the rest for the former.
fn share(gpu: &GpuText) -> (Vec<TileSpec>, Vec<TileSpec>) {
    let (functions, mut reach) = (gpu.functions(), gpu.bar());
    let split = |total: u64| {
        let part = total / functions / BLOCK * BLOCK;
        // The driver deals out the BAR tile by tile (`xe_vram_probe` in `xe_vram.c`).
        let cpu_visible = total.min(reach);
        reach -= cpu_visible;
        let total = total - part * (functions - 1);
        let own = TileSpec { total, cpu_visible: cpu_visible.min(total) };
        (own, TileSpec { total: part, cpu_visible: part })
    };
    gpu.tiles().into_iter().map(split).unzip()
}

/// Minor numbers of the render and the card node of the device that is found as number `place`: 64 of each kind, then
/// both from one pool in the order in which they are asked for (`drm_minor_alloc` in `drivers/gpu/drm/drm_drv.c`).
fn minors(place: u32) -> (u32, u32) {
    match place.checked_sub(64) {
        None => (128 + place, place),
        Some(beyond) => (192 + 2 * beyond, 193 + 2 * beyond),
    }
}

impl Lanes {
    /// What both ends can do.
    fn agree(self, other: Lanes) -> Lanes {
        Lanes { generation: self.generation.min(other.generation), count: self.count.min(other.count) }
    }
}

impl Link {
    fn or(self, usual: Lanes) -> Lanes {
        Lanes { generation: self.generation.unwrap_or(usual.generation), count: self.lanes.unwrap_or(usual.count) }
    }
}

impl Card {
    /// What the card's or the switch's edge can do.
    fn edge(&self) -> Lanes {
        match self {
            Card::Gpu(gpu) => gpu.edge(),
            Card::Switch(switch) => switch.link.or(BOARD_LINK),
        }
    }
}

impl GpuText {
    fn edge(&self) -> Lanes {
        let (generation, count) = self.model.link;
        self.link.or(Lanes { generation, count })
    }
}
