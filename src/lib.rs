// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decides and enforces where memory lives on machines with several Intel GPUs.
//!
//! Linux's `xe` driver can keep the memory of a process in the VRAM of a GPU, of *any* GPU of the machine, and let the
//! others use it there in place. What it is told is told per GPU address space, by descriptor numbers, through calls
//! that answer 0 in many cases in which nothing happened. This library finds out which GPUs reach each other, tells all
//! address spaces the same, moves memory, and says where each page really is.
//!
//! ```
//! use xeplace::{Advice, Location, Machine, Space};
//!
//! // Two GPUs behind one switch, simulated; `Machine::open()` is this host.
//! let machine = Machine::simulated("cpu=zen switch(2x bmg)")?;
//! let [a, b] = machine.gpus() else { panic!("two GPUs were asked for") };
//!
//! let space = Space::create(&machine)?;
//! let weights = space.allocate(64 << 20, Location::from(b))?;
//!
//! // Move it to b now, and map it for both: neither GPU will fault on it.
//! let outcome = space.prefetch(weights.range(), b, &[a.id(), b.id()])?;
//! assert!(outcome.is_complete());
//! assert_eq!(space.residency(weights.range())?.bytes_in(b.region(0)?), 64 << 20);
//!
//! // A wish with a fallback: every vm of the process gets the same answer.
//! let report = space.advise(weights.range(), Advice::prefer(a).or(Location::System))?.accepted()?;
//! assert_eq!(report.location, Some(a.into()));
//! # Ok::<(), xeplace::Error>(())
//! ```
//!
//! # Where to begin
//!
//! - [`Machine`]: the GPUs of a host, a recording or a machine string; [`Machine::link`] and [`Machine::groups`] say
//!   which of them reach each other, and why not.
//! - [`Space`]: all the GPU address spaces that mirror this process, the library's own or a runtime's. It takes
//!   [`Advice`], does [`Space::prefetch`], and shows [`Space::residency`], [`Space::attributes`] and
//!   [`Space::explain`].
//! - [`Memory`]: memory with a location or a [`Layout`] that takes its advice back when it is dropped.
//! - [`Sim`]: the simulated machine, on which all of this runs without a GPU; [`driver`]: the seam beneath.
//!
//! # What it does not do
//!
//! It runs no kernels, makes no threads, handles no signals and reads no environment. It moves only what the driver can
//! move: private anonymous memory. It cannot forbid a GPU that was not named to pull pages when it touches them; it can
//! only say so.

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
mod process;
mod query;
mod range;
mod record;
mod recording;
mod report;
mod residency;
pub mod sim;
mod space;
mod spans;
pub mod uapi;
mod vm;
mod wish;

pub use address::PciAddress;
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
pub use pcie::{Bridge, PcieLink};
pub use prefetch::{Outcome, Progress, Stay, Unmapped};
pub use process::ProcessMapping;
pub use query::{Engine, EngineClass, Gt, MemoryRegion};
pub use range::{BLOCK, PAGE, Range, USER_END};
pub use report::{Answer, Attribute, Effect, Refusal, Report, Warnings};
pub use residency::{Confidence, Place, Residency, Run};
pub use sim::Sim;
pub use space::{PrefetchJob, Space};
pub use vm::VmId;
pub use wish::{Advice, Atomics, MigrationPolicy};

/// The README's Rust, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
