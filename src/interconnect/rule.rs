// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's rule on two devices, from files: `pci_p2pdma_distance()` in `drivers/pci/p2pdma.c`.

use super::{
    Basis, HostBridgeId, Reason, Verdict,
    config_space::{self, Redirect},
    host::Host,
};
use crate::{
    address::PciAddress,
    files::Files,
    pcie::{BusPath, Function},
};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// What the rule says of two devices.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Prediction {
    pub(super) verdict: Verdict,
    pub(super) basis: Basis,
    pub(super) reason: Reason,
    pub(super) hops: Option<u32>,
    /// Bytes a second on the way that the traffic takes.
    pub(super) bandwidth: Option<f64>,
}

/// The rule, with what it has read so far.
#[derive(Debug)]
pub(super) struct Rule {
    files: Files,
    host: Host,
    seen: Mutex<BTreeMap<PciAddress, Seen>>,
}

/// What a function shows of its access control.
#[derive(Clone, Copy, Debug)]
struct Seen {
    redirect: Redirect,
    iommu_group: Option<u32>,
}

type Outcome = (Verdict, Basis, Reason);

impl Rule {
    pub(super) fn new(files: Files) -> Rule {
        Rule { host: Host::new(files.clone()), files, seen: Mutex::default() }
    }

    /// The verdict on two devices: the same in both directions.
    pub(super) fn predict(&self, one: &BusPath, other: &BusPath) -> Prediction {
        let common = one.common(other);
        let (verdict, basis, reason) = self.decide(one, other, common);
        let hops = match common {
            Some((here, there)) => here + there,
            None => one.functions.len() + other.functions.len(),
        };
        let hops = if reason == Reason::SameDevice { 0 } else { hops };
        let bandwidth = if reason == Reason::SameDevice { None } else { self.bandwidth(one, other, common) };
        let hops = (verdict != Verdict::NotConnected).then_some(hops as u32);
        Prediction { verdict, basis, reason, hops, bandwidth }
    }

    /// Reads all that the rule could ever ask about a device.
    pub(super) fn look_at(&self, path: &BusPath) {
        self.host.look_at(&path.host);
        path.narrowest();
        for function in &path.functions {
            self.seen(function);
            for name in ["vendor", "device", "class"] {
                let _ = function.number(&self.files, name);
            }
            self.host.is_redirect_disabled(function.address);
        }
    }

    fn decide(&self, one: &BusPath, other: &BusPath, common: Option<(usize, usize)>) -> Outcome {
        if one.address() == other.address() {
            return (Verdict::Connected, Basis::Predicted, Reason::SameDevice);
        }
        if !self.host.has_p2pdma() {
            return (Verdict::NotConnected, Basis::Predicted, Reason::NoKernelSupport);
        }
        let cpu = self.host.cpu_passes();
        if cpu.yes {
            return (Verdict::Connected, Basis::Predicted, Reason::Cpu);
        }
        let (bridges, refusing) = self.host.bridges_pass(&one.host, &other.host);
        if bridges.yes && bridges.certain {
            return (Verdict::Connected, Basis::Predicted, Reason::HostBridge);
        }
        let direct = self.direct(one, other, common, refusing);
        match direct {
            (Verdict::Connected, Basis::Predicted, _) => direct,
            _ if bridges.yes => (Verdict::Connected, Basis::Guessed, Reason::HostBridge),
            (verdict, _, reason) if !(bridges.certain && cpu.certain) => (verdict, Basis::Guessed, reason),
            _ => direct,
        }
    }

    /// What the way between them says where the host passes nothing.
    fn direct(
        &self,
        one: &BusPath,
        other: &BusPath,
        common: Option<(usize, usize)>,
        refusing: Vec<HostBridgeId>,
    ) -> Outcome {
        let Some((here, there)) = common else {
            let on_root_bus = [one, other].iter().any(|way| way.functions.len() == 1);
            let reason = if on_root_bus { Reason::OnRootBus(refusing) } else { Reason::NoCommonBridge(refusing) };
            return (Verdict::NotConnected, Basis::Predicted, reason);
        };
        let on_the_way = one.functions[..=here].iter().chain(&other.functions[..there]);
        let states: Vec<(PciAddress, Redirect)> =
            on_the_way.map(|function| (function.address, self.seen(function).redirect)).collect();
        let redirecting = at(&states, Redirect::Set);
        if !redirecting.is_empty() {
            return (Verdict::NotConnected, Basis::Predicted, Reason::AcsRedirect(redirecting));
        }
        let met = Reason::CommonBridge(one.functions[here].address);
        if at(&states, Redirect::Hidden).is_empty() {
            return (Verdict::Connected, Basis::Predicted, met);
        }
        self.guess(&one.functions, here, &other.functions, there, met)
    }

