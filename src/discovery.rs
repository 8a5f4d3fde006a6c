// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the xe GPUs of a host.

use crate::{
    address::PciAddress,
    capabilities::numbered,
    descriptors::Descriptors,
    driver::Driver,
    error::{Error, Result},
    files::Files,
    gpu::{Found, Gpu},
    location::GpuId,
    query::{self, Description},
};
use drm::node::NodeType;
use std::{
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A GPU of the xe driver that is there and cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unusable {
    /// Its render node.
    pub node: PathBuf,
    /// Its PCI address, if the files tell.
    pub address: Option<PciAddress>,
    /// Why: EACCES where this user may not open the node.
    pub reason: Error,
}

/// The GPUs of the xe driver in the order of their PCI addresses, and those that cannot be used. None is not an error.
pub(crate) fn discover(
    driver: &Arc<dyn Driver>,
    files: &Files,
    descriptors: &Arc<Descriptors>,
) -> Result<(Vec<Gpu>, Vec<Unusable>)> {
    let (mut usable, mut unusable) = (Vec::new(), Vec::new());
    for node in render_nodes(files)? {
        match open(&**driver, files, &node) {
            Ok(found) => usable.push(found),
            Err(reason) => {
                let address = address_of(files, &class(&node).join("device")).ok();
                unusable.push(Unusable { node: Path::new("/dev/dri").join(node), address, reason });
            }
        }
    }
    usable.sort_by_key(|found| found.address);
    unusable.sort_by_key(|found| found.address);
    let gpu = |(place, found): (usize, Found)| {
        // It answers, so whatever was lost under its address is another device or an earlier life of this one.
        descriptors.forget_lost(found.address);
        Gpu::new(GpuId(place as u32), found, driver.clone(), files.clone(), descriptors.clone())
    };
    Ok((usable.into_iter().enumerate().map(gpu).collect(), unusable))
}

const DRM: &str = "/sys/class/drm";

fn class(node: &str) -> PathBuf {
    Path::new(DRM).join(node)
}

/// The names of the render nodes whose device has the xe driver.
fn render_nodes(files: &Files) -> Result<Vec<String>> {
    let names = match files.list(DRM) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file(DRM)(error)),
    };
    let is_render = |name: &String| {
        name.strip_prefix(NodeType::Render.minor_name_prefix()).is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let is_xe = |name: &String| {
        let driver = files.resolve(class(name).join("device/driver"));
        driver.is_ok_and(|driver| driver.file_name().is_some_and(|name| name == "xe"))
    };
    Ok(names.into_iter().filter(is_render).filter(is_xe).collect())
}

/// Opens a node and asks what it is.
fn open(driver: &dyn Driver, files: &Files, node: &str) -> Result<Found> {
    let path = Path::new("/dev/dri").join(node);
    let shown = path.display().to_string();
    let device = driver.open(&path).and_then(|fd| numbered(driver, fd)).map_err(Error::kernel("open", &shown))?;
    let name = driver.driver_name(device.as_fd()).map_err(Error::kernel("DRM_IOCTL_VERSION", &shown))?;
    if name != "xe" {
        return Err(Error::Invalid(format!("{shown} is a node of the {name} driver, not of xe")));
    }
    let number = driver.device_number(device.as_fd()).map_err(Error::kernel("fstat", &shown))?;
    // From the number of what was opened, and not from the name: the two may differ in a container.
    let address = address_of(files, &Path::new("/sys/dev/char").join(format!("{}:{}/device", number.0, number.1)))?;
    let description = Description::from_replies(
        |query, name| query::ask(driver, device.as_fd(), query).map_err(refused(address, name)),
        |name, error| refused(address, name)(error),
    )?;
    Ok(Found { address, node: path, number, device, description, numa_node: numa_node(files, address) })
}

fn refused(address: PciAddress, query: &'static str) -> impl FnOnce(io::Error) -> Error {
    Error::kernel("DRM_IOCTL_XE_DEVICE_QUERY", format!("{query} of {address}"))
}

/// The PCI address that a `device` link leads to.
pub(crate) fn address_of(files: &Files, link: &Path) -> Result<PciAddress> {
    let directory = files.resolve(link).map_err(Error::file(link))?;
    let address = directory.file_name().and_then(|name| name.to_str()?.parse().ok());
    let nowhere = || io::Error::new(io::ErrorKind::InvalidData, "does not lead to a PCI device");
    address.ok_or_else(|| Error::file(link)(nowhere()))
}

/// -1 where the firmware does not tell.
fn numa_node(files: &Files, address: PciAddress) -> Option<u32> {
    files.text(format!("/sys/bus/pci/devices/{address}/numa_node")).ok()?.parse().ok()
}
