// SPDX-License-Identifier: MIT OR Apache-2.0
//! One of the two machines that a scenario runs on: the driver's or the simulated one. What the kernel sees by itself,
//! the simulation is told.

use crate::{
    step::{Call, Part, Place, Step, Wish},
    view,
    window::{self, PAGES, Window},
};
use std::{
    fs,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
};
use xeplace::{
    Advice, BLOCK, GpuId, Machine, MigrationPolicy, Range, Region, Sim, Space,
    driver::{Access, BindSyncs, Driver, Kernel, Mapping},
    uapi::*,
};

/// What a step came to, in words that are the same wherever the memory lies.
pub type Said = Result<String, String>;

pub struct World {
    pub machine: Machine,
    pub space: Space<'static>,
    pub window: Window,
    /// A file of each GPU, by which bare calls name it.
    files: Vec<Option<OwnedFd>>,
    /// Who else has memory in VRAM.
    others: Vec<(Space<'static>, Mapping)>,
}

impl World {
    /// Nothing has happened yet on `machine`, of whose memory the window at `base` is used.
    pub fn new(machine: &Machine, base: u64) -> World {
        let space = Space::create(machine).expect("a space");
        let mut world =
            World { machine: machine.clone(), space, window: Window::at(base), files: Vec::new(), others: Vec::new() };
        let driver = world.driver();
        let open = |gpu: &xeplace::Gpu| Some(driver.open(gpu.node()).expect("a GPU's file"));
        world.files = machine.gpus().iter().map(open).collect();
        world
    }

    /// Does `step`, and says what came of it.
    pub fn perform(&mut self, step: &Step) -> String {
        match self.act(step) {
            Ok(said) => said,
            Err(refused) => format!("refused: {refused}"),
        }
    }

    fn act(&mut self, step: &Step) -> Said {
        match step {
            Step::Map(part, sharing) => done(self.window.map(*part, *sharing)),
            Step::Unmap(part) => {
                let gone = self.window.unmap(*part).map_err(errno)?;
                self.tell(&gone, |sim, range| sim.unmapped(range))
            }
            Step::Remap(part) => self.remap(*part),
            Step::Protect(part, protection) => {
                let changed = self.window.protect(*part, *protection).map_err(errno)?;
                self.tell(&changed, |sim, range| sim.protected(range))
            }
            Step::Discard(part) => {
                let gone = self.window.discard(*part).map_err(errno)?;
                self.tell(&gone, |sim, range| sim.discarded(range))
            }
            Step::Guard(part) => self.guard(*part, true),
            Step::Unguard(part) => self.guard(*part, false),
            Step::Cpu(access, part) => {
                let touched = self.window.touch(*part, *access);
                let driver = self.driver();
                touched.iter().for_each(|run| driver.cpu_touched(self.window.range(*run), *access));
                Ok("done".to_owned())
            }
            Step::Gpu(gpu, access, part) => self.gpu_touch(GpuId(*gpu), *access, *part),
            Step::Advise(part, wish) => self.advise(*part, wish),
            Step::Prefetch(part, to, gpus) => {
                let to = to.location(&self.machine);
                let outcome = self.space.prefetch(self.window.range(*part), to, &ids(gpus));
                outcome.map(|outcome| view::outcome(&self.window, &outcome)).map_err(view::error)
            }
            Step::Reset(part) => {
                let reset = self.space.reset(self.window.range(*part));
                reset.map(|()| "done".to_owned()).map_err(view::error)
            }
            Step::Fork => {
                window::fork().map_err(errno)?;
                let everything = self.window.mapped(Part { page: 0, pages: PAGES });
                self.tell(&everything, |sim, range| sim.protected(range))
            }
            Step::Pressure(gpu) => self.press(GpuId(*gpu)),
            Step::Unplug(gpu) => self.unplug(GpuId(*gpu)),
            Step::Call(gpu, call, part) => self.call(GpuId(*gpu), *call, *part),
        }
    }

    /// Moves what is mapped of `part`; what was at the new place ends.
    fn remap(&mut self, part: Part) -> Said {
        for from in self.window.mapped(part) {
            let Some(to) = Window::elsewhere(from) else { continue };
            let replaced = self.window.unmap(to).map_err(errno)?;
            self.tell(&replaced, |sim, range| sim.unmapped(range))?;
            self.window.remap(from, to).map_err(errno)?;
            let there = self.window.range(to).start();
            self.tell(&[from], |sim, range| sim.remapped(range, there))?;
        }
        Ok("done".to_owned())
    }

