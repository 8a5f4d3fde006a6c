// SPDX-License-Identifier: MIT OR Apache-2.0
//! One GPU, from C.

use crate::{
    location::XEP_UNKNOWN,
    machine::{self, xep_machine},
    raw::{self, plain},
    status::{Text, status},
};
use libc::{c_char, c_int};
use std::mem::MaybeUninit;
use xeplace::{Capabilities, Gpu, GpuId, MemoryRegion, Support};

/// What a GPU is. It can grow: pass its size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_gpu_info {
    /// PCI domain.
    pub pci_domain: u32,
    /// PCI bus number.
    pub pci_bus: u32,
    /// PCI device number.
    pub pci_device: u32,
    /// PCI function number.
    pub pci_function: u32,
    /// PCI device id.
    pub device_id: u32,
    /// PCI revision.
    pub revision: u32,
    /// The NUMA node of the host that it is attached to, or XEP_UNKNOWN.
    pub numa_node: u32,
    /// How many VRAM regions it has: one a tile, none if it is integrated.
    pub region_count: u32,
    /// 1 if it has no memory of its own.
    pub is_integrated: u32,
    /// 1 if it can mirror the memory of processes (shared virtual memory): spaces can have vms on it.
    pub can_mirror: u32,
    /// 1 if it is known to have gone: unplugged, unbound from its driver, or wedged.
    pub is_lost: u32,
    /// Bits of an address in its vms.
    pub va_bits: u32,
    /// Bytes a second of the narrowest PCIe link on its way up, in one direction; 0 if that is not known.
    pub pcie_bytes_per_second: u64,
    /// Its PCI address, such as 0000:03:00.0.
    pub address: [c_char; 24],
    /// Its render node. The same GPU can have another one when it comes back.
    pub node: [c_char; 64],
    /// What the PCI ID database calls it.
    pub name: [c_char; 128],
}

/// One VRAM region. Sizes in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_region {
    /// The kernel's instance number: what xep_vram() takes.
    pub region: u32,
    /// Smallest page.
    pub min_page: u32,
    /// Usable VRAM.
    pub total: u64,
    /// In use, by whomever.
    pub used: u64,
    /// What the CPU and other GPUs reach through the BAR. Less than `total`: the library does not use it from others.
    pub cpu_visible: u64,
}

/// How far a feature is there.
#[repr(C)]
pub enum xep_support {
    /// The driver or the device does not know it.
    XEP_SUPPORT_NO = 0,
    /// The driver takes it and does not act on it.
    XEP_SUPPORT_ACCEPTED_ONLY = 1,
    /// The driver acts on it.
    XEP_SUPPORT_ENFORCED = 2,
    /// Not asked yet, because asking has a price: known once the GPU has a vm of its own here.
    XEP_SUPPORT_UNPROBED = 3,
}

/// What a GPU's driver can do: enum xep_support each. It can grow: pass its size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_capabilities {
    /// CPU address mirrors: shared virtual memory.
    pub mirror: u32,
    /// MADVISE with a preferred location.
    pub preferred_location: u32,
    /// MADVISE with another device's VRAM.
    pub multi_device: u32,
    /// MADVISE with an atomic mode.
    pub atomic: u32,
    /// MADVISE with a PAT index.
    pub pat: u32,
    /// The migration policy of a preferred location.
    pub migration_policy: u32,
    /// MADVISE of buffer objects as purgeable.
    pub purgeable: u32,
    /// Reading attributes back.
    pub attribute_query: u32,
    /// PREFETCH to wherever the advice says.
    pub prefetch_consult: u32,
    /// Mirrors that reset advice when memory is unmapped.
    pub autoreset: u32,
}

/// What the driver has counted on one GPU, of all processes, since it was loaded. It can grow: pass its size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_svm_counters {
    /// GPU page faults on mirrored memory.
    pub page_faults: u64,
    /// KiB copied into its VRAM from host memory.
    pub copied_in_kib: u64,
    /// KiB copied out of its VRAM, to host memory or to a peer.
    pub copied_out_kib: u64,
}

plain!(xep_gpu_info, xep_region, xep_capabilities, xep_svm_counters);

/// Says what a GPU is. `size` is that of the caller's struct xep_gpu_info.
///
/// -ENOENT if the machine has no such GPU.
#[unsafe(no_mangle)]
pub extern "C" fn xep_gpu_describe(
    machine: *const xep_machine,
    gpu: u32,
    info: *mut xep_gpu_info,
    size: usize,
) -> c_int {
    status(|| {
        let (machine, info) = (machine::get(machine)?, raw::structure(info, size, "info")?);
        info.write(&machine.gpu(GpuId(gpu))?.into());
        Ok(())
    })
}

