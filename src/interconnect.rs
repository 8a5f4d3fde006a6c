// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which GPUs reach each other's memory, and why not.

mod config_space;
mod host;
mod rule;
mod sentences;

pub(crate) use config_space::anonymize;

use crate::{
    address::PciAddress,
    capabilities::TemporaryVm,
    error::{Error, Result},
    files::Files,
    gpu::Gpu,
    location::GpuId,
    pcie::BusPath,
    uapi::*,
};
use parking_lot::Mutex;
use rule::{Prediction, Rule};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsRawFd,
};

/// The verdict on one ordered pair of GPUs: can a vm of the first use the VRAM of the second?
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Link {
    /// Whether the kernel puts the two into one interconnect group.
    pub verdict: Verdict,
    /// How that is known.
    pub basis: Basis,
    /// Why, as a value; its `Display` is a sentence for an administrator.
    pub reason: Reason,
    /// Functions on the way, as the kernel counts its P2P distance: 0 to itself, 4 through one switch. `None` where it
    /// counts none because the two are not connected.
    pub hops: Option<u32>,
    /// Bytes a second, one way: the narrowest PCIe link on the way.
    pub bandwidth: Option<f64>,
    /// Whether all of the second GPU's VRAM lies behind its BAR; without that the library does not use it from others.
    /// Never so for a GPU that has none.
    pub fully_visible: bool,
}

/// Yes, no, or unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// One interconnect group.
    Connected,
    /// Separate groups: the kernel answers ENOLINK.
    NotConnected,
    /// Cannot be told without privilege or a probe.
    Unknown,
}

/// How a verdict is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Basis {
    /// From files, with every input of the kernel's rule at hand.
    Predicted,
    /// From files, but some input needs privilege to read.
    Guessed,
    /// The kernel was asked.
    Probed,
}

impl Basis {
    /// The weaker of two.
    fn and(self, other: Basis) -> Basis {
        let strength = |basis: &Basis| match basis {
            Basis::Guessed => 0,
            Basis::Predicted => 1,
            Basis::Probed => 2,
        };
        std::cmp::min_by_key(self, other, strength)
    }
}

/// What decides a link: the kernel's rule is `pci_p2pdma_distance()` in `drivers/pci/p2pdma.c`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The same device.
    SameDevice,
    /// The CPU lets peers through its host bridges (AMD Zen and later).
    Cpu,
    /// The host bridges are in the kernel's list.
    HostBridge,
    /// Both lie below this bridge and nothing on the way redirects.
    CommonBridge(PciAddress),
    /// No bridge in common, and these host bridges are not in the kernel's list. Empty where nothing stands for them.
    NoCommonBridge(Vec<HostBridgeId>),
    /// One of them is part of the processor, and these host bridges are not in the kernel's list.
    OnRootBus(Vec<HostBridgeId>),
    /// ACS redirect is set at these functions, and the host bridge is not in the kernel's list.
    AcsRedirect(Vec<PciAddress>),
    /// Whether ACS redirect is set cannot be read without privilege.
    AcsHidden,
    /// The kernel has no PCI peer-to-peer support (CONFIG_PCI_P2PDMA).
    NoKernelSupport,
    /// The kernel said so.
    Kernel,
    /// The kernel said so, against its own rule: it has not looked since something changed, so its groups are stale.
    KernelDisagrees,
}

/// The device that stands for a host bridge in the kernel's list of those that pass peer traffic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct HostBridgeId {
    /// PCI vendor id.
    pub vendor: u16,
    /// PCI device id.
    pub device: u16,
}

/// GPUs that the kernel lets map each other's memory.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Group {
    /// In the order of their places in the machine.
    pub gpus: Vec<GpuId>,
    /// The weakest basis of a verdict that led to it.
    pub basis: Basis,
}

/// The links of a machine: predicted when asked for, pair by pair, and corrected by what the kernel says.
#[derive(Debug)]
pub(crate) struct Interconnect {
    rule: Rule,
    /// The kernel's own word on pairs.
    words: Mutex<BTreeMap<(GpuId, GpuId), bool>>,
    /// Pairs of which the second one's VRAM was found usable by the first: what each advice asks.
    usable: Mutex<BTreeSet<(GpuId, GpuId)>>,
    /// Held while the kernel is asked: each pair is asked once.
    asking: Mutex<()>,
}

