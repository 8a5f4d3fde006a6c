// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that write words to memory.

use super::{Flow, has, wide};
use crate::engine::{
    port::Address,
    stop::{Stop, bad_command},
    streamer::Streamer,
};

/// MI_STORE_DATA_IMM: the words behind the address; bit 22 a global address.
pub fn immediate(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let address = Address::new(wide(words, 1)?, has(words, 22));
    let Some(data) = words.get(3..).filter(|data| !data.is_empty()) else { return bad_command("no data to store") };
    let bytes: Vec<u8> = data.iter().flat_map(|word| word.to_le_bytes()).collect();
    streamer.write(address, &bytes)?;
    Ok(Flow::Next)
}

/// MI_COPY_MEM_MEM: one word; bit 22 a global source, bit 21 a global target.
pub fn copy(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let target = Address::new(wide(words, 1)?, has(words, 21));
    let source = Address::new(wide(words, 3)?, has(words, 22));
    let value = streamer.read32(source)?;
    streamer.write(target, &value.to_le_bytes())?;
    Ok(Flow::Next)
}
