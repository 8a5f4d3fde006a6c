// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a GPU's driver can do, found by asking and not by its version.

use crate::{
    driver::{BindSyncs, Driver},
    range::PAGE,
    uapi::*,
};
use std::{
    fmt, io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// How far a feature is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Support {
    /// The driver acts on it.
    Enforced,
    /// The driver takes it and does not act on it.
    AcceptedOnly,
    /// The driver or the device does not know it.
    Unsupported,
    /// Not asked yet, because asking has a price: it is known once the GPU has a vm of its own here.
    Unprobed,
}

impl Support {
    fn known(known: bool) -> Support {
        if known { Support::Enforced } else { Support::Unsupported }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Support::Enforced => "enforced",
            Support::AcceptedOnly => "accepted-only",
            Support::Unsupported => "unsupported",
            Support::Unprobed => "unprobed",
        })
    }
}

/// What a GPU's driver can do, found by asking and not by its version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Capabilities {
    /// CPU address mirrors: shared virtual memory.
    pub mirror: Support,
    /// MADVISE with a preferred location.
    pub preferred_location: Support,
    /// MADVISE with another device's VRAM.
    pub multi_device: Support,
    /// MADVISE with an atomic mode.
    pub atomic: Support,
    /// MADVISE with a PAT index.
    pub pat: Support,
    /// The migration policy of a preferred location.
    pub migration_policy: Support,
    /// MADVISE of buffer objects as purgeable.
    pub purgeable: Support,
    /// VM_QUERY_MEM_RANGE_ATTRS.
    pub attribute_query: Support,
    /// PREFETCH to wherever the advice says.
    pub prefetch_consult: Support,
    /// Mirrors that reset advice when memory is unmapped.
    pub autoreset: Support,
}

impl Capabilities {
    /// All of them with their names.
    pub fn list(&self) -> [(&'static str, Support); 10] {
        [
            ("mirror", self.mirror),
            ("preferred_location", self.preferred_location),
            ("multi_device", self.multi_device),
            ("atomic", self.atomic),
            ("pat", self.pat),
            ("migration_policy", self.migration_policy),
            ("purgeable", self.purgeable),
            ("attribute_query", self.attribute_query),
            ("prefetch_consult", self.prefetch_consult),
            ("autoreset", self.autoreset),
        ]
    }

    /// Asks the driver. `flags` are those of its CONFIG reply.
    ///
    /// What is asked of is a vm that mirrors nothing, made for it and destroyed afterwards: nothing is stored, and no
    /// pagemap is made. ENODEV if the device has gone.
    pub(crate) fn probe(driver: &dyn Driver, device: BorrowedFd<'_>, flags: u64) -> io::Result<Capabilities> {
        let mirror = Support::known(flags & DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR != 0);
        let vm = match TemporaryVm::create(driver, device, 0) {
            Ok(vm) => vm,
            // A physical function that serves administration only has queries and nothing else.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(Capabilities::none(mirror)),
            Err(error) => return Err(error),
        };
        let preferred_location = vm.knows_preferred_location()?;
        let policy = if preferred_location { Support::AcceptedOnly } else { Support::Unsupported };
        Ok(Capabilities {
            mirror,
            preferred_location: Support::known(preferred_location),
            multi_device: Support::known(vm.knows_multi_device()?),
            atomic: Support::known(vm.knows_attribute(DRM_XE_MEM_RANGE_ATTR_ATOMIC)?),
            pat: Support::known(vm.knows_attribute(DRM_XE_MEM_RANGE_ATTR_PAT)?),
            migration_policy: policy,
            purgeable: Support::known(vm.knows_purgeable()?),
            attribute_query: Support::known(vm.knows_attribute_query()?),
            prefetch_consult: Support::known(vm.knows_consult()?),
            autoreset: if mirror == Support::Enforced { Support::Unprobed } else { Support::Unsupported },
        })
    }

    fn none(mirror: Support) -> Capabilities {
        let no = Support::Unsupported;
        Capabilities {
            mirror,
            preferred_location: no,
            multi_device: no,
            atomic: no,
            pat: no,
            migration_policy: no,
            purgeable: no,
            attribute_query: no,
            prefetch_consult: no,
            autoreset: no,
        }
    }
}

/// A page at which no vm made here has anything.
const NOWHERE: u64 = 2 << 20;
/// Numbers below are not a device's: 0 means the faulting device, and 1 and 2 are where programs expect their own.
const LOWEST: i32 = 3;

/// A vm that lives for some questions only.
pub(crate) struct TemporaryVm<'a> {
    driver: &'a dyn Driver,
    device: BorrowedFd<'a>,
    id: u32,
}

