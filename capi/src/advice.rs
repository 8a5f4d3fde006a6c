// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wished for a range, and what became of it, from C.

use crate::{
    location::{range, xep_location},
    raw::{self, plain},
    space::{self, xep_space},
    status::{Failure, Result, Text, status},
};
use libc::{c_char, c_int, c_void};
use xeplace::{Advice, Answer, Atomics, Attribute, Effect, GpuId, Location, MigrationPolicy, Range, Report, Warnings};

/// What an advice names beside its locations, and how it is to be given: bits of xep_advice.flags.
#[repr(C)]
pub enum xep_advice_flags {
    /// `atomics` is set.
    XEP_ADVICE_ATOMICS = 1 << 0,
    /// `pat` is set.
    XEP_ADVICE_PAT = 1 << 1,
    /// `migration_policy` is set.
    XEP_ADVICE_MIGRATION_POLICY = 1 << 2,
    /// `purgeable` is set.
    XEP_ADVICE_PURGEABLE = 1 << 3,
    /// If one vm refuses, the vms that did not get their recorded wishes back.
    XEP_ADVICE_STRICT = 1 << 4,
}

/// Which atomic accesses a GPU may make, and where.
///
/// On discrete GPUs other than Ponte Vecchio an atomic in memory of mode UNDEFINED or GLOBAL pulls the memory into the
/// VRAM of the GPU that makes it, whatever location is preferred. It stays elsewhere only with DEVICE.
#[repr(C)]
pub enum xep_atomics {
    /// The kernel's default.
    XEP_ATOMICS_UNDEFINED = 0,
    /// Atomics of this GPU, wherever the memory is.
    XEP_ATOMICS_DEVICE = 1,
    /// Atomics of GPU and CPU.
    XEP_ATOMICS_GLOBAL = 2,
    /// Atomics of the CPU only: a GPU atomic is a fault that ends its queue.
    XEP_ATOMICS_CPU = 3,
}

/// Which pages may migrate. Linux 7.3 stores it and does not act on it.
#[repr(C)]
pub enum xep_migration_policy {
    /// All pages.
    XEP_MIGRATE_ALL_PAGES = 0,
    /// Only pages that are in system memory.
    XEP_MIGRATE_ONLY_SYSTEM_PAGES = 1,
}

/// A wish. What it does not name stays as it is. It can grow: pass its size, and set what you do not use to 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_advice {
    /// The preferred location and its fallbacks, in the order in which they are tried; the whole space gets one answer.
    pub locations: *const xep_location,
    /// The vms of these GPUs will use the range; NULL for all vms of the space. Others can still pull pages by touching
    /// them.
    pub gpus: *const u32,
    /// How many locations.
    pub location_count: u32,
    /// How many GPUs.
    pub gpu_count: u32,
    /// Bits of enum xep_advice_flags. What is not flagged is 0.
    pub flags: u32,
    /// enum xep_atomics.
    pub atomics: u32,
    /// Caching and coherency of the GPU's mapping, numbered as the device's PAT is.
    pub pat: u32,
    /// enum xep_migration_policy.
    pub migration_policy: u32,
    /// 1 if the contents may be thrown away under memory pressure. Concerns buffer objects only.
    pub purgeable: u32,
    /// 0.
    pub reserved: u32,
}

/// What the caller of an advice should know: bits of xep_report.warnings.
#[repr(C)]
pub enum xep_warning {
    /// The range was rounded outward to whole pages.
    XEP_WARN_ROUNDED = 1 << 0,
    /// An end lies inside a 2 MiB block: the driver's mapping is split there for good, and what the block held in VRAM may
    /// have moved to system memory.
    XEP_WARN_CUTS_BLOCK = 1 << 1,
    /// Some of the range is mirrored by none of the vms.
    XEP_WARN_NOT_MIRRORED = 1 << 2,
    /// A vm refused, and the others got their recorded wishes back.
    XEP_WARN_RESTORED = 1 << 3,
    /// A vm refused, and another one would not take its recorded wish back.
    XEP_WARN_NOT_RESTORED = 1 << 4,
    /// A wish that this library had not recorded was overwritten by the attempt and cannot be given back.
    XEP_WARN_UNRECORDED_LOST = 1 << 5,
    /// The NUMA policy of the range could not be set.
    XEP_WARN_NO_HOST_NODE = 1 << 6,
}

