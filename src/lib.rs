// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decides and enforces where memory lives on machines with several Intel GPUs.

mod address;
mod capabilities;
mod counters;
mod descriptors;
mod discovery;
pub mod driver;
mod error;
mod files;
mod gpu;
mod interconnect;
mod location;
mod machine;
mod pcie;
mod query;
mod range;
mod recording;
pub mod sim;
pub mod uapi;

pub use address::PciAddress;
pub use capabilities::{Capabilities, Support};
pub use counters::SvmCounters;
pub use discovery::Unusable;
pub use error::{Error, Result};
pub use files::Files;
pub use gpu::Gpu;
pub use interconnect::{Basis, Group, HostBridgeId, Link, Reason, Verdict};
pub use location::{GpuId, Location, Region};
pub use machine::Machine;
pub use pcie::PcieLink;
pub use query::{Engine, EngineClass, Gt, MemoryRegion};
pub use range::{BLOCK, PAGE, Range, USER_END};
pub use sim::Sim;
