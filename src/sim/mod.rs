// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated machine.

mod config;
mod firmware;
mod grammar;
mod iommu;
mod models;
mod options;
mod parser;
mod procfs;
mod spec;
mod topology;
mod tree;
mod windows;
mod words;

pub(crate) use spec::parse;

/// The simulated machine.
#[derive(Debug)]
pub struct Sim;
