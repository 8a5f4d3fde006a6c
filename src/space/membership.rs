// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which vms a space has.

use super::{Inner, Space, State};
use crate::{
    advice,
    error::{Error, Result},
    location::GpuId,
    machine::Machine,
    range::Range,
    record::Record,
    uapi::memory,
    vm::{Vm, VmId},
    wish::{Change, Wish},
};
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

impl<'fd> Space<'fd> {
    /// A space without vms.
    pub fn empty(machine: &Machine) -> Result<Space<'fd>> {
        // Sets the mark by which a forked child is known.
        if !memory::is_first_process() {
            return Err(Error::Forked);
        }
        let state =
            State { vms: Arc::new([]), next: 0, closed: false, record: Record::default(), replaced: Vec::new() };
        Ok(Space(Arc::new(Inner { machine: machine.clone(), state: Mutex::new(state), pages: OnceCell::new() })))
    }

    /// A space with an own vm on each GPU that can mirror the process, made at first use.
    pub fn create(machine: &Machine) -> Result<Space<'fd>> {
        let space = Space::empty(machine)?;
        for gpu in machine.gpus().iter().filter(|gpu| gpu.can_mirror()) {
            space.add(gpu.id())?;
        }
        Ok(space)
    }

    /// A space of somebody else's vms: pairs of a device file and the number that its VM_CREATE gave.
    ///
    /// The files are borrowed and not duplicated. Refused: an fd that is no xe device of this machine, a number that the
    /// fd does not have, a vm that does not mirror the process, and every vm on a kernel that does not tell what they mirror.
    ///
    /// ```compile_fail
    /// # fn lend(machine: &xeplace::Machine, file: std::fs::File) -> xeplace::Result<()> {
    /// use std::os::fd::AsFd;
    /// let space = xeplace::Space::borrow(machine, &[(file.as_fd(), 1)])?;
    /// drop(file); // the space still uses it
    /// space.close();
    /// # Ok(()) }
    /// ```
    pub fn borrow(machine: &Machine, vms: &[(BorrowedFd<'fd>, u32)]) -> Result<Space<'fd>> {
        let space = Space::empty(machine)?;
        for (fd, vm_id) in vms {
            space.attach(*fd, *vm_id)?;
        }
        Ok(space)
    }

    /// Adds an own vm on `gpu`, made at first use.
    pub fn add(&self, gpu: GpuId) -> Result<VmId> {
        let device = self.machine().gpu(gpu)?;
        if !device.can_mirror() {
            return Err(Error::Unsupported("a vm that mirrors the process"));
        }
        self.join(|id| Ok(Vm::own(self.machine(), id, gpu)))
    }

    /// Adds somebody else's vm, which is told what is recorded of memory whose life is known.
    pub fn attach(&self, fd: BorrowedFd<'fd>, vm_id: u32) -> Result<VmId> {
        self.join(|id| Vm::borrowed(self.machine(), id, fd, vm_id))
    }

    /// Lets go of a vm. An own one is destroyed. A borrowed one is left, with what it was told; but advice on memory whose
    /// life is known is taken back, for nothing could [`reset`](Space::reset) it there when that memory goes.
    pub fn detach(&self, vm: VmId) -> Result<()> {
        let mut state = self.state()?;
        let (gone, left): (Vec<_>, Vec<_>) = state.vms.iter().cloned().partition(|found| found.id() == vm);
        let [gone] = &gone[..] else { return Err(Error::NotFound(vm.to_string())) };
        state.vms = left.into();
        let told = told_of_stable_memory(&state, vm);
        state.record.forget_vm(vm);
        drop(state);
        self.let_go(gone, told);
        Ok(())
    }

    /// Lets go of all vms, as [`Space::detach`] does. Every later call answers [`Error::Closed`]; closing again is
    /// nothing.
    pub fn close(&self) {
        if !memory::is_first_process() {
            return;
        }
        let vms = {
            let mut state = self.0.state.lock();
            state.closed = true;
            let vms = std::mem::replace(&mut state.vms, Arc::new([]));
            vms.iter().map(|vm| (vm.clone(), told_of_stable_memory(&state, vm.id()))).collect::<Vec<_>>()
        };
        for (vm, told) in vms {
            self.let_go(&vm, told);
        }
    }

    fn let_go(&self, vm: &Vm<'_>, told: Vec<(Range, Wish)>) {
        for (range, wish) in told.into_iter().filter(|_| !vm.is_own()) {
            // A vm that refuses has gone, with all that it was told.
            let _ = advice::untell(self.machine(), vm, range, Some(wish));
        }
        vm.close();
    }

    /// The vms of this space, each with its GPU.
    pub fn members(&self) -> Result<Vec<(VmId, GpuId)>> {
        Ok(self.vms()?.iter().map(|vm| (vm.id(), vm.gpu())).collect())
    }

    /// The device file and the number of a vm, for work of the caller's own. An own vm is made if it was not.
    pub fn with_handle<T>(&self, vm: VmId, work: impl FnOnce(BorrowedFd<'_>, u32) -> T) -> Result<T> {
        let vms = self.vms()?;
        let found = vms.iter().find(|found| found.id() == vm).ok_or_else(|| Error::NotFound(vm.to_string()))?;
        let (fd, vm_id) = found.handle()?;
        Ok(work(fd.as_fd(), vm_id))
    }

    fn join(&self, make: impl FnOnce(VmId) -> Result<Vm<'fd>>) -> Result<VmId> {
        let id = {
            let mut state = self.state()?;
            let id = VmId(state.next);
            state.next += 1;
            id
        };
        let vm = Arc::new(make(id)?);
        let known = {
            let mut state = self.state()?;
            state.vms = state.vms.iter().cloned().chain([vm.clone()]).collect();
            stable_wishes(&state)
        };
        if !known.is_empty() {
            self.replay(&vm, known)?;
        }
        Ok(id)
    }

    /// Tells a newcomer what the others were told of memory whose life is known. Of other memory it is told nothing: what
    /// is recorded of it may be about memory that has gone.
    fn replay(&self, vm: &Arc<Vm<'fd>>, known: Vec<(Range, Wish)>) -> Result<()> {
        for (range, wish) in known {
            let answer = advice::tell(self.machine(), vm, range, wish);
            if answer.is_ok() {
                self.state()?.record.tell(range, [vm.id()].into_iter(), Change::to(wish));
            }
        }
        Ok(())
    }
}

/// What `vm` was told of stable memory.
fn told_of_stable_memory(state: &State<'_>, vm: VmId) -> Vec<(Range, Wish)> {
    let stable = state.record.inside(Range::ALL).filter(|(_, found)| found.stable);
    stable.filter_map(|(range, found)| Some((range, found.wish(vm)?))).collect()
}

/// What all vms were told alike of stable memory.
fn stable_wishes(state: &State<'_>) -> Vec<(Range, Wish)> {
    let stable = state.record.inside(Range::ALL).filter(|(_, found)| found.stable);
    let agreed = stable.filter_map(|(range, found)| {
        let ((_, first), rest) = found.wishes().split_first()?;
        rest.iter().all(|(_, wish)| wish == first).then_some((range, *first))
    });
    agreed.collect()
}
