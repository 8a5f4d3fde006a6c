// SPDX-License-Identifier: MIT OR Apache-2.0
//! All the vms that mirror this process, from C.

use crate::{
    handle::Handles,
    location::range,
    machine::{self, xep_machine},
    raw::{self, plain},
    status::{Failure, Result, status},
};
use libc::{c_int, c_void};
use std::{mem::MaybeUninit, os::fd::AsRawFd};
use xeplace::{GpuId, Space, VmId, driver::Access};

/// All the vms that mirror this process, the library's own and borrowed ones, and what is wished of its memory.
#[allow(dead_code, reason = "C knows it as an incomplete type")]
pub struct xep_space(());

/// A vm of a space.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_member {
    /// Its number in the space; not the kernel's.
    pub vm: u32,
    /// Its GPU.
    pub gpu: u32,
}

/// What is done to memory.
#[repr(C)]
pub enum xep_access {
    /// Loads.
    XEP_ACCESS_READ = 0,
    /// Stores.
    XEP_ACCESS_WRITE = 1,
    /// Atomic read-modify-writes.
    XEP_ACCESS_ATOMIC = 2,
}

plain!(xep_member);

static SPACES: Handles<xep_space, Space<'static>> = Handles::new(2, "space");

/// The space of a handle.
pub(crate) fn get(space: *const xep_space) -> Result<Space<'static>> {
    SPACES.get(space)
}

/// What C calls an access.
pub(crate) fn access(access: u32) -> Result<Access> {
    match access {
        known if known == xep_access::XEP_ACCESS_READ as u32 => Ok(Access::Read),
        known if known == xep_access::XEP_ACCESS_WRITE as u32 => Ok(Access::Write),
        known if known == xep_access::XEP_ACCESS_ATOMIC as u32 => Ok(Access::Atomic),
        _ => Err(Failure::invalid(format_args!("{access} is no kind of access"))),
    }
}

/// Makes a space with a vm of the library's own on each GPU that can mirror this process. Close it with xep_space_close().
///
/// The vms are made at their first use: each keeps its GPU awake, and the first one on a GPU costs host memory, a 64th
/// of its VRAM. -ECHILD in a forked child of a process that has used the library.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_create(
    machine: *const xep_machine,
    space: Option<&mut MaybeUninit<*mut xep_space>>,
) -> c_int {
    status(|| {
        let place = raw::out(space, "space")?;
        place.write(SPACES.open(Space::create(&machine::get(machine)?)?)?);
        Ok(())
    })
}

/// Makes a space without vms, for xep_space_attach() and xep_space_add(). Close it with xep_space_close().
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_create_empty(
    machine: *const xep_machine,
    space: Option<&mut MaybeUninit<*mut xep_space>>,
) -> c_int {
    status(|| {
        let place = raw::out(space, "space")?;
        place.write(SPACES.open(Space::empty(&machine::get(machine)?)?)?);
        Ok(())
    })
}

/// Lets go of all vms of a space. Borrowed ones are left as they are.
///
/// Memory of xep_space_allocate() stays usable as memory. NULL is nothing; -EBADF if the space is closed already.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_close(space: *mut xep_space) -> c_int {
    status(|| {
        if let Some(space) = SPACES.close(space)? {
            space.close();
        }
        Ok(())
    })
}

/// Adds a vm of the library's own on a GPU and stores its number in `vm`.
///
/// -ENOENT if there is no such GPU, -EOPNOTSUPP if it cannot mirror processes.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_add(space: *const xep_space, gpu: u32, vm: Option<&mut MaybeUninit<u32>>) -> c_int {
    status(|| {
        let (space, place) = (get(space)?, raw::out(vm, "vm")?);
        place.write(space.add(GpuId(gpu))?.0);
        Ok(())
    })
}

/// Adds somebody else's vm: `vm_id` as VM_CREATE gave it on `fd`. Stores its number in `vm`.
///
/// The descriptor is borrowed, not duplicated: it has to stay open until xep_space_detach() or xep_space_close(). The
/// vm is told what is wished of memory whose life is known. -EBADF if the descriptor is not open, -ENOENT if it is no
/// GPU of this machine, -EINVAL if it has no such vm or the vm does not mirror this process, -EOPNOTSUPP if the kernel does
/// not tell what vms mirror.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_attach(
    space: *const xep_space,
    fd: c_int,
    vm_id: u32,
    vm: Option<&mut MaybeUninit<u32>>,
) -> c_int {
    status(|| {
        let (space, place) = (get(space)?, raw::out(vm, "vm")?);
        place.write(space.attach(raw::borrow(fd)?, vm_id)?.0);
        Ok(())
    })
}

/// Lets go of a vm. An own one is destroyed. A borrowed one forgets what it was told of memory whose life is known, and
/// keeps what it was told of other memory. -ENOENT if the space has none such.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_detach(space: *const xep_space, vm: u32) -> c_int {
    status(|| Ok(get(space)?.detach(VmId(vm))?))
}

/// Lists the vms of a space. Fills at most `capacity` elements and stores in `count` how many there are.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_members(
    space: *const xep_space,
    members: *mut xep_member,
    capacity: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> c_int {
    status(|| {
        let space = get(space)?;
        let (array, count) = (raw::array(members, capacity, "array")?, raw::out(count, "count")?);
        count.write(array.fill(space.members()?.into_iter().map(|(vm, gpu)| xep_member { vm: vm.0, gpu: gpu.0 })));
        Ok(())
    })
}

/// Stores the device file and the kernel's number of a vm, for work of the caller's own. An own vm is made if it was not.
///
/// The descriptor is the space's: it must not be closed, and is valid until the vm is detached or the space closed.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_vm(
    space: *const xep_space,
    vm: u32,
    fd: Option<&mut MaybeUninit<c_int>>,
    vm_id: Option<&mut MaybeUninit<u32>>,
) -> c_int {
    status(|| {
        let (fd, vm_id) = (raw::out(fd, "fd")?, raw::out(vm_id, "vm_id")?);
        let (file, number) = get(space)?.with_handle(VmId(vm), |file, number| (file.as_raw_fd(), number))?;
        fd.write(file);
        vm_id.write(number);
        Ok(())
    })
}

/// Promises that nobody unmaps or re-uses any of a range, or of the 2 MiB blocks that it touches, without
/// xep_space_reset() first.
///
/// Advice that stands already then costs no call to the kernel, and a vm that joins later is told it.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_declare_stable(space: *const xep_space, address: *const c_void, length: usize) -> c_int {
    status(|| Ok(get(space)?.declare_stable(range(address, length)?)?))
}

/// Lets a GPU touch each page of a range on its copy engine, and waits for it: `access` is an enum xep_access.
///
/// For warming up and for tests: pages that are not mapped for the GPU fault, and come to where its vm was told. Stores
/// and atomics change the first word of each page.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_touch(
    space: *const xep_space,
    gpu: u32,
    address: *const c_void,
    length: usize,
    access: u32,
) -> c_int {
    status(|| {
        let access = self::access(access)?;
        Ok(get(space)?.touch(GpuId(gpu), range(address, length)?, access)?)
    })
}
