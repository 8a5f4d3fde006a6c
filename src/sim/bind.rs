// SPDX-License-Identifier: MIT OR Apache-2.0
//! VM_BIND: which GPU addresses mirror the process (`xe_vm_bind_ioctl`).

use super::{
    Answer,
    open_files::FileId,
    span::Span,
    state::State,
    vm::{Attributes, Vm, VmKey, Vma, VmaKind},
};
use crate::{range::PAGE, uapi::*};

/// Virtual address bits of a discrete GPU since Battlemage (`xe_pci.c`).
pub(super) const VA_BITS: u32 = 48;
pub(super) const VM_SIZE: u64 = 1 << VA_BITS;
/// Whether the page attribute table of Xe2 has such an entry, which the hardware does not keep for itself
/// (`xe2_pat_table` in `xe_pat.c`).
pub(super) fn is_pat_index(index: u32) -> bool {
    matches!(index, 0..=15 | 20..=27)
}

/// Whether what the GPU caches under such an entry is coherent with the CPU's caches, one way at least.
fn is_coherent(index: u16) -> bool {
    matches!(index, 1 | 2 | 4 | 5 | 7 | 22 | 23 | 26 | 27)
}

const BIND_FLAGS: u32 = DRM_XE_VM_BIND_FLAG_READONLY
    | DRM_XE_VM_BIND_FLAG_IMMEDIATE
    | DRM_XE_VM_BIND_FLAG_NULL
    | DRM_XE_VM_BIND_FLAG_DUMPABLE
    | DRM_XE_VM_BIND_FLAG_CHECK_PXP
    | DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR
    | DRM_XE_VM_BIND_FLAG_DECOMPRESS
    | DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET;

impl State {
    /// `xe_vm_bind_ioctl` with one operation.
    pub(super) fn vm_bind(&mut self, file: FileId, bind: &drm_xe_vm_bind, syncs: BindSyncs) -> Answer {
        let key = (file, bind.vm_id);
        let vm = self.vms.get(&key).ok_or(libc::EINVAL)?;
        let padded = bind.pad != 0 || bind.pad2 != 0 || bind.reserved != [0; 2] || bind.extensions != 0;
        if padded || !self.accepts(vm, &bind.bind) {
            return Err(libc::EINVAL);
        }
        if bind.exec_queue_id != 0 {
            return Err(libc::ENOENT);
        }
        self.collect_garbage(key);
        let vm = &self.vms[&key];
        if vm.banned {
            return Err(libc::ENOENT);
        }
        let op = &bind.bind;
        if op.range > VM_SIZE || op.addr > VM_SIZE - op.range {
            return Err(libc::EINVAL);
        }
        if op.obj != 0 {
            // There are no buffer objects here.
            return Err(libc::ENOENT);
        }
        if syncs == BindSyncs::Unreadable {
            return Err(libc::EFAULT);
        }
        self.execute(key, op)
    }

    /// `vm_bind_ioctl_check_args`, for one operation.
    fn accepts(&self, vm: &Vm, op: &drm_xe_vm_bind_op) -> bool {
        let device = &self.devices[vm.device];
        let has = |flag| op.flags & flag != 0;
        let mirror = has(DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR);
        let unbacked = has(DRM_XE_VM_BIND_FLAG_NULL) || mirror;
        let map = op.op == DRM_XE_VM_BIND_OP_MAP;
        let prefetch = op.op == DRM_XE_VM_BIND_OP_PREFETCH;
        let region = op.prefetch_mem_region_instance;
        let regions = (2u32 << device.spec.tiles.len()) - 1;
        let region_known = region == DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC
            || 1u32.checked_shl(region).is_some_and(|bit| bit & regions != 0);
        // Nobody looks at the extensions, pads and reserved words of an operation.
        let refused = !device.spec.features.knows_bind(op)
            || (mirror && !vm.fault_mode)
            || !is_pat_index(op.pat_index.into())
            || op.op > DRM_XE_VM_BIND_OP_PREFETCH
            || op.flags & !BIND_FLAGS != 0
            || (op.obj != 0 && unbacked)
            || (op.obj_offset != 0 && unbacked)
            || (!map && (unbacked || has(DRM_XE_VM_BIND_FLAG_DECOMPRESS)))
            || (map && op.obj == 0 && !unbacked)
            || (op.op == DRM_XE_VM_BIND_OP_UNMAP_ALL && (op.obj == 0 || op.addr != 0 || op.range != 0))
            || (op.op == DRM_XE_VM_BIND_OP_MAP_USERPTR && (op.obj != 0 || !is_coherent(op.pat_index)))
            || (op.obj != 0 && (prefetch || op.op == DRM_XE_VM_BIND_OP_UNMAP))
            || (region != 0 && !prefetch)
            || (prefetch && !region_known)
            || (has(DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET) && !(map && mirror))
            || [op.obj_offset, op.addr, op.range].iter().any(|value| value % PAGE != 0)
            || (op.range == 0 && op.op != DRM_XE_VM_BIND_OP_UNMAP_ALL);
        !refused
    }

