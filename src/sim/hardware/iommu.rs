// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which functions an IOMMU cannot keep apart.

use super::topology::{Function, Kind, Topology};

/// Source validation, request and completion redirect, upstream forwarding (`REQ_ACS_FLAGS` in
/// `drivers/iommu/iommu.c`).
const REQUIRED: u16 = 0x1d;

impl Topology {
    /// The IOMMU group of each function, by its index (`pci_device_group` in `drivers/iommu/iommu.c`).
    ///
    /// A function has a group of its own if every port above it isolates; else it is in the group of the bridge above.
    pub(super) fn iommu_groups(&self) -> Vec<u32> {
        let mut groups: Vec<u32> = Vec::with_capacity(self.functions.len());
        let mut isolated: Vec<bool> = Vec::with_capacity(self.functions.len());
        let mut next = 0;
        for function in &self.functions {
            let above = function.parent.is_none_or(|parent| isolated[parent]);
            let shared = function.parent.filter(|_| !above);
            groups.push(shared.map_or(next, |parent| groups[parent]));
            next += u32::from(shared.is_none());
            isolated.push(above && function.isolates());
        }
        groups
    }
}

impl Function {
    /// `pci_acs_enabled` in `drivers/pci/pci.c`: a function that is alone in its device has no peer inside of it.
    fn isolates(&self) -> bool {
        match self.kind {
            Kind::RootPort | Kind::Downstream => self.acs.is_some_and(|control| control & REQUIRED == REQUIRED),
            _ => true,
        }
    }
}
