// SPDX-License-Identifier: MIT OR Apache-2.0
//! The placement part of `<drm/xe_drm.h>`, Linux 7.3.

#![allow(non_camel_case_types, missing_docs, reason = "kernel names, documented by the kernel")]

use std::{
    fmt,
    mem::{offset_of, size_of},
};

/// `DRM_IOCTL_BASE` and `DRM_COMMAND_BASE` of `<drm/drm.h>`.
const DRM_IOCTL_BASE: u32 = b'd' as u32;
const DRM_COMMAND_BASE: u32 = 0x40;

pub const DRM_IOCTL_XE_DEVICE_QUERY: libc::Ioctl = libc::_IOWR::<drm_xe_device_query>(DRM_IOCTL_BASE, DRM_COMMAND_BASE);
pub const DRM_IOCTL_XE_VM_CREATE: libc::Ioctl =
    libc::_IOWR::<drm_xe_vm_create>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x03);
pub const DRM_IOCTL_XE_VM_DESTROY: libc::Ioctl =
    libc::_IOW::<drm_xe_vm_destroy>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x04);
pub const DRM_IOCTL_XE_VM_BIND: libc::Ioctl = libc::_IOW::<drm_xe_vm_bind>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x05);
pub const DRM_IOCTL_XE_EXEC_QUEUE_CREATE: libc::Ioctl =
    libc::_IOWR::<drm_xe_exec_queue_create>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x06);
pub const DRM_IOCTL_XE_EXEC_QUEUE_DESTROY: libc::Ioctl =
    libc::_IOW::<drm_xe_exec_queue_destroy>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x07);
pub const DRM_IOCTL_XE_EXEC: libc::Ioctl = libc::_IOW::<drm_xe_exec>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x09);
pub const DRM_IOCTL_XE_WAIT_USER_FENCE: libc::Ioctl =
    libc::_IOWR::<drm_xe_wait_user_fence>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x0a);
pub const DRM_IOCTL_XE_MADVISE: libc::Ioctl = libc::_IOW::<drm_xe_madvise>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x0c);
pub const DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS: libc::Ioctl =
    libc::_IOWR::<drm_xe_vm_query_mem_range_attr>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x0d);
pub const DRM_IOCTL_XE_VM_GET_PROPERTY: libc::Ioctl =
    libc::_IOWR::<drm_xe_vm_get_property>(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x0f);

pub const DRM_XE_ENGINE_CLASS_RENDER: u16 = 0;
pub const DRM_XE_ENGINE_CLASS_COPY: u16 = 1;
pub const DRM_XE_ENGINE_CLASS_VIDEO_DECODE: u16 = 2;
pub const DRM_XE_ENGINE_CLASS_VIDEO_ENHANCE: u16 = 3;
pub const DRM_XE_ENGINE_CLASS_COMPUTE: u16 = 4;
pub const DRM_XE_ENGINE_CLASS_VM_BIND: u16 = 5;
pub const DRM_XE_MEM_REGION_CLASS_SYSMEM: u16 = 0;
pub const DRM_XE_MEM_REGION_CLASS_VRAM: u16 = 1;
pub const DRM_XE_QUERY_GT_TYPE_MAIN: u16 = 0;
pub const DRM_XE_QUERY_GT_TYPE_MEDIA: u16 = 1;

pub const DRM_XE_QUERY_CONFIG_REV_AND_DEVICE_ID: usize = 0;
pub const DRM_XE_QUERY_CONFIG_FLAGS: usize = 1;
pub const DRM_XE_QUERY_CONFIG_MIN_ALIGNMENT: usize = 2;
pub const DRM_XE_QUERY_CONFIG_VA_BITS: usize = 3;
pub const DRM_XE_QUERY_CONFIG_MAX_EXEC_QUEUE_PRIORITY: usize = 4;

pub const DRM_XE_QUERY_CONFIG_FLAG_HAS_VRAM: u64 = 1 << 0;
pub const DRM_XE_QUERY_CONFIG_FLAG_HAS_LOW_LATENCY: u64 = 1 << 1;
pub const DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR: u64 = 1 << 2;
pub const DRM_XE_QUERY_CONFIG_FLAG_HAS_NO_COMPRESSION_HINT: u64 = 1 << 3;
pub const DRM_XE_QUERY_CONFIG_FLAG_HAS_DISABLE_STATE_CACHE_PERF_FIX: u64 = 1 << 4;
pub const DRM_XE_QUERY_CONFIG_FLAG_HAS_PURGING_SUPPORT: u64 = 1 << 5;