/// Lists the VRAM regions of a GPU as they were when the machine was opened.
///
/// Fills at most `capacity` elements and stores in `count` how many there are.
#[unsafe(no_mangle)]
pub extern "C" fn xep_gpu_regions(
    machine: *const xep_machine,
    gpu: u32,
    regions: *mut xep_region,
    capacity: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> c_int {
    status(|| {
        let machine = machine::get(machine)?;
        let (array, count) = (raw::array(regions, capacity, "array")?, raw::out(count, "count")?);
        count.write(array.fill(machine.gpu(GpuId(gpu))?.regions().iter().map(xep_region::from)));
        Ok(())
    })
}

/// Lists the VRAM regions of a GPU with their use as it is now.
///
/// As xep_gpu_regions(); -ENODEV if the GPU has gone.
#[unsafe(no_mangle)]
pub extern "C" fn xep_gpu_usage(
    machine: *const xep_machine,
    gpu: u32,
    regions: *mut xep_region,
    capacity: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> c_int {
    status(|| {
        let machine = machine::get(machine)?;
        let (array, count) = (raw::array(regions, capacity, "array")?, raw::out(count, "count")?);
        count.write(array.fill(machine.gpu(GpuId(gpu))?.usage()?.iter().map(xep_region::from)));
        Ok(())
    })
}

/// Says what a GPU's driver can do, found by asking and not by its version. `size` is that of the caller's struct.
///
/// Asked once, in a vm that is made for it and destroyed. -ENODEV if the GPU has gone.
#[unsafe(no_mangle)]
pub extern "C" fn xep_gpu_capabilities(
    machine: *const xep_machine,
    gpu: u32,
    capabilities: *mut xep_capabilities,
    size: usize,
) -> c_int {
    status(|| {
        let (machine, capabilities) = (machine::get(machine)?, raw::structure(capabilities, size, "capabilities")?);
        capabilities.write(&machine.gpu(GpuId(gpu))?.capabilities()?.into());
        Ok(())
    })
}

/// Says what a GPU's driver has counted. `size` is that of the caller's struct.
///
/// The counters are in debugfs: -EACCES without privilege, -ENOENT where that is not mounted.
#[unsafe(no_mangle)]
pub extern "C" fn xep_gpu_counters(
    machine: *const xep_machine,
    gpu: u32,
    counters: *mut xep_svm_counters,
    size: usize,
) -> c_int {
    status(|| {
        let (machine, counters) = (machine::get(machine)?, raw::structure(counters, size, "counters")?);
        counters.write(&machine.gpu(GpuId(gpu))?.counters()?.into());
        Ok(())
    })
}

impl From<&Gpu> for xep_gpu_info {
    fn from(gpu: &Gpu) -> xep_gpu_info {
        let address = gpu.address();
        xep_gpu_info {
            pci_domain: address.domain,
            pci_bus: address.bus.into(),
            pci_device: address.device.into(),
            pci_function: address.function.into(),
            device_id: gpu.device_id().into(),
            revision: gpu.revision().into(),
            numa_node: gpu.numa_node().unwrap_or(XEP_UNKNOWN),
            region_count: gpu.regions().len() as u32,
            is_integrated: gpu.is_integrated().into(),
            can_mirror: gpu.can_mirror().into(),
            is_lost: gpu.is_lost().into(),
            va_bits: gpu.va_bits(),
            pcie_bytes_per_second: gpu.pcie().map_or(0, |link| link.bytes_per_second() as u64),
            address: Text::of(address),
            node: Text::of(gpu.node().display()),
            name: Text::of(gpu.name()),
        }
    }
}

impl From<&MemoryRegion> for xep_region {
    fn from(region: &MemoryRegion) -> xep_region {
        let MemoryRegion { instance, total, used, cpu_visible, min_page } = *region;
        xep_region { region: instance.into(), min_page, total, used, cpu_visible }
    }
}

impl From<&Capabilities> for xep_capabilities {
    fn from(known: &Capabilities) -> xep_capabilities {
        xep_capabilities {
            mirror: support(known.mirror),
            preferred_location: support(known.preferred_location),
            multi_device: support(known.multi_device),
            atomic: support(known.atomic),
            pat: support(known.pat),
            migration_policy: support(known.migration_policy),
            purgeable: support(known.purgeable),
            attribute_query: support(known.attribute_query),
            prefetch_consult: support(known.prefetch_consult),
            autoreset: support(known.autoreset),
        }
    }
}

fn support(support: Support) -> u32 {
    let support = match support {
        Support::Enforced => xep_support::XEP_SUPPORT_ENFORCED,
        Support::AcceptedOnly => xep_support::XEP_SUPPORT_ACCEPTED_ONLY,
        Support::Unsupported => xep_support::XEP_SUPPORT_NO,
        _ => xep_support::XEP_SUPPORT_UNPROBED,
    };
    support as u32
}

impl From<xeplace::SvmCounters> for xep_svm_counters {
    fn from(counters: xeplace::SvmCounters) -> xep_svm_counters {
        xep_svm_counters {
            page_faults: counters.page_faults,
            copied_in_kib: counters.copied_in_kib,
            copied_out_kib: counters.copied_out_kib,
        }
    }
}
