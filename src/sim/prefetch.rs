// SPDX-License-Identifier: MIT OR Apache-2.0
//! PREFETCH of mirrored memory (`vm_bind_ioctl_ops_create`, then `prefetch_ranges` in `xe_vm.c`).

use super::{
    Answer,
    migrate::{Collection, errno},
    pages::Page,
    process::Process,
    span::Span,
    state::State,
    vm::{Held, SvmRange, VmKey, Vma, VmaKind},
    vram::PagemapId,
};
use crate::{
    range::{BLOCK, PAGE},
    uapi::*,
};

/// One range of a prefetch.
struct Step {
    span: Span,
    read_only: bool,
    /// `None`: system memory.
    target: Option<PagemapId>,
}

/// The middle size of a range. One that has just this size is made at a fault only if all its pages are there.
const MEDIUM: u64 = 64 << 10;

impl State {
    /// First all ranges are found or made, then all are moved, then all are mapped. An error in the first part leaves
    /// everything where it is; a failure to move in the second ends the call with 0.
    pub(super) fn prefetch(&mut self, key: VmKey, span: Span, region: u32) -> Answer {
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        let steps = self.steps(&process, key, span, region)?;
        for step in &steps {
            match self.carry_out(&process, key, step) {
                // "Nothing to do": reported as success, and nothing of this call is mapped.
                Err(libc::ENODATA) => return Ok(()),
                answer => answer?,
            }
        }
        let vm = self.vms.get_mut(&key).ok_or(libc::ENOENT)?;
        let lost = |step: &Step| vm.ranges.at(step.span.start).is_none_or(|(_, range)| range.held.is_none());
        if steps.iter().any(lost) {
            return Err(libc::EAGAIN);
        }
        let tiles = vm.tiles();
        for step in &steps {
            if let Some(range) = vm.ranges.at_mut(step.span.start) {
                range.bound = tiles;
            }
        }
        Ok(())
    }

    fn steps(&mut self, process: &Process, key: VmKey, span: Span, region: u32) -> Answer<Vec<Step>> {
        let mut steps = Vec::new();
        let vmas: Vec<(Span, Vma)> = self.vms[&key].vmas.over(span).map(|(whole, vma)| (whole, *vma)).collect();
        for (whole, vma) in vmas {
            if vma.kind != VmaKind::Mirror {
                // The kernel leaves its loop here: mirrors behind get nothing.
                break;
            }
            let target = self.prefetch_target(key, &vma, region);
            let mut at = whole.start.max(span.start);
            let end = whole.end.min(span.end);
            while at < end {
                let found = match self.find_or_make(process, key, at, (whole, &vma), None) {
                    Err(libc::ENOENT) => match process.next(at) {
                        Some(next) if next < end => {
                            at = next;
                            continue;
                        }
                        _ => break,
                    },
                    answer => answer?,
                };
                if !self.is_in_place(key, found, target) {
                    steps.push(Step { span: found, read_only: vma.read_only, target });
                }
                at = found.end;
            }
        }
        Ok(steps)
    }

    fn prefetch_target(&self, key: VmKey, vma: &Vma, region: u32) -> Option<PagemapId> {
        match region {
            DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC => self.wished(key, vma),
            0 => None,
            instance => self.vms[&key].local.get(instance as usize - 1).copied(),
        }
    }

    /// What a mirror's attributes wish, seen from the first tile: `xe_vma_resolve_pagemap`.
    pub(super) fn wished(&self, key: VmKey, vma: &Vma) -> Option<PagemapId> {
        match vma.wish.fd {
            0 => self.vms[&key].local.first().copied(),
            _ => vma.wish.pagemap,
        }
    }

    /// Mapped by all tiles, and there, as far as this vm knows: `xe_svm_range_validate`.
    fn is_in_place(&self, key: VmKey, span: Span, target: Option<PagemapId>) -> bool {
        let vm = &self.vms[&key];
        let held = target.map_or(Held::Ram, Held::Vram);
        vm.ranges.at(span.start).is_some_and(|(_, range)| range.bound == vm.tiles() && range.held == Some(held))
    }

