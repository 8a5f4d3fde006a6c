// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks at placement past the library: at the kernel's page map and memory map, at the driver's own counters, and at
//! what the GPU models have counted. Nothing here uses the library to look.

pub mod driver;
pub mod model;
pub mod pages;
pub mod pci;
pub mod tree;

use std::{fs, path::Path};

/// Interconnect groups as the machine's file says: places of GPUs in the order of their PCI addresses.
///
/// # Panics
///
/// Outside of the rig's guest.
pub fn groups() -> Vec<Vec<u32>> {
    let text = std::env::var("RIG_GROUPS").expect("RIG_GROUPS is set in the rig's guest");
    let number = |text: &str| text.parse().expect("groups are numbers");
    text.split('|').filter(|group| !group.is_empty()).map(|group| group.split(' ').map(number).collect()).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
