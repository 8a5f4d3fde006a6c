// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links in words, with what an administrator can do about them.

use super::{Basis, HostBridgeId, Link, Reason, Verdict};
use crate::address::PciAddress;
use std::fmt;

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::SameDevice => out.write_str("it is the same device"),
            Reason::Cpu => out.write_str("the CPU passes traffic between its PCIe root ports (AMD Zen or later)"),
            Reason::HostBridge => {
                out.write_str("the host bridge is in the kernel's list of those that pass traffic between peers")
            }
            Reason::CommonBridge(bridge) => {
                write!(out, "both are below bridge {bridge}, and nothing on the way redirects traffic between peers")
            }
            Reason::NoCommonBridge(bridges) => {
                out.write_str("they have no bridge in common, and ")?;
                not_in_the_list(out, bridges)?;
                out.write_str("; put both cards behind one PCIe switch")
            }
            Reason::OnRootBus(bridges) => {
                out.write_str("one of them is part of the processor, and ")?;
                not_in_the_list(out, bridges)?;
                out.write_str("; on this host it reaches no card")
            }
            Reason::AcsRedirect(functions) => redirects(out, functions),
            Reason::AcsHidden => out.write_str(
                "whether a bridge on the way redirects traffic between peers (ACS) is shown to privileged users only; \
                 ask the kernel by probing the link, or look again as root",
            ),
            Reason::NoKernelSupport => {
                out.write_str("the kernel was built without CONFIG_PCI_P2PDMA; use one that was built with it")
            }
            Reason::Kernel => out.write_str("the kernel said so when it was asked"),
            Reason::KernelDisagrees => out.write_str(
                "the kernel said so when it was asked, against its own rule: stale kernel groups possible; close all \
                 programs that use these GPUs, and unbind and bind the driver",
            ),
        }
    }
}

fn not_in_the_list(out: &mut fmt::Formatter<'_>, bridges: &[HostBridgeId]) -> fmt::Result {
    let list = "in the kernel's list of those that pass traffic between peers";
    match bridges {
        [] => out.write_str("their host bridge has no device by which the kernel could know it"),
        [one] => write!(out, "the host bridge {one} is not {list}"),
        several => write!(out, "the host bridges {} are not {list}", List(several)),
    }
}

fn redirects(out: &mut fmt::Formatter<'_>, functions: &[PciAddress]) -> fmt::Result {
    let names: Vec<String> = functions.iter().map(PciAddress::to_string).collect();
    write!(
        out,
        "ACS redirect at {} sends their traffic to a host bridge that is not in the kernel's list of those that pass it; \
         boot with pci=disable_acs_redir={} if the devices need no isolation from each other",
        List(functions),
        names.join(";")
    )
}

/// `a`, `a and b`, `a, b and c`.
struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, item) in self.0.iter().enumerate() {
            let before = match place {
                0 => "",
                _ if place + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            write!(out, "{before}{item}")?;
        }
        Ok(())
    }
}

impl fmt::Display for HostBridgeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Verdict::Connected => "connected",
            Verdict::NotConnected => "not connected",
            Verdict::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Basis::Predicted => "predicted",
            Basis::Guessed => "guessed",
            Basis::Probed => "probed",
        })
    }
}

/// One line: verdict, basis and reason.
impl fmt::Display for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({}): {}", self.verdict, self.basis, self.reason)?;
        if self.verdict == Verdict::Connected && !self.fully_visible && self.reason != Reason::SameDevice {
            out.write_str("; but not all of its VRAM is behind its BAR (enable Resizable BAR in the firmware)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> PciAddress {
        text.parse().unwrap()
    }

    #[test]
    fn a_redirect_names_its_functions_and_the_remedy() {
        let functions = ["0000:02:01.0", "0000:02:02.0", "0000:02:03.0"].map(address).to_vec();
        let text = Reason::AcsRedirect(functions).to_string();
        assert!(text.contains("at 0000:02:01.0, 0000:02:02.0 and 0000:02:03.0 sends"), "{text}");
        assert!(text.contains("pci=disable_acs_redir=0000:02:01.0;0000:02:02.0;0000:02:03.0 "), "{text}");
    }

    #[test]
    fn a_host_bridge_is_named() {
        let bridge = |device| HostBridgeId { vendor: 0x8086, device };
        let text = Reason::NoCommonBridge(vec![bridge(0xa700)]).to_string();
        assert!(text.contains("the host bridge 8086:a700 is not in the kernel's list"), "{text}");
        let text = Reason::NoCommonBridge(vec![bridge(0x2f00), bridge(0xa700)]).to_string();
        assert!(text.contains("the host bridges 8086:2f00 and 8086:a700 are not"), "{text}");
        let text = Reason::OnRootBus(vec![bridge(0xa700)]).to_string();
        assert!(!text.contains("switch"), "{text}");
        assert!(Reason::NoCommonBridge(vec![]).to_string().ends_with("put both cards behind one PCIe switch"));
    }
}
