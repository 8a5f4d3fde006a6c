// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decides and enforces where memory lives on machines with several Intel GPUs.

mod address;
mod descriptors;
pub mod driver;
mod error;
mod files;
mod gpu;
mod interconnect;
mod location;
mod machine;
mod range;
pub mod sim;
pub mod uapi;

pub use address::PciAddress;
pub use error::{Error, Result};
pub use files::Files;
pub use gpu::*;
pub use interconnect::*;
pub use location::{GpuId, Location, Region};
pub use machine::Machine;
pub use range::{BLOCK, PAGE, Range, USER_END};
pub use sim::Sim;
