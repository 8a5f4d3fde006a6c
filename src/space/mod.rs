// SPDX-License-Identifier: MIT OR Apache-2.0
//! All the vms that mirror this process, and what is wished of its memory.

mod advising;
mod looking;
mod membership;
mod moving;

pub use moving::PrefetchJob;

use crate::{
    driver::{Access, Driver, MemoryPolicy},
    error::{Error, Result},
    location::GpuId,
    machine::Machine,
    mappings::mappings,
    range::Range,
    record::Record,
    residency::PageTable,
    uapi::memory,
    vm::{Vm, VmId},
};
use once_cell::sync::OnceCell;
use parking_lot::{Mutex, MutexGuard};
use std::{path::Path, sync::Arc};

/// All the vms that mirror this process, the library's own and borrowed ones, and what is wished of its memory.
///
/// A clone is the same space. It can be used from any thread; its one lock is never held across a call to the kernel.
/// Two threads that advise overlapping ranges at the same time must agree on an order between themselves, as with
/// `madvise(2)`: the last one wins, for each vm by itself.
///
/// # Own vms
///
/// A vm of the library's own keeps its GPU awake, and the first one on a GPU costs system memory: one 64-byte
/// `struct page` for each 4 KiB of its VRAM, which is VRAM/64. So they are made at first use, all at once for advice to
/// the whole space.
///
/// # After fork
///
/// The vms go on mirroring the parent's memory. In a child every call answers [`Error::Forked`].
///
/// Pages that are in VRAM at the fork are shared with the child, and a GPU's write in the parent does not break that
/// sharing: the child sees it (`mm/hmm.c`). Memory that GPUs write and children must not see is mapped with
/// `MADV_DONTFORK`, or brought to [`Location::System`](crate::Location::System) before the fork.
#[derive(Clone, Debug)]
pub struct Space<'fd>(Arc<Inner<'fd>>);

#[derive(Debug)]
struct Inner<'fd> {
    machine: Machine,
    state: Mutex<State<'fd>>,
    pages: OnceCell<Arc<PageTable>>,
}

#[derive(Debug)]
struct State<'fd> {
    vms: Vms<'fd>,
    next: u32,
    closed: bool,
    record: Record,
    /// The NUMA policies that wishes for host nodes have replaced.
    replaced: Vec<(Range, MemoryPolicy)>,
}

/// The vms of a space, or those that one call is about.
type Vms<'fd> = Arc<[Arc<Vm<'fd>>]>;

impl<'fd> Space<'fd> {
    /// The machine that the space is on.
    pub fn machine(&self) -> &Machine {
        &self.0.machine
    }

    /// From now on, nobody unmaps or re-uses any of `range`, or of the 2 MiB blocks that it touches, without
    /// [`Space::reset`] first.
    ///
    /// Advice that the record already holds then costs no call to the kernel, and a vm that joins later is told it.
    pub fn declare_stable(&self, range: Range) -> Result<()> {
        self.state()?.record.set_stable(range, true);
        Ok(())
    }

    /// Lets a GPU touch each page of `range`, on its copy engine, and waits for it.
    ///
    /// For warming up and for tests: pages that are not mapped for the GPU fault, and come to where its vm was told.
    /// [`Access::Write`] and [`Access::Atomic`] change the first word of each page.
    ///
    /// Refused, because the driver would never end the fault or would end the queue: memory that is not mapped, that the
    /// CPU may not write (GPUs may not even read it through a mirror), or with a guard page in the same 2 MiB block.
    pub fn touch(&self, gpu: GpuId, range: Range, access: Access) -> Result<()> {
        let vm = self.vm_of(gpu)?;
        self.check_touchable(range)?;
        let handle = vm.handle()?;
        let answer = self.driver().gpu_touch(handle, range, access);
        if access != Access::Read {
            // Whatever the wish, a store or an atomic may have moved the pages to the GPU's own VRAM.
            self.state()?.record.place(range, None);
        }
        answer.map_err(vm.error("access on the copy engine", range))
    }

    fn check_touchable(&self, range: Range) -> Result<()> {
        let mapped = mappings(self.machine().files(), Path::new("/proc/self"), range)?;
        let writable: u64 =
            mapped.iter().filter(|found| found.readable && found.writable).map(|found| found.range.len()).sum();
        if writable < range.len() {
            return Err(Error::Invalid(format!("not all of {range} is mapped for reading and writing")));
        }
        match self.pages()?.guards(range.blocks())?.first() {
            Some(guard) => Err(Error::Invalid(format!("a guard page at {guard} lies in a block of {range}"))),
            None => Ok(()),
        }
    }

    fn driver(&self) -> &dyn Driver {
        &**self.0.machine.driver()
    }

    /// The state of an open space of this very process.
    fn state(&self) -> Result<MutexGuard<'_, State<'fd>>> {
        if !memory::is_first_process() {
            return Err(Error::Forked);
        }
        let state = self.0.state.lock();
        if state.closed { Err(Error::Closed("space")) } else { Ok(state) }
    }

    fn vms(&self) -> Result<Vms<'fd>> {
        Ok(self.state()?.vms.clone())
    }

    /// The vms of `gpus`, or all of them, made if they were not.
    fn chosen(&self, gpus: Option<&[GpuId]>) -> Result<Vms<'fd>> {
        let chosen = self.state()?.pick(gpus).map_err(|missing| self.why_no_vm(missing))?;
        for vm in chosen.iter() {
            vm.handle()?;
        }
        Ok(chosen)
    }

    /// A vm is missing: where no GPU can have one, for want of support.
    fn why_no_vm(&self, missing: Error) -> Error {
        let gpus = self.machine().gpus();
        if gpus.is_empty() || gpus.iter().any(|gpu| gpu.can_mirror()) {
            return missing;
        }
        Error::Unsupported("a vm that mirrors the process")
    }

    fn vm_of(&self, gpu: GpuId) -> Result<Arc<Vm<'fd>>> {
        Ok(self.chosen(Some(&[gpu]))?[0].clone())
    }

    fn pages(&self) -> Result<&Arc<PageTable>> {
        drop(self.state()?);
        self.0.pages.get_or_try_init(|| PageTable::open(&self.0.machine, "/proc/self").map(Arc::new))
    }
}

impl<'fd> State<'fd> {
    /// The vms of `gpus`, or all of them; there is at least one.
    fn pick(&self, gpus: Option<&[GpuId]>) -> Result<Vms<'fd>> {
        let chosen = match gpus {
            None => self.vms.clone(),
            Some(gpus) => {
                let has = |gpu: &GpuId| self.vms.iter().any(|vm| vm.gpu() == *gpu);
                if let Some(unknown) = gpus.iter().find(|gpu| !has(gpu)) {
                    return Err(Error::NotFound(format!("vm of {unknown} in this space")));
                }
                self.vms.iter().filter(|vm| gpus.contains(&vm.gpu())).cloned().collect()
            }
        };
        if chosen.is_empty() { Err(Error::NotFound("vm in this space".to_owned())) } else { Ok(chosen) }
    }

    fn ids(&self) -> impl Iterator<Item = VmId> + Clone + '_ {
        self.vms.iter().map(|vm| vm.id())
    }
}
