// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine as JSON: `docs/topo-json.md` has each field.

#[cfg(test)]
mod tests;

use super::{Topology, meeting::Meeting};
use crate::target::Target;
use serde::Serialize;
use xeplace::{Basis, Bridge, Gpu, Link, MemoryRegion, PcieLink, Reason, Verdict};

/// Counts changes that a reader has to know of: a field that is gone, or means something else. New fields do not count.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document {
    format: u32,
    xeplace: &'static str,
    machine: String,
    gpus: Vec<GpuEntry>,
    unusable: Vec<UnusableEntry>,
    groups: Vec<GroupEntry>,
    links: Vec<LinkEntry>,
}

#[derive(Serialize)]
struct GpuEntry {
    index: u32,
    pci_address: String,
    name: String,
    /// Hexadecimal.
    device_id: String,
    revision: u8,
    node: String,
    integrated: bool,
    numa_node: Option<u32>,
    vram: Vec<RegionEntry>,
    pcie: Option<PcieEntry>,
    /// From the nearest to the root port.
    bridges: Vec<BridgeEntry>,
    /// Its place in `groups`.
    group: Option<usize>,
}

/// Bytes.
#[derive(Serialize)]
struct RegionEntry {
    instance: u16,
    total: u64,
    used: u64,
    cpu_visible: u64,
}

#[derive(Serialize)]
struct PcieEntry {
    gigatransfers: f64,
    lanes: u32,
    bytes_per_second: f64,
    at: String,
}

#[derive(Serialize)]
struct BridgeEntry {
    pci_address: String,
    on_card: bool,
    pcie: Option<PcieEntry>,
}

#[derive(Serialize)]
struct UnusableEntry {
    node: String,
    pci_address: Option<String>,
    reason: String,
    errno: i32,
}

#[derive(Serialize)]
struct GroupEntry {
    gpus: Vec<u32>,
    basis: &'static str,
}

#[derive(Serialize)]
struct LinkEntry {
    from: u32,
    to: u32,
    verdict: &'static str,
    basis: Option<&'static str>,
    reason: &'static str,
    /// The functions or host bridges that the reason names.
    at: Vec<String>,
    sentence: String,
    /// Where their ways up to the processors meet.
    meeting: Option<&'static str>,
    hops: Option<u32>,
    bytes_per_second: Option<f64>,
    fully_visible: bool,
}

