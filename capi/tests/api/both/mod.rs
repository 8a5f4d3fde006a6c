// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library as seen through Rust and through C: one set of words, so that one test runs over both.

#![allow(dead_code, reason = "each test program uses some of it")]

mod c;
mod older;
mod rust;

use std::any::Any;
use xeplace::{
    Answer, Atomics, AttributeRun, Location, MigrationPolicy, Obstacle, Place, Range, Region, Run, Stay, Step, Support,
    Unmapped, VmId, Warnings,
    driver::{Access, Features},
    sim::Call,
};

/// What went wrong: a positive errno.
pub type Result<T, E = i32> = std::result::Result<T, E>;

/// Addresses and lengths as a caller gives them: nothing says that they make sense.
pub type Span = (u64, u64);

pub const MIB: u64 = 1 << 20;

/// Runs `test` over the Rust API and over the C API, each on a machine of its own: simulated ones, or, with
/// `XEPLACE_TEST_HOST=1`, this host, which must have two GPUs that reach each other.
pub fn each_api(machine: &str, test: impl Fn(&dyn Machine)) {
    if std::env::var_os("XEPLACE_TEST_HOST").is_none() {
        return each_simulated(machine, test);
    }
    eprintln!("through Rust, on this host:");
    test(&rust::Machine::host().unwrap());
    eprintln!("through C, on this host:");
    test(&c::Machine::host().unwrap());
}

/// The same for tests that let the simulated machine fail, or look behind it.
pub fn each_simulated(machine: &str, test: impl Fn(&dyn Machine)) {
    eprintln!("through Rust:");
    test(&rust::Machine::simulated(machine).unwrap());
    eprintln!("through C:");
    test(&c::Machine::simulated(machine).unwrap());
}

/// The same on a kernel that has no more than `features`: a simulated one, or this host's behind a filter.
pub fn each_older(machine: &str, features: Features, test: impl Fn(&dyn Machine)) {
    if std::env::var_os("XEPLACE_TEST_HOST").is_none() {
        let lacks = Features::NAMES.iter().filter(|(_, feature)| !features.contains(*feature));
        let names: Vec<&str> = lacks.map(|(name, _)| *name).collect();
        let without = if names.is_empty() { String::new() } else { format!("without={} ", names.join(",")) };
        each_simulated(&(without + machine), &test);
        eprintln!("through Rust and a filter:");
        return test(&rust::Machine::filtered(machine, features).unwrap());
    }
    eprintln!("through Rust, on this host before its time:");
    test(&rust::Machine::older_host(features).unwrap());
    eprintln!("through C, on this host before its time:");
    test(&c::Machine::older_host(features).unwrap());
}

/// What each API says to a machine string that is none, and to a directory that holds no recording.
pub fn each_refusal(text: &str) -> [i32; 2] {
    [rust::Machine::simulated(text).err().unwrap_or(0), c::Machine::simulated(text).err().unwrap_or(0)]
}

/// What each API says to a recording.
pub fn each_recorded(directory: &str) -> [Result<Box<dyn Machine>>; 2] {
    let rust = rust::Machine::recorded(directory).map(|machine| Box::new(machine) as Box<dyn Machine>);
    [rust, c::Machine::recorded(directory).map(|machine| Box::new(machine) as Box<dyn Machine>)]
}

