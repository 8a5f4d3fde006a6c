// SPDX-License-Identifier: MIT OR Apache-2.0
//! A GPU address space: VM_CREATE, VM_DESTROY and VM_GET_PROPERTY.

use super::{
    Answer,
    groups::{Owner, Peer},
    open_files::FileId,
    span::{Span, Spans},
    state::State,
    vram::PagemapId,
};
use crate::uapi::*;
use std::collections::BTreeSet;

/// The open file and the number that VM_CREATE gave out.
pub(super) type VmKey = (FileId, u32);

#[derive(Debug)]
pub(super) struct Vm {
    pub(super) device: usize,
    pub(super) fault_mode: bool,
    /// Of a fault-mode vm; the others can name no device.
    pub(super) owner: Option<Owner>,
    /// The VRAM of each tile of its own device.
    pub(super) local: Vec<PagemapId>,
    pub(super) banned: bool,
    pub(super) vmas: Spans<Vma>,
    pub(super) ranges: Spans<SvmRange>,
    /// Ranges whose memory was unmapped and that nobody has collected yet.
    pub(super) garbage: BTreeSet<Span>,
    pub(super) faults: Vec<xe_vm_fault>,
}

/// `struct xe_vma`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Vma {
    pub(super) kind: VmaKind,
    pub(super) read_only: bool,
    pub(super) autoreset: bool,
    pub(super) wish: Attributes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum VmaKind {
    /// Mirrors the CPU's addresses.
    Mirror,
    /// Pages of the process, pinned when they were bound.
    Userptr,
    /// Reads as zero and swallows writes.
    Null,
}

/// `struct xe_vma_mem_attr`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attributes {
    /// The number given to MADVISE: this alone is compared.
    pub(super) fd: i32,
    pub(super) policy: u16,
    /// What the number meant when it was given.
    pub(super) pagemap: Option<PagemapId>,
    pub(super) atomic: u32,
    pub(super) pat: u16,
    pub(super) default_pat: u16,
}

impl Attributes {
    pub(super) fn default_with(pat: u16) -> Attributes {
        let atomic = DRM_XE_ATOMIC_UNDEFINED;
        Attributes { fd: 0, policy: DRM_XE_MIGRATE_ALL_PAGES, pagemap: None, atomic, pat, default_pat: pat }
    }

    pub(super) fn is_default(self) -> bool {
        self == Attributes::default_with(self.default_pat)
    }
}

/// `struct xe_svm_range`: the unit in which a mirror is faulted, moved and mapped.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct SvmRange {
    /// Where its pages were when they were collected, as long as nothing has invalidated them.
    pub(super) held: Option<Held>,
    /// The tiles that map it, a bit each.
    pub(super) bound: u8,
    /// Created over private anonymous memory, on a device with VRAM.
    pub(super) can_migrate: bool,
}

/// Where the pages of a range are, as one vm knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Held {
    Ram,
    Vram(PagemapId),
}

/// The kernel keeps so many refused faults of a vm (`xe_vm.h`).
const MAX_FAULTS: usize = 50;

impl Vm {
    /// All tiles of the device, a bit each.
    pub(super) fn tiles(&self) -> u8 {
        ((1u16 << self.local.len().max(1)) - 1) as u8
    }

    pub(super) fn record_fault(&mut self, fault: xe_vm_fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }
}

const ALL_VM_FLAGS: u32 = DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE
    | DRM_XE_VM_CREATE_FLAG_LR_MODE
    | DRM_XE_VM_CREATE_FLAG_FAULT_MODE
    | DRM_XE_VM_CREATE_FLAG_NO_VM_OVERCOMMIT;

impl State {
    /// `xe_vm_create_ioctl`.
    pub(super) fn vm_create(&mut self, file: FileId, device: usize, create: &mut drm_xe_vm_create) -> Answer {
        let flags = create.flags;
        let has = |flag| flags & flag != 0;
        let fault_mode = has(DRM_XE_VM_CREATE_FLAG_FAULT_MODE);
        let refused = create.extensions != 0
            || create.reserved != [0; 2]
            || flags & !ALL_VM_FLAGS != 0
            || (fault_mode && !has(DRM_XE_VM_CREATE_FLAG_LR_MODE))
            || (has(DRM_XE_VM_CREATE_FLAG_NO_VM_OVERCOMMIT) && !fault_mode);
        if refused {
            return Err(libc::EINVAL);
        }
        let taken = |id: &u32| self.vms.contains_key(&(file, *id));
        let id = (1..).find(|id| !taken(id)).ok_or(libc::ENOMEM)?;
        let key = (file, id);
        let (mut owner, mut local) = (None, Vec::new());
        if fault_mode {
            owner = Some(self.join(Peer::Vm(key), device));
            let tiles = self.devices[device].spec.tiles.len();
            local = (0..tiles).map(|tile| self.pagemap(device, tile)).collect();
        }
        let vm = Vm {
            device,
            fault_mode,
            owner,
            local,
            banned: false,
            vmas: Spans::default(),
            ranges: Spans::default(),
            garbage: BTreeSet::new(),
            faults: Vec::new(),
        };
        self.vms.insert(key, vm);
        create.vm_id = id;
        Ok(())
    }

    /// `xe_vm_destroy_ioctl`.
    pub(super) fn vm_destroy(&mut self, file: FileId, destroy: &drm_xe_vm_destroy) -> Answer {
        if destroy.pad != 0 || destroy.reserved != [0; 2] {
            return Err(libc::EINVAL);
        }
        if self.close_vm((file, destroy.vm_id)) { Ok(()) } else { Err(libc::ENOENT) }
    }

    /// Ends a vm, if there is one: its mappings go, the pages stay where they are.
    pub(super) fn close_vm(&mut self, key: VmKey) -> bool {
        self.groups.leave(Peer::Vm(key));
        self.vms.remove(&key).is_some()
    }

    /// `xe_vm_get_property_ioctl`.
    pub(super) fn vm_get_property(
        &self,
        file: FileId,
        query: &mut drm_xe_vm_get_property,
        found: &mut [xe_vm_fault],
    ) -> Answer {
        if query.extensions != 0 || query.pad != 0 || query.reserved != [0; 3] {
            return Err(libc::EINVAL);
        }
        let vm = self.vms.get(&(file, query.vm_id)).ok_or(libc::ENOENT)?;
        if query.property != DRM_XE_VM_GET_PROPERTY_FAULTS {
            return Err(libc::EINVAL);
        }
        if found.is_empty() {
            query.size = size_of_val(&vm.faults[..]) as u32;
            return Ok(());
        }
        let faults = vm.faults.get(..found.len()).ok_or(libc::EINVAL)?;
        found.copy_from_slice(faults);
        Ok(())
    }
}