    fn carry_out(&mut self, process: &Process, key: VmKey, step: &Step) -> Answer {
        let owner = self.vms[&key].owner.filter(|_| step.target.is_some());
        match step.target {
            None if matches!(self.held(key, step.span), Some(Held::Vram(_))) => {
                let _ = self.fault_in(process, step.span);
            }
            Some(target) if self.should_move(key, step.span, target) => {
                self.move_to_vram(process, step.span, target).map_err(|_| libc::ENODATA)?;
            }
            _ => {}
        }
        let wanted = Collection { owner, read_only: step.read_only, vram_only: false };
        self.hold(process, key, step.span, wanted).map_err(|error| match error {
            libc::EOPNOTSUPP | libc::EFAULT | libc::EPERM => libc::ENODATA,
            error => error,
        })
    }

    /// Where the pages of the range at `span` are, as far as the vm knows.
    pub(super) fn held(&self, key: VmKey, span: Span) -> Option<Held> {
        self.vms[&key].ranges.at(span.start)?.1.held
    }

    /// `xe_svm_range_needs_migrate_to_vram`.
    pub(super) fn should_move(&self, key: VmKey, span: Span, target: PagemapId) -> bool {
        let range = self.vms[&key].ranges.at(span.start);
        range.is_some_and(|(_, range)| range.can_migrate && range.held != Some(Held::Vram(target)))
    }

    /// Collects the pages of a range, unless what the vm holds is still valid.
    pub(super) fn hold(&mut self, process: &Process, key: VmKey, span: Span, wanted: Collection) -> Answer {
        if self.held(key, span).is_none() {
            let held = self.collect(process, span, wanted)?;
            if let Some(range) = self.vms.get_mut(&key).and_then(|vm| vm.ranges.at_mut(span.start)) {
                range.held = Some(held);
            }
        }
        Ok(())
    }

    /// The range of a mirror that holds `at`, made if there is none: `drm_gpusvm_range_find_or_insert`.
    ///
    /// A fault says what it wants of the pages. ENOENT: not mapped. EPERM: not writable. EIO: not memory.
    pub(super) fn find_or_make(
        &mut self,
        process: &Process,
        key: VmKey,
        at: u64,
        (whole, vma): (Span, &Vma),
        at_fault: Option<Collection>,
    ) -> Answer<Span> {
        let mapping = *process.at(at).ok_or(libc::ENOENT)?;
        if !mapping.writable && !vma.read_only {
            return Err(libc::EPERM);
        }
        if mapping.io {
            return Err(libc::EIO);
        }
        let vm = &self.vms[&key];
        if let Some((known, _)) = vm.ranges.at(at) {
            return Ok(known);
        }
        let can_migrate = self.devices[vm.device].is_discrete() && mapping.anonymous;
        for size in [BLOCK, MEDIUM, PAGE] {
            let span = Span::aligned(at, size);
            let free = mapping.span.covers(span) && whole.covers(span) && !self.vms[&key].ranges.any(span);
            let wanted = at_fault.filter(|_| free && size == MEDIUM);
            if free && wanted.map_or(Ok(true), |wanted| self.is_populated(process, span, wanted))? {
                let range = SvmRange { held: None, bound: 0, can_migrate };
                self.vms.get_mut(&key).ok_or(libc::ENOENT)?.ranges.put(span, range);
                return Ok(span);
            }
        }
        Err(libc::EINVAL)
    }

    /// Whether all pages are where they could be mapped: `drm_gpusvm_check_pages`. VRAM that would be faulted back is no
    /// such place.
    fn is_populated(&self, process: &Process, span: Span, wanted: Collection) -> Answer<bool> {
        let runs = self.pages.runs(process, span).map_err(errno)?;
        Ok(runs.iter().all(|(_, page)| match page {
            Page::Real(_) | Page::Ram => true,
            Page::Vram(found) => Some(self.pages.vram.pagemap(found.pagemap).owner) == wanted.owner,
            Page::Absent | Page::Swap | Page::Guard => false,
        }))
    }
}
