// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests to forget translations (`abi/guc_actions_abi.h`, `xe_guc_tlb_inval.c`).

use super::messages::{Header, TLB_INVALIDATION_ALL};
use crate::tlb::Scope;

/// What is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Translations of engines.
    Engines(Scope),
    /// Translations of the address space that a context uses, in a range.
    Context {
        /// The context.
        id: u32,
        /// First address.
        start: u64,
        /// How many bytes.
        length: u64,
    },
    /// The firmware's own: global addresses, which are not remembered here.
    Guc,
}

/// A request, with the number that its acknowledgement bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number.
    pub number: u32,
    /// What is to be forgotten.
    pub target: Target,
}

/// Kinds of invalidation, in bits 7:0 of the third word.
const FULL: u32 = 0;
const RANGE: u32 = 1;
const CONTEXT_RANGE: u32 = 2;
const GUC: u32 = 3;

/// Reads a request; none if it makes no sense.
pub fn request(message: &[u32]) -> Option<Request> {
    let (&[first, number, operation], rest) = message.split_first_chunk()?;
    let action = Header::of_host(first)?.action;
    let target = match (operation & 0xff, rest) {
        _ if action == TLB_INVALIDATION_ALL => Target::Engines(Scope::All),
        (FULL, _) => Target::Engines(Scope::All),
        (GUC, _) => Target::Guc,
        (kind @ (RANGE | CONTEXT_RANGE), &[id, low, high, order]) => {
            let start = u64::from(low) | u64::from(high) << 32;
            let length = 4096u64.checked_shl(order).filter(|length| *length != 0)?;
            match kind {
                RANGE => Target::Engines(Scope::Range { asid: id, start, length }),
                _ => Target::Context { id, start, length },
            }
        }
        _ => return None,
    };
    Some(Request { number, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_told_in_powers_of_two_of_pages() {
        let message = [0x1000_7000, 5, 0x8000_0001, 17, 0x20_0000, 0x7f, 9];
        let target = Target::Engines(Scope::Range { asid: 17, start: 0x7f_0020_0000, length: 2 << 20 });
        assert_eq!(request(&message), Some(Request { number: 5, target }));
    }

    #[test]
    fn everything_is_asked_for_in_two_ways() {
        let all = Some(Request { number: 5, target: Target::Engines(Scope::All) });
        assert_eq!(request(&[0x1000_7000, 5, 0x8000_0000]), all);
        assert_eq!(request(&[0x1000_7002, 5, 0x8000_0000]), all);
        assert_eq!(request(&[0x1000_7000, 5, 0x8000_0003]).unwrap().target, Target::Guc);
    }

    #[test]
    fn nonsense_is_no_request() {
        assert_eq!(request(&[0x1000_7000, 5]), None);
        assert_eq!(request(&[0x1000_7000, 5, 1, 17, 0, 0]), None);
        assert_eq!(request(&[0x1000_7000, 5, 1, 17, 0, 0, 60]), None);
        assert_eq!(request(&[0x1000_7000, 5, 9]), None);
    }
}
