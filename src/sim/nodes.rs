// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where sysfs shows that a device is there: these files go and come with it.

use crate::{
    address::PciAddress,
    files::{Files, Tree},
};
use std::path::{Path, PathBuf};

/// The major number of DRM devices (`DRM_MAJOR` in `include/drm/drm_drv.h`).
pub(super) const DRM_MAJOR: u32 = 226;

/// A device's place in sysfs, as the machine was described.
#[derive(Debug)]
pub(super) struct Nodes {
    address: PciAddress,
    /// Its directory, where the description has one.
    directory: Option<PathBuf>,
    /// The names in its `drm` directory.
    described: Vec<String>,
    render: u32,
}

impl Nodes {
    pub(super) fn find(files: &Files, address: PciAddress, render: u32) -> Nodes {
        let directory = files.resolve(format!("/sys/bus/pci/devices/{address}")).ok();
        let directory = directory.filter(|directory| files.exists(directory));
        let described = directory.as_ref().and_then(|directory| files.list(directory.join("drm")).ok());
        Nodes { address, directory, described: described.unwrap_or_default(), render }
    }

    /// Puts into `tree` what has changed since the description: the device has no driver (`minor` is `None`), or its
    /// render node has another number.
    pub(super) fn lay_over(&self, tree: &mut Tree, minor: Option<u32>) {
        let Some(directory) = &self.directory else { return };
        match minor {
            None => {
                tree.absent(directory.join("driver"));
                tree.absent(format!("/sys/bus/pci/drivers/xe/{}", self.address));
                tree.absent(directory.join("drm"));
                self.described.iter().for_each(|name| hide(tree, name));
            }
            Some(minor) if minor != self.render => {
                let old = format!("renderD{}", self.render);
                tree.absent(directory.join("drm").join(&old));
                hide(tree, &old);
                self.show(tree, directory, minor);
            }
            Some(_) => {}
        }
    }

    fn show(&self, tree: &mut Tree, directory: &Path, minor: u32) {
        let name = format!("renderD{minor}");
        let node = directory.join("drm").join(&name);
        let uevent = format!("MAJOR={DRM_MAJOR}\nMINOR={minor}\nDEVNAME=dri/{name}\nDEVTYPE=drm_minor\n");
        tree.file(node.join("dev"), format!("{DRM_MAJOR}:{minor}\n"));
        tree.file(node.join("uevent"), uevent);
        tree.link(node.join("device"), directory);
        tree.link(node.join("subsystem"), "/sys/class/drm");
        tree.link(format!("/sys/class/drm/{name}"), &node);
        tree.link(format!("/sys/dev/char/{DRM_MAJOR}:{minor}"), &node);
    }
}

/// The links to a DRM node are gone.
fn hide(tree: &mut Tree, name: &str) {
    tree.absent(format!("/sys/class/drm/{name}"));
    let number = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    tree.absent(format!("/sys/dev/char/{DRM_MAJOR}:{number}"));
}
