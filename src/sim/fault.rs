// SPDX-License-Identifier: MIT OR Apache-2.0
//! A GPU touches memory: page faults and what they decide (`xe_pagefault.c`, `xe_svm_handle_pagefault`).

use super::{
    Answer,
    counters::{End, size_class},
    migrate::{Collection, errno},
    process::Process,
    span::Span,
    state::State,
    vm::{Held, VmKey, Vma, VmaKind},
    vram::PagemapId,
};
use crate::{
    driver::Access,
    range::{PAGE, Range},
    uapi::*,
};

/// GPUs fault on their first tile here.
const FAULTING_TILE: usize = 0;
/// Tries to move memory into VRAM where an atomic needs it there (`xe_svm.c`).
const ATOMIC_TRIES: u32 = 3;
/// What a touch answers that meets a fault the kernel would retry for ever.
pub(super) const ENDLESS: i32 = libc::ETIMEDOUT;
/// Such retries in a second, as seen on a running kernel.
const RETRIES: u64 = 55_000;

impl State {
    /// Touches all of `range` from the GPU of a vm: EIO if the driver refuses a fault (the queue is lost, the vm lives),
    /// ETIMEDOUT at a fault that never ends.
    pub(super) fn gpu_touch(&mut self, key: VmKey, range: Range, access: Access) -> Answer {
        let vm = self.vms.get(&key).ok_or(libc::ENOENT)?;
        if vm.banned {
            return Err(libc::ENOENT);
        }
        if !vm.fault_mode {
            return Err(libc::EIO);
        }
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        let wanted = Span::from(range);
        let mut at = wanted.start;
        while at < wanted.end {
            let touched = match self.translate(&process, key, at, access) {
                Err(ENDLESS) => return Err(ENDLESS),
                Err(_) => {
                    self.refuse(key, at, access);
                    return Err(libc::EIO);
                }
                Ok(touched) => touched,
            };
            if let Some(part) = touched.meet(wanted) {
                self.account(key, part);
            }
            at = touched.end;
        }
        Ok(())
    }

    /// The memory around `at` that is mapped for `access`, if need be after a fault.
    fn translate(&mut self, process: &Process, key: VmKey, at: u64, access: Access) -> Answer<Span> {
        let vm = &self.vms[&key];
        if let (Some((span, range)), Some((_, vma))) = (vm.ranges.at(at), vm.vmas.at(at)) {
            let bound = range.bound & 1 << FAULTING_TILE != 0;
            if bound && !(vma.read_only && access != Access::Read) && self.suits(key, range.held, vma, access) {
                return Ok(span);
            }
        }
        self.counters.gpu_fault(vm.device);
        self.serve(process, key, at, access)
    }

    /// Whether a mapping allows what is done: plain accesses anywhere, atomics where their mode wants them.
    fn suits(&self, key: VmKey, held: Option<Held>, vma: &Vma, access: Access) -> bool {
        match self.vram_for(key, vma, access) {
            Ok(None) => true,
            Ok(Some(local)) => held == Some(Held::Vram(local)),
            Err(_) => false,
        }
    }

    /// The local VRAM, if an atomic needs its memory there: `xe_vma_need_vram_for_atomic`. EACCES if it is forbidden.
    fn vram_for(&self, key: VmKey, vma: &Vma, access: Access) -> Answer<Option<PagemapId>> {
        let local = self.vms[&key].local.get(FAULTING_TILE).copied();
        match (access, local, vma.wish.atomic) {
            (Access::Read | Access::Write, ..) | (_, None, _) | (.., DRM_XE_ATOMIC_DEVICE) => Ok(None),
            (.., DRM_XE_ATOMIC_CPU) => Err(libc::EACCES),
            (_, local, _) => Ok(local),
        }
    }

