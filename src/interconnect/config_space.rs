// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the library reads in a PCI configuration space. It is anybody's bytes: nothing in it is believed.

/// Bytes of the part that every function has, and that its end marks (PCI Local Bus Specification 3.0, 6.1).
const STANDARD: usize = 256;
/// What an ordinary user is shown (`pci_read_config` in `drivers/pci/pci-sysfs.c`).
const UNPRIVILEGED: usize = 64;

/// Where the list of capabilities starts, and the bit of the status register that says that there is one.
const CAPABILITIES: usize = 0x34;
const STATUS: usize = 0x06;
const HAS_CAPABILITIES: u16 = 1 << 4;
/// Capabilities (PCI Code and ID Assignment Specification).
const VITAL_PRODUCT_DATA: u8 = 0x03;
const PCI_EXPRESS: u8 = 0x10;
/// Extended capabilities.
const ACCESS_CONTROL: u16 = 0x000d;
const SERIAL_NUMBER: u16 = 0x0003;
/// Port type of a root port in the PCI Express capabilities register.
const ROOT_PORT: u16 = 4;
/// P2P request redirect, P2P completion redirect and P2P egress control in the ACS control register: what
/// `drivers/pci/p2pdma.c` looks at.
const REDIRECTS: u16 = 0x04 | 0x08 | 0x20;

/// Whether a function sends traffic between peers up to the host bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Redirect {
    Set,
    Clear,
    /// It cannot be seen.
    Hidden,
}

/// What the ACS control register says; a function without one does not redirect.
pub(super) fn redirect(config: &[u8]) -> Redirect {
    // A device that is asleep or gone reads all ones. (Not at 0: a virtual function reads ffff:ffff there.)
    let answers = word(config, 4).is_some_and(|status| status != u32::MAX);
    if !answers || config.len() < STANDARD {
        return Redirect::Hidden;
    }
    let control = extended(config, ACCESS_CONTROL).and_then(|at| half(config, at + 6));
    if control.is_some_and(|control| control & REDIRECTS != 0) { Redirect::Set } else { Redirect::Clear }
}

/// Whether it is a PCIe root port; `None` if that part is not shown.
pub(super) fn is_root_port(config: &[u8]) -> Option<bool> {
    if config.len() <= UNPRIVILEGED || word(config, 4) == Some(u32::MAX) {
        return None;
    }
    let port = standard(config, PCI_EXPRESS).and_then(|at| half(config, at + 2));
    Some(port.is_some_and(|flags| flags >> 4 & 0xf == ROOT_PORT))
}

/// Wipes what names one card among all others: the serial number, and the window to the vital product data.
pub(crate) fn anonymize(config: &mut [u8]) {
    let serial = extended(config, SERIAL_NUMBER).map(|at| at + 4..at + 12);
    let product = standard(config, VITAL_PRODUCT_DATA).map(|at| at + 2..at + 8);
    for span in [serial, product].into_iter().flatten() {
        let end = span.end.min(config.len());
        if let Some(bytes) = config.get_mut(span.start.min(end)..end) {
            bytes.fill(0);
        }
    }
}

/// Where the capability `id` is.
fn standard(config: &[u8], id: u8) -> Option<usize> {
    if half(config, STATUS)? & HAS_CAPABILITIES == 0 {
        return None;
    }
    let mut at = usize::from(*config.get(CAPABILITIES)?) & !3;
    // As many as there is room for: a list that goes round ends as well (`PCI_FIND_CAP_TTL` is 48).
    for _ in 0..48 {
        if at < UNPRIVILEGED {
            return None;
        }
        let entry = half(config, at)?;
        if entry as u8 == id {
            return Some(at);
        }
        at = usize::from(entry >> 8) & !3;
    }
    None
}

/// Where the extended capability `id` is.
fn extended(config: &[u8], id: u16) -> Option<usize> {
    let mut at = STANDARD;
    // As many as there is room for: (4096 - 256) / 8.
    for _ in 0..480 {
        let header = word(config, at)?;
        if header == 0 || header == u32::MAX {
            return None;
        }
        if header as u16 == id {
            return Some(at);
        }
        at = (header >> 20) as usize & !3;
        if at < STANDARD {
            return None;
        }
    }
    None
}

fn half(config: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(config.get(at..at + 2)?.try_into().ok()?))
}

fn word(config: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(config.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A root port with a serial number at 0x100 and, behind it, ACS control `control`.
    fn port(control: u16) -> Vec<u8> {
        let mut config = vec![0; 4096];
        config[STATUS] = 0x10;
        config[CAPABILITIES] = 0x40;
        config[0x40..0x44].copy_from_slice(&[PCI_EXPRESS, 0, 0x42, 0]);
        config[0x100..0x104].copy_from_slice(&0x1401_0003_u32.to_le_bytes());
        config[0x104..0x10c].fill(0xab);
        config[0x140..0x144].copy_from_slice(&0x0001_000d_u32.to_le_bytes());
        config[0x146..0x148].copy_from_slice(&control.to_le_bytes());
        config
    }

    #[test]
    fn each_redirect_bit_counts_and_no_other() {
        for (control, expected) in [
            (0, false),
            (0x04, true),
            (0x08, true),
            (0x20, true),
            (0x1d, true),
            (0x01, false),
            (0x10, false),
            (0x40, false),
        ] {
            let expected = if expected { Redirect::Set } else { Redirect::Clear };
            assert_eq!(redirect(&port(control)), expected, "{control:#x}");
        }
    }

    #[test]
    fn what_is_not_shown_is_hidden() {
        let config = port(0x04);
        assert_eq!(redirect(&config[..64]), Redirect::Hidden);
        assert_eq!(redirect(&[]), Redirect::Hidden);
        assert_eq!(redirect(&[0xff; 4096]), Redirect::Hidden, "a device that is gone");
        assert_eq!(redirect(&config[..256]), Redirect::Clear, "a function without an extended part");
        assert_eq!(is_root_port(&config[..64]), None);
        assert_eq!(is_root_port(&config), Some(true));
    }

    #[test]
    fn a_list_that_goes_round_ends() {
        let mut config = port(0x04);
        config[0x100..0x104].copy_from_slice(&0x1001_0003_u32.to_le_bytes());
        assert_eq!(redirect(&config), Redirect::Clear);
        config[0x40..0x44].copy_from_slice(&[0x01, 0x40, 0, 0]);
        assert_eq!(is_root_port(&config), Some(false));
    }

    #[test]
    fn a_serial_number_is_wiped_and_nothing_else() {
        let mut config = port(0x04);
        anonymize(&mut config);
        assert_eq!(config[0x104..0x10c], [0; 8]);
        assert_eq!(redirect(&config), Redirect::Set);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read(mut config in proptest::collection::vec(any::<u8>(), 0..4200)) {
            let _ = (redirect(&config), is_root_port(&config));
            let length = config.len();
            anonymize(&mut config);
            prop_assert_eq!(config.len(), length);
        }
    }
}