/// What became of an advice. It can grow: pass its size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_report {
    /// What was advised: the caller's range, rounded outward to pages.
    pub address: u64,
    /// In bytes.
    pub length: u64,
    /// The location that every vm now has been told; XEP_LOCATION_NONE if the advice named none or none was possible.
    pub location: xep_location,
    /// Which of the advice's locations that is, counted from 0.
    pub step: u32,
    /// 1 if nothing was sent, because it stands so already.
    pub elided: u32,
    /// Bits of enum xep_warning.
    pub warnings: u32,
    /// How many answers there are: one per vm and attribute, none if elided.
    pub answer_count: u32,
    /// Why locations before the chosen one were passed over, in words; empty if none was.
    pub passed_over: [c_char; 256],
}

/// What can be wished.
#[repr(C)]
pub enum xep_attribute {
    /// A preferred location.
    XEP_ATTRIBUTE_PREFERRED_LOCATION = 0,
    /// An atomic mode.
    XEP_ATTRIBUTE_ATOMICS = 1,
    /// A PAT index.
    XEP_ATTRIBUTE_PAT = 2,
    /// A purgeable state.
    XEP_ATTRIBUTE_PURGEABLE = 3,
    /// A migration policy.
    XEP_ATTRIBUTE_MIGRATION_POLICY = 4,
}

/// What a vm made of a wish. None of these says where pages are: advice moves nothing.
#[repr(C)]
pub enum xep_effect {
    /// Accepted by a vm that is known to mirror the range.
    XEP_EFFECT_STORED = 0,
    /// The kernel keeps it and does not act on it.
    XEP_EFFECT_INERT = 1,
    /// Accepted, with a fallback of the advice.
    XEP_EFFECT_FELL_BACK = 2,
    /// The kernel or the device does not know it.
    XEP_EFFECT_UNSUPPORTED = 3,
    /// Refused.
    XEP_EFFECT_FAILED = 4,
}

/// What one vm made of one attribute.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xep_answer {
    /// The vm.
    pub vm: u32,
    /// Its GPU.
    pub gpu: u32,
    /// enum xep_attribute.
    pub attribute: u32,
    /// enum xep_effect.
    pub effect: u32,
    /// XEP_EFFECT_FELL_BACK: what it was told instead.
    pub location: xep_location,
    /// XEP_EFFECT_FAILED and XEP_EFFECT_UNSUPPORTED: a positive errno.
    pub error: i32,
    /// 0.
    pub reserved: u32,
}

plain!(xep_advice, xep_report, xep_answer);

/// Tells all vms that will use a range what is wished. Nothing moves: use xep_space_prefetch() for that.
///
/// Fallbacks are resolved once, so that every vm gets the same answer. `advice_size` and `report_size` are those of the
/// caller's structures. `report` and `answers` can be NULL; at most `capacity` answers are stored.
///
/// Returns 0 if every vm took everything. If one refused, report and answers are written all the same, and the first
/// refusal's negative errno is returned: -ENOLINK if no location is in reach of all vms, -EOPNOTSUPP if the kernel does
/// not know the attribute, -ENXIO if a vm does not mirror the range. Any other failure changes nothing and writes nothing:
/// -EINVAL for a range that is empty, wraps or is not a process's, or an advice that names nothing; -ENOENT for an unknown
/// GPU or region, -ENODEV for a GPU that has gone, -EBADF for a closed space, -ECHILD in a forked child.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_advise(
    space: *const xep_space,
    address: *const c_void,
    length: usize,
    advice: *const xep_advice,
    advice_size: usize,
    report: *mut xep_report,
    report_size: usize,
    answers: *mut xep_answer,
    capacity: usize,
) -> c_int {
    status(|| {
        let space = space::get(space)?;
        let advice = Advice::try_from(raw::take(advice, advice_size, "advice")?)?;
        let report = raw::structure_or_null(report, report_size);
        let answers = raw::array(answers, capacity, "array of answers")?;
        let range = range(address, length)?;
        let mut answer = space.advise(range, &advice);
        // Reports are large: what is accepted is looked at where it is, and not moved.
        if let Ok(found) = &mut answer {
            found.warnings.set(Warnings::ROUNDED, is_rounded(range, address, length));
            answers.fill(found.answers.iter().map(xep_answer::from));
            if let Some(report) = report {
                report.write(&xep_report::from(&*found));
            }
            if found.is_accepted() {
                return Ok(());
            }
        }
        drop(answer?.accepted()?);
        Ok(())
    })
}

