// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that wait for what is under way, forget translations, and then write: MI_FLUSH_DW and PIPE_CONTROL.
//!
//! Each command here is complete before the next begins, so there is nothing to wait for.

use super::{Flow, has, wide, word};
use crate::engine::{
    port::Address,
    stop::{Stop, bad_command},
    streamer::Streamer,
};

/// What to write at the end, in bits 15:14 of MI_FLUSH_DW and of the second word of PIPE_CONTROL.
const IMMEDIATE: u32 = 1;
const TIMESTAMP: u32 = 3;

/// MI_FLUSH_DW: bit 18 forgets translations, bit 21 an offset into the context's status page, bit 2 of the address a
/// global one.
pub fn flush_dw(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    if has(words, 18) {
        streamer.forget_translations();
    }
    let operation = words[0] >> 14 & 3;
    if operation == 0 {
        return Ok(Flow::Next);
    }
    let address = place(streamer, wide(words, 1)? & !7, word(words, 1)? >> 2 & 1 == 1, has(words, 21));
    match (operation, words.len()) {
        (IMMEDIATE, 4) => streamer.write(address, &words[3].to_le_bytes())?,
        (IMMEDIATE, _) => streamer.write(address, &wide(words, 3)?.to_le_bytes())?,
        (TIMESTAMP, _) => streamer.write(address, &streamer.gpu().clock.ticks().to_le_bytes())?,
        _ => return bad_command(format!("post-sync operation {operation} of MI_FLUSH_DW")),
    }
    Ok(Flow::Next)
}

/// PIPE_CONTROL: in the second word bit 18 forgets translations, bit 21 an offset into the context's status page, bit 24 a
/// global address.
pub fn pipe_control(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let flags = word(words, 1)?;
    if flags >> 18 & 1 == 1 {
        streamer.forget_translations();
    }
    let operation = flags >> 14 & 3;
    if operation == 0 {
        return Ok(Flow::Next);
    }
    let address = place(streamer, wide(words, 2)? & !7, flags >> 24 & 1 == 1, flags >> 21 & 1 == 1);
    match operation {
        IMMEDIATE => streamer.write(address, &wide(words, 4)?.to_le_bytes())?,
        TIMESTAMP => streamer.write(address, &streamer.gpu().clock.ticks().to_le_bytes())?,
        _ => return bad_command(format!("post-sync operation {operation} of PIPE_CONTROL")),
    }
    Ok(Flow::Next)
}

fn place(streamer: &Streamer<'_>, address: u64, global: bool, offset: bool) -> Address {
    if offset { Address::Global(streamer.context.image + address) } else { Address::new(address, global) }
}
