// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated machine: a [`Driver`](crate::driver::Driver) that behaves like Linux 7.3's xe, its traps included.
//!
//! It has its own GPUs, VRAM and links, and this process's real memory: addresses, mappings and descriptors are what the
//! running kernel says they are, and over them lies what the simulated GPUs did to the pages. It moves no bytes: memory
//! keeps its content wherever its pages are said to be, and what a GPU writes is not written. What it cannot see (munmap,
//! mremap and CPU accesses) it is told through the driver. Comments name the kernel functions whose behaviour they follow, all of Linux 7.3.

mod bind;
mod controls;
mod counters;
mod driver;
mod fault;
mod groups;
mod hardware;
mod inject;
mod live_files;
mod madvise;
mod migrate;
mod nodes;
mod open_files;
mod pages;
mod policies;
mod prefetch;
mod process;
mod query;
mod scan;
mod span;
pub(crate) mod spec;
mod state;
mod vm;
mod vram;

#[cfg(test)]
mod tests;

pub use controls::Place;
pub use counters::{Costs, Counters, GpuCounters, LinkCounters};
pub(crate) use hardware::parse;
pub use inject::{Call, Fault};
pub(crate) use spec::*;

use crate::files::Files;
use parking_lot::Mutex;
use state::State;
use std::{fmt, sync::Arc};

/// What the kernel would say: a result, or an errno.
type Answer<T = ()> = std::result::Result<T, i32>;

/// The simulated machine.
///
/// The methods here play the world around the driver: what programs, administrators and hardware do to it. What the
/// library does goes through [`Driver`](crate::driver::Driver).
pub struct Sim {
    state: Arc<Mutex<State>>,
    files: Files,
}

impl Sim {
    /// The machine that `spec` describes, with nothing open.
    pub(crate) fn new(spec: Spec) -> Arc<Sim> {
        let files = spec.files.clone();
        let state = Arc::new(Mutex::new(State::new(spec)));
        let files = files.overlaid(live_files::upper(state.clone()));
        Arc::new(Sim { state, files })
    }

    /// Its files: those of its description and those that change as it runs.
    pub fn files(&self) -> Files {
        self.files.clone()
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        write!(out, "Sim({} GPUs, {} vms)", state.devices.len(), state.vms.len())
    }
}
