// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of an advice.

use crate::{
    error::{Error, Result},
    location::{GpuId, Location},
    range::Range,
    vm::{Vm, VmId},
};
use bitflags::bitflags;
use smallvec::SmallVec;
use std::{fmt, io};

/// What became of an advice: one answer per vm and attribute, and what the caller should know.
#[derive(Clone, Debug)]
#[must_use = "a refused wish is only seen here"]
#[non_exhaustive]
pub struct Report {
    /// What was advised: the caller's range, rounded outward to pages.
    pub range: Range,
    /// The location that every vm now has been told; `None` if the advice named none or none was possible.
    pub location: Option<Location>,
    /// Which of the advice's locations that is, counted from 0.
    pub step: usize,
    /// Nothing was sent, because the record says that it stands so already.
    pub elided: bool,
    /// What the caller should know.
    pub warnings: Warnings,
    /// Per vm and attribute.
    pub answers: SmallVec<[Answer; 4]>,
    /// Why locations that come before the chosen one were passed over.
    pub refusals: Vec<Refusal>,
}

/// What one vm made of one attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The vm.
    pub vm: VmId,
    /// Its GPU.
    pub gpu: GpuId,
    /// The attribute.
    pub attribute: Attribute,
    /// The answer.
    pub effect: Effect,
}

/// What can be wished.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Attribute {
    /// A preferred location.
    PreferredLocation = 0,
    /// An atomic mode.
    Atomics = 1,
    /// A PAT index.
    Pat = 2,
    /// A purgeable state.
    Purgeable = 3,
    /// A migration policy.
    MigrationPolicy = 4,
}

/// What a vm made of a wish. None of these says where pages are: advice moves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// Accepted by a vm that is known to mirror the range.
    Stored,
    /// The kernel keeps it and does not act on it.
    Inert,
    /// Accepted, with this fallback of the advice.
    FellBack(Location),
    /// The kernel or the device does not know it.
    Unsupported,
    /// Refused, with the kernel's errno.
    Failed(i32),
}

impl Effect {
    /// Whether the vm did not take the wish.
    pub fn is_refusal(self) -> bool {
        matches!(self, Effect::Unsupported | Effect::Failed(_))
    }
}

bitflags! {
    /// What the caller of an advice should know.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct Warnings: u32 {
        /// The range was rounded outward to whole pages.
        const ROUNDED = 1 << 0;
        /// An end lies inside a 2 MiB block: the driver's mapping is split there for good, and what the block held in
        /// VRAM may have moved to system memory.
        const CUTS_BLOCK = 1 << 1;
        /// Some of the range is mirrored by none of the vms.
        const NOT_MIRRORED = 1 << 2;
        /// A vm refused, and the others got their recorded wishes back.
        const RESTORED = 1 << 3;
        /// A vm refused, and another one would not take its recorded wish back.
        const NOT_RESTORED = 1 << 4;
        /// A wish that this library had not recorded was overwritten by the attempt and cannot be given back.
        const UNRECORDED_LOST = 1 << 5;
        /// The NUMA policy of the range could not be set.
        const NO_HOST_NODE = 1 << 6;
    }
}

/// A location that was passed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The location.
    pub location: Location,
    /// The GPU whose vm cannot live with it.
    pub gpu: GpuId,
    /// Why, in words.
    pub reason: String,
    /// The kernel's errno, or the one that it would give.
    pub errno: i32,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} for {}: {}", self.location, self.gpu, self.reason)
    }
}

impl Report {
    pub(crate) fn new(range: Range) -> Report {
        Report {
            range,
            location: None,
            step: 0,
            elided: false,
            warnings: Warnings::empty(),
            answers: SmallVec::new(),
            refusals: Vec::new(),
        }
    }

    /// Whether no vm refused anything.
    #[inline]
    pub fn is_accepted(&self) -> bool {
        !self.answers.iter().any(|answer| answer.effect.is_refusal())
    }

    /// This report, or the first refusal as an error.
    #[inline]
    pub fn accepted(self) -> Result<Report> {
        let Some(refused) = self.answers.iter().find(|answer| answer.effect.is_refusal()) else { return Ok(self) };
        let words: Vec<String> = self.refusals.iter().map(Refusal::to_string).collect();
        match refused.effect {
            Effect::Unsupported => Err(Error::Unsupported(refused.attribute.name())),
            Effect::Failed(libc::ENOLINK) => Err(Error::NoLink(words.join("; "))),
            Effect::Failed(errno) => Err(Error::Kernel {
                call: "DRM_IOCTL_XE_MADVISE",
                what: format!("{} for the {} of {}", self.range, refused.attribute.name(), refused.gpu),
                source: io::Error::from_raw_os_error(errno),
            }),
            _ => unreachable!("only refusals were looked for"),
        }
    }

    pub(crate) fn answer(&mut self, vm: &Vm<'_>, attribute: Attribute, effect: Effect) {
        self.answers.push(Answer { vm: vm.id(), gpu: vm.gpu(), attribute, effect });
    }
}

impl Attribute {
    /// In the field's words.
    pub fn name(self) -> &'static str {
        match self {
            Attribute::PreferredLocation => "preferred location",
            Attribute::Atomics => "atomic mode",
            Attribute::Pat => "PAT index",
            Attribute::Purgeable => "purgeable state",
            Attribute::MigrationPolicy => "migration policy",
        }
    }
}