    /// Without privilege IOMMU groups tell of some bridges: the kernel makes groups where access control isolates.
    fn guess(&self, one: &[Function], here: usize, other: &[Function], there: usize, met: Reason) -> Outcome {
        let grouped = one[..=here].iter().chain(&other[..there]);
        if grouped.map(|function| self.seen(function).iommu_group).all(|group| group.is_none()) {
            // Without an IOMMU the kernel enables no access control; the firmware or an administrator might have.
            return (Verdict::Connected, Basis::Guessed, met);
        }
        let states: Vec<(PciAddress, Redirect)> = [(one, here), (other, there)]
            .into_iter()
            .flat_map(|(way, end)| (1..=end).map(move |place| (way, place)))
            .filter(|(way, place)| is_port_above(way, *place))
            .map(|(way, place)| (way[place].address, self.port(way, place)))
            .collect();
        let redirecting = at(&states, Redirect::Set);
        if !redirecting.is_empty() {
            return (Verdict::NotConnected, Basis::Guessed, Reason::AcsRedirect(redirecting));
        }
        if at(&states, Redirect::Hidden).is_empty() {
            return (Verdict::Connected, Basis::Guessed, met);
        }
        (Verdict::Unknown, Basis::Guessed, Reason::AcsHidden)
    }

    /// What the port at `place` does, judged by the groups around it.
    fn port(&self, way: &[Function], place: usize) -> Redirect {
        let port = self.seen(&way[place]);
        if port.redirect != Redirect::Hidden {
            return port.redirect;
        }
        let group = |function: &Function| self.seen(function).iommu_group;
        let (Some(below), Some(own)) = (group(&way[place - 1]), port.iommu_group) else { return Redirect::Hidden };
        if below != own {
            return Redirect::Set;
        }
        if self.host.is_redirect_disabled(way[place].address) {
            return Redirect::Clear;
        }
        match way.get(place + 1) {
            Some(above) if group(above) == Some(own) => Redirect::Hidden,
            Some(_) | None => Redirect::Clear,
        }
    }

    fn seen(&self, function: &Function) -> Seen {
        if let Some(seen) = self.seen.lock().get(&function.address) {
            return *seen;
        }
        let config = self.files.read(function.directory.join("config")).unwrap_or_default();
        let link = function.directory.join("iommu_group");
        let group = self.files.resolve(&link).ok().filter(|group| *group != link);
        let number = |path: std::path::PathBuf| path.file_name()?.to_str()?.parse().ok();
        let seen = Seen { redirect: config_space::redirect(&config), iommu_group: group.and_then(number) };
        self.seen.lock().insert(function.address, seen);
        seen
    }

    /// The narrowest link on the way: below the bridge where the ways meet, or up to the root if traffic goes there.
    fn bandwidth(&self, one: &BusPath, other: &BusPath, common: Option<(usize, usize)>) -> Option<f64> {
        let redirects = |way: &BusPath, end: usize| {
            let redirects = |function: &Function| self.seen(function).redirect == Redirect::Set;
            way.functions[..=end].iter().any(redirects)
        };
        let (here, there) = match common {
            Some((here, there)) if !redirects(one, here) && !redirects(other, there) => (here, there),
            _ => (one.functions.len(), other.functions.len()),
        };
        let links = [one.narrowest_below(here), other.narrowest_below(there)];
        links.into_iter().flatten().map(|link| link.bytes_per_second()).reduce(f64::min)
    }
}

/// Root ports and the downstream ports of switches are at even depths below the root bus; what they have below is a
/// slot, where access control isolates.
fn is_port_above(way: &[Function], place: usize) -> bool {
    place > 0 && (way.len() - 1 - place) % 2 == 0
}

/// The functions in the state `wanted`, each once.
fn at(states: &[(PciAddress, Redirect)], wanted: Redirect) -> Vec<PciAddress> {
    let mut found: Vec<PciAddress> =
        states.iter().filter(|(_, state)| *state == wanted).map(|(address, _)| *address).collect();
    found.sort();
    found.dedup();
    found
}
