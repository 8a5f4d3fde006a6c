// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bus addresses of BARs and of the windows of the bridges above them.

use super::topology::{Function, Kind, Topology};
use std::fmt::Write;

/// A BAR or a bridge window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource {
    /// Its line in the file `resource`: BARs from 0, bridge windows from 13.
    pub(super) line: usize,
    pub(super) start: u64,
    pub(super) size: u64,
    /// `IORESOURCE_*` of `include/linux/ioport.h`, with the low bits of the register.
    pub(super) flags: u64,
}

/// Resources of each function, by its index.
pub(super) struct Windows(Vec<Vec<Resource>>);

/// Registers of the GPU (`xe_mmio_probe_early` in `xe_mmio.c` maps all of BAR 0).
const REGISTERS: u64 = 16 << 20;
/// Memory, 64 bits wide.
const REGISTERS_FLAGS: u64 = 0x14_0204;
/// Memory, 64 bits wide, prefetchable.
const VRAM_FLAGS: u64 = 0x14_220c;
const MEMORY_WINDOW: Resource = Resource { line: 14, start: 0, size: 0, flags: 0x200 };
const PREFETCHABLE_WINDOW: Resource = Resource { line: 15, start: 0, size: 0, flags: 0x10_2201 };

/// Below 4 GiB, where firmware puts what is not prefetchable, while there is room.
const LOW: std::ops::Range<u64> = 0x8000_0000..0xfe00_0000;
/// Above the memory of any machine that a string can describe.
const HIGH: u64 = 1 << 46;

impl Windows {
    pub(super) fn new(topology: &Topology) -> Windows {
        let mut windows = Windows(vec![Vec::new(); topology.functions.len()]);
        let (mut low, mut high) = (LOW.start, HIGH);
        for gpu in &topology.gpus {
            let registers = if low < LOW.end { &mut low } else { &mut high };
            let registers = take(registers, REGISTERS);
            let vram = take(&mut high, gpu.bar);
            windows.add(topology, gpu.function, 0, registers, REGISTERS, REGISTERS_FLAGS);
            windows.add(topology, gpu.function, 2, vram, gpu.bar, VRAM_FLAGS);
        }
        windows
    }

    pub(super) fn of(&self, index: usize) -> &[Resource] {
        &self.0[index]
    }

    /// Gives a function a BAR and opens the windows of all bridges above.
    fn add(&mut self, topology: &Topology, index: usize, line: usize, start: u64, size: u64, flags: u64) {
        self.0[index].push(Resource { line, start, size, flags });
        let empty = if start < LOW.end { MEMORY_WINDOW } else { PREFETCHABLE_WINDOW };
        let mut above = topology.functions[index].parent;
        while let Some(bridge) = above {
            let windows = &mut self.0[bridge];
            match windows.iter_mut().find(|window| window.line == empty.line) {
                Some(window) => {
                    let end = (window.start + window.size).max(start + size);
                    window.start = window.start.min(start);
                    window.size = end - window.start;
                }
                None => windows.push(Resource { start, size, ..empty }),
            }
            above = topology.functions[bridge].parent;
        }
    }
}

/// The next free address that is a multiple of `size`.
fn take(next: &mut u64, size: u64) -> u64 {
    let start = next.next_multiple_of(size);
    *next = start + size;
    start
}

/// The file `resource` (`resource_show` in `drivers/pci/pci-sysfs.c`): BARs, expansion ROM, BARs of virtual functions;
/// on bridges windows as well.
pub(super) fn lines(function: &Function, resources: &[Resource]) -> String {
    let bridge = matches!(function.kind, Kind::RootPort | Kind::Upstream | Kind::Downstream);
    let mut text = String::new();
    for line in 0..if bridge { 17 } else { 13 } {
        let found = resources.iter().find(|resource| resource.line == line);
        let (start, end, flags) =
            found.map_or((0, 0, 0), |found| (found.start, found.start + found.size - 1, found.flags));
        let _ = writeln!(text, "{start:#018x} {end:#018x} {flags:#018x}");
    }
    text
}
