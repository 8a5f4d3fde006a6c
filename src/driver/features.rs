// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an xe driver knows of the placement interface, and which requests it therefore refuses.

use crate::uapi::*;
use bitflags::bitflags;

bitflags! {
    /// What an xe driver knows of the placement interface. Kernels have it piece by piece; see docs/kernel.md for which.
    ///
    /// To all that it does not know a driver says EINVAL: to an ioctl (`drm_ioctl` in `drm_ioctl.c`), and to a type, a flag
    /// or a number in one (`xe_vm_bind_ioctl` in `xe_vm.c`, `xe_vm_madvise_ioctl` in `xe_vm_madvise.c`).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct Features: u8 {
        /// CPU address mirrors: shared virtual memory.
        const MIRROR = 1 << 0;
        /// MADVISE and VM_QUERY_MEM_RANGE_ATTRS.
        const MADVISE = 1 << 1;
        /// Another device's VRAM in MADVISE.
        const MULTI_DEVICE = 1 << 2;
        /// PREFETCH to the advised place.
        const CONSULT = 1 << 3;
        /// Mirrors that reset advice when memory is unmapped.
        const AUTORESET = 1 << 4;
        /// Purgeable buffer objects.
        const PURGEABLE = 1 << 5;
    }
}

impl Features {
    /// Each of them as machine strings name it.
    pub const NAMES: [(&'static str, Features); 6] = [
        ("mirror", Features::MIRROR),
        ("madvise", Features::MADVISE),
        ("multi-device", Features::MULTI_DEVICE),
        ("consult", Features::CONSULT),
        ("autoreset", Features::AUTORESET),
        ("purgeable", Features::PURGEABLE),
    ];

    /// What of the CONFIG query's `flags` such a driver sets.
    pub fn config_flags(self, flags: u64) -> u64 {
        let mut known = flags;
        if !self.contains(Features::MIRROR) {
            known &= !DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR;
        }
        if !self.contains(Features::PURGEABLE) {
            known &= !DRM_XE_QUERY_CONFIG_FLAG_HAS_PURGING_SUPPORT;
        }
        known
    }

    /// Whether VM_BIND knows all that `op` asks for.
    pub fn knows_bind(self, op: &drm_xe_vm_bind_op) -> bool {
        let consults = op.op == DRM_XE_VM_BIND_OP_PREFETCH
            && op.prefetch_mem_region_instance == DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC;
        let asks = [
            (op.flags & DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR != 0, Features::MIRROR),
            (op.flags & DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET != 0, Features::AUTORESET),
            (consults, Features::CONSULT),
        ];
        asks.into_iter().all(|(asked, feature)| !asked || self.contains(feature))
    }

    /// Whether MADVISE is there and knows all that `advice` asks for.
    pub fn knows_advice(self, advice: &drm_xe_madvise) -> bool {
        let knows_type = match advice.type_ {
            DRM_XE_VMA_ATTR_PURGEABLE_STATE => self.contains(Features::PURGEABLE),
            // Before other devices could be named, `region_instance` was padding, which must be 0.
            DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC => {
                self.contains(Features::MULTI_DEVICE) || advice.as_preferred_mem_loc().region_instance == 0
            }
            _ => true,
        };
        self.contains(Features::MADVISE) && knows_type
    }

    /// What such a driver makes of an advice that it takes: before other devices could be named, every descriptor was
    /// taken for system memory (`xe_vma_resolve_pagemap` in `xe_svm.c` of Linux 6.18).
    pub(super) fn understood(self, advice: &drm_xe_madvise) -> drm_xe_madvise {
        let place = advice.as_preferred_mem_loc();
        let names_device = advice.type_ == DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC && place.devmem_fd as i32 > 0;
        if !names_device || self.contains(Features::MULTI_DEVICE) {
            return *advice;
        }
        let system = drm_xe_madvise_preferred_mem_loc { devmem_fd: DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM, ..place };
        drm_xe_madvise::preferred_mem_loc(advice.vm_id, advice.start, advice.range, system)
    }

    /// Whether VM_QUERY_MEM_RANGE_ATTRS is there; it came together with MADVISE.
    pub fn knows_attribute_query(self) -> bool {
        self.contains(Features::MADVISE)
    }
}
