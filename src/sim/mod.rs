// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated machine.

mod spec;

/// The simulated machine.
#[derive(Debug)]
pub struct Sim;
