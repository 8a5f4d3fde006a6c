// SPDX-License-Identifier: MIT OR Apache-2.0
//! A GPU address space that mirrors this process.

use crate::{
    driver::{BindSyncs, Driver},
    error::{Error, Result},
    gpu::Gpu,
    location::GpuId,
    machine::Machine,
    range::{PAGE, Range},
    uapi::*,
};
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use std::{
    fmt, io,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicBool, Ordering},
};

/// A vm's number in its [`Space`](crate::Space); not the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct VmId(pub u32);

impl fmt::Display for VmId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "vm {}", self.0)
    }
}

/// A vm of a space: the library's own, or a runtime's.
#[derive(Debug)]
pub(crate) struct Vm<'fd> {
    id: VmId,
    gpu: GpuId,
    machine: Machine,
    kind: Kind<'fd>,
    /// What it is known to mirror, in order. Asked once, and again where that does not suffice.
    mirrored: Mutex<Vec<Range>>,
    closed: AtomicBool,
}

#[derive(Debug)]
enum Kind<'fd> {
    /// Made at first use, because it costs system memory: VRAM/64 for the first one on a GPU.
    Own(OnceCell<u32>),
    Borrowed {
        fd: BorrowedFd<'fd>,
        vm_id: u32,
        pat: u16,
    },
}

