// SPDX-License-Identifier: MIT OR Apache-2.0
//! All GPUs of a host, from C.

use crate::{
    handle::Handles,
    location::XEP_UNKNOWN,
    raw::{self, plain},
    status::{Failure, Result, Text, status, value},
};
use libc::{c_char, c_int, c_ulong, c_void};
use std::{mem::MaybeUninit, sync::Arc};
use xeplace::{Error, Files, Machine, Unusable};

/// All GPUs of a host: found once, then unchanging.
#[allow(dead_code, reason = "C knows it as an incomplete type")]
pub struct xep_machine(());

/// A stand-in for ioctl(2), answering like it, with errno set. It is called from whichever thread calls the library.
pub type xep_ioctl_function =
    Option<extern "C" fn(user: *mut c_void, fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int>;

/// A GPU that is there and cannot be used.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_unusable {
    /// Its PCI address, such as 0000:03:00.0; empty if even that is not known.
    pub address: [c_char; 24],
    /// Its device file.
    pub node: [c_char; 64],
    /// Why, in words.
    pub reason: [c_char; 252],
    /// Why, as a positive errno.
    pub error: i32,
}

plain!(xep_unusable);

static MACHINES: Handles<xep_machine, Machine> = Handles::new(1, "machine");

/// The machine of a handle.
pub(crate) fn get(machine: *const xep_machine) -> Result<Machine> {
    MACHINES.get(machine)
}

type Out<'a> = Option<&'a mut MaybeUninit<*mut xep_machine>>;

fn open(machine: Out<'_>, find: impl FnOnce() -> Result<Machine>) -> c_int {
    status(|| {
        let place = raw::out(machine, "machine")?;
        place.write(MACHINES.open(find()?)?);
        Ok(())
    })
}

/// Opens this host. One without GPUs of the xe driver is a machine without GPUs.
///
/// GPUs that cannot be opened are no error; see xep_machine_unusable(). -EOPNOTSUPP where pages are not 4096 bytes long.
/// Close it with xep_machine_close().
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_open(machine: Option<&mut MaybeUninit<*mut xep_machine>>) -> c_int {
    open(machine, || Ok(Machine::open()?))
}

/// Opens this host, with each ioctl of the library sent through `function(user, fd, request, argument)`.
///
/// For a runtime's own wrapper: its tracing, its mocks, its reset handling. The function can be called from any thread
/// until the process ends, answers as the kernel does, writes no more than the request number says, and does not throw.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_open_with_ioctl(
    function: xep_ioctl_function,
    user: *mut c_void,
    machine: Option<&mut MaybeUninit<*mut xep_machine>>,
) -> c_int {
    open(machine, || {
        let function = function.ok_or_else(|| Failure::null("function"))?;
        Ok(Machine::open_with(Arc::new(raw::kernel(function, user)), Files::host())?)
    })
}

/// Opens a recorded machine if `name` is a directory, else a simulated one.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_open_named(
    name: *const c_char,
    machine: Option<&mut MaybeUninit<*mut xep_machine>>,
) -> c_int {
    open(machine, || Ok(Machine::named(raw::text(name, "name")?)?))
}

/// Opens a simulated machine from a machine string, such as "cpu=zen switch(2x bmg)".
///
/// -EINVAL for a string that is none; xep_last_error() says where.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_open_simulated(
    text: *const c_char,
    machine: Option<&mut MaybeUninit<*mut xep_machine>>,
) -> c_int {
    open(machine, || Ok(Machine::simulated(raw::text(text, "machine string")?)?))
}

/// Opens what xep_machine_record() wrote to `directory`: a simulation with that machine's GPUs and links.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_open_recorded(
    directory: *const c_char,
    machine: Option<&mut MaybeUninit<*mut xep_machine>>,
) -> c_int {
    open(machine, || Ok(Machine::recorded(raw::text(directory, "directory")?)?))
}

/// Writes a recording of a machine into `directory`, which is made, without serial numbers.
///
/// As root it also says which bridges redirect traffic. -EINVAL if there is something in the directory.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_record(machine: *const xep_machine, directory: *const c_char) -> c_int {
    status(|| Ok(get(machine)?.record(raw::text(directory, "directory")?)?))
}

/// Closes a machine. What was made on it stays usable. NULL is nothing; -EBADF if it is closed already.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_close(machine: *mut xep_machine) -> c_int {
    status(|| MACHINES.close(machine).map(drop))
}

/// Says how many GPUs a machine has; 0 also for a handle that is NULL or closed.
///
/// GPUs are numbered from 0 in the order of their PCI addresses.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_gpu_count(machine: *const xep_machine) -> u32 {
    value(0, || Ok(get(machine)?.gpus().len() as u32))
}

/// Says whether a machine is simulated or recorded rather than real: 1 or 0; 0 also for a handle that is NULL or closed.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_is_simulated(machine: *const xep_machine) -> c_int {
    value(0, || Ok(get(machine)?.simulation().is_some().into()))
}

/// Lists the GPUs of the xe driver that are there and cannot be used.
///
/// Fills at most `capacity` elements and stores in `count` how many there are.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_unusable(
    machine: *const xep_machine,
    unusable: *mut xep_unusable,
    capacity: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> c_int {
    status(|| {
        let machine = get(machine)?;
        let (array, count) = (raw::array(unusable, capacity, "array")?, raw::out(count, "count")?);
        count.write(array.fill(machine.unusable().iter().map(xep_unusable::from)));
        Ok(())
    })
}

/// Tells for each GPU the number of its interconnect group: GPUs with equal numbers can use each other's VRAM.
///
/// As the kernel would group them by what is known of the links; unknown links join nothing. Fills at most `capacity`
/// elements of `groups` and stores in `count` how many GPUs there are.
#[unsafe(no_mangle)]
pub extern "C" fn xep_machine_groups(
    machine: *const xep_machine,
    groups: *mut u32,
    capacity: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> c_int {
    status(|| {
        let machine = get(machine)?;
        let (array, count) = (raw::array(groups, capacity, "array")?, raw::out(count, "count")?);
        let found = machine.groups();
        let group_of = |gpu: &xeplace::Gpu| found.iter().position(|group| group.gpus.contains(&gpu.id()));
        count.write(
            array.fill(machine.gpus().iter().map(|gpu| group_of(gpu).map_or(XEP_UNKNOWN, |group| group as u32))),
        );
        Ok(())
    })
}

impl From<&Unusable> for xep_unusable {
    fn from(found: &Unusable) -> xep_unusable {
        xep_unusable {
            address: found.address.map_or([0; 24], Text::of),
            node: Text::of(found.node.display()),
            reason: Text::of(&found.reason),
            error: Error::errno(&found.reason),
        }
    }
}
