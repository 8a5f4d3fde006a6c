// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C ABI of xeplace.
//!
//! The contract of every function is said once, in the text at the head of the header (`cbindgen.toml`). A function
//! here translates and does not think: what it can decide belongs into `xeplace`.

#![allow(non_camel_case_types, reason = "names as C has them")]
#![allow(clippy::too_many_arguments, reason = "C has no slices, and growing structures come with their size")]

mod advice;
mod gpu;
mod handle;
mod layout;
mod link;
mod location;
mod machine;
mod memory;
mod obstacle;
mod prefetch;
mod raw;
mod residency;
mod sim;
mod space;
mod status;
mod table;
mod version;

pub use advice::*;
pub use gpu::*;
pub use layout::*;
pub use link::*;
pub use location::*;
pub use machine::*;
pub use memory::*;
pub use obstacle::*;
pub use prefetch::*;
pub use residency::*;
pub use sim::*;
pub use space::*;
pub use table::*;
pub use version::*;
