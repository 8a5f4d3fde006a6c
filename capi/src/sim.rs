// SPDX-License-Identifier: MIT OR Apache-2.0
//! The world around a simulated machine, played from C.

use crate::{
    location::{range, vram},
    machine::{self, xep_machine},
    raw::{self, plain},
    space,
    status::{Failure, Result, status},
};
use libc::{c_int, c_void};
use std::sync::Arc;
use xeplace::{
    GpuId, Sim,
    driver::Driver,
    sim::{Call, Counters, Fault, GpuCounters},
};

/// A request to the kernel that a simulated machine can be told to refuse.
#[repr(C)]
pub enum xep_sim_call {
    /// DRM_IOCTL_XE_DEVICE_QUERY.
    XEP_SIM_DEVICE_QUERY = 0,
    /// DRM_IOCTL_XE_VM_CREATE.
    XEP_SIM_VM_CREATE = 1,
    /// DRM_IOCTL_XE_VM_DESTROY.
    XEP_SIM_VM_DESTROY = 2,
    /// DRM_IOCTL_XE_VM_BIND, PREFETCH included.
    XEP_SIM_VM_BIND = 3,
    /// DRM_IOCTL_XE_MADVISE.
    XEP_SIM_MADVISE = 4,
    /// DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS.
    XEP_SIM_VM_QUERY_MEM_RANGE_ATTRS = 5,
    /// DRM_IOCTL_XE_VM_GET_PROPERTY.
    XEP_SIM_VM_GET_PROPERTY = 6,
    /// PAGEMAP_SCAN.
    XEP_SIM_PAGEMAP_SCAN = 7,
}

/// What happened at one GPU of a simulated machine, and to the machine, since it was opened. It can grow: pass its size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_sim_counters {
    /// Page faults of the GPU, the refused ones included.
    pub page_faults: u64,
    /// Page faults that the driver could not serve.
    pub refused_faults: u64,
    /// Ranges moved into its VRAM.
    pub migrations: u64,
    /// CPU accesses that brought memory back out of its VRAM.
    pub cpu_faults: u64,
    /// Allocations that had to make room in its VRAM.
    pub evictions: u64,
    /// Bytes copied into its VRAM.
    pub bytes_in: u64,
    /// Bytes copied out of its VRAM.
    pub bytes_out: u64,
    /// Bytes that it used in place in host memory.
    pub bytes_in_place: u64,
    /// Bytes that it used in place in the VRAM of other GPUs.
    pub bytes_at_peers: u64,
    /// Of the machine: requests to its drivers, each try counted.
    pub calls: u64,
    /// Of the machine: its clock, which charges round numbers for calls, faults and copies. For comparing, not for predicting.
    pub nanoseconds: u64,
}

plain!(xep_sim_counters);

fn with<T>(machine: *const xep_machine, what: &str, play: impl FnOnce(&Arc<Sim>) -> Result<T>) -> Result<T> {
    let machine = machine::get(machine)?;
    play(machine.simulation().ok_or_else(|| Failure::simulation_only(what))?)
}

/// Tells something that a kernel sees by itself: of a real machine there is nothing to tell.
fn tell(machine: *const xep_machine, event: impl FnOnce(&Arc<Sim>)) -> Result<()> {
    machine::get(machine)?.simulation().map(event);
    Ok(())
}

/// Tells that the CPU has touched a range: `access` is an enum xep_access.
///
/// A kernel sees that by itself, and a simulated machine cannot: 0 without any effect on a real one.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_cpu_touched(
    machine: *const xep_machine,
    address: *const c_void,
    length: usize,
    access: u32,
) -> c_int {
    status(|| {
        let (range, access) = (range(address, length)?, space::access(access)?);
        tell(machine, |sim| sim.cpu_touched(range, access))
    })
}

/// Tells that a range was unmapped, as munmap(2) does. 0 without any effect on a real machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_unmapped(machine: *const xep_machine, address: *const c_void, length: usize) -> c_int {
    status(|| {
        let range = range(address, length)?;
        tell(machine, |sim| sim.unmapped(range))
    })
}

/// Tells that a mapping has moved from `old_address` to `new_address`, as mremap(2) does. 0 without any effect on a real
/// machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_moved(
    machine: *const xep_machine,
    old_address: *const c_void,
    length: usize,
    new_address: *const c_void,
) -> c_int {
    status(|| {
        let (old, new) = (range(old_address, length)?, range(new_address, length)?);
        tell(machine, |sim| sim.remapped(old, new.start()))
    })
}

