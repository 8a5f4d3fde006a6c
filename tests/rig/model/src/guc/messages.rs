// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of the firmware's messages: who speaks, what kind, which action.
//!
//! From `abi/guc_messages_abi.h`, `abi/guc_actions_abi.h`, `abi/guc_actions_sriov_abi.h` and `abi/guc_errors_abi.h`.

use std::{borrow::Cow, fmt};

/// Bit 31: the firmware speaks. Without it the host does.
const FROM_GUC: u32 = 1 << 31;

/// Kinds of messages, in bits 30:28.
const REQUEST: u32 = 0;
const EVENT: u32 = 1;
const FAILURE: u32 = 6;
const SUCCESS: u32 = 7;

/// An event of the firmware.
pub fn event(action: u16) -> u32 {
    FROM_GUC | EVENT << 28 | u32::from(action)
}

/// A successful answer with 28 bits of data.
pub fn success(data: u32) -> u32 {
    FROM_GUC | SUCCESS << 28 | data & 0x0fff_ffff
}

/// A refusal.
pub fn failure(error: u16) -> u32 {
    FROM_GUC | FAILURE << 28 | u32::from(error)
}

/// The same word as the host would say it; answers of the physical function are passed on so.
pub fn by_host(word: u32) -> u32 {
    word & !FROM_GUC
}

/// The first word of a message from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether an answer is expected.
    pub wants_answer: bool,
    /// What is asked for.
    pub action: u16,
    /// 12 bits of data, in bits 27:16.
    pub data: u16,
}

impl Header {
    /// Reads the first word; none if it is not the host's.
    pub fn of_host(word: u32) -> Option<Header> {
        (word & FROM_GUC == 0).then_some(Header {
            wants_answer: word >> 28 & 7 == REQUEST,
            action: word as u16,
            data: (word >> 16 & 0xfff) as u16,
        })
    }
}

macro_rules! actions {
    ($($(#[$text:meta])* $name:ident = $number:literal,)*) => {
        $($(#[$text])* pub const $name: u16 = $number;)*

        /// The name of an action.
        pub fn name(action: u16) -> Cow<'static, str> {
            match action {
                $($number => stringify!($name).into(),)*
                other => format!("action {other:#x}").into(),
            }
        }
    };
}

actions! {
    /// The driver says where a buffer or an interrupt page is.
    SELF_CFG = 0x0508,
    /// The driver sets how the firmware schedules.
    UPDATE_SCHEDULING_POLICIES_KLV = 0x0509,
    /// A context has new commands.
    SCHED_CONTEXT = 0x1000,
    /// Lets a context run, or takes it off its engine.
    SCHED_CONTEXT_MODE_SET = 0x1001,
    /// The context is in the wanted mode.
    SCHED_CONTEXT_MODE_DONE = 0x1002,
    /// A context was reset.
    CONTEXT_RESET_NOTIFICATION = 0x1008,
    /// The driver sets how a context is scheduled.
    UPDATE_CONTEXT_POLICIES = 0x100b,
    /// The driver asks for the table of what the GPU has.
    GET_HWCONFIG = 0x4100,
    /// A new context.
    REGISTER_CONTEXT = 0x4502,
    /// The context is to be forgotten.
    DEREGISTER_CONTEXT = 0x4503,
    /// Switches the command buffers on or off.
    CONTROL_CTB = 0x4509,
    /// The context is forgotten.
    DEREGISTER_CONTEXT_DONE = 0x4600,
    /// From the physical function's driver.
    RELAY_FROM_PF = 0x5102,
    /// To the physical function's driver.
    RELAY_TO_PF = 0x5103,
    /// Which version of this interface is spoken.
    MATCH_VERSION = 0x5500,
    /// Forget all about this function.
    VF_RESET = 0x5507,
    /// One value of this function's share of the GPU.
    QUERY_SINGLE_KLV = 0x5509,
    /// The driver knows a feature that changes messages.
    OPT_IN_FEATURE_KLV = 0x550e,
    /// A context used memory that it must not.
    NOTIFY_MEMORY_CAT_ERROR = 0x6000,
    /// A page is needed.
    REPORT_PAGE_FAULT = 0x6002,
    /// The page is there, or will never be.
    PAGE_FAULT_RESPONSE = 0x6003,
    /// Forget translations.
    TLB_INVALIDATION = 0x7000,
    /// They are forgotten.
    TLB_INVALIDATION_DONE = 0x7001,
    /// Forget all translations.
    TLB_INVALIDATION_ALL = 0x7002,
}

/// Reasons to refuse.
pub mod error {
    /// XE_GUC_RESPONSE_UNSUPPORTED_VERSION.
    pub const UNSUPPORTED_VERSION: u16 = 0x0b;
    /// XE_GUC_RESPONSE_UNKNOWN_ACTION.
    pub const UNKNOWN_ACTION: u16 = 0x30;
    /// XE_GUC_RESPONSE_INVALID_GGTT_ADDRESS.
    pub const INVALID_GGTT_ADDRESS: u16 = 0x80;
    /// XE_GUC_RESPONSE_INVALID_KLV_KEY.
    pub const INVALID_KLV_KEY: u16 = 0x105;
    /// XE_GUC_RESPONSE_INVALID_SIZE.
    pub const INVALID_SIZE: u16 = 0x102;
}

/// A message for a reader: its name and its words.
pub struct Words<'a>(pub &'a [u32]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else { return f.write_str("nothing") };
        match first >> 28 & 7 {
            SUCCESS => write!(f, "success {:#x}", first & 0x0fff_ffff)?,
            FAILURE => write!(f, "failure {:#x}", first & 0xffff)?,
            _ => f.write_str(&name(*first as u16))?,
        }
        rest.iter().try_for_each(|word| write!(f, " {word:x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_who_wants_what() {
        assert_eq!(
            Header::of_host(0x0123_5509),
            Some(Header { wants_answer: true, action: QUERY_SINGLE_KLV, data: 0x123 })
        );
        assert!(!Header::of_host(0x1000_7000).unwrap().wants_answer);
        assert_eq!(Header::of_host(success(0)), None);
    }

    #[test]
    fn messages_are_readable() {
        assert_eq!(Words(&[event(REPORT_PAGE_FAULT), 0x10, 2]).to_string(), "REPORT_PAGE_FAULT 10 2");
        assert_eq!(Words(&[failure(error::UNKNOWN_ACTION)]).to_string(), "failure 0x30");
        assert_eq!(Words(&[0x1000_dead]).to_string(), "action 0xdead");
    }
}
