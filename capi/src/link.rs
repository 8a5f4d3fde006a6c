// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which GPUs reach each other's memory, and why not, from C.

use crate::{
    location::XEP_UNKNOWN,
    machine::{self, xep_machine},
    raw::{self, plain},
    status::{Text, status},
};
use libc::{c_char, c_int};
use xeplace::{Basis, GpuId, Link, Reason, Verdict};

/// Yes, no, or unknown.
#[repr(C)]
pub enum xep_verdict {
    /// Cannot be told without privilege or a probe.
    XEP_LINK_UNKNOWN = 0,
    /// One interconnect group.
    XEP_LINK_CONNECTED = 1,
    /// Separate groups: the kernel answers ENOLINK.
    XEP_LINK_NOT_CONNECTED = 2,
}

/// How a verdict is known.
#[repr(C)]
pub enum xep_basis {
    /// From files, but some input needs privilege to read.
    XEP_BASIS_GUESSED = 0,
    /// From files, with every input of the kernel's rule at hand.
    XEP_BASIS_PREDICTED = 1,
    /// The kernel was asked.
    XEP_BASIS_PROBED = 2,
}

/// What decides a link: the kernel's rule is pci_p2pdma_distance() in drivers/pci/p2pdma.c.
#[repr(C)]
pub enum xep_link_reason {
    /// One that this header does not know; see the text.
    XEP_REASON_OTHER = 0,
    /// The same device.
    XEP_REASON_SAME_DEVICE = 1,
    /// The CPU lets peers through its host bridges.
    XEP_REASON_CPU = 2,
    /// The host bridges are in the kernel's list.
    XEP_REASON_HOST_BRIDGE = 3,
    /// Both lie below one bridge and nothing on the way redirects.
    XEP_REASON_COMMON_BRIDGE = 4,
    /// No bridge in common, and the host bridges are not in the kernel's list.
    XEP_REASON_NO_COMMON_BRIDGE = 5,
    /// ACS redirect is set on the way.
    XEP_REASON_ACS_REDIRECT = 6,
    /// Whether ACS redirect is set cannot be read without privilege.
    XEP_REASON_ACS_HIDDEN = 7,
    /// The kernel has no PCI peer-to-peer support.
    XEP_REASON_NO_KERNEL_SUPPORT = 8,
    /// The kernel said so.
    XEP_REASON_KERNEL = 9,
    /// The kernel said so, against its own rule: its groups are stale.
    XEP_REASON_KERNEL_DISAGREES = 10,
}

/// The verdict on one ordered pair: can a vm of the first GPU use the VRAM of the second? It can grow: pass its size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_link {
    /// enum xep_verdict.
    pub verdict: u32,
    /// enum xep_basis.
    pub basis: u32,
    /// enum xep_link_reason.
    pub reason: u32,
    /// Functions on the way as the kernel counts them: 0 to itself, 4 through one switch; XEP_UNKNOWN if it counts none.
    pub hops: u32,
    /// Bytes a second of the narrowest PCIe link on the way, in one direction; 0 if that is not known.
    pub bytes_per_second: u64,
    /// 1 if all of the second GPU's VRAM lies behind its BAR. Otherwise the library does not use it from others.
    pub fully_visible: u32,
    /// 0.
    pub reserved: u32,
    /// Verdict, basis and reason as a sentence for an administrator, with what can be done.
    pub text: [c_char; 512],
}

plain!(xep_link);

/// Says whether, and why, a vm of GPU `from` can use the VRAM of GPU `to`. `size` is that of the caller's struct.
///
/// As predicted from files, or as the kernel has said meanwhile. Costs no call to a driver.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_link(
    machine: *const xep_machine,
    from: u32,
    to: u32,
    link: *mut xep_link,
    size: usize,
) -> c_int {
    status(|| {
        let (machine, link) = (machine::get(machine)?, raw::structure(link, size, "link")?);
        link.write(&machine.link(GpuId(from), GpuId(to))?.into());
        Ok(())
    })
}

/// Asks the kernel about one pair, once, in a throw-away vm, and keeps the answer. `size` is that of the caller's struct.
///
/// This has a price: the kernel makes the memory map of both GPUs' VRAM, a 64th of its size in host memory. -ENOENT if
/// `to` has no VRAM, -ENODEV if one of them has gone, -EOPNOTSUPP if the kernel or a device shares no virtual memory.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_probe_link(
    machine: *const xep_machine,
    from: u32,
    to: u32,
    link: *mut xep_link,
    size: usize,
) -> c_int {
    status(|| {
        let (machine, link) = (machine::get(machine)?, raw::structure(link, size, "link")?);
        link.write(&machine.probe_link(GpuId(from), GpuId(to))?.into());
        Ok(())
    })
}

impl From<Link> for xep_link {
    fn from(link: Link) -> xep_link {
        xep_link {
            verdict: verdict(link.verdict) as u32,
            basis: basis(link.basis) as u32,
            reason: reason(&link.reason) as u32,
            hops: link.hops.unwrap_or(XEP_UNKNOWN),
            bytes_per_second: link.bandwidth.map_or(0, |bandwidth| bandwidth as u64),
            fully_visible: link.fully_visible.into(),
            reserved: 0,
            text: Text::of(&link),
        }
    }
}

fn verdict(verdict: Verdict) -> xep_verdict {
    match verdict {
        Verdict::Connected => xep_verdict::XEP_LINK_CONNECTED,
        Verdict::NotConnected => xep_verdict::XEP_LINK_NOT_CONNECTED,
        Verdict::Unknown => xep_verdict::XEP_LINK_UNKNOWN,
    }
}

fn basis(basis: Basis) -> xep_basis {
    match basis {
        Basis::Guessed => xep_basis::XEP_BASIS_GUESSED,
        Basis::Predicted => xep_basis::XEP_BASIS_PREDICTED,
        Basis::Probed => xep_basis::XEP_BASIS_PROBED,
    }
}

fn reason(reason: &Reason) -> xep_link_reason {
    match reason {
        Reason::SameDevice => xep_link_reason::XEP_REASON_SAME_DEVICE,
        Reason::Cpu => xep_link_reason::XEP_REASON_CPU,
        Reason::HostBridge => xep_link_reason::XEP_REASON_HOST_BRIDGE,
        Reason::CommonBridge(_) => xep_link_reason::XEP_REASON_COMMON_BRIDGE,
        Reason::NoCommonBridge(_) => xep_link_reason::XEP_REASON_NO_COMMON_BRIDGE,
        Reason::AcsRedirect(_) => xep_link_reason::XEP_REASON_ACS_REDIRECT,
        Reason::AcsHidden => xep_link_reason::XEP_REASON_ACS_HIDDEN,
        Reason::NoKernelSupport => xep_link_reason::XEP_REASON_NO_KERNEL_SUPPORT,
        Reason::Kernel => xep_link_reason::XEP_REASON_KERNEL,
        Reason::KernelDisagrees => xep_link_reason::XEP_REASON_KERNEL_DISAGREES,
        _ => xep_link_reason::XEP_REASON_OTHER,
    }
}
