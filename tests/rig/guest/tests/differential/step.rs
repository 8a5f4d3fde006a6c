// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can happen in a scenario. A step is a line of words, and a scenario is its steps.

use std::fmt;
use xeplace::{Atomics, GpuId, Location, Machine, driver::Access};

/// Pages of the window, from its beginning on: `512+16` are 16 pages of its second block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    pub page: u64,
    pub pages: u64,
}

/// One thing that is done to memory, by whomever.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// mmap of private or shared anonymous memory.
    Map(Part, Sharing),
    /// munmap.
    Unmap(Part),
    /// mremap to the other half of the window.
    Remap(Part),
    /// mprotect.
    Protect(Part, Protection),
    /// MADV_DONTNEED.
    Discard(Part),
    /// MADV_GUARD_INSTALL, of private memory.
    Guard(Part),
    /// MADV_GUARD_REMOVE.
    Unguard(Part),
    /// The CPU reads or writes a byte of each page.
    Cpu(Access, Part),
    /// A GPU touches a word of each page, on its copy engine.
    Gpu(u32, Access, Part),
    /// [`xeplace::Space::advise`].
    Advise(Part, Wish),
    /// [`xeplace::Space::prefetch`].
    Prefetch(Part, Place, Vec<u32>),
    /// [`xeplace::Space::reset`].
    Reset(Part),
    /// A child is forked and ends.
    Fork,
    /// Somebody else brings as much to a GPU's VRAM as there is, and takes a quarter away again.
    Pressure(u32),
    /// A GPU loses its driver.
    Unplug(u32),
    /// A call of the driver's past the library, in the space's own vm.
    Call(u32, Call, Part),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    Private,
    Shared,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    None,
    Read,
    Write,
}

/// A location as a scenario names it: a GPU's VRAM is that of its first tile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Default,
    System,
    Node(u32),
    Vram(u32),
}

/// What an advice names.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Wish {
    /// With fallbacks; may be empty.
    pub prefer: Vec<Place>,
    pub atomics: Option<Atomics>,
    /// ONLY_SYSTEM_PAGES.
    pub only_system_pages: bool,
    pub pat: Option<u16>,
    /// Which GPUs' vms; all, if empty.
    pub gpus: Vec<u32>,
}

/// A bare request to one vm.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Call {
    /// MADVISE of a preferred location.
    Prefer(Place),
    /// MADVISE of an atomic mode.
    Atomics(Atomics),
    /// PREFETCH to a region by its number, or as advised (`consult`).
    Prefetch(Option<u32>),
    /// A touch that the library would refuse: never of guard pages, for the driver would not end it.
    Touch(Access),
    /// MAP of a mirror.
    Mirror,
    /// UNMAP.
    Unmirror,
}

impl Place {
    /// What the library calls it.
    pub fn location(self, machine: &Machine) -> Location {
        match self {
            Place::Default => Location::Default,
            Place::System => Location::System,
            Place::Node(node) => Location::HostNode(node),
            Place::Vram(gpu) => machine.gpu(GpuId(gpu)).and_then(|gpu| gpu.region(0)).expect("a GPU with VRAM").into(),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}+{}", self.page, self.pages)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => out.write_str("default"),
            Place::System => out.write_str("system"),
            Place::Node(node) => write!(out, "node{node}"),
            Place::Vram(gpu) => write!(out, "vram{gpu}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Map(part, sharing) => write!(out, "map {part} {}", name(&SHARINGS, sharing)),
            Step::Unmap(part) => write!(out, "unmap {part}"),
            Step::Remap(part) => write!(out, "mremap {part}"),
            Step::Protect(part, protection) => write!(out, "mprotect {part} {}", name(&PROTECTIONS, protection)),
            Step::Discard(part) => write!(out, "discard {part}"),
            Step::Guard(part) => write!(out, "guard {part}"),
            Step::Unguard(part) => write!(out, "unguard {part}"),
            Step::Cpu(access, part) => write!(out, "cpu {part} {}", name(&ACCESSES, access)),
            Step::Gpu(gpu, access, part) => write!(out, "gpu{gpu} {part} {}", name(&ACCESSES, access)),
            Step::Advise(part, wish) => write!(out, "advise {part}{wish}"),
            Step::Prefetch(part, to, gpus) => write!(out, "prefetch {part} to={to}{}", list("for", gpus)),
            Step::Reset(part) => write!(out, "reset {part}"),
            Step::Fork => out.write_str("fork"),
            Step::Pressure(gpu) => write!(out, "pressure gpu{gpu}"),
            Step::Unplug(gpu) => write!(out, "unplug gpu{gpu}"),
            Step::Call(gpu, call, part) => write!(out, "call gpu{gpu} {part} {call}"),
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&list("prefer", &self.prefer))?;
        if let Some(mode) = &self.atomics {
            write!(out, " atomics={}", name(&MODES, mode))?;
        }
        if self.only_system_pages {
            out.write_str(" only-system-pages")?;
        }
        if let Some(index) = self.pat {
            write!(out, " pat={index}")?;
        }
        out.write_str(&list("for", &self.gpus))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Prefer(place) => write!(out, "prefer={place}"),
            Call::Atomics(mode) => write!(out, "atomics={}", name(&MODES, mode)),
            Call::Prefetch(Some(region)) => write!(out, "prefetch={region}"),
            Call::Prefetch(None) => out.write_str("prefetch=consult"),
            Call::Touch(access) => write!(out, "touch={}", name(&ACCESSES, access)),
            Call::Mirror => out.write_str("mirror"),
            Call::Unmirror => out.write_str("unmirror"),
        }
    }
}

pub const SHARINGS: [(Sharing, &str); 2] = [(Sharing::Private, "private"), (Sharing::Shared, "shared")];
pub const PROTECTIONS: [(Protection, &str); 3] =
    [(Protection::None, "none"), (Protection::Read, "read"), (Protection::Write, "write")];
pub const ACCESSES: [(Access, &str); 3] =
    [(Access::Read, "read"), (Access::Write, "write"), (Access::Atomic, "atomic")];
pub const MODES: [(Atomics, &str); 4] = [
    (Atomics::Undefined, "undefined"),
    (Atomics::Device, "device"),
    (Atomics::Global, "global"),
    (Atomics::Cpu, "cpu"),
];

fn name<T: PartialEq>(names: &[(T, &'static str)], value: &T) -> &'static str {
    names.iter().find(|(known, _)| known == value).map_or("?", |(_, name)| name)
}

/// ` key=one,two`, or nothing for an empty list.
fn list(key: &str, values: &[impl fmt::Display]) -> String {
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    if words.is_empty() { String::new() } else { format!(" {key}={}", words.join(",")) }
}