pub const DRM_XE_DEVICE_QUERY_ENGINES: u32 = 0;
pub const DRM_XE_DEVICE_QUERY_MEM_REGIONS: u32 = 1;
pub const DRM_XE_DEVICE_QUERY_CONFIG: u32 = 2;
pub const DRM_XE_DEVICE_QUERY_GT_LIST: u32 = 3;
pub const DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE: u32 = 1 << 0;
pub const DRM_XE_VM_CREATE_FLAG_LR_MODE: u32 = 1 << 1;
pub const DRM_XE_VM_CREATE_FLAG_FAULT_MODE: u32 = 1 << 2;
pub const DRM_XE_VM_CREATE_FLAG_NO_VM_OVERCOMMIT: u32 = 1 << 3;
pub const DRM_XE_VM_BIND_OP_MAP: u32 = 0;
pub const DRM_XE_VM_BIND_OP_UNMAP: u32 = 1;
pub const DRM_XE_VM_BIND_OP_MAP_USERPTR: u32 = 2;
pub const DRM_XE_VM_BIND_OP_UNMAP_ALL: u32 = 3;
pub const DRM_XE_VM_BIND_OP_PREFETCH: u32 = 4;
pub const DRM_XE_VM_BIND_FLAG_READONLY: u32 = 1 << 0;
pub const DRM_XE_VM_BIND_FLAG_IMMEDIATE: u32 = 1 << 1;
pub const DRM_XE_VM_BIND_FLAG_NULL: u32 = 1 << 2;
pub const DRM_XE_VM_BIND_FLAG_DUMPABLE: u32 = 1 << 3;
pub const DRM_XE_VM_BIND_FLAG_CHECK_PXP: u32 = 1 << 4;
pub const DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR: u32 = 1 << 5;
pub const DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET: u32 = 1 << 6;
pub const DRM_XE_VM_BIND_FLAG_DECOMPRESS: u32 = 1 << 7;
pub const DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC: u32 = u32::MAX;
pub const DRM_XE_VM_GET_PROPERTY_FAULTS: u32 = 0;
pub const DRM_XE_SYNC_TYPE_SYNCOBJ: u32 = 0;
pub const DRM_XE_SYNC_TYPE_TIMELINE_SYNCOBJ: u32 = 1;
pub const DRM_XE_SYNC_TYPE_USER_FENCE: u32 = 2;
pub const DRM_XE_SYNC_FLAG_SIGNAL: u32 = 1 << 0;
pub const DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC: u32 = 0;
pub const DRM_XE_MEM_RANGE_ATTR_ATOMIC: u32 = 1;
pub const DRM_XE_MEM_RANGE_ATTR_PAT: u32 = 2;
pub const DRM_XE_VMA_ATTR_PURGEABLE_STATE: u32 = 3;
pub const DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE: u32 = 0;
pub const DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM: u32 = u32::MAX;
pub const DRM_XE_ATOMIC_UNDEFINED: u32 = 0;
pub const DRM_XE_ATOMIC_DEVICE: u32 = 1;
pub const DRM_XE_ATOMIC_GLOBAL: u32 = 2;
pub const DRM_XE_ATOMIC_CPU: u32 = 3;
pub const DRM_XE_VMA_PURGEABLE_STATE_WILLNEED: u32 = 0;
pub const DRM_XE_VMA_PURGEABLE_STATE_DONTNEED: u32 = 1;

pub const DRM_XE_MIGRATE_ALL_PAGES: u16 = 0;
pub const DRM_XE_MIGRATE_ONLY_SYSTEM_PAGES: u16 = 1;
pub const DRM_XE_UFENCE_WAIT_OP_EQ: u16 = 0;
pub const DRM_XE_UFENCE_WAIT_OP_NEQ: u16 = 1;
pub const DRM_XE_UFENCE_WAIT_OP_GT: u16 = 2;
pub const DRM_XE_UFENCE_WAIT_OP_GTE: u16 = 3;
pub const DRM_XE_UFENCE_WAIT_OP_LT: u16 = 4;
pub const DRM_XE_UFENCE_WAIT_OP_LTE: u16 = 5;
pub const DRM_XE_UFENCE_WAIT_FLAG_ABSTIME: u16 = 1 << 0;

