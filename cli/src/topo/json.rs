// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine as JSON: `docs/topo-json.md` has each field.

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};
    use xeplace::{
        Machine,
        sim::{Call, Fault},
    };

    const PAGE: &str = include_str!("../../../docs/topo-json.md");

    /// Fields and their types as the page has them, and as some machine has them.
    type Fields = BTreeMap<String, BTreeSet<&'static str>>;

    fn documented() -> Fields {
        let row = |line: &'static str| {
            let (field, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            let (kind, _) = rest.split_once(" |")?;
            let kinds = [kind.trim_end_matches('?')].into_iter().chain(kind.ends_with('?').then_some("null"));
            TYPES.contains(&kind.trim_end_matches('?')).then(|| (field.to_owned(), kinds.collect()))
        };
        PAGE.lines().filter_map(row).collect()
    }

    const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

    fn kind(value: &Value) -> &'static str {
        match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }
    }

    fn walk(value: &Value, path: &str, fields: &mut Fields) {
        if !path.is_empty() && path != "gpus[]" && !(path.ends_with("[]") && value.is_object()) {
            fields.entry(path.to_owned()).or_default().insert(kind(value));
        }
        match value {
            Value::Array(elements) => elements.iter().for_each(|element| walk(element, &format!("{path}[]"), fields)),
            Value::Object(members) => members.iter().for_each(|(name, member)| {
                let dot = if path.is_empty() { "" } else { "." };
                walk(member, &format!("{path}{dot}{name}"), fields);
            }),
            _ => {}
        }
    }

    fn document(machine: Machine) -> Value {
        let target = Target::new(Some("a machine".into())).unwrap();
        serde_json::from_str(&text(&Topology::of(machine), &target).unwrap()).unwrap()
    }

    /// One GPU of two cannot be asked what it is.
    fn with_an_unusable_gpu() -> Machine {
        let whole = Machine::simulated("2x bmg").unwrap();
        let sim = whole.simulation().unwrap();
        sim.inject(Fault { call: Call::DeviceQuery, skip: 8, times: 1, errno: 13 });
        Machine::open_with(sim.clone(), whole.files().clone()).unwrap()
    }

    #[test]
    fn the_page_has_each_field_and_its_type() {
        let mut machines = vec![with_an_unusable_gpu()];
        machines.extend(
            ["cpu=client lnl switch(acs 2x bmg) pvc", "cpu=xeon host(2x pvc) host(bmg)", "none"]
                .map(|machine| Machine::simulated(machine).unwrap()),
        );
        let (mut found, expected) = (Fields::new(), documented());
        machines.into_iter().for_each(|machine| walk(&document(machine), "", &mut found));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (field, kinds) in &found {
            assert!(kinds.is_subset(&expected[field]), "{field}: found {kinds:?}, documented {:?}", expected[field]);
        }
        assert_eq!(document(with_an_unusable_gpu())["format"], FORMAT);
        assert!(PAGE.contains(&format!("| `format` | integer | {FORMAT} |")));
    }

    #[test]
    fn the_page_has_each_reason() {
        let functions: Vec<xeplace::PciAddress> = vec!["0000:00:01.0".parse().unwrap()];
        let reasons = [
            Reason::SameDevice,
            Reason::Cpu,
            Reason::HostBridge,
            Reason::CommonBridge(functions[0]),
            Reason::NoCommonBridge(Vec::new()),
            Reason::OnRootBus(Vec::new()),
            Reason::AcsRedirect(functions),
            Reason::AcsHidden,
            Reason::NoKernelSupport,
            Reason::Kernel,
            Reason::KernelDisagrees,
        ];
        for known in &reasons {
            let (word, _) = reason(known);
            assert_ne!(word, "other", "{known:?}");
            assert!(PAGE.contains(&format!("\n| `{word}` | ")), "{word}");
        }
    }
}
