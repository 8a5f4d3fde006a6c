// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine without a usable GPU: what was looked at.

use super::finding::{Finding, Level};
use std::path::Path;
use xeplace::{Files, Machine};

const DRIVER: &str = "/sys/bus/pci/drivers/xe";

pub fn looked_at(machine: &Machine) -> Vec<Finding> {
    let files = machine.files();
    let nodes = render_nodes(files);
    let nodes = if nodes.is_empty() { "none".to_owned() } else { nodes.join(", ") };
    let sentence = format!("no GPU of the xe driver can be used. Render nodes in /sys/class/drm: {nodes}");
    let mut findings = vec![Finding::new(Level::Problem, "gpus", sentence)];
    if !files.exists(DRIVER) {
        let remedy = "load it: `modprobe xe`; it is in Linux since 6.8, with CONFIG_DRM_XE";
        let sentence = format!("the xe driver is not loaded: there is no {DRIVER}");
        findings.push(Finding::new(Level::Problem, "driver", sentence).remedy(Some(remedy)));
    }
    findings.extend(intel_displays(files));
    findings
}

/// Each render node with its driver.
fn render_nodes(files: &Files) -> Vec<String> {
    let names = files.list("/sys/class/drm").unwrap_or_default();
    let node = |name: String| {
        let driver = files.resolve(Path::new("/sys/class/drm").join(&name).join("device/driver"));
        let driver = driver.ok().and_then(|driver| Some(driver.file_name()?.to_string_lossy().into_owned()));
        format!("{name} ({})", driver.as_deref().unwrap_or("no driver"))
    };
    names.into_iter().filter(|name| name.starts_with("renderD")).map(node).collect()
}

/// Intel GPUs on the PCI bus that another driver has, or none.
fn intel_displays(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = 0;
    for address in files.list("/sys/bus/pci/devices").unwrap_or_default() {
        let directory = Path::new("/sys/bus/pci/devices").join(&address);
        let text = |name: &str| files.text(directory.join(name)).unwrap_or_default();
        // Display controllers: base class 03 (PCI Code and ID Assignment Specification).
        if text("vendor") != "0x8086" || !text("class").starts_with("0x03") {
            continue;
        }
        seen += 1;
        let id = text("device").trim_start_matches("0x").to_owned();
        let driver = files.resolve(directory.join("driver"));
        let driver = driver.ok().and_then(|driver| Some(driver.file_name()?.to_string_lossy().into_owned()));
        let (sentence, remedy) = match driver.as_deref() {
            Some("xe") => continue,
            Some("i915") => (
                format!("{address} (8086:{id}) is an Intel GPU of the i915 driver"),
                format!("if xe knows it, boot with i915.force_probe=!{id} xe.force_probe={id}"),
            ),
            Some(other) => (
                format!("{address} (8086:{id}) is an Intel GPU that {other} has"),
                format!("unbind it from {other} and bind it to xe"),
            ),
            None => (
                format!("{address} (8086:{id}) is an Intel GPU without a driver"),
                "see what the kernel's log says about it: `dmesg | grep xe`".to_owned(),
            ),
        };
        findings.push(Finding::new(Level::Warning, "driver", sentence).remedy(Some(remedy)));
    }
    if seen == 0 {
        findings.push(Finding::new(Level::Note, "pci", "there is no Intel GPU in /sys/bus/pci/devices"));
    }
    findings
}