impl<'fd> Vm<'fd> {
    /// A vm that is made when it is first used.
    pub(crate) fn own(machine: &Machine, id: VmId, gpu: GpuId) -> Vm<'fd> {
        Vm::new(machine, id, gpu, Kind::Own(OnceCell::new()))
    }

    /// Somebody else's vm. Refused: an fd that is no xe device of this machine, a `vm_id` that this fd does not have, a
    /// vm that does not mirror the process.
    pub(crate) fn borrowed(machine: &Machine, id: VmId, fd: BorrowedFd<'fd>, vm_id: u32) -> Result<Vm<'fd>> {
        let gpu = machine.gpu_of(fd)?.id();
        let mut vm = Vm::new(machine, id, gpu, Kind::Borrowed { fd, vm_id, pat: 0 });
        let first = Range::new(0, PAGE)?;
        // A mirror begins at address 0, where nothing else is ever bound; a vm without one answers with no ranges.
        let at_zero = vm.query(first).map_err(vm.query_error(first))?;
        let Some(mirror) = at_zero.first() else {
            return Err(Error::Invalid(format!("vm {vm_id} of {gpu} does not mirror this process")));
        };
        vm.kind = Kind::Borrowed { fd, vm_id, pat: mirror.pat_index.val as u16 };
        vm.look_again().map_err(vm.query_error(Range::ALL))?;
        Ok(vm)
    }

    fn new(machine: &Machine, id: VmId, gpu: GpuId, kind: Kind<'fd>) -> Vm<'fd> {
        Vm { id, gpu, machine: machine.clone(), kind, mirrored: Mutex::default(), closed: AtomicBool::new(false) }
    }

    pub(crate) fn id(&self) -> VmId {
        self.id
    }

    pub(crate) fn gpu(&self) -> GpuId {
        self.gpu
    }

    #[inline]
    pub(crate) fn device(&self) -> &Gpu {
        self.machine.gpu(self.gpu).expect("a vm's GPU is one of its machine")
    }

    pub(crate) fn is_own(&self) -> bool {
        matches!(self.kind, Kind::Own(_))
    }

    /// The PAT index with which its mirror was bound, as far as it is known: own vms' always, borrowed ones' as the page
    /// at address 0 had it when it was attached.
    pub(crate) fn default_pat(&self) -> Option<u16> {
        match &self.kind {
            Kind::Own(_) => Some(self.device().write_back_pat()),
            Kind::Borrowed { pat, .. } => Some(*pat),
        }
    }

    /// Whether the kernel has it already.
    pub(crate) fn is_made(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
            && match &self.kind {
                Kind::Own(cell) => cell.get().is_some(),
                Kind::Borrowed { .. } => true,
            }
    }

    /// File and number for the kernel. Makes an own vm that is not there yet.
    #[inline]
    pub(crate) fn handle(&self) -> Result<(BorrowedFd<'_>, u32)> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed("vm"));
        }
        match &self.kind {
            Kind::Own(cell) => {
                let fd = self.device().device()?;
                let vm_id = cell.get_or_try_init(|| make(self.device(), fd))?;
                Ok((fd, *vm_id))
            }
            Kind::Borrowed { fd, vm_id, .. } => Ok((*fd, *vm_id)),
        }
    }

    /// What of `range` this vm mirrors, as far as the kernel shows: a buffer that somebody bound there counts as well.
    pub(crate) fn mirrors(&self, range: Range) -> Coverage {
        if self.is_own() {
            return Coverage::Whole;
        }
        let known = coverage(&self.mirrored.lock(), range);
        if known == Coverage::Whole || self.look_again().is_err() {
            return known;
        }
        coverage(&self.mirrored.lock(), range)
    }

    fn look_again(&self) -> io::Result<()> {
        let found = self.query(Range::ALL)?;
        *self.mirrored.lock() =
            found.iter().filter_map(|vma| Range::between(vma.start, vma.end.min(Range::ALL.end()))).collect();
        Ok(())
    }

    /// The kernel's attributes of `range`: whole GPU VMAs, not clipped.
    ///
    /// Their number can grow between asking for it and asking for them; then the kernel answers ENOSPC and both are
    /// asked again (`xe_vm_query_vmas_attrs_ioctl`, `xe_vm.c`).
    pub(crate) fn query(&self, range: Range) -> io::Result<Vec<drm_xe_mem_range_attr>> {
        let (fd, vm_id) = self.handle().map_err(into_io)?;
        let driver = self.machine.driver();
        let mut request =
            drm_xe_vm_query_mem_range_attr { vm_id, start: range.start(), range: range.len(), ..Default::default() };
        loop {
            driver.vm_query_mem_range_attrs(fd, &mut request, &mut [])?;
            let mut found = vec![drm_xe_mem_range_attr::default(); request.num_mem_ranges as usize];
            if found.is_empty() {
                return Ok(found);
            }
            match driver.vm_query_mem_range_attrs(fd, &mut request, &mut found) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    found.truncate(request.num_mem_ranges as usize);
                    return Ok(found);
                }
            }
        }
    }

    /// For `map_err`: the kernel's answer to [`Vm::query`].
    pub(crate) fn query_error(&self, range: Range) -> impl FnOnce(io::Error) -> Error {
        move |source| match source.raw_os_error() {
            Some(libc::EINVAL) if self.device().lacks(|known| known.attribute_query) => {
                Error::Unsupported("reading what a vm was told and what it mirrors")
            }
            _ => self.error("DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS", range)(source),
        }
    }

    /// PREFETCH of `range`, alone in its ioctl and without syncs: the data has moved, or has not, when it returns.
    /// `region` is an instance number of this GPU, 0 for the system, or DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC.
    pub(crate) fn prefetch(&self, range: Range, region: u32) -> io::Result<()> {
        let (fd, vm_id) = self.handle().map_err(into_io)?;
        let op = drm_xe_vm_bind_op {
            op: DRM_XE_VM_BIND_OP_PREFETCH,
            addr: range.start(),
            range: range.len(),
            prefetch_mem_region_instance: region,
            ..Default::default()
        };
        let bind = drm_xe_vm_bind { vm_id, num_binds: 1, bind: op, ..Default::default() };
        self.noticed(self.machine.driver().vm_bind(fd, &bind, BindSyncs::None))
    }

    /// MADVISE of this vm, whatever vm `advice` names.
    #[inline(always)]
    pub(crate) fn madvise(&self, mut advice: drm_xe_madvise, retained: Option<&mut u32>) -> io::Result<()> {
        let (fd, vm_id) = self.handle().map_err(into_io)?;
        advice.vm_id = vm_id;
        self.noticed(self.machine.driver().madvise(fd, &advice, retained))
    }

    /// Joins what advice has cut the mirror into: `range`, of default attributes by now, and its neighbours of default
    /// attributes become one mapping of the driver again. In an own vm; others' mirrors are left as they are.
    ///
    /// MADVISE only ever cuts. GPU mappings stay as they are (`xe_vm_alloc_vma`, `xe_vm.c`).
    pub(crate) fn join(&self, range: Range) -> io::Result<()> {
        if !self.is_own() {
            return Ok(());
        }
        let (fd, vm_id) = self.handle().map_err(into_io)?;
        let bind = mirror(self.device(), vm_id, range, 0);
        self.noticed(self.machine.driver().vm_bind(fd, &bind, BindSyncs::None))
    }

    /// ENODEV or EACCES may mean that this vm's GPU has gone: then its files go at once.
    #[inline(always)]
    fn noticed<T>(&self, answer: io::Result<T>) -> io::Result<T> {
        let errno = answer.as_ref().err().and_then(io::Error::raw_os_error);
        if matches!(errno, Some(libc::ENODEV | libc::EACCES)) {
            self.machine.find_lost(self.gpu);
        }
        answer
    }

    /// Destroys an own vm; lets go of a borrowed one. Doing it twice is nothing.
    pub(crate) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let Kind::Own(cell) = &self.kind else { return };
        if let (Some(vm_id), Ok(fd)) = (cell.get(), self.device().device()) {
            // It can only fail if the device is gone, and the vm with it.
            let _ = self.machine.driver().vm_destroy(fd, &drm_xe_vm_destroy { vm_id: *vm_id, ..Default::default() });
        }
    }

    /// For `map_err`: the kernel's answer to a call of this vm about `range`.
    pub(crate) fn error(&self, call: &'static str, range: Range) -> impl FnOnce(io::Error) -> Error {
        let what = format!("{range} in a vm of {}", self.gpu);
        move |source| Error::Kernel { call, what, source }
    }
}

