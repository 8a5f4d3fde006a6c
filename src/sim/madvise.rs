// SPDX-License-Identifier: MIT OR Apache-2.0
//! MADVISE: attributes of mirrored memory (`xe_vm_madvise.c`).

use super::{
    Answer,
    bind::{VM_SIZE, is_pat_index},
    migrate::errno,
    open_files::{FileId, Opened},
    process::Process,
    span::Span,
    state::State,
    vm::{Attributes, Held, VmKey, VmaKind},
    vram::PagemapId,
};
use crate::{driver::Features, range::PAGE, uapi::*};

const DEFAULT_SYSTEM: i32 = DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM as i32;

impl State {
    /// `xe_vm_madvise_ioctl`, check by check.
    pub(super) fn madvise(&mut self, file: FileId, advice: &drm_xe_madvise, retained: Option<&mut u32>) -> Answer {
        let key = (file, advice.vm_id);
        let vm = self.vms.get(&key).ok_or(libc::EINVAL)?;
        let features = self.devices[vm.device].spec.features;
        // The top bits of the address are dropped, whatever they are.
        let start = advice.start & (VM_SIZE - 1);
        let aligned = start % PAGE == 0 && advice.range % PAGE == 0 && advice.range >= PAGE;
        let purgeable = advice.type_ == DRM_XE_VMA_ATTR_PURGEABLE_STATE;
        if !features.knows_advice(advice) || !aligned || !fields_are_sane(advice) || advice.reserved != [0; 2] {
            return Err(libc::EINVAL);
        }
        if purgeable {
            match &retained {
                None => return Err(libc::EFAULT),
                Some(word) if **word != 0 => return Err(libc::EINVAL),
                Some(_) => {}
            }
        }
        self.collect_garbage(key);
        if self.vms[&key].banned {
            return Err(libc::ENOENT);
        }
        let pagemap = self.named_pagemap(key, advice)?;
        if advice.range > VM_SIZE - start {
            return Err(libc::EINVAL);
        }
        let span = Span::of(start, advice.range);
        self.split(key, span)?;
        self.apply(key, span, advice, pagemap);
        if let (true, Some(word)) = (purgeable, retained) {
            // Mirrors know no purging: everything is retained.
            *word = 1;
        }
        Ok(())
    }

    /// The pagemap that a preferred location names, if it names one: `xe_drm_pagemap_from_fd`, then the group test.
    fn named_pagemap(&mut self, key: VmKey, advice: &drm_xe_madvise) -> Answer<Option<PagemapId>> {
        let place = advice.as_preferred_mem_loc();
        let number = place.devmem_fd as i32;
        let multi_device = self.devices[self.vms[&key].device].spec.features.contains(Features::MULTI_DEVICE);
        if advice.type_ != DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC || number <= 0 || !multi_device {
            return Ok(None);
        }
        let Ok(Some((_, Opened::Device { device, plugging }))) = self.open.find(number) else {
            return Err(libc::ENOENT);
        };
        let named = &self.devices[device];
        if !named.plugged || named.plugging != plugging {
            return Err(libc::ENODEV);
        }
        let tile = usize::from(place.region_instance).wrapping_sub(1);
        if tile >= named.spec.tiles.len() {
            return Err(libc::ENOENT);
        }
        let pagemap = self.pagemap(device, tile);
        if Some(self.pages.vram.pagemap(pagemap).owner) != self.vms[&key].owner {
            return Err(libc::ENOLINK);
        }
        Ok(Some(pagemap))
    }

    /// Cuts the VMAs at the ends of `span`, before anything is compared: `xe_vm_alloc_madvise_vma`.
    ///
    /// A range that a cut VMA loses half of is destroyed, and goes to RAM if this vm knows it in VRAM.
    fn split(&mut self, key: VmKey, span: Span) -> Answer {
        let vm = &self.vms[&key];
        let cut: Vec<_> = vm.vmas.over(span).filter(|(whole, _)| !span.covers(*whole)).collect();
        if cut.iter().any(|(_, vma)| vma.kind == VmaKind::Userptr) {
            return Err(libc::EFAULT);
        }
        let middles =
            cut.iter().filter(|(_, vma)| vma.kind == VmaKind::Mirror).filter_map(|(whole, _)| whole.meet(span));
        let straddling: Vec<(Span, Option<Held>)> = middles
            .flat_map(|middle| vm.ranges.over(middle).filter(move |(range, _)| !middle.covers(*range)))
            .map(|(range, state)| (range, state.held))
            .collect();
        for (range, held) in straddling {
            if matches!(held, Some(Held::Vram(_))) {
                let process = Process::look(&self.pages.marks).map_err(errno)?;
                let _ = self.fault_in(&process, range);
            }
            if let Some(vm) = self.vms.get_mut(&key) {
                vm.ranges.take(range);
                vm.garbage.remove(&range);
            }
        }
        if let Some(vm) = self.vms.get_mut(&key) {
            vm.vmas.cut(span.start);
            vm.vmas.cut(span.end);
        }
        Ok(())
    }

    /// Changes the attributes of what lies in `span`, and unmaps the ranges of what has changed.
    fn apply(&mut self, key: VmKey, span: Span, advice: &drm_xe_madvise, pagemap: Option<PagemapId>) {
        let Some(vm) = self.vms.get_mut(&key) else { return };
        for (whole, vma) in vm.vmas.over_mut(span) {
            if changed(&mut vma.wish, advice, pagemap) && vma.kind == VmaKind::Mirror {
                // The pages stay collected: a fault maps them again where they are.
                vm.ranges.over_mut(whole).for_each(|(_, range)| range.bound = 0);
            }
        }
    }
}

/// `madvise_args_are_sane`.
fn fields_are_sane(advice: &drm_xe_madvise) -> bool {
    let value = advice.as_value();
    match advice.type_ {
        DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC => {
            let place = advice.as_preferred_mem_loc();
            let fd = place.devmem_fd as i32;
            fd >= DEFAULT_SYSTEM
                && (place.region_instance == 0 || fd > 0)
                && place.migration_policy <= DRM_XE_MIGRATE_ONLY_SYSTEM_PAGES
                && place.reserved == 0
        }
        DRM_XE_MEM_RANGE_ATTR_ATOMIC => value.val <= DRM_XE_ATOMIC_CPU && value.pad == 0 && value.reserved == 0,
        DRM_XE_MEM_RANGE_ATTR_PAT => is_pat_index(value.val) && value.pad == 0 && value.reserved == 0,
        DRM_XE_VMA_ATTR_PURGEABLE_STATE => value.val <= DRM_XE_VMA_PURGEABLE_STATE_DONTNEED && value.pad == 0,
        _ => false,
    }
}

/// Writes the advice into `wish`; false if it already says so. A location is compared by the descriptor's number and
/// the policy alone, neither by device nor by region.
fn changed(wish: &mut Attributes, advice: &drm_xe_madvise, pagemap: Option<PagemapId>) -> bool {
    let value = advice.as_value().val;
    match advice.type_ {
        DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC => {
            let place = advice.as_preferred_mem_loc();
            let fd = place.devmem_fd as i32;
            if (wish.fd, wish.policy) == (fd, place.migration_policy) {
                return false;
            }
            (wish.fd, wish.policy, wish.pagemap) = (fd, place.migration_policy, pagemap);
            true
        }
        DRM_XE_MEM_RANGE_ATTR_ATOMIC => std::mem::replace(&mut wish.atomic, value) != value,
        DRM_XE_MEM_RANGE_ATTR_PAT => std::mem::replace(&mut wish.pat, value as u16) != value as u16,
        _ => false,
    }
}
