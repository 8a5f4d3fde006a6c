// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far GPUs are from each other: matrices between their device files.

use super::Devices;
use crate::{causes::Trouble, topo::Topology};
use quick_xml::{Writer, events::BytesText};
use std::io::{self, Write};
use xeplace::{GpuId, Link};

/// `enum hwloc_distances_kind_e` (`hwloc/distances.h`): from a user of hwloc, and what the values mean.
const FROM_USER: u64 = 2;
const LATENCY: u64 = 4;
const BANDWIDTH: u64 = 8;
/// Megabytes a second of a GPU with itself: what hwloc's own matrices of NVLink and XGMI have there.
const ITSELF: u64 = 1_000_000;
/// Megabytes a second of a link whose speed no file tells.
const SLOWEST: u64 = 1;
/// Hops where there is no link. No way is as long: a library that reads one stops at 64 bridges on each side.
const NO_LINK: u64 = 255;

/// One GPU is at no distance from any other.
pub fn write<W: Write>(topology: &Topology, devices: &Devices, writer: &mut Writer<W>) -> io::Result<()> {
    if devices.len() < 2 {
        return Ok(());
    }
    let bandwidth = |link: Option<Link>| link.map_or(0, |link| link.bandwidth.map_or(SLOWEST, megabytes));
    let hops = |link: Option<Link>| link.and_then(|link| link.hops).map_or(NO_LINK, u64::from);
    matrix(writer, devices, "XeplaceBandwidth", BANDWIDTH, |from, to| match from == to {
        true => ITSELF,
        false => bandwidth(usable(topology, from, to)),
    })?;
    matrix(writer, devices, "XeplaceHops", LATENCY, |from, to| match from == to {
        true => 0,
        false => hops(usable(topology, from, to)),
    })
}

/// The link, if memory can be used over it, as far as is known.
fn usable(topology: &Topology, from: GpuId, to: GpuId) -> Option<Link> {
    let has_vram = topology.machine.gpu(to).is_ok_and(|gpu| !gpu.regions().is_empty());
    let link = topology.machine.link(from, to).ok().filter(|_| has_vram)?;
    matches!(Trouble::of(&link), None | Some(Trouble::ProbablyYes)).then_some(link)
}

fn megabytes(bytes: f64) -> u64 {
    (bytes / 1e6).round() as u64
}

fn matrix<W: Write>(
    writer: &mut Writer<W>,
    devices: &Devices,
    name: &str,
    meaning: u64,
    value: impl Fn(GpuId, GpuId) -> u64,
) -> io::Result<()> {
    let (count, kind) = (devices.len().to_string(), (FROM_USER | meaning).to_string());
    let element = writer.create_element("distances2").with_attribute(("type", "OSDev"));
    let element = element.with_attribute(("nbobjs", count.as_str())).with_attribute(("kind", kind.as_str()));
    let element = element.with_attribute(("name", name)).with_attribute(("indexing", "gp"));
    element.write_inner_content(|writer| {
        list(writer, "indexes", devices.values().copied())?;
        for from in devices.keys() {
            list(writer, "u64values", devices.keys().map(|to| value(*from, *to)))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Numbers, with the length of their text.
fn list<W: Write>(writer: &mut Writer<W>, name: &str, numbers: impl Iterator<Item = u64>) -> io::Result<()> {
    let text: String = numbers.map(|number| format!("{number} ")).collect();
    let element = writer.create_element(name).with_attribute(("length", text.len().to_string().as_str()));
    element.write_text_content(BytesText::new(&text)).map(drop)
}
