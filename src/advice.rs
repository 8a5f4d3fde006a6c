// SPDX-License-Identifier: MIT OR Apache-2.0
//! Telling vms what is wished.

use crate::{
    capabilities::{Capabilities, Support},
    error::errno_of,
    interconnect::Verdict,
    location::{GpuId, Location, Region},
    machine::Machine,
    range::Range,
    report::{Answer, Attribute, Effect, Refusal, Report, Warnings},
    uapi::*,
    vm::{Coverage, Vm, VmId, into_io},
    wish::{Advice, Atomics, MigrationPolicy, Wish},
};
use std::{borrow::Cow, io, sync::Arc};

/// Sends `advice` for `range` to all of `vms` and reports. `recorded` is what the record says of a vm.
pub(crate) fn advise(
    machine: &Machine,
    vms: &[Arc<Vm<'_>>],
    range: Range,
    advice: &Advice,
    recorded: impl Fn(VmId) -> Wish,
) -> Report {
    let mut report = Report::new(range);
    let mirroring = mirroring(vms, range, advice, &mut report);
    send_location(machine, &mirroring, advice, &recorded, &mut report);
    for vm in mirroring.iter() {
        if let Some(mode) = advice.atomics {
            report.answer(vm, Attribute::Atomics, effect(set_atomics(vm, range, mode)));
        }
        if let Some(index) = advice.pat {
            report.answer(vm, Attribute::Pat, effect(set_pat(vm, range, index)));
        }
        if let Some(purgeable) = advice.purgeable {
            report.answer(vm, Attribute::Purgeable, set_purgeable(vm, range, purgeable));
        }
    }
    report
}

/// The vms that mirror some of the range. The kernel answers 0 for the others and keeps nothing.
fn mirroring<'a, 'fd>(
    vms: &'a [Arc<Vm<'fd>>],
    range: Range,
    advice: &Advice,
    report: &mut Report,
) -> Cow<'a, [Arc<Vm<'fd>>]> {
    let mut whole = false;
    let mut mirroring = Cow::Borrowed(vms);
    for vm in vms {
        match vm.mirrors(range) {
            Coverage::Nothing => {
                for attribute in named(advice) {
                    report.answer(vm, attribute, Effect::Failed(libc::ENXIO));
                }
                mirroring.to_mut().retain(|found| found.id() != vm.id());
            }
            Coverage::Whole => whole = true,
            Coverage::Part => {}
        }
    }
    report.warnings.set(Warnings::NOT_MIRRORED, !whole);
    report.warnings.set(Warnings::CUTS_BLOCK, range.cuts_blocks());
    mirroring
}

/// The attributes that `advice` names.
fn named(advice: &Advice) -> impl Iterator<Item = Attribute> {
    [
        (!advice.chain.is_empty()).then_some(Attribute::PreferredLocation),
        advice.policy.map(|_| Attribute::MigrationPolicy),
        advice.atomics.map(|_| Attribute::Atomics),
        advice.pat.map(|_| Attribute::Pat),
        advice.purgeable.map(|_| Attribute::Purgeable),
    ]
    .into_iter()
    .flatten()
}

