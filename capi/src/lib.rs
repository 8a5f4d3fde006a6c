// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C ABI of xeplace.
//!
//! The contract of every function is said once, in the text at the head of the header (`cbindgen.toml`). A function
//! here translates and does not think: what it can decide belongs into `xeplace`.

#![allow(non_camel_case_types, reason = "names as C has them")]
#![allow(clippy::too_many_arguments, reason = "C has no slices, and growing structures come with their size")]

mod handle;
mod raw;
mod status;

// The header has the order of this list.
mod version;

mod location;

mod machine;

mod gpu;

mod link;

mod space;

mod advice;

mod obstacle;

mod prefetch;

mod residency;

mod layout;

mod memory;

mod sim;

mod table;

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
