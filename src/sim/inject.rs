// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors on demand.

/// A request of [`Driver`](crate::driver::Driver) that is counted and can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Call {
    /// DRM_IOCTL_XE_DEVICE_QUERY.
    DeviceQuery,
    /// DRM_IOCTL_XE_VM_CREATE.
    VmCreate,
    /// DRM_IOCTL_XE_VM_DESTROY.
    VmDestroy,
    /// DRM_IOCTL_XE_VM_BIND, PREFETCH included.
    VmBind,
    /// DRM_IOCTL_XE_MADVISE.
    Madvise,
    /// DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS.
    VmQueryMemRangeAttrs,
    /// DRM_IOCTL_XE_VM_GET_PROPERTY.
    VmGetProperty,
    /// PAGEMAP_SCAN.
    PagemapScan,
}

/// Lets some tries of a call fail, without any effect.
///
/// A try that fails with EINTR is repeated like with the real door to the kernel, and one with EAGAIN eight times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which call.
    pub call: Call,
    /// How many tries pass first.
    pub skip: u32,
    /// How many tries fail then.
    pub times: u32,
    /// With what.
    pub errno: i32,
}

/// The faults that still wait.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Whether this try of `call` fails.
    pub(super) fn strike(&mut self, call: Call) -> Result<(), i32> {
        let Some(fault) = self.0.iter_mut().find(|fault| fault.call == call && fault.times > 0) else { return Ok(()) };
        if fault.skip > 0 {
            fault.skip -= 1;
            return Ok(());
        }
        fault.times -= 1;
        Err(fault.errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_when_it_was_told_to() {
        let mut faults = Faults::default();
        faults.add(Fault { call: Call::Madvise, skip: 1, times: 2, errno: libc::ENOMEM });
        let answers: Vec<_> = (0..4).map(|_| faults.strike(Call::Madvise).err()).collect();
        assert_eq!(answers, [None, Some(libc::ENOMEM), Some(libc::ENOMEM), None]);
        assert_eq!(faults.strike(Call::VmBind), Ok(()));
    }
}
