// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interconnect groups: `drm_pagemap_acquire_owner` in `drivers/gpu/drm/drm_pagemap_util.c`.

use super::{vm::VmKey, vram::PagemapId};

/// The token of an interconnect group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owner(u32);

/// What joins a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    /// A fault-mode vm, from its creation to its end.
    Vm(VmKey),
    /// A pagemap, from its creation to its end.
    Pagemap(PagemapId),
}

/// All groups, oldest first. Membership is decided once, when a peer joins.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<(Owner, Vec<(Peer, usize)>)>,
    next: u32,
}

impl Groups {
    /// Lets `peer` of `device` join the first group of which it reaches every member. `reaches` is asked once a pair,
    /// in the order in which the kernel asks, and stops at a group's first refusal.
    pub(super) fn join(&mut self, peer: Peer, device: usize, mut reaches: impl FnMut(usize) -> bool) -> Owner {
        for (owner, members) in &mut self.groups {
            if members.iter().all(|(_, member)| *member == device || reaches(*member)) {
                members.push((peer, device));
                return *owner;
            }
        }
        let owner = Owner(self.next);
        self.next += 1;
        self.groups.push((owner, vec![(peer, device)]));
        owner
    }

    pub(super) fn leave(&mut self, peer: Peer) {
        self.groups.iter_mut().for_each(|(_, members)| members.retain(|(member, _)| *member != peer));
        self.groups.retain(|(_, members)| !members.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_joins_the_first_group_that_it_reaches_wholly() {
        let mut groups = Groups::default();
        let reach = |from: usize| move |to: usize| (from < 2) == (to < 2);
        let owners: Vec<Owner> =
            (0..4).map(|device| groups.join(Peer::Pagemap(PagemapId(device)), device, reach(device))).collect();
        assert_eq!(owners[0], owners[1]);
        assert_eq!(owners[2], owners[3]);
        assert_ne!(owners[0], owners[2]);
    }

    #[test]
    fn membership_outlives_a_change_of_the_link() {
        let mut groups = Groups::default();
        let first = groups.join(Peer::Pagemap(PagemapId(0)), 0, |_| true);
        assert_eq!(groups.join(Peer::Pagemap(PagemapId(1)), 1, |_| true), first);
        let late = groups.join(Peer::Pagemap(PagemapId(2)), 1, |_| false);
        assert_ne!(late, first);
        groups.leave(Peer::Pagemap(PagemapId(2)));
        assert_eq!(groups.groups.len(), 1);
    }
}