/// Takes back all that was told of a range through this space, and forgets it: call it before the memory is unmapped.
#[unsafe(no_mangle)]
pub extern "C" fn xep_space_reset(space: *const xep_space, address: *const c_void, length: usize) -> c_int {
    status(|| Ok(space::get(space)?.reset(range(address, length)?)?))
}

fn is_rounded(range: Range, address: *const c_void, length: usize) -> bool {
    (range.start(), range.len()) != (address.addr() as u64, length as u64)
}

impl TryFrom<xep_advice> for Advice {
    type Error = Failure;

    #[inline]
    fn try_from(from: xep_advice) -> Result<Advice> {
        use xep_advice_flags::*;
        let mut flags = from.flags;
        let mut advice = Advice::new();
        for location in raw::list(from.locations, from.location_count as usize, "list of locations")? {
            advice = advice.or(Location::try_from(*location)?);
        }
        if let Some(mode) = flagged(&mut flags, XEP_ADVICE_ATOMICS, from.atomics)? {
            advice = advice.atomics(atomics(mode)?);
        }
        if let Some(index) = flagged(&mut flags, XEP_ADVICE_PAT, from.pat)? {
            let index = u16::try_from(index).map_err(|_| Failure::invalid(format_args!("{index} is no PAT index")))?;
            advice = advice.pat(index);
        }
        if let Some(policy) = flagged(&mut flags, XEP_ADVICE_MIGRATION_POLICY, from.migration_policy)? {
            advice = advice.migration_policy(migration_policy(policy)?);
        }
        if let Some(purgeable) = flagged(&mut flags, XEP_ADVICE_PURGEABLE, from.purgeable)? {
            advice = advice.purgeable(purgeable != 0);
        }
        if flagged(&mut flags, XEP_ADVICE_STRICT, 0)?.is_some() {
            advice = advice.strict();
        }
        if flags != 0 || from.reserved != 0 {
            return Err(Failure::invalid(format_args!("unknown flags {flags:#x} in an advice")));
        }
        let gpus = raw::list(from.gpus, from.gpu_count as usize, "list of GPUs")?;
        if gpus.is_empty() { Ok(advice) } else { Ok(advice.for_gpus(&gpu_ids(gpus))) }
    }
}

/// What C lists by number.
pub(crate) fn gpu_ids(gpus: &[u32]) -> Vec<GpuId> {
    gpus.iter().copied().map(GpuId).collect()
}

/// `value` if its flag is set, which is then taken away. A value without its flag was meant for something.
fn flagged(flags: &mut u32, flag: xep_advice_flags, value: u32) -> Result<Option<u32>> {
    let flag = flag as u32;
    let set = *flags & flag != 0;
    *flags &= !flag;
    match (set, value) {
        (true, value) => Ok(Some(value)),
        (false, 0) => Ok(None),
        (false, _) => Err(Failure::invalid(format_args!("an advice sets a value without its flag {flag:#x}"))),
    }
}