    /// The simulation has guards of its own; pages are given back all the same.
    fn guard(&mut self, part: Part, guard: bool) -> Said {
        let runs = self.window.guard(part, guard);
        match self.machine.simulation() {
            Some(_) if guard => {
                for run in &runs {
                    self.window.discard(*run).map_err(errno)?;
                }
                self.tell(&runs, |sim, range| sim.guard(range))
            }
            Some(_) => self.tell(&runs, |sim, range| sim.unguard(range)),
            None => done(self.window.install_guards(&runs, guard)),
        }
    }

    /// With the page faults that it took.
    fn gpu_touch(&self, gpu: GpuId, access: Access, part: Part) -> Said {
        let faults = || self.machine.gpu(gpu).and_then(|gpu| gpu.counters()).map(|found| found.page_faults);
        let before = faults().map_err(view::error)?;
        self.space.touch(gpu, self.window.range(part), access).map_err(|refused| {
            self.lost_queue(refused.errno());
            view::error(refused)
        })?;
        Ok(format!("{} faults", faults().map_err(view::error)? - before))
    }

    fn advise(&self, part: Part, wish: &Wish) -> Said {
        let mut advice = Advice::new();
        for place in &wish.prefer {
            advice = advice.or(place.location(&self.machine));
        }
        if let Some(mode) = wish.atomics {
            advice = advice.atomics(mode);
        }
        if wish.only_system_pages {
            advice = advice.migration_policy(MigrationPolicy::OnlySystemPages);
        }
        if let Some(index) = wish.pat {
            advice = advice.pat(index);
        }
        if !wish.gpus.is_empty() {
            advice = advice.for_gpus(&ids(&wish.gpus));
        }
        let report = self.space.advise(self.window.range(part), advice);
        report.map(|report| view::report(&report)).map_err(view::error)
    }

    /// Others fill a GPU's VRAM, push out what was there, and leave a quarter.
    fn press(&mut self, gpu: GpuId) -> Said {
        let region = self.vram(gpu);
        let total = self.machine.memory(region).map_err(view::error)?.total & !(BLOCK - 1);
        let mut memory = Mapping::anonymous(total as usize, BLOCK as usize, false).map_err(errno)?;
        memory.madvise(0, total as usize, libc::MADV_NOHUGEPAGE).map_err(errno)?;
        memory.bytes_mut().iter_mut().step_by(BLOCK as usize).for_each(|byte| *byte = 1);
        let space = Space::empty(&self.machine).map_err(view::error)?;
        space.add(gpu).map_err(view::error)?;
        let range = Range::new(memory.start(), total).map_err(view::error)?;
        space.prefetch(range, region, &[]).map_err(view::error)?;
        let (memory, left) = memory.split(total as usize / 4 * 3);
        self.driver().unmap(left);
        self.others.push((space, memory));
        Ok("done".to_owned())
    }

    /// The files that would keep a lost GPU's vms alive are closed: a notifier that calls them is a kernel oops.
    fn unplug(&mut self, gpu: GpuId) -> Said {
        self.files[gpu.0 as usize] = None;
        match self.machine.simulation() {
            Some(sim) => sim.unplug(gpu).map_err(view::error)?,
            None => {
                let address = self.machine.gpu(gpu).map_err(view::error)?.address().to_string();
                fs::write("/sys/bus/pci/drivers/xe/unbind", address).map_err(errno)?;
            }
        }
        Ok("done".to_owned())
    }