impl Drop for Vm<'_> {
    fn drop(&mut self) {
        // A forked child's copy is not its own: the ids are its parent's.
        if memory::is_first_process() {
            self.close();
        }
    }
}

/// How much of a range a vm mirrors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coverage {
    Whole,
    Part,
    Nothing,
}

fn coverage(mirrored: &[Range], range: Range) -> Coverage {
    let bytes: u64 = mirrored.iter().filter_map(|part| part.intersection(range)).map(Range::len).sum();
    match bytes {
        0 => Coverage::Nothing,
        bytes if bytes == range.len() => Coverage::Whole,
        _ => Coverage::Part,
    }
}

/// Makes a fault-mode vm that mirrors all addresses of this process.
fn make(gpu: &Gpu, fd: BorrowedFd<'_>) -> Result<u32> {
    let driver: &dyn Driver = &**gpu.driver();
    let flags = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE;
    let mut vm = drm_xe_vm_create { flags, ..Default::default() };
    driver.vm_create(fd, &mut vm).map_err(Error::kernel("DRM_IOCTL_XE_VM_CREATE in fault mode", gpu.address()))?;
    // EFAULT is the answer to syncs that cannot be read, which come last: everything else was accepted.
    let autoreset = mirror(gpu, vm.vm_id, Range::ALL, DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET);
    let probe = driver.vm_bind(fd, &autoreset, BindSyncs::Unreadable);
    gpu.note_autoreset(probe.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT)));
    driver.vm_bind(fd, &mirror(gpu, vm.vm_id, Range::ALL, 0), BindSyncs::None).map_err(|source| {
        let _ = driver.vm_destroy(fd, &drm_xe_vm_destroy { vm_id: vm.vm_id, ..Default::default() });
        Error::Kernel { call: "DRM_IOCTL_XE_VM_BIND of a CPU address mirror", what: gpu.address().to_string(), source }
    })?;
    Ok(vm.vm_id)
}

/// The request that lets `range` of an own vm mirror the process.
///
/// Own mirrors do not reset advice by themselves (MADVISE_AUTORESET), even where the kernel can: it forgets the PAT index
/// of what it resets (`xe_vma_set_default_attributes`, `xe_svm.c`), warns in its log, and can leave all memory below the
/// reset piece with PAT index 0. `Space::reset` does it.
fn mirror(gpu: &Gpu, vm_id: u32, range: Range, flags: u32) -> drm_xe_vm_bind {
    let bind = drm_xe_vm_bind_op {
        op: DRM_XE_VM_BIND_OP_MAP,
        flags: DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR | flags,
        pat_index: gpu.write_back_pat(),
        addr: range.start(),
        range: range.len(),
        ..Default::default()
    };
    drm_xe_vm_bind { vm_id, num_binds: 1, bind, ..Default::default() }
}

/// An error of the library on its way through a function that speaks the kernel's language.
pub(crate) fn into_io(error: Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno())
}