/// A machine, and the world around it as far as it is simulated.
pub trait Machine {
    fn gpu_count(&self) -> u32;
    fn groups(&self) -> Vec<u32>;
    /// Whether the two are connected, and why, in words.
    fn link(&self, from: u32, to: u32) -> Result<(bool, String)>;
    fn probe_link(&self, from: u32, to: u32) -> Result<bool>;
    fn capabilities(&self, gpu: u32) -> Result<Vec<(&'static str, Support)>>;
    fn is_lost(&self, gpu: u32) -> bool;
    fn record(&self, directory: &str) -> Result<()>;
    fn space(&self) -> Result<Box<dyn Space>>;
    fn empty_space(&self) -> Result<Box<dyn Space>>;

    fn cpu_touched(&self, span: Span);
    fn unmapped(&self, span: Span);
    fn pin(&self, span: Span);
    fn fill_vram(&self, region: Region, bytes: u64);
    fn unplug(&self, gpu: u32);
    fn replug(&self, gpu: u32);
    fn privileged(&self, privileged: bool);
    fn inject(&self, call: Call, skip: u32, times: u32, errno: i32);
    fn counted(&self, gpu: u32) -> Counted;
}

/// All the vms that mirror this process.
pub trait Space {
    fn add(&self, gpu: u32) -> Result<VmId>;
    /// Borrows a vm of another space, which plays a runtime: its file, with the kernel's number of the vm or another one.
    fn borrow(&self, runtime: &dyn Space, vm: VmId, other_number: Option<u32>) -> Result<VmId>;
    fn detach(&self, vm: VmId) -> Result<()>;
    fn members(&self) -> Result<Vec<(VmId, u32)>>;
    /// The kernel's number of a vm.
    fn number(&self, vm: VmId) -> Result<u32>;
    fn declare_stable(&self, span: Span) -> Result<()>;
    fn touch(&self, gpu: u32, span: Span, access: Access) -> Result<()>;
    /// An error means that nothing was changed; a refusal is in what is told.
    fn advise(&self, span: Span, wish: &Wish) -> Result<Told>;
    /// Says the same again and again: what a runtime does on its hot path.
    fn advise_often(&self, span: Span, location: Location, times: u32);
    fn reset(&self, span: Span) -> Result<()>;
    /// An error means that nothing was moved.
    fn prefetch(&self, span: Span, order: &Order) -> Result<Moved>;
    fn start_prefetch(&self, span: Span, order: &Order) -> Result<Box<dyn Job>>;
    fn residency(&self, span: Span) -> Result<Vec<Run>>;
    fn attributes(&self, span: Span) -> Result<Vec<AttributeRun>>;
    fn explain(&self, span: Span) -> Result<Vec<Explained>>;
    fn allocate(&self, length: u64, shares: &[(Location, u64)], stripe: Option<u64>) -> Result<Box<dyn Memory>>;
    fn close(&self);
    fn as_any(&self) -> &dyn Any;
}

/// Memory of the library's own; closed when it is dropped.
pub trait Memory {
    fn span(&self) -> Span;
}

/// A prefetch that is pumped; closed when it is dropped.
pub trait Job {
    /// Bytes dealt with, and bytes in all.
    fn step(&mut self) -> Result<(u64, u64)>;
    fn cancel(&mut self);
    fn outcome(&mut self) -> Result<Moved>;
}

/// A wish as a caller says it.
#[derive(Clone, Default)]
pub struct Wish {
    pub locations: Vec<Location>,
    pub atomics: Option<Atomics>,
    pub policy: Option<MigrationPolicy>,
    pub purgeable: Option<bool>,
    pub gpus: Option<Vec<u32>>,
    pub strict: bool,
}

impl Wish {
    /// To prefer the first that all can live with.
    pub fn prefer(locations: &[Location]) -> Wish {
        Wish { locations: locations.to_vec(), ..Wish::default() }
    }
}

/// What became of a wish.
#[derive(Debug)]
pub struct Told {
    pub range: Range,
    pub location: Option<Location>,
    pub step: usize,
    pub elided: bool,
    pub warnings: Warnings,
    pub answers: Vec<Answer>,
    pub passed_over: String,
    /// The first refusal's errno.
    pub accepted: Result<()>,
}

/// What is to be moved where.
pub struct Order {
    pub to: Location,
    pub map_for: Vec<u32>,
    pub chunk: Option<u64>,
    /// Steps after which the caller has enough.
    pub patience: Option<u32>,
}

impl Order {
    pub fn to(to: impl Into<Location>) -> Order {
        Order { to: to.into(), map_for: Vec::new(), chunk: None, patience: None }
    }

    pub fn map_for(self, gpus: &[u32]) -> Order {
        Order { map_for: gpus.to_vec(), ..self }
    }
}

/// What a prefetch achieved.
#[derive(Debug)]
pub struct Moved {
    pub in_place: u64,
    pub elsewhere: u64,
    pub stays: Vec<Stay>,
    /// Filled by [`Job::outcome`] only.
    pub unmapped: Vec<Unmapped>,
    /// The first obstacle's errno.
    pub completed: Result<()>,
}

impl Moved {
    pub fn obstacles(&self) -> Vec<Obstacle> {
        self.stays.iter().map(|stay| stay.obstacle.clone()).collect()
    }
}

/// Why pages are not where they were wished.
#[derive(Debug)]
pub struct Explained {
    pub range: Range,
    pub wished: Location,
    pub place: Place,
    pub obstacles: Vec<Obstacle>,
}

/// What a simulated machine has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub page_faults: u64,
    pub bytes_in: u64,
    pub bytes_at_peers: u64,
    pub calls: u64,
}

/// The first VRAM region of a GPU.
pub fn vram(gpu: u32) -> Location {
    region(gpu).into()
}

pub fn region(gpu: u32) -> Region {
    Region { gpu: xeplace::GpuId(gpu), instance: 1 }
}

/// What a step of a plan is.
pub fn step((address, length): Span, location: Location) -> Step {
    Step { range: range((address, length)), location }
}

pub fn range((address, length): Span) -> Range {
    Range::new(address, length).unwrap()
}

/// Memory that is the test's own: blocks that it has written to, so that there are pages.
pub struct Data(xeplace::driver::Mapping);

impl Data {
    pub fn new(machine: &dyn Machine, length: u64) -> Data {
        let mut data = Data::shared(length, false);
        data.0.bytes_mut().fill(1);
        machine.cpu_touched(data.span());
        data
    }

    /// Nothing was written to it.
    pub fn shared(length: u64, shared: bool) -> Data {
        Data(xeplace::driver::Mapping::anonymous(length as usize, 2 << 20, shared).unwrap())
    }

    pub fn span(&self) -> Span {
        (self.0.start(), self.0.len() as u64)
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    pub fn read_only(&mut self, offset: u64, length: u64) {
        self.0.protect(offset as usize, length as usize, false).unwrap();
    }
}
