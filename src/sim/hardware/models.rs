// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GPUs and CPUs that a machine string can name.
//!
//! Identifiers are those of the public PCI id list (pci.ids); revisions, links and bridges those of cards as
//! `lspci -vv` shows them.

/// Vendor and device of a PCI function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ids {
    pub(crate) vendor: u16,
    pub(crate) device: u16,
}

const fn ids(vendor: u16, device: u16) -> Ids {
    Ids { vendor, device }
}

/// A GPU as it is sold.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct GpuModel {
    pub(crate) name: &'static str,
    pub(crate) device: u16,
    pub(crate) revision: u8,
    /// VGA compatible (0x030000) or other display controller (0x038000).
    pub(crate) class: u32,
    pub(crate) tiles: u8,
    /// Bytes of a tile; none on an integrated GPU.
    pub(crate) vram: u64,
    /// PCIe generation and lanes of the card's edge.
    pub(crate) link: (u8, u8),
    /// Upstream and downstream bridge on the card: device ids.
    pub(crate) bridges: [u16; 2],
}

impl GpuModel {
    pub(crate) fn is_integrated(&self) -> bool {
        self.vram == 0
    }

    pub(crate) fn named(name: &str) -> Option<&'static GpuModel> {
        GPUS.iter().find(|model| model.name == name)
    }
}

const G: u64 = 1 << 30;

const BATTLEMAGE: GpuModel = GpuModel {
    name: "bmg",
    device: 0xe20b,
    revision: 0,
    class: 0x03_0000,
    tiles: 1,
    vram: 12 * G,
    link: (4, 8),
    bridges: [0xe2ff, 0xe2f0],
};

/// `bmg` is the Arc B580 under its platform's name.
pub(crate) const GPUS: &[GpuModel] = &[
    BATTLEMAGE,
    GpuModel { name: "b580", ..BATTLEMAGE },
    GpuModel { name: "b570", device: 0xe20c, vram: 10 * G, ..BATTLEMAGE },
    GpuModel { name: "b50", device: 0xe212, vram: 16 * G, link: (5, 8), ..BATTLEMAGE },
    GpuModel { name: "b60", device: 0xe211, vram: 24 * G, link: (5, 8), ..BATTLEMAGE },
    GpuModel { name: "b70", device: 0xe223, vram: 32 * G, link: (5, 16), ..BATTLEMAGE },
    GpuModel {
        name: "pvc",
        device: 0x0bd5,
        revision: 0x2f,
        class: 0x03_8000,
        tiles: 2,
        vram: 64 * G,
        link: (5, 16),
        // What this card's bridges are called is not known here: those of its generation's Arc cards stand in.
        bridges: [0x4fa0, 0x4fa4],
    },
    GpuModel {
        name: "lnl",
        device: 0x64a0,
        revision: 4,
        class: 0x03_0000,
        tiles: 1,
        vram: 0,
        link: (1, 1),
        bridges: [0, 0],
    },
];

/// A CPU with what its root complex shows on PCI.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct CpuModel {
    pub(crate) name: &'static str,
    /// As `/proc/cpuinfo` has it.
    pub(crate) vendor: &'static str,
    pub(crate) family: u32,
    pub(crate) model: u32,
    pub(crate) brand: &'static str,
    /// Function 00.0 of each root bus.
    pub(crate) host: Ids,
    pub(crate) root_port: Ids,
}

impl CpuModel {
    pub(crate) fn named(name: &str) -> Option<&'static CpuModel> {
        CPUS.iter().find(|model| model.name == name)
    }

    /// Whether the kernel lets peers through every host bridge of this CPU (`cpu_supports_p2pdma` in `p2pdma.c`).
    pub(crate) fn passes_peers(&self) -> bool {
        self.vendor == "AuthenticAMD" && self.family >= 0x17
    }
}

/// The first is what a machine string means that names none.
pub(crate) const CPUS: &[CpuModel] = &[
    CpuModel {
        name: "zen",
        vendor: "AuthenticAMD",
        family: 25,
        model: 17,
        brand: "AMD EPYC 9354 32-Core Processor",
        host: ids(0x1022, 0x14a4),
        root_port: ids(0x1022, 0x14ab),
    },
    CpuModel {
        name: "amd-old",
        vendor: "AuthenticAMD",
        family: 21,
        model: 16,
        brand: "AMD A10-5800K APU with Radeon(tm) HD Graphics",
        host: ids(0x1022, 0x1410),
        root_port: ids(0x1022, 0x1412),
    },
    CpuModel {
        name: "client",
        vendor: "GenuineIntel",
        family: 6,
        model: 183,
        brand: "13th Gen Intel(R) Core(TM) i9-13900K",
        host: ids(0x8086, 0xa700),
        root_port: ids(0x8086, 0xa70d),
    },
    CpuModel {
        name: "xeon",
        vendor: "GenuineIntel",
        family: 6,
        model: 143,
        brand: "Intel(R) Xeon(R) Platinum 8480+",
        host: ids(0x8086, 0x09a2),
        root_port: ids(0x8086, 0x352a),
    },
    CpuModel {
        name: "hsw-ep",
        vendor: "GenuineIntel",
        family: 6,
        model: 63,
        brand: "Intel(R) Xeon(R) CPU E5-2680 v3 @ 2.50GHz",
        host: ids(0x8086, 0x2f00),
        root_port: ids(0x8086, 0x2f02),
    },
    CpuModel {
        name: "hygon",
        vendor: "HygonGenuine",
        family: 24,
        model: 0,
        brand: "Hygon C86 7185 32-core Processor",
        host: ids(0x1d94, 0x1450),
        root_port: ids(0x1d94, 0x1453),
    },
    CpuModel {
        name: "q35",
        vendor: "GenuineIntel",
        family: 6,
        model: 85,
        brand: "Intel Xeon Processor (Skylake)",
        host: ids(0x8086, 0x29c0),
        root_port: ids(0x1b36, 0x000c),
    },
];

/// A PCIe switch on a mainboard or in an expander: PEX 890xx.
pub(crate) const SWITCH: Ids = ids(0x1000, 0xc030);
/// Intel Corporation.
pub(crate) const INTEL: u16 = 0x8086;