impl Interconnect {
    pub(crate) fn new(files: Files) -> Interconnect {
        Interconnect {
            rule: Rule::new(files),
            words: Mutex::default(),
            usable: Mutex::default(),
            asking: Mutex::default(),
        }
    }

    /// Whether, and why, a vm of `from` can use the VRAM of `to`.
    pub(crate) fn link(&self, from: &Gpu, to: &Gpu) -> Result<Link> {
        let predicted = from.path().and_then(|one| Ok(self.rule.predict(one, to.path()?)));
        let prediction = match self.word(from, to) {
            Some(connected) => corrected(predicted.ok(), connected),
            None => predicted?,
        };
        let Prediction { verdict, basis, reason, hops, bandwidth } = prediction;
        let fully_visible = !to.regions().is_empty() && to.regions().iter().all(|region| region.is_fully_visible());
        Ok(Link { verdict, basis, reason, hops, bandwidth, fully_visible })
    }

    /// `pci_p2pdma_distance` of two devices, as far as it can be told; `None` where the kernel answers -1.
    pub(crate) fn distance(&self, one: &BusPath, other: &BusPath) -> Option<u32> {
        let Prediction { verdict, hops, .. } = self.rule.predict(one, other);
        hops.filter(|_| verdict == Verdict::Connected)
    }

    /// Reads all that the rule could ever ask about a device, needed or not.
    pub(crate) fn look_at(&self, path: &BusPath) {
        self.rule.look_at(path);
    }

    /// The kernel's word on a pair.
    pub(crate) fn learn(&self, from: GpuId, to: GpuId, connected: bool) {
        let mut words = self.words.lock();
        words.insert((from, to), connected);
        self.usable.lock().clear();
    }

    /// Whether nothing is known that keeps vms of any of `from` from using the VRAM of `to`, which is not lost.
    pub(crate) fn is_usable_by_all<'a>(&self, mut from: impl Iterator<Item = &'a Gpu>, to: &Gpu) -> bool {
        let usable = self.usable.lock();
        let unknown = from.find(|gpu| gpu.id() != to.id() && !usable.contains(&(gpu.id(), to.id())));
        drop(usable);
        !to.is_lost() && unknown.is_none_or(|gpu| self.is_usable(gpu, to) && from.all(|gpu| self.is_usable(gpu, to)))
    }

    fn is_usable(&self, from: &Gpu, to: &Gpu) -> bool {
        let pair = (from.id(), to.id());
        let is_usable = |link: Link| link.verdict != Verdict::NotConnected && link.fully_visible;
        let usable = pair.0 == pair.1 || self.link(from, to).is_ok_and(is_usable);
        // The kernel may have spoken meanwhile; its word comes before the set is cleared, and counts.
        let words = self.words.lock();
        if usable && words.get(&pair) != Some(&false) {
            self.usable.lock().insert(pair);
        }
        usable
    }

    /// Pairs on which the kernel has given its word.
    pub(crate) fn words(&self) -> BTreeMap<(GpuId, GpuId), bool> {
        self.words.lock().clone()
    }

    fn word(&self, from: &Gpu, to: &Gpu) -> Option<bool> {
        self.words.lock().get(&(from.id(), to.id())).copied()
    }

    /// Asks the kernel about a pair, unless its word is known.
    pub(crate) fn probe(&self, from: &Gpu, to: &Gpu) -> Result<Link> {
        let asking = self.asking.lock();
        if self.word(from, to).is_none() {
            self.learn(from.id(), to.id(), ask(from, to)?);
        }
        drop(asking);
        self.link(from, to)
    }

    /// The kernel's grouping: each GPU joins the first group with all of whose members it is connected.
    pub(crate) fn groups(&self, gpus: &[Gpu]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for gpu in gpus {
            let mut own = Group { gpus: vec![gpu.id()], basis: Basis::Probed };
            let mut joined = None;
            for (place, group) in groups.iter_mut().enumerate() {
                let (connected, basis) = self.judge_all(gpu, group, gpus);
                // A weak refusal makes both groups doubtful: the one that it opens and the one that it closes.
                (own.basis, group.basis) = (own.basis.and(basis), group.basis.and(basis));
                if connected {
                    joined = Some(place);
                    break;
                }
            }
            match joined {
                Some(place) => {
                    groups[place].gpus.push(gpu.id());
                    groups[place].basis = groups[place].basis.and(own.basis);
                }
                None => groups.push(own),
            }
        }
        if let [alone] = &mut groups[..] {
            // Nobody had to be asked about the only GPU of a machine.
            alone.basis = if alone.gpus.len() == 1 { Basis::Predicted } else { alone.basis };
        }
        groups
    }

    /// Whether a GPU is connected with all members of a group, and the weakest basis of what was looked at.
    fn judge_all(&self, gpu: &Gpu, group: &Group, gpus: &[Gpu]) -> (bool, Basis) {
        let mut weakest = Basis::Probed;
        let connected = group.gpus.iter().all(|member| {
            let (connected, basis) = self.judge(gpu, &gpus[member.0 as usize]);
            weakest = weakest.and(basis);
            connected
        });
        (connected, weakest)
    }

    /// Whether two GPUs are connected as far as is known, and how that is known.
    fn judge(&self, gpu: &Gpu, member: &Gpu) -> (bool, Basis) {
        match self.link(gpu, member) {
            Ok(link) => (link.verdict == Verdict::Connected, link.basis),
            Err(_) => (false, Basis::Guessed),
        }
    }
}

