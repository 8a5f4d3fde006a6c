// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wished for a range.

use crate::location::{GpuId, Location};
use smallvec::{SmallVec, smallvec};
use std::hash::{Hash, Hasher};

/// Which atomic accesses a GPU may make, and where (DRM_XE_ATOMIC_* in `<drm/xe_drm.h>`).
///
/// On discrete GPUs other than Ponte Vecchio an atomic in memory of mode [`Undefined`](Atomics::Undefined) or
/// [`Global`](Atomics::Global) pulls the memory into the VRAM of the GPU that makes it, whatever location is preferred
/// (`xe_vma_need_vram_for_atomic`, `xe_vm.c`). Memory that GPUs use atomics on stays elsewhere only with
/// [`Device`](Atomics::Device).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u32)]
pub enum Atomics {
    /// The kernel's default.
    #[default]
    Undefined = 0,
    /// Atomics of this GPU, wherever the memory is.
    Device = 1,
    /// Atomics of GPU and CPU.
    Global = 2,
    /// Atomics of the CPU only: a GPU atomic is a fault that ends its queue.
    Cpu = 3,
}

/// Which pages may migrate (DRM_XE_MIGRATE_*). Linux 7.3 stores it and does not act on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u16)]
pub enum MigrationPolicy {
    /// All pages.
    #[default]
    AllPages = 0,
    /// Only pages that are in system memory.
    OnlySystemPages = 1,
}

/// A wish: any of a preferred location with fallbacks, an atomic mode, a PAT index, a migration policy and a purgeable
/// state. What it does not name stays as it is.
///
/// ```
/// use xeplace::{Advice, Atomics, GpuId, Location, Region};
/// let vram = Region { gpu: GpuId(1), instance: 1 };
/// let advice = Advice::prefer(vram).or(Location::System).atomics(Atomics::Device);
/// assert_eq!(advice.locations(), [vram.into(), Location::System]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[must_use = "an advice does nothing until a space is given it"]
pub struct Advice {
    pub(crate) chain: SmallVec<[Location; 4]>,
    pub(crate) policy: Option<MigrationPolicy>,
    pub(crate) atomics: Option<Atomics>,
    pub(crate) pat: Option<u16>,
    pub(crate) purgeable: Option<bool>,
    pub(crate) gpus: Option<SmallVec<[GpuId; 8]>>,
    pub(crate) strict: bool,
}

impl Advice {
    /// Names nothing yet.
    #[inline]
    pub fn new() -> Advice {
        Advice::default()
    }

    /// A preferred location.
    #[inline]
    pub fn prefer(location: impl Into<Location>) -> Advice {
        Advice { chain: smallvec![location.into()], ..Advice::default() }
    }

    /// The next location to try where not all vms can live with the ones before. The whole space gets one answer.
    #[inline]
    pub fn or(mut self, location: impl Into<Location>) -> Advice {
        self.chain.push(location.into());
        self
    }

    /// An atomic mode.
    #[inline]
    pub fn atomics(mut self, mode: Atomics) -> Advice {
        self.atomics = Some(mode);
        self
    }

    /// A PAT index: caching and coherency of the GPU's mapping, numbered as the device's table is.
    #[inline]
    pub fn pat(mut self, index: u16) -> Advice {
        self.pat = Some(index);
        self
    }

    /// A migration policy. No kernel known acts on it: the answer is [`Effect::Inert`](crate::Effect::Inert).
    #[inline]
    pub fn migration_policy(mut self, policy: MigrationPolicy) -> Advice {
        self.policy = Some(policy);
        self
    }

    /// Whether the contents may be thrown away under memory pressure. It concerns buffer objects; over memory of the
    /// process the answer is [`Effect::Inert`](crate::Effect::Inert).
    #[inline]
    pub fn purgeable(mut self, purgeable: bool) -> Advice {
        self.purgeable = Some(purgeable);
        self
    }

    /// Only the vms of these GPUs will use the range; without this, all vms of the space.
    ///
    /// A GPU that is not named can still pull pages when it touches them.
    #[inline]
    pub fn for_gpus(mut self, gpus: &[GpuId]) -> Advice {
        self.gpus = Some(gpus.into());
        self
    }

    /// If one vm refuses, the vms that did not get their recorded wishes back.
    #[inline]
    pub fn strict(mut self) -> Advice {
        self.strict = true;
        self
    }

    /// The location and its fallbacks, in the order in which they are tried.
    pub fn locations(&self) -> &[Location] {
        &self.chain
    }

    /// Whether it names nothing at all.
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
            && self.policy.is_none()
            && self.atomics.is_none()
            && self.pat.is_none()
            && self.purgeable.is_none()
    }
}

/// All that one vm has been told of a range, as far as this library told it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) location: Location,
    pub(crate) policy: MigrationPolicy,
    pub(crate) atomics: Atomics,
    /// `None`: as the vm's mirror was bound.
    pub(crate) pat: Option<u16>,
}

/// What an advice that was taken makes of a wish; what it does not name stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    location: Option<Location>,
    policy: Option<MigrationPolicy>,
    atomics: Option<Atomics>,
    pat: Option<u16>,
}

impl Hash for Change {
    /// By what mostly differs.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.location.hash(hasher);
    }
}

impl Change {
    /// Of `advice`, once its fallbacks are resolved to `location`.
    pub(crate) fn by(advice: &Advice, location: Option<Location>) -> Change {
        let Advice { policy, atomics, pat, .. } = *advice;
        // The kernel takes location and policy together.
        Change { location, policy: policy.or(location.map(|_| MigrationPolicy::AllPages)), atomics, pat }
    }

    /// From nothing to all that `wish` says.
    pub(crate) fn to(wish: Wish) -> Change {
        let Wish { location, policy, atomics, pat } = wish;
        Change { location: Some(location), policy: Some(policy), atomics: Some(atomics), pat }
    }

    /// `wish` with this change.
    #[inline]
    pub(crate) fn of(self, wish: Wish) -> Wish {
        Wish {
            location: self.location.unwrap_or(wish.location),
            policy: self.policy.unwrap_or(wish.policy),
            atomics: self.atomics.unwrap_or(wish.atomics),
            pat: self.pat.or(wish.pat),
        }
    }
}
