// SPDX-License-Identifier: MIT OR Apache-2.0
//! Through Rust.

use super::*;
use std::{
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};
use xeplace::{
    Advice, Error, Explanation, Files, GpuId, Layout, Outcome, PrefetchJob, Sim, Verdict,
    driver::{Driver, Kernel, Older},
    sim::Fault,
};

pub struct Machine(xeplace::Machine);

fn errno(error: Error) -> i32 {
    error.errno()
}

fn around((address, length): Span) -> Result<Range> {
    Range::around(address, length).map_err(errno)
}

impl Machine {
    pub fn host() -> Result<Machine> {
        xeplace::Machine::open().map(Machine).map_err(errno)
    }

    pub fn simulated(text: &str) -> Result<Machine> {
        xeplace::Machine::simulated(text).map(Machine).map_err(errno)
    }

    pub fn older_host(features: Features) -> Result<Machine> {
        let driver = Older::new(Arc::new(Kernel::default()), features);
        xeplace::Machine::open_with(Arc::new(driver), Files::host()).map(Machine).map_err(errno)
    }

    /// A simulated machine that has everything, behind a filter.
    pub fn filtered(text: &str, features: Features) -> Result<Machine> {
        let whole = xeplace::Machine::simulated(text).map_err(errno)?;
        let driver = Older::new(whole.simulation().unwrap().clone(), features);
        xeplace::Machine::open_with(Arc::new(driver), whole.files().clone()).map(Machine).map_err(errno)
    }

    pub fn recorded(directory: &str) -> Result<Machine> {
        xeplace::Machine::recorded(directory).map(Machine).map_err(errno)
    }

    fn sim(&self) -> &Arc<Sim> {
        self.0.simulation().unwrap()
    }
}

impl super::Machine for Machine {
    fn gpu_count(&self) -> u32 {
        self.0.gpus().len() as u32
    }

    fn groups(&self) -> Vec<u32> {
        let groups = self.0.groups();
        let number = |id| groups.iter().position(|group| group.gpus.contains(&id)).unwrap() as u32;
        self.0.gpus().iter().map(|gpu| number(gpu.id())).collect()
    }

    fn link(&self, from: u32, to: u32) -> Result<(bool, String)> {
        let link = self.0.link(GpuId(from), GpuId(to)).map_err(errno)?;
        Ok((link.verdict == Verdict::Connected, link.to_string()))
    }

    fn probe_link(&self, from: u32, to: u32) -> Result<bool> {
        let link = self.0.probe_link(GpuId(from), GpuId(to)).map_err(errno)?;
        Ok(link.verdict == Verdict::Connected)
    }

    fn capabilities(&self, gpu: u32) -> Result<Vec<(&'static str, Support)>> {
        Ok(self.0.gpu(GpuId(gpu)).unwrap().capabilities().map_err(errno)?.list().to_vec())
    }

    fn is_lost(&self, gpu: u32) -> bool {
        self.0.gpu(GpuId(gpu)).unwrap().is_lost()
    }

    fn record(&self, directory: &str) -> Result<()> {
        self.0.record(directory).map_err(errno)
    }

    fn space(&self) -> Result<Box<dyn super::Space>> {
        Ok(Box::new(Space(xeplace::Space::create(&self.0).map_err(errno)?)))
    }

    fn empty_space(&self) -> Result<Box<dyn super::Space>> {
        Ok(Box::new(Space(xeplace::Space::empty(&self.0).map_err(errno)?)))
    }

    fn cpu_touched(&self, span: Span) {
        if let Some(sim) = self.0.simulation() {
            sim.cpu_touched(around(span).unwrap(), Access::Write);
        }
    }

    fn unmapped(&self, span: Span) {
        if let Some(sim) = self.0.simulation() {
            sim.unmapped(around(span).unwrap());
        }
    }

    fn pin(&self, span: Span) {
        self.sim().pin(around(span).unwrap());
    }

    fn fill_vram(&self, region: Region, bytes: u64) {
        self.sim().fill_vram(region, bytes).unwrap();
    }

    fn unplug(&self, gpu: u32) {
        self.sim().unplug(GpuId(gpu)).unwrap();
    }

    fn replug(&self, gpu: u32) {
        self.sim().replug(GpuId(gpu)).unwrap();
    }

    fn privileged(&self, privileged: bool) {
        self.sim().privileged(privileged);
    }

    fn inject(&self, call: Call, skip: u32, times: u32, errno: i32) {
        self.sim().inject(Fault { call, skip, times, errno });
    }

    fn counted(&self, gpu: u32) -> Counted {
        let all = self.sim().counters();
        let found = &all.gpus[gpu as usize];
        let at_peers = all.links.iter().filter(|((user, _), _)| *user == GpuId(gpu));
        Counted {
            page_faults: found.page_faults,
            bytes_in: found.bytes_in,
            bytes_at_peers: at_peers.map(|(_, link)| link.bytes_in_place).sum(),
            calls: all.calls.values().sum(),
        }
    }
}

