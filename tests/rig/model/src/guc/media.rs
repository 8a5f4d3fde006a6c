// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware of the media part, which only says that there is none.

use super::{
    mailbox::{Message, VERSION},
    messages::{Header, MATCH_VERSION, QUERY_SINGLE_KLV, VF_RESET, error, failure, success},
};

/// The answer to a mailbox message. A GMD_ID of zero says that the GPU has no media part.
pub fn answer(request: Message) -> Message {
    match Header::of_host(request[0]).map(|header| header.action) {
        Some(VF_RESET) => [success(0), 0, 0, 0],
        Some(MATCH_VERSION) => [success(0), VERSION, 0, 0],
        Some(QUERY_SINGLE_KLV) => [success(1), 0, 0, 0],
        _ => [failure(error::UNKNOWN_ACTION), 0, 0, 0],
    }
}
