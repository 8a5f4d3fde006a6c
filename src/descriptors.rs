// SPDX-License-Identifier: MIT OR Apache-2.0
//! The descriptors by which the kernel is told of a target region.
//!
//! The kernel remembers a wish by the *number* of the descriptor that named the device, and takes an equal number for
//! an equal wish without looking at the device or the region (`xe_vm_madvise.c`, `xe_vma_has_preferred_mem_loc`). So each
//! (device, region) that is ever named gets one private duplicate, whose number is at least 3 and is never given away
//! again while any vm may remember it: for the real kernel, for the life of the process.

use crate::{address::PciAddress, driver::Driver};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Arc, LazyLock},
};

/// A region as the kernel is told of it: a device by its PCI address, and the region's instance number.
pub(crate) type Target = (PciAddress, u16);

/// The registry of target descriptors.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    targets: Mutex<BTreeMap<Target, Entry>>,
}

#[derive(Debug)]
struct Entry {
    fd: OwnedFd,
    /// The device has gone and the number denotes an inert file.
    lost: bool,
}

/// 0 means the default device and negative numbers the system; 1 and 2 are where programs expect their own.
const LOWEST: RawFd = 3;

impl Descriptors {
    /// The one registry for the running kernel: its vms outlive any handle of this library.
    pub(crate) fn of_process() -> Arc<Descriptors> {
        static PROCESS: LazyLock<Arc<Descriptors>> = LazyLock::new(Arc::default);
        PROCESS.clone()
    }

    /// The number that names `target`, whose device file is `device`. ENODEV if the device has gone.
    pub(crate) fn number(&self, driver: &dyn Driver, target: Target, device: BorrowedFd<'_>) -> io::Result<RawFd> {
        let mut targets = self.targets.lock();
        if let Some(entry) = targets.get(&target) {
            return if entry.lost { Err(io::Error::from_raw_os_error(libc::ENODEV)) } else { Ok(entry.fd.as_raw_fd()) };
        }
        let fd = driver.duplicate(device, LOWEST)?;
        let number = fd.as_raw_fd();
        targets.insert(target, Entry { fd, lost: false });
        Ok(number)
    }

    /// What `number`, as read back from the kernel, stands for; `None` if this library did not set it.
    pub(crate) fn target(&self, number: RawFd) -> Option<Target> {
        self.targets.lock().iter().find(|(_, entry)| entry.fd.as_raw_fd() == number).map(|(target, _)| *target)
    }

    /// Closes every file of a device that has gone, at once, and keeps the numbers.
    ///
    /// A file that stays open keeps the driver's mappings of the lost VRAM alive, and the kernel oopses on them when the
    /// process unmaps memory or exits.
    pub(crate) fn lose(&self, driver: &dyn Driver, device: PciAddress) {
        for (_, entry) in
            self.targets.lock().iter_mut().filter(|((address, _), entry)| *address == device && !entry.lost)
        {
            // If this fails the number still denotes the device; the next try comes with the next call that meets it.
            entry.lost = driver.retire(&entry.fd).is_ok();
        }
    }

    /// The device is back under the same address: its numbers are named anew, by other numbers.
    pub(crate) fn forget_lost(&self, device: PciAddress) {
        let mut targets = self.targets.lock();
        let lost: Vec<Target> = targets
            .iter()
            .filter(|((address, _), entry)| *address == device && entry.lost)
            .map(|(target, _)| *target)
            .collect();
        for target in lost {
            if let Some(entry) = targets.remove(&target) {
                // The inert file stays open for ever, so that no other file takes the number.
                let _ = std::os::fd::IntoRawFd::into_raw_fd(entry.fd);
            }
        }
    }
}