    /// `xe_svm_handle_pagefault`.
    fn serve(&mut self, process: &Process, key: VmKey, at: u64, access: Access) -> Answer<Span> {
        self.collect_garbage(key);
        let found = self.vms[&key].vmas.at(at).map(|(whole, vma)| (whole, *vma));
        let (whole, vma) = found.ok_or(libc::EINVAL)?;
        if vma.read_only && access != Access::Read {
            return Err(libc::EPERM);
        }
        if vma.kind != VmaKind::Mirror {
            return Ok(whole);
        }
        let forced = self.vram_for(key, &vma, access)?;
        let target = forced.or_else(|| self.wished(key, &vma));
        let owner = self.vms[&key].owner.filter(|_| target.is_some());
        let wanted = Collection { owner, read_only: vma.read_only, vram_only: forced.is_some() };
        let mut tries = if forced.is_some() { ATOMIC_TRIES } else { 1 };
        loop {
            let span = self.find_or_make(process, key, at, (whole, &vma), Some(wanted))?;
            let class = size_class(span.len());
            let device = self.vms[&key].device;
            self.counters.gpus[device].page_faults_by_size[class] += 1;
            let range = *self.vms[&key].ranges.at(at).ok_or(libc::ENOENT)?.1;
            if forced.is_some() && !range.can_migrate {
                return Err(libc::EACCES);
            }
            // What is mapped is not looked at again, unless an atomic forces it elsewhere.
            if range.bound & 1 << FAULTING_TILE != 0 && forced.is_none_or(|local| range.held == Some(Held::Vram(local)))
            {
                return Ok(span);
            }
            let mut moved = true;
            if let Some(target) = target.filter(|target| tries > 0 && self.should_move(key, span, *target)) {
                self.counters.gpus[device].migrate_tries_by_size[class] += 1;
                moved = self.move_to_vram(process, span, target).is_ok();
            }
            tries = tries.saturating_sub(1);
            if !moved && forced.is_none() {
                continue;
            }
            match self.hold(process, key, span, wanted) {
                Ok(()) => {
                    if let Some(range) = self.vms.get_mut(&key).and_then(|vm| vm.ranges.at_mut(at)) {
                        range.bound |= 1 << FAULTING_TILE;
                    }
                    return Ok(span);
                }
                Err(libc::EOPNOTSUPP) if forced.is_none() => {}
                Err(libc::EOPNOTSUPP | libc::EFAULT | libc::EPERM) if tries > 0 => {}
                Err(libc::EFAULT | libc::EPERM) if forced.is_none() => {
                    self.counters.endless_faults += 1;
                    self.counters.gpus[device].page_faults_by_size[class] += RETRIES;
                    return Err(ENDLESS);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Remembers a fault that was not served; VM_GET_PROPERTY tells of it.
    fn refuse(&mut self, key: VmKey, at: u64, access: Access) {
        let Some(vm) = self.vms.get_mut(&key) else { return };
        self.counters.gpus[vm.device].refused_faults += 1;
        let access_type = match access {
            Access::Read => FAULT_ACCESS_TYPE_READ,
            Access::Write => FAULT_ACCESS_TYPE_WRITE,
            Access::Atomic => FAULT_ACCESS_TYPE_ATOMIC,
        };
        vm.record_fault(xe_vm_fault {
            address: at,
            address_precision: PAGE as u32,
            access_type,
            fault_type: FAULT_TYPE_NOT_PRESENT,
            ..Default::default()
        });
    }

    /// Charges for the use of `part` where it is.
    fn account(&mut self, key: VmKey, part: Span) {
        let vm = &self.vms[&key];
        let user = vm.device;
        let Some((_, range)) = vm.ranges.at(part.start) else { return };
        let Some(Held::Vram(pagemap)) = range.held else {
            return self.counters.used(user, End::Host, part.len(), 0);
        };
        let holder = self.pages.vram.pagemap(pagemap).device;
        self.counters.used(user, End::Gpu(holder), part.len(), self.hops(user, holder));
        if holder != user {
            self.count_astray((user, holder), pagemap, part.len());
        }
    }
}