impl<'a> TemporaryVm<'a> {
    /// `flags` are those of VM_CREATE.
    pub(crate) fn create(driver: &'a dyn Driver, device: BorrowedFd<'a>, flags: u32) -> io::Result<TemporaryVm<'a>> {
        let mut vm = drm_xe_vm_create { flags, ..Default::default() };
        driver.vm_create(device, &mut vm)?;
        Ok(TemporaryVm { driver, device, id: vm.vm_id })
    }

    /// MADVISE with a preferred location, where nothing is mapped: the place is looked up, and nothing is stored.
    pub(crate) fn prefer(&self, devmem_fd: i32, region_instance: u16) -> io::Result<()> {
        let place = drm_xe_madvise_preferred_mem_loc {
            devmem_fd: devmem_fd as u32,
            region_instance,
            migration_policy: DRM_XE_MIGRATE_ALL_PAGES,
            reserved: 0,
        };
        let advice = drm_xe_madvise::preferred_mem_loc(self.id, NOWHERE, PAGE, place);
        self.driver.madvise(self.device, &advice, None)
    }

    fn knows_preferred_location(&self) -> io::Result<bool> {
        known(self.prefer(0, 0), None)
    }

    /// A file that is no device, with a region: ENOENT from a kernel that looks at both.
    fn knows_multi_device(&self) -> io::Result<bool> {
        let file = numbered(self.driver, self.driver.open(Path::new("/proc/self/pagemap"))?)?;
        known(self.prefer(file.as_raw_fd(), 1), Some(libc::ENOENT))
    }

    fn knows_attribute(&self, type_: u32) -> io::Result<bool> {
        let advice = drm_xe_madvise::attribute(self.id, NOWHERE, PAGE, type_, Default::default());
        known(self.driver.madvise(self.device, &advice, None), None)
    }

    /// The answer would go to an address that cannot be written: EFAULT from a kernel that wants to answer.
    fn knows_purgeable(&self) -> io::Result<bool> {
        let value = Default::default();
        let advice = drm_xe_madvise::attribute(self.id, NOWHERE, PAGE, DRM_XE_VMA_ATTR_PURGEABLE_STATE, value);
        known(self.driver.madvise(self.device, &advice, None), Some(libc::EFAULT))
    }

    fn knows_attribute_query(&self) -> io::Result<bool> {
        let mut query = drm_xe_vm_query_mem_range_attr { vm_id: self.id, range: PAGE, ..Default::default() };
        known(self.driver.vm_query_mem_range_attrs(self.device, &mut query, &mut []), None)
    }

    fn knows_consult(&self) -> io::Result<bool> {
        let bind = drm_xe_vm_bind_op {
            range: PAGE,
            addr: NOWHERE,
            op: DRM_XE_VM_BIND_OP_PREFETCH,
            prefetch_mem_region_instance: DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC,
            ..Default::default()
        };
        let bind = drm_xe_vm_bind { vm_id: self.id, num_binds: 1, bind, ..Default::default() };
        known(self.driver.vm_bind(self.device, &bind, BindSyncs::None), None)
    }
}

impl Drop for TemporaryVm<'_> {
    fn drop(&mut self) {
        let vm = drm_xe_vm_destroy { vm_id: self.id, ..Default::default() };
        // It can fail only where the device has gone, and its vms with it.
        let _ = self.driver.vm_destroy(self.device, &vm);
    }
}

/// Success, or the errno `proof`, means that the request is known; EINVAL and EOPNOTSUPP that it is not.
fn known(answer: io::Result<()>, proof: Option<i32>) -> io::Result<bool> {
    match answer {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINVAL | libc::EOPNOTSUPP) => Ok(false),
            errno if errno == proof && errno.is_some() => Ok(true),
            _ => Err(error),
        },
    }
}

/// `fd` under a number that can be told to the driver: a program that was started with its standard streams closed
/// gets 0, 1 or 2 from `open`.
pub(crate) fn numbered(driver: &dyn Driver, fd: OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsFd;
    if fd.as_raw_fd() >= LOWEST { Ok(fd) } else { driver.duplicate(fd.as_fd(), LOWEST) }
}