    fn execute(&mut self, key: VmKey, op: &drm_xe_vm_bind_op) -> Answer {
        let span = Span::of(op.addr, op.range);
        if op.op == DRM_XE_VM_BIND_OP_PREFETCH {
            return self.prefetch(key, span, op.prefetch_mem_region_instance);
        }
        let vm = self.vms.get_mut(&key).ok_or(libc::EINVAL)?;
        let has = |flag| op.flags & flag != 0;
        let kind = match op.op {
            DRM_XE_VM_BIND_OP_UNMAP => {
                vm.clear(span)?;
                return Ok(());
            }
            DRM_XE_VM_BIND_OP_MAP_USERPTR => VmaKind::Userptr,
            _ if has(DRM_XE_VM_BIND_FLAG_NULL) => VmaKind::Null,
            _ => VmaKind::Mirror,
        };
        let vma = Vma {
            kind,
            read_only: has(DRM_XE_VM_BIND_FLAG_READONLY),
            autoreset: has(DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET),
            wish: Attributes::default_with(op.pat_index),
        };
        if kind != VmaKind::Mirror {
            vm.clear(span)?;
            vm.vmas.put(span, vma);
            return Ok(());
        }
        if vm.cuts_live_mirror(vm.widened(span)) {
            return Err(libc::EBUSY);
        }
        vm.map_mirror(span, vma);
        Ok(())
    }
}

/// What became of attributes that were to be reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reset {
    Done,
    /// The kernel warns: the reset mapping's default PAT index is not the one that it was bound with.
    ForgotPat,
}

impl Vm {
    /// Removes what is bound in `span`. EBUSY if a mirror in it has live ranges there.
    fn clear(&mut self, span: Span) -> Answer {
        let live = self.mirrors(span).any(|(part, _)| self.ranges.any(part));
        if live {
            return Err(libc::EBUSY);
        }
        self.vmas.take(span);
        Ok(())
    }

    /// Whether a mirror would be cut by `span` at a place that has live ranges.
    fn cuts_live_mirror(&self, span: Span) -> bool {
        let mut cut = self.vmas.over(span).filter(|(whole, vma)| vma.kind == VmaKind::Mirror && !span.covers(*whole));
        cut.any(|(whole, _)| whole.meet(span).is_some_and(|part| self.ranges.any(part)))
    }

    /// The parts of `span` that are mirrors.
    fn mirrors(&self, span: Span) -> impl Iterator<Item = (Span, &Vma)> {
        self.vmas.clipped(span).filter(|(_, vma)| vma.kind == VmaKind::Mirror)
    }

    /// Makes a mirror of `span` and of the untouched mirrors beside it, all with the new one's flags.
    fn map_mirror(&mut self, span: Span, vma: Vma) {
        self.vmas.put(self.widened(span), vma);
    }

    /// What the collector does to the attributes of a range that it has destroyed, where the mirror was bound to reset
    /// them: `xe_svm_range_set_default_attr`. Untouched mirrors beside it are joined in any case.
    ///
    /// A mapping that ends with the range at both ends is reset in place first, which makes 0 of its default PAT index
    /// (`xe_vma_set_default_attributes`); the mapping of which the rest is made takes that of the last piece.
    pub(super) fn reset_mirror(&mut self, span: Span) -> Reset {
        let Some((whole, vma)) = self.vmas.at(span.start).map(|(whole, vma)| (whole, *vma)) else { return Reset::Done };
        if !vma.autoreset {
            return Reset::Done;
        }
        let plain = vma.wish.is_default();
        let mut reset = Reset::Done;
        if !plain && whole == span {
            let pat = vma.wish.default_pat;
            let wish = Attributes { default_pat: 0, ..Attributes::default_with(pat) };
            self.vmas.put(whole, Vma { wish, ..vma });
            reset = if wish.is_default() { Reset::Done } else { Reset::ForgotPat };
        }
        let joined = self.widened(if plain { whole } else { span });
        let last = self.vmas.over(joined).last().map(|(_, last)| *last);
        if let Some(last) = last.filter(|_| !(plain && joined == whole)) {
            self.vmas.put(joined, Vma { wish: Attributes::default_with(last.wish.default_pat), ..last });
        }
        reset
    }

    /// `xe_vm_find_cpu_addr_mirror_vma_range`: together with neighbours of default attributes, whatever their flags. The
    /// next one is looked for in the 4096 bytes from `end + 1`, so that it may start a page behind a hole of one page.
    fn widened(&self, span: Span) -> Span {
        let plain = |vma: &Vma| vma.kind == VmaKind::Mirror && vma.wish.is_default();
        let before = span.start.checked_sub(PAGE).and_then(|page| self.vmas.at(page));
        let behind = self.vmas.over(Span::of(span.end + 1, PAGE)).next();
        let start = before.filter(|(_, vma)| plain(vma)).map_or(span.start, |(whole, _)| whole.start);
        let end = behind.filter(|(_, vma)| plain(vma)).map_or(span.end, |(whole, _)| whole.end);
        Span { start, end }
    }
}