pub fn text(topology: &Topology, target: &Target) -> serde_json::Result<String> {
    let machine = &topology.machine;
    let gpus = machine.gpus().iter().zip(&topology.regions);
    let document = Document {
        format: FORMAT,
        xeplace: env!("CARGO_PKG_VERSION"),
        machine: target.to_string(),
        gpus: gpus.map(|(gpu, regions)| GpuEntry::of(topology, gpu, regions)).collect(),
        unusable: machine.unusable().iter().map(UnusableEntry::of).collect(),
        groups: topology.groups.iter().map(GroupEntry::of).collect(),
        links: links(topology),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn links(topology: &Topology) -> Vec<LinkEntry> {
    let gpus = topology.machine.gpus();
    let pairs = gpus.iter().flat_map(|from| gpus.iter().map(move |to| (from, to)));
    pairs.filter(|(from, to)| from.id() != to.id()).map(|(from, to)| LinkEntry::of(topology, from, to)).collect()
}

impl GpuEntry {
    fn of(topology: &Topology, gpu: &Gpu, regions: &[MemoryRegion]) -> GpuEntry {
        GpuEntry {
            index: gpu.id().0,
            pci_address: gpu.address().to_string(),
            name: gpu.name().to_owned(),
            device_id: format!("{:04x}", gpu.device_id()),
            revision: gpu.revision(),
            node: gpu.node().display().to_string(),
            integrated: gpu.is_integrated(),
            numa_node: gpu.numa_node(),
            vram: regions.iter().map(RegionEntry::of).collect(),
            pcie: gpu.pcie().map(PcieEntry::of),
            bridges: gpu.bridges().unwrap_or_default().iter().map(BridgeEntry::of).collect(),
            group: topology.group(gpu),
        }
    }
}

impl RegionEntry {
    fn of(region: &MemoryRegion) -> RegionEntry {
        let MemoryRegion { instance, total, used, cpu_visible, .. } = *region;
        RegionEntry { instance, total, used, cpu_visible }
    }
}

impl PcieEntry {
    fn of(link: PcieLink) -> PcieEntry {
        PcieEntry {
            gigatransfers: link.gigatransfers,
            lanes: link.lanes,
            bytes_per_second: link.bytes_per_second(),
            at: link.at.to_string(),
        }
    }
}

impl BridgeEntry {
    fn of(bridge: &Bridge) -> BridgeEntry {
        let Bridge { address, on_card, link, .. } = *bridge;
        BridgeEntry { pci_address: address.to_string(), on_card, pcie: link.map(PcieEntry::of) }
    }
}

impl UnusableEntry {
    fn of(found: &xeplace::Unusable) -> UnusableEntry {
        UnusableEntry {
            node: found.node.display().to_string(),
            pci_address: found.address.map(|address| address.to_string()),
            reason: found.reason.to_string(),
            errno: found.reason.errno(),
        }
    }
}

impl GroupEntry {
    fn of(group: &xeplace::Group) -> GroupEntry {
        GroupEntry { gpus: group.gpus.iter().map(|gpu| gpu.0).collect(), basis: basis(group.basis) }
    }
}

impl LinkEntry {
    fn of(topology: &Topology, from: &Gpu, to: &Gpu) -> LinkEntry {
        let entry = LinkEntry {
            from: from.id().0,
            to: to.id().0,
            verdict: "unknown",
            basis: None,
            reason: "unreadable",
            at: Vec::new(),
            sentence: String::new(),
            meeting: None,
            hops: None,
            bytes_per_second: None,
            fully_visible: false,
        };
        match topology.machine.link(from.id(), to.id()) {
            Ok(link) => entry.filled(&link, topology.meeting(from, to)),
            Err(error) => LinkEntry { sentence: error.to_string(), ..entry },
        }
    }

    fn filled(self, link: &Link, meeting: Meeting) -> LinkEntry {
        let (reason, at) = reason(&link.reason);
        LinkEntry {
            verdict: match link.verdict {
                Verdict::Connected => "connected",
                Verdict::NotConnected => "not_connected",
                Verdict::Unknown => "unknown",
            },
            basis: Some(basis(link.basis)),
            reason,
            at,
            sentence: link.reason.to_string(),
            meeting: Some(meeting.name()),
            hops: link.hops,
            bytes_per_second: link.bandwidth,
            fully_visible: link.fully_visible,
            ..self
        }
    }
}

fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Predicted => "predicted",
        Basis::Guessed => "guessed",
        Basis::Probed => "probed",
    }
}

fn reason(reason: &Reason) -> (&'static str, Vec<String>) {
    match reason {
        Reason::SameDevice => ("same_device", Vec::new()),
        Reason::Cpu => ("cpu", Vec::new()),
        Reason::HostBridge => ("host_bridge", Vec::new()),
        Reason::CommonBridge(bridge) => ("common_bridge", vec![bridge.to_string()]),
        Reason::NoCommonBridge(bridges) => ("no_common_bridge", bridges.iter().map(ToString::to_string).collect()),
        Reason::OnRootBus(bridges) => ("on_root_bus", bridges.iter().map(ToString::to_string).collect()),
        Reason::AcsRedirect(functions) => ("acs_redirect", functions.iter().map(ToString::to_string).collect()),
        Reason::AcsHidden => ("acs_hidden", Vec::new()),
        Reason::NoKernelSupport => ("no_kernel_support", Vec::new()),
        Reason::Kernel => ("kernel", Vec::new()),
        Reason::KernelDisagrees => ("kernel_disagrees", Vec::new()),
        _ => ("other", Vec::new()),
    }
}