/// Finds the first location that every vm takes, and leaves all of them with it.
fn send_location(
    machine: &Machine,
    vms: &[Arc<Vm<'_>>],
    advice: &Advice,
    recorded: &impl Fn(VmId) -> Wish,
    report: &mut Report,
) {
    if advice.chain.is_empty() {
        if let Some(policy) = advice.policy {
            for vm in vms {
                let answer = set_location(machine, vm, report.range, recorded(vm.id()).location, policy);
                report.answer(vm, Attribute::MigrationPolicy, policy_effect(effect(answer)));
            }
        }
        return;
    }
    for (step, location) in advice.chain.iter().copied().enumerate() {
        let before = report.answers.len();
        if let Err(refusal) = try_location(machine, vms, (step, location), advice.policy, report) {
            report.answers.truncate(before);
            report.refusals.push(refusal);
            continue;
        }
        let took = |answer: &Answer| !answer.effect.is_refusal();
        report.location = report.answers[before..].iter().any(took).then_some(location);
        report.step = step;
        return;
    }
    for vm in vms {
        let own = report.refusals.iter().find(|refusal| refusal.gpu == vm.gpu()).or(report.refusals.first());
        let errno = own.map_or(libc::ENOLINK, |refusal| refusal.errno);
        let effect = if errno == libc::EOPNOTSUPP { Effect::Unsupported } else { Effect::Failed(errno) };
        for attribute in named(advice)
            .take_while(|attribute| matches!(attribute, Attribute::PreferredLocation | Attribute::MigrationPolicy))
        {
            report.answer(vm, attribute, effect);
        }
    }
}

/// Tells each vm of `location`, and notes its answer; ends with the reason if one of them cannot live with it.
fn try_location(
    machine: &Machine,
    vms: &[Arc<Vm<'_>>],
    (step, location): (usize, Location),
    policy: Option<MigrationPolicy>,
    report: &mut Report,
) -> Result<(), Refusal> {
    all_livable(machine, vms, location)?;
    let named = name(machine, location);
    for vm in vms {
        let sent = |named| set_named(vm, report.range, named, policy.unwrap_or_default());
        let answer = named.as_ref().map_err(same).and_then(sent);
        if let (Err(error), Location::Vram(region)) = (&answer, location) {
            if let Some(refusal) = refusal(machine, vm, region, errno_of(error)) {
                return Err(refusal);
            }
        }
        let effect = match effect(answer) {
            Effect::Stored if step > 0 => Effect::FellBack(location),
            effect => effect,
        };
        report.answer(vm, Attribute::PreferredLocation, effect);
        if policy.is_some() {
            report.answer(vm, Attribute::MigrationPolicy, policy_effect(effect));
        }
    }
    Ok(())
}

/// Whether all vms can live with `location`, as far as that is known without asking the kernel.
fn all_livable(machine: &Machine, vms: &[Arc<Vm<'_>>], location: Location) -> Result<(), Refusal> {
    let Location::Vram(region) = location else { return Ok(()) };
    if machine.is_usable_by_all(vms.iter().map(|vm| vm.gpu()), region) {
        return Ok(());
    }
    vms.iter().try_for_each(|vm| livable(machine, vm, region))
}

/// Whether a vm can live with a region, and if not, why.
fn livable(machine: &Machine, vm: &Vm<'_>, region: Region) -> Result<(), Refusal> {
    let location = Location::Vram(region);
    let refusal = |reason: String, errno| Refusal { location, gpu: vm.gpu(), reason, errno };
    let target = machine.owner(region).map_err(|error| refusal(error.to_string(), error.errno()))?;
    if target.is_lost() {
        return Err(refusal(format!("{} is gone", target.address()), libc::ENODEV));
    }
    if region.gpu == vm.gpu() {
        return Ok(());
    }
    let link = machine.link(vm.gpu(), region.gpu).map_err(|error| refusal(error.to_string(), error.errno()))?;
    if link.verdict == Verdict::NotConnected {
        return Err(refusal(link.reason.to_string(), libc::ENOLINK));
    }
    if !link.fully_visible {
        let words =
            format!("only part of the VRAM of {} lies behind its BAR, so peers must not use it", target.address());
        return Err(refusal(words, libc::ENOLINK));
    }
    Ok(())
}

/// An errno of MADVISE that speaks of the target rather than of the vm: the vm cannot live with it.
fn refusal(machine: &Machine, vm: &Vm<'_>, region: Region, errno: i32) -> Option<Refusal> {
    if vm.device().is_lost() {
        return None;
    }
    let reason = match errno {
        libc::ENOLINK => {
            machine.learn_link(vm.gpu(), region.gpu, false);
            "the kernel keeps the two in separate interconnect groups"
        }
        libc::ENODEV => {
            machine.find_lost(region.gpu);
            "the GPU is gone"
        }
        libc::ENOENT => "the kernel has no page map for this VRAM (CONFIG_DRM_XE_PAGEMAP)",
        libc::EOPNOTSUPP => "this kernel takes no other device's VRAM",
        libc::ENOMEM => "no memory for the page map of this VRAM",
        libc::ERANGE => "no physical addresses left for the page map of this VRAM",
        _ => return None,
    };
    Some(Refusal { location: region.into(), gpu: vm.gpu(), reason: reason.to_owned(), errno })
}

/// Tells `vm` all of `wish`.
pub(crate) fn tell(machine: &Machine, vm: &Vm<'_>, range: Range, wish: Wish) -> io::Result<()> {
    change(machine, vm, range, Wish::default(), wish)
}

/// Takes back what `vm` was told, or, if that is not known, what it may have been told of locations and atomics.
pub(crate) fn untell(machine: &Machine, vm: &Vm<'_>, range: Range, wish: Option<Wish>) -> io::Result<()> {
    let unknown = Wish { location: Location::System, atomics: Atomics::Global, ..Wish::default() };
    match change(machine, vm, range, wish.unwrap_or(unknown), Wish::default()) {
        // What the kernel does not know it was never told.
        Err(error) if errno_of(&error) == libc::EOPNOTSUPP => Ok(()),
        answer => answer,
    }
}

/// Tells `vm` again what it was told of the attributes that `advice` names.
pub(crate) fn put_back(machine: &Machine, vm: &Vm<'_>, range: Range, advice: &Advice, wish: Wish) -> io::Result<()> {
    if !advice.chain.is_empty() || advice.policy.is_some() {
        set_location(machine, vm, range, wish.location, wish.policy)?;
    }
    if advice.atomics.is_some() {
        set_atomics(vm, range, wish.atomics)?;
    }
    match wish.pat.or(vm.default_pat()) {
        Some(index) if advice.pat.is_some() => set_pat(vm, range, index),
        _ => Ok(()),
    }
}

/// Sends what differs between two wishes.
fn change(machine: &Machine, vm: &Vm<'_>, range: Range, from: Wish, to: Wish) -> io::Result<()> {
    if (from.location, from.policy) != (to.location, to.policy) {
        set_location(machine, vm, range, to.location, to.policy)?;
    }
    if from.atomics != to.atomics {
        set_atomics(vm, range, to.atomics)?;
    }
    match to.pat.or(from.pat.and(vm.default_pat())) {
        Some(index) if from.pat != to.pat => set_pat(vm, range, index),
        _ => Ok(()),
    }
}

/// MADVISE with a preferred location.
pub(crate) fn set_location(
    machine: &Machine,
    vm: &Vm<'_>,
    range: Range,
    location: Location,
    policy: MigrationPolicy,
) -> io::Result<()> {
    set_named(vm, range, &name(machine, location)?, policy)
}

/// A location in the words of the kernel: the registry's descriptor and an instance number.
struct Named {
    devmem_fd: u32,
    region_instance: u16,
    /// The GPU of which this is all of the VRAM: its own vm can be told "default" instead.
    whole_vram_of: Option<GpuId>,
}

fn name(machine: &Machine, location: Location) -> io::Result<Named> {
    let (devmem_fd, region_instance) = match location {
        Location::Default => (DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE, 0),
        Location::System | Location::HostNode(_) => (DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM, 0),
        Location::Vram(region) => return name_region(machine, region),
    };
    Ok(Named { devmem_fd, region_instance, whole_vram_of: None })
}

fn name_region(machine: &Machine, region: Region) -> io::Result<Named> {
    let gpu = machine.owner(region).map_err(into_io)?;
    let device = gpu.device().map_err(into_io)?;
    let number = machine.descriptors().number(&**machine.driver(), (gpu.address(), region.instance), device)?;
    let whole_vram_of = (gpu.regions().len() == 1).then_some(region.gpu);
    Ok(Named { devmem_fd: number as u32, region_instance: region.instance, whole_vram_of })
}

#[inline(always)]
fn set_named(vm: &Vm<'_>, range: Range, named: &Named, policy: MigrationPolicy) -> io::Result<()> {
    let Named { mut devmem_fd, mut region_instance, whole_vram_of } = *named;
    if region_instance > 0 && vm.device().capabilities().map_err(into_io)?.multi_device == Support::Unsupported {
        if whole_vram_of != Some(vm.gpu()) {
            return Err(unsupported());
        }
        (devmem_fd, region_instance) = (DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE, 0);
    }
    let at =
        drm_xe_madvise_preferred_mem_loc { devmem_fd, migration_policy: policy as u16, region_instance, reserved: 0 };
    let answer = vm.madvise(drm_xe_madvise::preferred_mem_loc(0, range.start(), range.len(), at), None);
    known(vm, |known| known.preferred_location, answer)
}

/// An error that several vms have.
fn same(error: &io::Error) -> io::Error {
    io::Error::from_raw_os_error(errno_of(error))
}

fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(libc::EOPNOTSUPP)
}

/// MADVISE with an atomic mode.
pub(crate) fn set_atomics(vm: &Vm<'_>, range: Range, mode: Atomics) -> io::Result<()> {
    known(vm, |known| known.atomic, set_value(vm, range, DRM_XE_MEM_RANGE_ATTR_ATOMIC, mode as u32, None))
}

/// MADVISE with a PAT index.
pub(crate) fn set_pat(vm: &Vm<'_>, range: Range, index: u16) -> io::Result<()> {
    known(vm, |known| known.pat, set_value(vm, range, DRM_XE_MEM_RANGE_ATTR_PAT, u32::from(index), None))
}

fn set_purgeable(vm: &Vm<'_>, range: Range, purgeable: bool) -> Effect {
    let state = if purgeable { DRM_XE_VMA_PURGEABLE_STATE_DONTNEED } else { DRM_XE_VMA_PURGEABLE_STATE_WILLNEED };
    let mut retained = 0;
    let answer = set_value(vm, range, DRM_XE_VMA_ATTR_PURGEABLE_STATE, state, Some(&mut retained));
    match effect(known(vm, |known| known.purgeable, answer)) {
        Effect::Stored => Effect::Inert,
        effect => effect,
    }
}

fn set_value(vm: &Vm<'_>, range: Range, type_: u32, val: u32, retained: Option<&mut u32>) -> io::Result<()> {
    let value = drm_xe_madvise_value { val, ..Default::default() };
    vm.madvise(drm_xe_madvise::attribute(0, range.start(), range.len(), type_, value), retained)
}

/// EINVAL is also what a kernel says that does not know the request; then it is told apart by the capabilities.
#[inline(always)]
fn known(vm: &Vm<'_>, support: impl Fn(&Capabilities) -> Support, answer: io::Result<()>) -> io::Result<()> {
    match answer {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && vm.device().lacks(support) => Err(unsupported()),
        answer => answer,
    }
}

fn effect(answer: io::Result<()>) -> Effect {
    match answer.as_ref().map_err(errno_of) {
        Ok(()) => Effect::Stored,
        Err(libc::EOPNOTSUPP) => Effect::Unsupported,
        Err(errno) => Effect::Failed(errno),
    }
}

/// The kernel stores a policy with the location and acts on neither of its values.
fn policy_effect(location: Effect) -> Effect {
    if location.is_refusal() { location } else { Effect::Inert }
}