fn atomics(mode: u32) -> Result<Atomics> {
    match mode {
        known if known == xep_atomics::XEP_ATOMICS_UNDEFINED as u32 => Ok(Atomics::Undefined),
        known if known == xep_atomics::XEP_ATOMICS_DEVICE as u32 => Ok(Atomics::Device),
        known if known == xep_atomics::XEP_ATOMICS_GLOBAL as u32 => Ok(Atomics::Global),
        known if known == xep_atomics::XEP_ATOMICS_CPU as u32 => Ok(Atomics::Cpu),
        _ => Err(Failure::invalid(format_args!("{mode} is no atomic mode"))),
    }
}

fn migration_policy(policy: u32) -> Result<MigrationPolicy> {
    match policy {
        known if known == xep_migration_policy::XEP_MIGRATE_ALL_PAGES as u32 => Ok(MigrationPolicy::AllPages),
        known if known == xep_migration_policy::XEP_MIGRATE_ONLY_SYSTEM_PAGES as u32 => {
            Ok(MigrationPolicy::OnlySystemPages)
        }
        _ => Err(Failure::invalid(format_args!("{policy} is no migration policy"))),
    }
}

impl From<&Report> for xep_report {
    fn from(report: &Report) -> xep_report {
        xep_report {
            address: report.range.start(),
            length: report.range.len(),
            location: report.location.into(),
            step: report.step as u32,
            elided: report.elided.into(),
            warnings: warnings(report.warnings),
            answer_count: report.answers.len() as u32,
            passed_over: match &report.refusals[..] {
                [] => [0; 256],
                refusals => Text::of(refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
            },
        }
    }
}

fn warnings(warnings: Warnings) -> u32 {
    [
        (Warnings::ROUNDED, xep_warning::XEP_WARN_ROUNDED),
        (Warnings::CUTS_BLOCK, xep_warning::XEP_WARN_CUTS_BLOCK),
        (Warnings::NOT_MIRRORED, xep_warning::XEP_WARN_NOT_MIRRORED),
        (Warnings::RESTORED, xep_warning::XEP_WARN_RESTORED),
        (Warnings::NOT_RESTORED, xep_warning::XEP_WARN_NOT_RESTORED),
        (Warnings::UNRECORDED_LOST, xep_warning::XEP_WARN_UNRECORDED_LOST),
        (Warnings::NO_HOST_NODE, xep_warning::XEP_WARN_NO_HOST_NODE),
    ]
    .into_iter()
    .filter(|(warning, _)| warnings.contains(*warning))
    .fold(0, |bits, (_, bit)| bits | bit as u32)
}

impl From<&Answer> for xep_answer {
    fn from(answer: &Answer) -> xep_answer {
        use xep_effect::*;
        let (effect, location, error) = match answer.effect {
            Effect::Stored => (XEP_EFFECT_STORED, None, 0),
            Effect::Inert => (XEP_EFFECT_INERT, None, 0),
            Effect::FellBack(location) => (XEP_EFFECT_FELL_BACK, Some(location), 0),
            Effect::Unsupported => (XEP_EFFECT_UNSUPPORTED, None, libc::EOPNOTSUPP),
            Effect::Failed(errno) => (XEP_EFFECT_FAILED, None, errno),
            // An effect that was added to the library and not to its header is not to look like success.
            _ => (XEP_EFFECT_UNSUPPORTED, None, libc::EOPNOTSUPP),
        };
        xep_answer {
            vm: answer.vm.0,
            gpu: answer.gpu.0,
            attribute: attribute(answer.attribute) as u32,
            effect: effect as u32,
            location: location.into(),
            error,
            reserved: 0,
        }
    }
}

fn attribute(attribute: Attribute) -> xep_attribute {
    match attribute {
        Attribute::PreferredLocation => xep_attribute::XEP_ATTRIBUTE_PREFERRED_LOCATION,
        Attribute::Atomics => xep_attribute::XEP_ATTRIBUTE_ATOMICS,
        Attribute::Pat => xep_attribute::XEP_ATTRIBUTE_PAT,
        Attribute::Purgeable => xep_attribute::XEP_ATTRIBUTE_PURGEABLE,
        Attribute::MigrationPolicy => xep_attribute::XEP_ATTRIBUTE_MIGRATION_POLICY,
    }
}
