// SPDX-License-Identifier: MIT OR Apache-2.0
//! Page faults as messages (`struct xe_guc_pagefault_desc` and `_reply` in `xe_guc_fwif.h`).

use super::messages::{REPORT_PAGE_FAULT, event};
use crate::ppgtt::Fault;

/// The message that reports a fault of context number `context` of address space `asid`, met by an engine of this class.
pub fn report(fault: &Fault, context: u32, asid: u32, class: u32, instance: u32) -> [u32; 5] {
    let level = fault.level & 7;
    let place = level | (instance & 0x3f) << 19 | (class & 7) << 25 | (context & 0xf) << 28;
    let owner = context >> 4 & 0xfff | asid << 12;
    let page = fault.address as u32 & 0xffff_f000;
    let kind = fault.access as u32 | (fault.kind as u32) << 2 | page;
    [event(REPORT_PAGE_FAULT), place, owner, kind, (fault.address >> 32) as u32]
}

/// The driver's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The context that may go on, or not. The driver gives back what the report carried.
    pub context: u32,
    /// Whether the page is there now.
    pub served: bool,
}

/// Reads the driver's answer.
pub fn answer(message: &[u32]) -> Option<Answer> {
    let [_, outcome, place, ..] = message else { return None };
    // The bit that is named PFR_SUCCESS is set where the fault could not be served (`guc_ack_fault()`).
    Some(Answer { context: place >> 16, served: outcome >> 1 & 1 == 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ppgtt::{Access, Kind};

    #[test]
    fn a_report_carries_what_the_driver_reads_from_it() {
        let fault = Fault { address: 0x7fff_1234_5678, level: 1, kind: Kind::Write, access: Access::Write };
        let message = report(&fault, 0x123, 0x5_4321, 3, 0);
        assert_eq!(message, [0x9000_6002, 0x3600_0001, 0x5432_1012, 0x1234_5005, 0x7fff]);
    }

    #[test]
    fn an_answer_names_the_context_again() {
        assert_eq!(answer(&[0, 1, 0x0123_0000]), Some(Answer { context: 0x123, served: true }));
        assert_eq!(answer(&[0, 3, 0x0123_0000]), Some(Answer { context: 0x123, served: false }));
        assert_eq!(answer(&[0, 3]), None);
    }
}
