// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decides and enforces where memory lives on machines with several Intel GPUs.

mod address;
mod advice;
mod attributes;
mod capabilities;
mod counters;
mod descriptors;
mod discovery;
pub mod driver;
mod error;
mod explain;
mod files;
mod gpu;
mod interconnect;
mod layout;
mod location;
mod machine;
mod mappings;
mod memory;
mod obstacle;
mod pcie;
mod prefetch;
mod query;
mod range;
mod record;
mod recording;
mod residency;
pub mod sim;
mod space;
mod spans;
pub mod uapi;
mod vm;
mod wish;

pub use address::PciAddress;
pub use advice::{Answer, Attribute, Effect, Refusal, Report, Warnings};
pub use attributes::{AttributeRun, StoredLocation};
pub use capabilities::{Capabilities, Support};
pub use counters::SvmCounters;
pub use discovery::Unusable;
pub use error::{Error, Result};
pub use explain::Explanation;
pub use files::Files;
pub use gpu::Gpu;
pub use interconnect::{Basis, Group, HostBridgeId, Link, Reason, Verdict};
pub use layout::{Layout, Plan, Step};
pub use location::{GpuId, Location, Region};
pub use machine::Machine;
pub use mappings::Backing;
pub use memory::Memory;
pub use obstacle::Obstacle;
pub use pcie::PcieLink;
pub use prefetch::{Outcome, Progress, Stay, Unmapped};
pub use query::{Engine, EngineClass, Gt, MemoryRegion};
pub use range::{BLOCK, PAGE, Range, USER_END};
pub use residency::{Confidence, Place, Residency, Run};
pub use sim::Sim;
pub use space::{PrefetchJob, Space};
pub use vm::VmId;
pub use wish::{Advice, Atomics, MigrationPolicy};

/// The README's Rust, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