/// Lets requests fail, without any effect: `skip` tries of `call` pass first, then `times` fail with `error`, a positive
/// errno.
///
/// -EOPNOTSUPP on a real machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_inject(machine: *const xep_machine, call: u32, skip: u32, times: u32, error: c_int) -> c_int {
    status(|| {
        let call = request(call)?;
        if error <= 0 {
            return Err(Failure::invalid(format_args!("{error} is no errno")));
        }
        with(machine, "a fault on demand", |sim| {
            sim.inject(Fault { call, skip, times, errno: error });
            Ok(())
        })
    })
}

/// Fills VRAM: from now on so many bytes of a region hold what cannot be evicted. -EOPNOTSUPP on a real machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_fill_vram(machine: *const xep_machine, gpu: u32, region: u32, bytes: u64) -> c_int {
    status(|| with(machine, "filling VRAM", |sim| Ok(sim.fill_vram(vram(gpu, region)?, bytes)?)))
}

/// Pins the pages of a range in host memory, as I/O does. -EOPNOTSUPP on a real machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_pin(machine: *const xep_machine, address: *const c_void, length: usize) -> c_int {
    status(|| {
        let range = range(address, length)?;
        with(machine, "pinning pages", |sim| {
            sim.pin(range);
            Ok(())
        })
    })
}

/// Lets go of pinned pages. -EOPNOTSUPP on a real machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_unpin(machine: *const xep_machine, address: *const c_void, length: usize) -> c_int {
    status(|| {
        let range = range(address, length)?;
        with(machine, "unpinning pages", |sim| {
            sim.unpin(range);
            Ok(())
        })
    })
}

/// Unplugs a GPU: what was in its VRAM comes to host memory, and every request to it fails. -EOPNOTSUPP on a real machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_unplug(machine: *const xep_machine, gpu: u32) -> c_int {
    status(|| with(machine, "unplugging a GPU", |sim| Ok(sim.unplug(GpuId(gpu))?)))
}

/// Plugs a GPU in again, as a new device: what was open before stays dead. -EOPNOTSUPP on a real machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_replug(machine: *const xep_machine, gpu: u32) -> c_int {
    status(|| with(machine, "plugging a GPU in", |sim| Ok(sim.replug(GpuId(gpu))?)))
}

/// Says whether this process may see page frames and physical addresses, as root does: 1 or 0, which it is at first.
/// -EOPNOTSUPP on a real machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_set_privileged(machine: *const xep_machine, privileged: c_int) -> c_int {
    status(|| {
        with(machine, "a change of privilege", |sim| {
            sim.privileged(privileged != 0);
            Ok(())
        })
    })
}

/// Says what happened at a GPU, and to its machine. `size` is that of the caller's struct. -EOPNOTSUPP on a real machine.
#[unsafe(no_mangle)]
pub extern "C" fn xep_sim_counters(
    machine: *const xep_machine,
    gpu: u32,
    counters: *mut xep_sim_counters,
    size: usize,
) -> c_int {
    status(|| {
        let counters = raw::structure(counters, size, "counters")?;
        with(machine, "counting", |sim| {
            let all = sim.counters();
            let found = all.gpus.get(gpu as usize).ok_or_else(|| xeplace::Error::NotFound(GpuId(gpu).to_string()))?;
            counters.write(&counted(&all, GpuId(gpu), found));
            Ok(())
        })
    })
}

fn counted(all: &Counters, gpu: GpuId, found: &GpuCounters) -> xep_sim_counters {
    xep_sim_counters {
        page_faults: found.page_faults,
        refused_faults: found.refused_faults,
        migrations: found.migrations,
        cpu_faults: found.cpu_faults,
        evictions: found.evictions,
        bytes_in: found.bytes_in,
        bytes_out: found.bytes_out,
        bytes_in_place: found.bytes_in_place,
        bytes_at_peers: all
            .links
            .iter()
            .filter(|((user, _), _)| *user == gpu)
            .map(|(_, link)| link.bytes_in_place)
            .sum(),
        calls: all.calls.values().sum(),
        nanoseconds: all.nanoseconds,
    }
}

fn request(call: u32) -> Result<Call> {
    use xep_sim_call::*;
    let known = [
        (XEP_SIM_DEVICE_QUERY, Call::DeviceQuery),
        (XEP_SIM_VM_CREATE, Call::VmCreate),
        (XEP_SIM_VM_DESTROY, Call::VmDestroy),
        (XEP_SIM_VM_BIND, Call::VmBind),
        (XEP_SIM_MADVISE, Call::Madvise),
        (XEP_SIM_VM_QUERY_MEM_RANGE_ATTRS, Call::VmQueryMemRangeAttrs),
        (XEP_SIM_VM_GET_PROPERTY, Call::VmGetProperty),
        (XEP_SIM_PAGEMAP_SCAN, Call::PagemapScan),
    ];
    let found = known.into_iter().find_map(|(number, found)| (number as u32 == call).then_some(found));
    found.ok_or_else(|| Failure::invalid(format_args!("{call} is no request of a driver")))
}