struct Space(xeplace::Space<'static>);

impl super::Space for Space {
    fn add(&self, gpu: u32) -> Result<VmId> {
        self.0.add(GpuId(gpu)).map_err(errno)
    }

    fn borrow(&self, runtime: &dyn super::Space, vm: VmId, other_number: Option<u32>) -> Result<VmId> {
        let Space(runtime) = runtime.as_any().downcast_ref().unwrap();
        let own = |fd: BorrowedFd<'_>, number| (fd.try_clone_to_owned().unwrap(), number);
        let (file, number) = runtime.with_handle(vm, own).map_err(errno)?;
        // The runtime of this test keeps its file for good.
        let file: &'static OwnedFd = Box::leak(Box::new(file));
        self.0.attach(file.as_fd(), other_number.unwrap_or(number)).map_err(errno)
    }

    fn detach(&self, vm: VmId) -> Result<()> {
        self.0.detach(vm).map_err(errno)
    }

    fn members(&self) -> Result<Vec<(VmId, u32)>> {
        let members = self.0.members().map_err(errno)?;
        Ok(members.into_iter().map(|(vm, gpu)| (vm, gpu.0)).collect())
    }

    fn number(&self, vm: VmId) -> Result<u32> {
        self.0.with_handle(vm, |_, number| number).map_err(errno)
    }

    fn declare_stable(&self, span: Span) -> Result<()> {
        self.0.declare_stable(around(span)?).map_err(errno)
    }

    fn touch(&self, gpu: u32, span: Span, access: Access) -> Result<()> {
        self.0.touch(GpuId(gpu), around(span)?, access).map_err(errno)
    }

    fn advise(&self, span: Span, wish: &Wish) -> Result<Told> {
        let report = self.0.advise(around(span)?, advice(wish)).map_err(errno)?;
        Ok(Told {
            range: report.range,
            location: report.location,
            step: report.step,
            elided: report.elided,
            warnings: report.warnings,
            answers: report.answers.to_vec(),
            passed_over: report.refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            accepted: report.accepted().map(drop).map_err(errno),
        })
    }

    fn advise_often(&self, span: Span, location: Location, times: u32) {
        for _ in 0..times {
            assert!(self.0.advise(around(span).unwrap(), Advice::prefer(location)).unwrap().elided);
        }
    }

    fn reset(&self, span: Span) -> Result<()> {
        self.0.reset(around(span)?).map_err(errno)
    }

    fn prefetch(&self, span: Span, order: &Order) -> Result<Moved> {
        let mut job = self.start(span, order)?;
        let mut steps = 0;
        let patience = |_| {
            steps += 1;
            if Some(steps) == order.patience { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        job.run(patience).map(moved).map_err(errno)
    }

    fn start_prefetch(&self, span: Span, order: &Order) -> Result<Box<dyn super::Job>> {
        Ok(Box::new(Job(self.start(span, order)?)))
    }

    fn residency(&self, span: Span) -> Result<Vec<Run>> {
        Ok(self.0.residency(around(span)?).map_err(errno)?.runs)
    }

    fn attributes(&self, span: Span) -> Result<Vec<AttributeRun>> {
        self.0.attributes(around(span)?).map_err(errno)
    }

    fn explain(&self, span: Span) -> Result<Vec<Explained>> {
        let found = self.0.explain(around(span)?).map_err(errno)?.into_iter();
        let explained = found.map(|Explanation { range, wished, place, obstacles, .. }| Explained {
            range,
            wished,
            place,
            obstacles,
        });
        Ok(explained.collect())
    }

    fn allocate(&self, length: u64, shares: &[(Location, u64)], stripe: Option<u64>) -> Result<Box<dyn super::Memory>> {
        let shares = shares.iter().copied();
        let layout = match stripe {
            Some(bytes) => Layout::interleave(bytes, shares),
            None => Layout::shard(shares),
        };
        Ok(Box::new(Memory(self.0.allocate(length, layout).map_err(errno)?)))
    }

    fn close(&self) {
        self.0.close();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Space {
    fn start(&self, span: Span, order: &Order) -> Result<PrefetchJob<'static>> {
        let map_for: Vec<GpuId> = order.map_for.iter().copied().map(GpuId).collect();
        self.0.start_prefetch(around(span)?, order.to, &map_for, order.chunk).map_err(errno)
    }
}

fn advice(wish: &Wish) -> Advice {
    let mut advice = Advice::new();
    for location in &wish.locations {
        advice = advice.or(*location);
    }
    if let Some(mode) = wish.atomics {
        advice = advice.atomics(mode);
    }
    if let Some(policy) = wish.policy {
        advice = advice.migration_policy(policy);
    }
    if let Some(purgeable) = wish.purgeable {
        advice = advice.purgeable(purgeable);
    }
    if let Some(gpus) = &wish.gpus {
        advice = advice.for_gpus(&gpus.iter().copied().map(GpuId).collect::<Vec<_>>());
    }
    if wish.strict { advice.strict() } else { advice }
}

fn moved(outcome: Outcome) -> Moved {
    Moved {
        in_place: outcome.bytes_in_place,
        elsewhere: outcome.bytes_elsewhere,
        stays: outcome.stays.clone(),
        unmapped: outcome.unmapped.clone(),
        completed: outcome.completed().map(drop).map_err(errno),
    }
}

struct Memory(xeplace::Memory<'static>);

impl super::Memory for Memory {
    fn span(&self) -> Span {
        (self.0.range().start(), self.0.range().len())
    }
}

struct Job(PrefetchJob<'static>);

impl super::Job for Job {
    fn step(&mut self) -> Result<(u64, u64)> {
        let progress = self.0.step().map_err(errno)?;
        Ok((progress.done, progress.total))
    }

    fn cancel(&mut self) {
        self.0.cancel();
    }

    fn outcome(&mut self) -> Result<Moved> {
        self.0.outcome().map(moved).map_err(errno)
    }
}
