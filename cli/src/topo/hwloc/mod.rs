// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine as XML for hwloc 2: NUMA nodes, bridges, GPUs, and how fast they reach each other.

mod distances;
mod nodes;
mod object;
mod pci;

use super::Topology;
use nodes::Node;
use object::Object;
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use std::{collections::BTreeMap, io};
use xeplace::GpuId;

/// What stands for a GPU's device file, by the number that hwloc knows it by.
type Devices = BTreeMap<GpuId, u64>;

pub fn text(topology: &Topology) -> io::Result<String> {
    let mut counter = Counter(0);
    let mut devices = Devices::new();
    let hosts = pci::hosts(topology, &mut counter, &mut devices);
    let machine = nodes::machine(&Node::all(topology.machine.files()), hosts, &mut counter);
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer.write_event(Event::DocType(BytesText::from_escaped("topology SYSTEM \"hwloc2.dtd\"")))?;
    let topology_element = writer.create_element("topology").with_attribute(("version", "2.0"));
    topology_element.write_inner_content(|writer| {
        machine.write(writer)?;
        distances::write(topology, &devices, writer)
    })?;
    let text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    Ok(text + "\n")
}

/// Each object of a topology has a number of its own.
struct Counter(u64);

impl Counter {
    fn object(&mut self, kind: &str) -> Object {
        self.0 += 1;
        Object::new(kind, self.0)
    }
}
