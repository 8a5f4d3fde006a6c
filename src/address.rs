// SPDX-License-Identifier: MIT OR Apache-2.0
//! A PCI address: domain, bus, device and function.

use crate::error::Error;
use std::{fmt, str::FromStr};

/// A PCI address, written `0000:03:00.0`.
///
/// GPUs are identified by it and not by node names: a node's number changes when a device comes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PciAddress {
    /// PCI domain (segment); 16 bits, or up to 32 behind Intel VMD.
    pub domain: u32,
    /// Bus number.
    pub bus: u8,
    /// Device number, 0 to 31.
    pub device: u8,
    /// Function number, 0 to 7.
    pub function: u8,
}

impl FromStr for PciAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = (|| {
            let (domain, rest) = text.split_once(':')?;
            let (bus, rest) = rest.split_once(':')?;
            let (device, function) = rest.split_once('.')?;
            let sized = (4..=8).contains(&domain.len()) && bus.len() == 2 && device.len() == 2 && function.len() == 1;
            let address = PciAddress {
                domain: hexadecimal(domain)?,
                bus: hexadecimal(bus)?.try_into().ok()?,
                device: hexadecimal(device)?.try_into().ok()?,
                function: hexadecimal(function)?.try_into().ok()?,
            };
            (sized && address.device < 32 && address.function < 8).then_some(address)
        })();
        parsed.ok_or_else(|| Error::Invalid(format!("{text:?} is not a PCI address such as 0000:03:00.0")))
    }
}

/// `from_str_radix` also takes a sign; sysfs never writes one.
fn hexadecimal(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

impl fmt::Display for PciAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

impl fmt::Debug for PciAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["0000:03:00.0", "10000:e1:1f.7"] {
            assert_eq!(text.parse::<PciAddress>().unwrap().to_string(), text);
        }
        for text in
            ["", "03:00.0", "0000:03:20.0", "0000:03:00.8", "0000:3:0.0", "0000:+3:00.0", "0000:03:00.0x", "pci0000:00"]
        {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }
}
