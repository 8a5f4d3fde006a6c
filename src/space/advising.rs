// SPDX-License-Identifier: MIT OR Apache-2.0
//! Advice to a whole space, with its record kept true.

use super::{Space, Vms};
use crate::{
    advice,
    driver::MemoryPolicy,
    error::{Error, Result},
    location::Location,
    mappings::mappings,
    range::Range,
    report::{Attribute, Report, Warnings},
    vm::{Vm, VmId},
    wish::{Advice, Change, Wish},
};
use std::path::Path;

impl<'fd> Space<'fd> {
    /// Tells all vms that will use `range` what is wished. Nothing moves: use [`Space::prefetch`] for that.
    ///
    /// Fallbacks are resolved once, so that every vm gets the same answer. The report says what each vm made of each
    /// attribute; [`Report::accepted`] turns the first refusal into an error. An error here means that nothing was
    /// changed: an empty advice, an unknown GPU or region, a vm that could not be made, a closed space, a forked child.
    pub fn advise(&self, range: Range, advice: impl std::borrow::Borrow<Advice>) -> Result<Report> {
        let advice = advice.borrow();
        let vms = {
            let state = self.state()?;
            if is_elidable(advice) && state.record.holds(range, state.ids(), advice) {
                let location = advice.locations().first().copied();
                return Ok(Report { location, elided: true, ..Report::new(range) });
            }
            state.pick(advice.gpus.as_deref()).map_err(|missing| self.why_no_vm(missing))?
        };
        self.check(advice)?;
        for vm in vms.iter() {
            vm.handle()?;
        }
        let recorded = |vm| self.0.state.lock().record.wish_at(range, vm).unwrap_or_default();
        let mut report = advice::advise(self.machine(), &vms, range, advice, recorded);
        let replaced = if report.is_accepted() {
            self.note(&vms, &report, advice)?
        } else {
            self.note_or_restore(&vms, &mut report, advice)?;
            true
        };
        if replaced || matches!(report.location, Some(Location::HostNode(_))) {
            self.follow_host_node(&mut report)?;
        }
        Ok(report)
    }

    /// Takes back all that this library told any vm of `range`, and forgets it: for memory that others free.
    ///
    /// Wishes of others are overwritten by the kernel's default where the range was never advised through this space.
    pub fn reset(&self, range: Range) -> Result<()> {
        let vms = self.vms()?;
        let mut refused = None;
        for vm in vms.iter().filter(|vm| vm.is_made()) {
            for (part, wish) in self.recorded(range, vm.id())? {
                let answer = advice::untell(self.machine(), vm, part, wish);
                refused = refused.or(answer.err().map(vm.error("DRM_IOCTL_XE_MADVISE", part)));
            }
            // What cannot be joined stays in pieces: slower to search, and nothing else.
            let _ = vm.join(range);
        }
        self.restore_host_policy(range)?;
        self.state()?.record.forget(range);
        refused.map_or(Ok(()), Err)
    }

