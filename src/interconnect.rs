// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which GPUs reach each other's memory, and why not.

use crate::{address::PciAddress, location::GpuId};

/// The verdict on one ordered pair of GPUs: can a vm of the first use the VRAM of the second?
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Link {
    /// Whether the kernel puts the two into one interconnect group.
    pub verdict: Verdict,
    /// How that is known.
    pub basis: Basis,
    /// Why, as a value.
    pub reason: Reason,
    /// Functions on the way, as the kernel counts its P2P distance: 0 to itself, 4 through one switch.
    pub hops: Option<u32>,
    /// Bytes a second, one way: the narrowest PCIe link on the way.
    pub bandwidth: Option<f64>,
    /// Whether all of the second GPU's VRAM lies behind its BAR; without that the library does not use it from others.
    pub fully_visible: bool,
}

/// Yes, no, or unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// One interconnect group.
    Connected,
    /// Separate groups: the kernel answers ENOLINK.
    NotConnected,
    /// Cannot be told without privilege or a probe.
    Unknown,
}

/// How a verdict is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Basis {
    /// From files, with every input of the kernel's rule at hand.
    Predicted,
    /// From files, but some input needs privilege to read.
    Guessed,
    /// The kernel was asked.
    Probed,
}

/// What decides a link: the kernel's rule is `pci_p2pdma_distance()` in `drivers/pci/p2pdma.c`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The same device.
    SameDevice,
    /// The CPU lets peers through its host bridges (AMD Zen and later).
    Cpu,
    /// The host bridges are in the kernel's list.
    HostBridge,
    /// Both lie below this bridge and nothing on the way redirects.
    CommonBridge(PciAddress),
    /// No bridge in common, and the host bridge is not in the kernel's list.
    NoCommonBridge,
    /// ACS redirect is set at these functions, and the host bridge is not in the kernel's list.
    AcsRedirect(Vec<PciAddress>),
    /// Whether ACS redirect is set cannot be read without privilege.
    AcsHidden,
    /// The kernel has no PCI peer-to-peer support (CONFIG_PCI_P2PDMA).
    NoKernelSupport,
    /// The kernel said so.
    Kernel,
}

/// GPUs that the kernel lets map each other's memory.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Group {
    /// In the order of their places in the machine.
    pub gpus: Vec<GpuId>,
    /// The weakest basis of a verdict that led to it.
    pub basis: Basis,
}
impl std::fmt::Display for Reason {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