pub const FAULT_ACCESS_TYPE_READ: u8 = 0;
pub const FAULT_ACCESS_TYPE_WRITE: u8 = 1;
pub const FAULT_ACCESS_TYPE_ATOMIC: u8 = 2;
pub const FAULT_TYPE_NOT_PRESENT: u8 = 0;
pub const FAULT_TYPE_WRITE_ACCESS: u8 = 1;
pub const FAULT_TYPE_ATOMIC_ACCESS: u8 = 2;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_engine_class_instance {
    pub engine_class: u16,
    pub engine_instance: u16,
    pub gt_id: u16,
    pub pad: u16,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_engine {
    pub instance: drm_xe_engine_class_instance,
    pub reserved: [u64; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_mem_region {
    pub mem_class: u16,
    pub instance: u16,
    pub min_page_size: u32,
    pub total_size: u64,
    pub used: u64,
    pub cpu_visible_size: u64,
    pub cpu_visible_used: u64,
    pub reserved: [u64; 6],
}

/// `type_` is the kernel's `type`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_gt {
    pub type_: u16,
    pub tile_id: u16,
    pub gt_id: u16,
    pub pad: [u16; 3],
    pub reference_clock: u32,
    pub near_mem_regions: u64,
    pub far_mem_regions: u64,
    pub ip_ver_major: u16,
    pub ip_ver_minor: u16,
    pub ip_ver_rev: u16,
    pub pad2: u16,
    pub reserved: [u64; 7],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_device_query {
    pub extensions: u64,
    pub query: u32,
    pub size: u32,
    pub data: u64,
    pub reserved: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_vm_create {
    pub extensions: u64,
    pub flags: u32,
    pub vm_id: u32,
    pub reserved: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_vm_destroy {
    pub vm_id: u32,
    pub pad: u32,
    pub reserved: [u64; 2],
}

/// The union at 16 is `obj_offset`; PREFETCH and mirrors leave it 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_vm_bind_op {
    pub extensions: u64,
    pub obj: u32,
    pub pat_index: u16,
    pub pad: u16,
    pub obj_offset: u64,
    pub range: u64,
    pub addr: u64,
    pub op: u32,
    pub flags: u32,
    pub prefetch_mem_region_instance: u32,
    pub pad2: u32,
    pub reserved: [u64; 3],
}

/// The union at 24 is `bind`: this library sends one operation a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_vm_bind {
    pub extensions: u64,
    pub vm_id: u32,
    pub exec_queue_id: u32,
    pub pad: u32,
    pub num_binds: u32,
    pub bind: drm_xe_vm_bind_op,
    pub pad2: u32,
    pub num_syncs: u32,
    pub syncs: u64,
    pub reserved: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xe_vm_fault {
    pub address: u64,
    pub address_precision: u32,
    pub access_type: u8,
    pub fault_type: u8,
    pub fault_level: u8,
    pub pad: u8,
    pub reserved: [u64; 4],
}

/// The union at 24 is `data`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_vm_get_property {
    pub extensions: u64,
    pub vm_id: u32,
    pub property: u32,
    pub size: u32,
    pub pad: u32,
    pub data: u64,
    pub reserved: [u64; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_exec_queue_create {
    pub extensions: u64,
    pub width: u16,
    pub num_placements: u16,
    pub vm_id: u32,
    pub flags: u32,
    pub exec_queue_id: u32,
    pub instances: u64,
    pub reserved: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_exec_queue_destroy {
    pub exec_queue_id: u32,
    pub pad: u32,
    pub reserved: [u64; 2],
}

/// The union at 16 is `addr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_sync {
    pub extensions: u64,
    pub type_: u32,
    pub flags: u32,
    pub addr: u64,
    pub timeline_value: u64,
    pub reserved: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_exec {
    pub extensions: u64,
    pub exec_queue_id: u32,
    pub num_syncs: u32,
    pub syncs: u64,
    pub address: u64,
    pub num_batch_buffer: u16,
    pub pad: [u16; 3],
    pub reserved: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_wait_user_fence {
    pub extensions: u64,
    pub addr: u64,
    pub op: u16,
    pub flags: u16,
    pub pad: u32,
    pub value: u64,
    pub mask: u64,
    pub timeout: i64,
    pub exec_queue_id: u32,
    pub pad2: u32,
    pub reserved: [u64; 2],
}

/// The kernel's unnamed `preferred_mem_loc` in `drm_xe_madvise`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_madvise_preferred_mem_loc {
    pub devmem_fd: u32,
    pub migration_policy: u16,
    pub region_instance: u16,
    pub reserved: u64,
}

/// The kernel's unnamed `atomic`, `pat_index` and `purge_state_val`: `reserved` is `retained_ptr` in the last.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_madvise_value {
    pub val: u32,
    pub pad: u32,
    pub reserved: u64,
}

/// The kernel's unnamed `preferred_mem_loc` in `drm_xe_mem_range_attr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_mem_range_attr_preferred_mem_loc {
    pub devmem_fd: u32,
    pub migration_policy: u32,
}

/// The kernel's unnamed `atomic` and `pat_index` in `drm_xe_mem_range_attr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_mem_range_attr_value {
    pub val: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_mem_range_attr {
    pub extensions: u64,
    pub start: u64,
    pub end: u64,
    pub preferred_mem_loc: drm_xe_mem_range_attr_preferred_mem_loc,
    pub atomic: drm_xe_mem_range_attr_value,
    pub pat_index: drm_xe_mem_range_attr_value,
    pub reserved: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct drm_xe_vm_query_mem_range_attr {
    pub extensions: u64,
    pub vm_id: u32,
    pub num_mem_ranges: u32,
    pub start: u64,
    pub range: u64,
    pub sizeof_mem_range_attr: u64,
    pub vector_of_mem_attr: u64,
    pub reserved: [u64; 2],
}

/// The argument of MADVISE. Which of the union's parts counts is said by `type_`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct drm_xe_madvise {
    pub extensions: u64,
    pub start: u64,
    pub range: u64,
    pub vm_id: u32,
    pub type_: u32,
    /// The union, as two words. The constructors below fill it in.
    pub value: [u64; 2],
    pub reserved: [u64; 2],
}

impl drm_xe_madvise {
    pub fn preferred_mem_loc(vm_id: u32, start: u64, range: u64, at: drm_xe_madvise_preferred_mem_loc) -> Self {
        let place =
            u64::from(at.devmem_fd) | u64::from(at.migration_policy) << 32 | u64::from(at.region_instance) << 48;
        Self::new(vm_id, start, range, DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC, [place, at.reserved])
    }

    /// `type_` is ATOMIC, PAT or PURGEABLE_STATE.
    pub fn attribute(vm_id: u32, start: u64, range: u64, type_: u32, value: drm_xe_madvise_value) -> Self {
        let words = [u64::from(value.val) | u64::from(value.pad) << 32, value.reserved];
        Self::new(vm_id, start, range, type_, words)
    }

    fn new(vm_id: u32, start: u64, range: u64, type_: u32, value: [u64; 2]) -> Self {
        drm_xe_madvise { extensions: 0, start, range, vm_id, type_, value, reserved: [0; 2] }
    }

    /// The union as PREFERRED_LOC reads it.
    pub fn as_preferred_mem_loc(&self) -> drm_xe_madvise_preferred_mem_loc {
        let [place, reserved] = self.value;
        drm_xe_madvise_preferred_mem_loc {
            devmem_fd: place as u32,
            migration_policy: (place >> 32) as u16,
            region_instance: (place >> 48) as u16,
            reserved,
        }
    }

    /// The union as the other types read it.
    pub fn as_value(&self) -> drm_xe_madvise_value {
        let [word, reserved] = self.value;
        drm_xe_madvise_value { val: word as u32, pad: (word >> 32) as u32, reserved }
    }
}

impl fmt::Debug for drm_xe_madvise {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("drm_xe_madvise");
        shown
            .field("vm_id", &self.vm_id)
            .field("start", &self.start)
            .field("range", &self.range)
            .field("type", &self.type_);
        match self.type_ {
            DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC => shown.field("preferred_mem_loc", &self.as_preferred_mem_loc()),
            _ => shown.field("value", &self.as_value()),
        };
        shown.finish()
    }
}

// The union is written as two words, low half first.
const _: () = assert!(cfg!(target_endian = "little"), "xe devices are little-endian machines' devices");

const _: () = {
    assert!(DRM_IOCTL_XE_DEVICE_QUERY == 0xc028_6440);
    assert!(DRM_IOCTL_XE_VM_CREATE == 0xc020_6443);
    assert!(DRM_IOCTL_XE_VM_DESTROY == 0x4018_6444);
    assert!(DRM_IOCTL_XE_VM_BIND == 0x4088_6445);
    assert!(DRM_IOCTL_XE_EXEC_QUEUE_CREATE == 0xc030_6446);
    assert!(DRM_IOCTL_XE_EXEC_QUEUE_DESTROY == 0x4018_6447);
    assert!(DRM_IOCTL_XE_EXEC == 0x4038_6449);
    assert!(DRM_IOCTL_XE_WAIT_USER_FENCE == 0xc048_644a);
    assert!(DRM_IOCTL_XE_MADVISE == 0x4040_644c);
    assert!(DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS == 0xc040_644d);
    assert!(DRM_IOCTL_XE_VM_GET_PROPERTY == 0xc038_644f);
};

const _: () = {
    assert!(size_of::<drm_xe_madvise>() == 64);
    assert!(size_of::<drm_xe_engine_class_instance>() == 8);
    assert!(size_of::<drm_xe_engine>() == 32);
    assert!(size_of::<drm_xe_mem_region>() == 88);
    assert!(size_of::<drm_xe_gt>() == 96);
    assert!(size_of::<drm_xe_device_query>() == 40);
    assert!(size_of::<drm_xe_vm_create>() == 32);
    assert!(size_of::<drm_xe_vm_destroy>() == 24);
    assert!(size_of::<drm_xe_vm_bind_op>() == 80);
    assert!(size_of::<drm_xe_vm_bind>() == 136);
    assert!(size_of::<xe_vm_fault>() == 48);
    assert!(size_of::<drm_xe_vm_get_property>() == 56);
    assert!(size_of::<drm_xe_exec_queue_create>() == 48);
    assert!(size_of::<drm_xe_exec_queue_destroy>() == 24);
    assert!(size_of::<drm_xe_sync>() == 48);
    assert!(size_of::<drm_xe_exec>() == 56);
    assert!(size_of::<drm_xe_wait_user_fence>() == 72);
    assert!(size_of::<drm_xe_madvise_preferred_mem_loc>() == 16);
    assert!(size_of::<drm_xe_madvise_value>() == 16);
    assert!(size_of::<drm_xe_mem_range_attr_preferred_mem_loc>() == 8);
    assert!(size_of::<drm_xe_mem_range_attr_value>() == 8);
    assert!(size_of::<drm_xe_mem_range_attr>() == 64);
    assert!(size_of::<drm_xe_vm_query_mem_range_attr>() == 64);
};

const _: () = {
    assert!(offset_of!(drm_xe_madvise, vm_id) == 24);
    assert!(offset_of!(drm_xe_madvise, value) == 32);
    assert!(offset_of!(drm_xe_vm_bind, bind) == 24);
    assert!(offset_of!(drm_xe_vm_bind, num_syncs) == 108);
    assert!(offset_of!(drm_xe_vm_bind, syncs) == 112);
    assert!(offset_of!(drm_xe_vm_bind_op, pat_index) == 12);
    assert!(offset_of!(drm_xe_vm_bind_op, addr) == 32);
    assert!(offset_of!(drm_xe_vm_bind_op, prefetch_mem_region_instance) == 48);
    assert!(offset_of!(drm_xe_mem_range_attr, preferred_mem_loc) == 24);
    assert!(offset_of!(drm_xe_mem_range_attr, pat_index) == 40);
    assert!(offset_of!(drm_xe_vm_query_mem_range_attr, vector_of_mem_attr) == 40);
};
