// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's side: its NUMA nodes and processors.

use super::{Counter, object::Object};
use std::{collections::BTreeSet, fmt::Write};
use xeplace::Files;

const DIRECTORY: &str = "/sys/devices/system/node";

pub struct Node {
    number: u32,
    processors: BTreeSet<u32>,
}

/// A host bridge, and the NUMA node that it is at, if that is known.
pub type Host = (Option<u32>, Object);

impl Node {
    /// As the files tell. hwloc takes no machine without a node or without a processor, so there is one of each.
    pub fn all(files: &Files) -> Vec<Node> {
        let list = |name: &str| numbers(&files.text(format!("{DIRECTORY}/{name}")).unwrap_or_default());
        let node = |number| Node { number, processors: list(&format!("node{number}/cpulist")) };
        let mut nodes: Vec<Node> = list("online").into_iter().map(node).collect();
        if nodes.is_empty() {
            nodes.push(node(0));
        }
        if nodes.iter().all(|node| node.processors.is_empty()) {
            nodes[0].processors.insert(0);
        }
        nodes
    }

    /// What is at this node, under one roof. Memory without processors has no roof.
    fn objects(&self, hosts: Vec<Object>, counter: &mut Counter) -> Vec<Object> {
        let (processors, nodes) = (bitmap(&self.processors), bitmap(&BTreeSet::from([self.number])));
        let memory = within(counter.object("NUMANode").with("os_index", self.number), &processors, &nodes);
        if self.processors.is_empty() {
            return [memory].into_iter().chain(hosts).collect();
        }
        let units = self.processors.iter().map(|unit| {
            let own = bitmap(&BTreeSet::from([*unit]));
            within(counter.object("PU").with("os_index", unit), &own, &nodes)
        });
        let units: Vec<Object> = units.collect();
        let roof = within(counter.object("Group"), &processors, &nodes);
        vec![roof.around([memory]).around(units).around(hosts)]
    }
}

pub fn machine(nodes: &[Node], mut hosts: Vec<Host>, counter: &mut Counter) -> Object {
    let processors = bitmap(&nodes.iter().flat_map(|node| node.processors.iter().copied()).collect());
    let all = bitmap(&nodes.iter().map(|node| node.number).collect());
    let machine = within(counter.object("Machine").with("os_index", 0), &processors, &all);
    let mut machine = machine.with("allowed_cpuset", processors).with("allowed_nodeset", all);
    machine = machine.info("Backend", "xeplace").info("xeplaceVersion", env!("CARGO_PKG_VERSION"));
    for node in nodes {
        let (here, elsewhere) = hosts.into_iter().partition(|(at, _): &Host| *at == Some(node.number));
        hosts = elsewhere;
        machine = machine.around(node.objects(here.into_iter().map(|(_, host)| host).collect(), counter));
    }
    machine.around(hosts.into_iter().map(|(_, host)| host))
}

/// Among these processors and nodes.
fn within(object: Object, processors: &str, nodes: &str) -> Object {
    let object = object.with("cpuset", processors).with("complete_cpuset", processors);
    object.with("nodeset", nodes).with("complete_nodeset", nodes)
}

/// A list of the kernel: `0-3,8`.
fn numbers(text: &str) -> BTreeSet<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// A set as hwloc writes it: words of 32 bits, the highest first.
fn bitmap(set: &BTreeSet<u32>) -> String {
    let count = set.last().map_or(1, |last| last / 32 + 1);
    let mut text = String::new();
    for word in (0..count).rev() {
        let bits = set.range(32 * word..32 * word + 32).fold(0_u32, |bits, bit| bits | 1 << (bit % 32));
        let _ = write!(text, "{}{bits:#010x}", if text.is_empty() { "" } else { "," });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_sets_are_written() {
        assert_eq!(bitmap(&numbers("0-3,5")), "0x0000002f");
        assert_eq!(bitmap(&numbers("64,0-1\n")), "0x00000001,0x00000000,0x00000003");
        assert_eq!(bitmap(&numbers("")), "0x00000000");
    }
}