/// What was predicted, with the kernel's word in its place.
fn corrected(predicted: Option<Prediction>, connected: bool) -> Prediction {
    let verdict = if connected { Verdict::Connected } else { Verdict::NotConnected };
    let basis = Basis::Probed;
    match predicted {
        Some(prediction) if prediction.verdict == verdict => Prediction { basis, ..prediction },
        Some(Prediction { basis: Basis::Predicted, hops, bandwidth, .. }) => {
            let hops = hops.filter(|_| connected);
            Prediction { verdict, basis, reason: Reason::KernelDisagrees, hops, bandwidth }
        }
        Some(Prediction { hops, bandwidth, .. }) => {
            let hops = hops.filter(|_| connected);
            Prediction { verdict, basis, reason: Reason::Kernel, hops, bandwidth }
        }
        None => Prediction { verdict, basis, reason: Reason::Kernel, hops: None, bandwidth: None },
    }
}

/// The ENOLINK test: a vm of `from` in fault mode wishes for the VRAM of `to` where nothing is mapped.
fn ask(from: &Gpu, to: &Gpu) -> Result<bool> {
    if from.config_flags() & DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR == 0 {
        return Err(Error::Unsupported("shared virtual memory"));
    }
    let flags = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE;
    let driver = from.driver().clone();
    let first = to.regions().first().ok_or_else(|| Error::NotFound(format!("VRAM of {to}")))?;
    let vm = from.answer("DRM_IOCTL_XE_VM_CREATE", TemporaryVm::create(&*driver, from.device()?, flags))?;
    let number = to.device()?.as_raw_fd();
    let answer = vm.prefer(number, first.instance);
    match answer.as_ref().map_err(|error| error.raw_os_error()) {
        Ok(()) => Ok(true),
        Err(Some(libc::ENOLINK)) => Ok(false),
        Err(Some(libc::EINVAL)) => Err(Error::Unsupported("naming another device's VRAM (Linux before 7.0)")),
        Err(Some(libc::ENOENT)) => Err(Error::Unsupported("VRAM for shared memory (CONFIG_DRM_XE_PAGEMAP)")),
        // The device whose VRAM is wished for has gone; a wedged one is that of the vm.
        Err(Some(libc::ENODEV)) => to.answer("DRM_IOCTL_XE_MADVISE", answer.map(|()| true)),
        Err(_) => from.answer("DRM_IOCTL_XE_MADVISE", answer.map(|()| true)),
    }
}

#[cfg(test)]
mod tests;
