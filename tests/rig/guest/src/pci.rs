// SPDX-License-Identifier: MIT OR Apache-2.0
//! PCI functions as root can change them, and the kernel's own word on pairs of them. Needs the rig's module.

use std::{fs, os::unix::fs::FileExt, path::PathBuf, process::Command};

/// Extended capability of access control (ACS), and its control register (PCI Express Base Specification).
const ACCESS_CONTROL: u32 = 0x000d;
const CONTROL: u64 = 6;

const PARAMETERS: &str = "/sys/module/xeplace_pci/parameters";

/// Loads the rig's module.
///
/// # Panics
///
/// Where it cannot be loaded.
pub fn load_module() {
    if !PathBuf::from(PARAMETERS).exists() {
        let status = Command::new("insmod").arg("/lib/xeplace_pci.ko").status().expect("insmod");
        assert!(status.success(), "the kernel refused the rig's module");
    }
}

/// The addresses of all PCI functions, in order.
///
/// # Panics
///
/// Where sysfs does not list them.
pub fn functions() -> Vec<String> {
    let entries = fs::read_dir("/sys/bus/pci/devices").expect("PCI devices");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("a device").file_name().into_string().expect("an address")).collect();
    names.sort();
    names
}

/// Whether a function is on a root bus.
///
/// # Panics
///
/// Where there is no such function.
pub fn is_on_root_bus(address: &str) -> bool {
    let directory = fs::canonicalize(place(address, "")).expect("a function");
    let above = directory.parent().and_then(|above| above.file_name()).expect("a directory");
    above.to_string_lossy().starts_with("pci")
}

/// Whether a function is a bridge of any kind, a host bridge included.
///
/// # Panics
///
/// Where there is no such function.
pub fn is_bridge(address: &str) -> bool {
    crate::read(place(address, "class")).starts_with("0x06")
}

/// Vendor and device, as the kernel has them.
///
/// # Panics
///
/// Where there is no such function.
pub fn id(address: &str) -> (u16, u16) {
    let number = |name| {
        let text = crate::read(place(address, name));
        u16::from_str_radix(text.trim().trim_start_matches("0x"), 16).expect("an id")
    };
    (number("vendor"), number("device"))
}

/// Gives a function another vendor and device, in the kernel's record alone.
///
/// # Panics
///
/// Where there is no such function.
pub fn set_id(address: &str, (vendor, device): (u16, u16)) {
    tell("id", &format!("{address} {vendor:04x}:{device:04x}"));
    assert_eq!(id(address), (vendor, device));
}

/// `pci_p2pdma_distance()` of two functions, as the running kernel computes it.
///
/// # Panics
///
/// Where there are no such functions.
pub fn distance(provider: &str, client: &str) -> i32 {
    tell("distance", &format!("{provider} {client}"));
    crate::read(format!("{PARAMETERS}/distance")).trim().parse().expect("a number")
}

/// Where a function's control register of access control is; `None` where it has none.
///
/// # Panics
///
/// Where there is no such function.
pub fn control(address: &str) -> Option<u64> {
    let config = fs::read(place(address, "config")).expect("a function");
    let mut at = 0x100;
    while at >= 0x100 {
        let header = u32::from_le_bytes(config.get(at..at + 4)?.try_into().ok()?);
        if header & 0xffff == ACCESS_CONTROL {
            return Some(at as u64 + CONTROL);
        }
        at = (header >> 20) as usize;
    }
    None
}

/// Writes a register of two bytes; what it then says, for not every bit can be set everywhere.
///
/// # Panics
///
/// Where there is no such function.
pub fn set(address: &str, register: u64, value: u16) -> u16 {
    let config = fs::File::options().read(true).write(true).open(place(address, "config")).expect("a function");
    config.write_all_at(&value.to_le_bytes(), register).expect("a register");
    let mut kept = [0; 2];
    config.read_exact_at(&mut kept, register).expect("a register");
    u16::from_le_bytes(kept)
}

/// Takes a function away and finds it again, which puts it at the end of the kernel's list.
///
/// # Panics
///
/// Where it does not come back.
pub fn remove_and_rescan(address: &str) {
    fs::write(place(address, "remove"), "1").expect("removal");
    fs::write("/sys/bus/pci/rescan", "1").expect("rescan");
    assert!(place(address, "").exists(), "{address} comes back");
}

fn place(address: &str, name: &str) -> PathBuf {
    PathBuf::from("/sys/bus/pci/devices").join(address).join(name)
}

fn tell(parameter: &str, words: &str) {
    fs::write(format!("{PARAMETERS}/{parameter}"), words)
        .unwrap_or_else(|error| panic!("{parameter} {words}: {error}"));
}
