// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hardware of a simulated machine: from a machine string to a tree of PCI functions, and from that to the files that
//! Linux shows of it and the distances that its P2P rule finds in it.

mod config;
mod firmware;
mod grammar;
mod iommu;
mod models;
mod options;
mod parser;
mod procfs;
mod topology;
mod tree;
mod windows;
mod words;

use super::spec::Spec;
use crate::{error::Result, files::Files};
use {topology::Topology, tree::tree};

/// The machine that `text` describes, or [`Error::MachineString`](crate::Error::MachineString) saying where it stops
/// making sense.
pub(crate) fn parse(text: &str) -> Result<Spec> {
    let description = parser::read(text)?;
    let topology = Topology::new(&description);
    let files = Files::tree(tree(&description, &topology));
    let distances = topology.distances();
    let devices = topology.gpus.into_iter().map(|gpu| gpu.spec).collect();
    Ok(Spec { devices, distances, privileged: description.root, files })
}