    fn check(&self, advice: &Advice) -> Result<()> {
        if advice.is_empty() {
            return Err(Error::Invalid("the advice names nothing".to_owned()));
        }
        for location in advice.locations() {
            match location {
                Location::Vram(region) => drop(self.machine().owner(*region)?),
                Location::HostNode(node) if !self.machine().has_host_node(*node) => {
                    return Err(Error::NotFound(format!("host node {node}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Records what was accepted by all. Says whether NUMA policies have been replaced that may have to be put back.
    fn note(&self, vms: &Vms<'fd>, report: &Report, advice: &Advice) -> Result<bool> {
        let mut state = self.state()?;
        state.record.tell(report.range, vms.iter().map(|vm| vm.id()), Change::by(advice, report.location));
        Ok(!state.replaced.is_empty())
    }

    /// Some vm refused something. Where a location was not possible, or the advice is strict, the vms that took it get
    /// back what they were told before; else what each of them took is recorded.
    fn note_or_restore(&self, vms: &Vms<'fd>, report: &mut Report, advice: &Advice) -> Result<()> {
        let nowhere = !advice.locations().is_empty() && report.location.is_none();
        if advice.strict || nowhere {
            for vm in vms.iter() {
                self.give_back(vm, report, advice)?;
            }
            return Ok(());
        }
        for vm in vms.iter() {
            let took = took(advice, report, vm.id());
            let location = took.locations().first().and(report.location);
            self.state()?.record.tell(report.range, [vm.id()].into_iter(), Change::by(&took, location));
        }
        Ok(())
    }

    /// Tells `vm` again what the record says that it was told before.
    fn give_back(&self, vm: &Vm<'fd>, report: &mut Report, advice: &Advice) -> Result<()> {
        report.warnings |= Warnings::RESTORED;
        for (part, wish) in self.recorded(report.range, vm.id())? {
            if advice::put_back(self.machine(), vm, part, advice, wish.unwrap_or_default()).is_err() {
                report.warnings |= Warnings::NOT_RESTORED;
            }
            if wish.is_none() && !vm.is_own() {
                report.warnings |= Warnings::UNRECORDED_LOST;
            }
        }
        Ok(())
    }

    /// All of `range` with what `vm` was told of each part.
    fn recorded(&self, range: Range, vm: VmId) -> Result<Vec<(Range, Option<Wish>)>> {
        let state = self.state()?;
        Ok(state.record.pieces(range).map(|(part, found)| (part, found.and_then(|found| found.wish(vm)))).collect())
    }

    /// The kernel's "system" has no node: a wish for one is also the NUMA policy of the range, and every other location
    /// puts the replaced policy back.
    fn follow_host_node(&self, report: &mut Report) -> Result<()> {
        let Some(location) = report.location else { return Ok(()) };
        self.restore_host_policy(report.range)?;
        let Location::HostNode(node) = location else { return Ok(()) };
        let Some(policy) = MemoryPolicy::preferred(node) else {
            report.warnings |= Warnings::NO_HOST_NODE;
            return Ok(());
        };
        let mut replaced = Vec::new();
        for mapping in mappings(self.machine().files(), Path::new("/proc/self"), report.range)? {
            if let Ok(policy) = self.driver().get_mempolicy(mapping.range.start()) {
                replaced.push((mapping.range, policy));
            }
        }
        if self.driver().mbind(report.range, &policy, false).is_err() {
            report.warnings |= Warnings::NO_HOST_NODE;
            return Ok(());
        }
        self.state()?.replaced.extend(replaced);
        Ok(())
    }

    /// Puts back the NUMA policies that wishes for host nodes replaced in `range`.
    fn restore_host_policy(&self, range: Range) -> Result<()> {
        let restored: Vec<(Range, MemoryPolicy)> = {
            let mut state = self.state()?;
            if state.replaced.is_empty() {
                return Ok(());
            }
            let (touched, mut kept): (Vec<_>, Vec<_>) = std::mem::take(&mut state.replaced)
                .into_iter()
                .partition(|(part, _)| part.intersection(range).is_some());
            for (part, policy) in &touched {
                kept.extend(part.without(range).into_iter().flatten().map(|rest| (rest, *policy)));
            }
            state.replaced = kept;
            touched
        };
        for (part, policy) in restored {
            if let Some(part) = part.intersection(range) {
                // The memory may have been unmapped meanwhile; then there is nothing to put back.
                let _ = self.driver().mbind(part, &policy, false);
            }
        }
        Ok(())
    }
}

/// Whether the record alone can say that an advice is in force. A purgeable state is not recorded, accessors would have to
/// be looked up, and a host node is also a policy of the CPU side that others can change.
fn is_elidable(advice: &Advice) -> bool {
    advice.purgeable.is_none()
        && advice.gpus.is_none()
        && !advice.is_empty()
        && !matches!(advice.locations().first(), Some(Location::HostNode(_)))
}

/// `advice` without what `vm` refused.
fn took(advice: &Advice, report: &Report, vm: VmId) -> Advice {
    let mut took = advice.clone();
    for answer in report.answers.iter().filter(|answer| answer.vm == vm && answer.effect.is_refusal()) {
        match answer.attribute {
            Attribute::PreferredLocation => took.chain.clear(),
            Attribute::MigrationPolicy => took.policy = None,
            Attribute::Atomics => took.atomics = None,
            Attribute::Pat => took.pat = None,
            Attribute::Purgeable => took.purgeable = None,
        }
    }
    took
}