    /// One request to the vm of `gpu`, as it is.
    fn call(&self, gpu: GpuId, call: Call, part: Part) -> Said {
        let members = self.space.members().map_err(view::error)?;
        let (vm, _) = members.into_iter().find(|(_, member)| *member == gpu).ok_or("no such vm")?;
        let range = self.window.range(part);
        let driver = self.driver();
        let answer = self.space.with_handle(vm, |fd, vm_id| match call {
            Call::Prefer(place) => {
                let (number, region_instance) = self.number(place);
                let place = drm_xe_madvise_preferred_mem_loc {
                    devmem_fd: number as u32,
                    region_instance,
                    ..Default::default()
                };
                let advice = drm_xe_madvise::preferred_mem_loc(vm_id, range.start(), range.len(), place);
                driver.madvise(fd, &advice, None)
            }
            Call::Atomics(mode) => {
                let value = drm_xe_madvise_value { val: mode as u32, pad: 0, reserved: 0 };
                let kind = DRM_XE_MEM_RANGE_ATTR_ATOMIC;
                driver.madvise(fd, &drm_xe_madvise::attribute(vm_id, range.start(), range.len(), kind, value), None)
            }
            Call::Prefetch(region) => {
                let prefetch_mem_region_instance = region.unwrap_or(DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC);
                let op = DRM_XE_VM_BIND_OP_PREFETCH;
                bind(&*driver, (fd, vm_id), range, drm_xe_vm_bind_op { op, prefetch_mem_region_instance, ..plain() })
            }
            Call::Touch(access) => driver.gpu_touch((fd, vm_id), range, access),
            Call::Mirror => {
                let (op, flags) = (DRM_XE_VM_BIND_OP_MAP, DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR);
                bind(&*driver, (fd, vm_id), range, drm_xe_vm_bind_op { op, flags, pat_index: WRITE_BACK, ..plain() })
            }
            Call::Unmirror => {
                let op = DRM_XE_VM_BIND_OP_UNMAP;
                bind(&*driver, (fd, vm_id), range, drm_xe_vm_bind_op { op, ..plain() })
            }
        });
        let answer = answer.map_err(view::error)?;
        done(answer.inspect_err(|refused| self.lost_queue(refused.raw_os_error().unwrap_or(0))))
    }

    /// A fault that the driver could not serve has cost a queue, and the kernel says so.
    fn lost_queue(&self, errno: i32) {
        if errno == libc::EIO && self.machine.simulation().is_none() {
            println!("rig: expects kernel log Engine memory CAT error|Timedout job");
        }
    }

    /// A location as MADVISE names it: descriptor and region.
    fn number(&self, place: Place) -> (i32, u16) {
        match place {
            Place::Default => (DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE as i32, 0),
            Place::System | Place::Node(_) => (DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM as i32, 0),
            Place::Vram(gpu) => {
                let file = self.files[gpu as usize].as_ref();
                (file.map_or(CLOSED, |file| file.as_raw_fd()), 1)
            }
        }
    }

    /// The GPU whose file has this number here.
    pub fn named(&self, number: i32) -> Option<usize> {
        self.files.iter().position(|file| file.as_ref().is_some_and(|file| file.as_raw_fd() == number))
    }

    fn vram(&self, gpu: GpuId) -> Region {
        self.machine.gpu(gpu).and_then(|gpu| gpu.region(0)).expect("a GPU with VRAM")
    }

    pub fn driver(&self) -> Arc<dyn Driver> {
        match self.machine.simulation() {
            Some(simulation) => simulation.clone(),
            None => Arc::new(Kernel::default()),
        }
    }

    /// The kernel has seen what happened to `runs`; the simulation is told.
    fn tell(&self, runs: &[Part], word: impl Fn(&Sim, Range)) -> Said {
        if let Some(simulation) = self.machine.simulation() {
            runs.iter().for_each(|run| word(simulation, self.window.range(*run)));
        }
        Ok("done".to_owned())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let driver = self.driver();
        for (space, memory) in self.others.drain(..) {
            driver.unmap(memory);
            drop(space);
        }
        let _ = self.act(&Step::Unmap(Part { page: 0, pages: PAGES }));
    }
}

/// The PAT index of the library's own mirrors: written back and coherent, on Xe2.
const WRITE_BACK: u16 = 2;
/// No open file has this number.
const CLOSED: i32 = i32::MAX;

fn plain() -> drm_xe_vm_bind_op {
    drm_xe_vm_bind_op::default()
}

fn bind(
    driver: &dyn Driver,
    (fd, vm_id): (std::os::fd::BorrowedFd<'_>, u32),
    range: Range,
    op: drm_xe_vm_bind_op,
) -> std::io::Result<()> {
    let op = drm_xe_vm_bind_op { addr: range.start(), range: range.len(), ..op };
    let bind = drm_xe_vm_bind { vm_id, num_binds: 1, bind: op, ..Default::default() };
    driver.vm_bind(fd.as_fd(), &bind, BindSyncs::None)
}

fn ids(gpus: &[u32]) -> Vec<GpuId> {
    gpus.iter().map(|gpu| GpuId(*gpu)).collect()
}

fn done(answer: std::io::Result<()>) -> Said {
    answer.map(|()| "done".to_owned()).map_err(errno)
}

pub fn errno(error: std::io::Error) -> String {
    format!("errno {}", error.raw_os_error().unwrap_or(0))
}
