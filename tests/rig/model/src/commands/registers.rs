// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that load and store registers.
//!
//! Registers belong to the context. One is named by its address, or with a bit of the first word by its offset from the
//! engine's base; addresses of the render engine may be meant as those of the present one ("remap").

use super::{Flow, has, wide, word};
use crate::engine::{
    port::Address,
    stop::{Stop, bad_command},
    streamer::Streamer,
};

/// Bytes of an engine's registers.
const WINDOW: u32 = 0x1000;
/// RENDER_RING_BASE.
const RENDER: u32 = 0x2000;

/// The timestamps (`regs/xe_engine_regs.h`): RING_TIMESTAMP and RING_CTX_TIMESTAMP, and their upper words.
const TIMESTAMP: u32 = 0x358;
const TIMESTAMP_UPPER: u32 = 0x35c;
const CONTEXT_TIMESTAMP: u32 = 0x3a8;
const CONTEXT_TIMESTAMP_UPPER: u32 = 0x3ac;

/// The first general purpose register, CS_GPR_REG(0); each has 8 bytes.
const GENERAL: u32 = 0x600;

/// The key of a register: its offset from the engine's base, or its address if it is outside.
fn key(streamer: &Streamer<'_>, register: u32, relative: bool, remapped: bool) -> u32 {
    let register = register & 0x7f_fffc;
    let base = streamer.engine.kind().base;
    match register {
        _ if relative => register % WINDOW,
        _ if (base..base + WINDOW).contains(&register) => register - base,
        _ if remapped && (RENDER..RENDER + WINDOW).contains(&register) => register - RENDER,
        _ => register,
    }
}

/// The value of a register.
pub fn read(streamer: &Streamer<'_>, key: u32) -> u32 {
    let context_ticks = || streamer.context.ticks + crate::clock::ticks(streamer.time());
    match key {
        TIMESTAMP => streamer.gpu().clock.ticks() as u32,
        TIMESTAMP_UPPER => (streamer.gpu().clock.ticks() >> 32) as u32,
        CONTEXT_TIMESTAMP => context_ticks() as u32,
        CONTEXT_TIMESTAMP_UPPER => (context_ticks() >> 32) as u32,
        _ => streamer.context.registers.get(&key).copied().unwrap_or(0),
    }
}

/// Sets a register.
pub fn write(streamer: &mut Streamer<'_>, key: u32, value: u32) {
    streamer.context.registers.insert(key, value);
}

/// The value of general purpose register `number`, all 8 bytes.
pub fn general(streamer: &Streamer<'_>, number: u32) -> u64 {
    let key = GENERAL + number * 8;
    u64::from(read(streamer, key)) | u64::from(read(streamer, key + 4)) << 32
}

/// Sets general purpose register `number`, all 8 bytes.
pub fn set_general(streamer: &mut Streamer<'_>, number: u32, value: u64) {
    write(streamer, GENERAL + number * 8, value as u32);
    write(streamer, GENERAL + number * 8 + 4, (value >> 32) as u32);
}

/// Register `word` as MI_SEMAPHORE_WAIT polls it.
pub fn polled(streamer: &Streamer<'_>, register: u32) -> u32 {
    read(streamer, key(streamer, register, false, true))
}

/// MI_LOAD_REGISTER_IMM: pairs of register and value; bit 19 offsets, bit 17 remapped.
pub fn load_immediate(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let (pairs, []) = words[1..].as_chunks::<2>() else { return bad_command("a register without a value") };
    for [register, value] in pairs {
        let key = key(streamer, *register, has(words, 19), has(words, 17));
        write(streamer, key, *value);
    }
    Ok(Flow::Next)
}

/// MI_STORE_REGISTER_MEM: bit 22 a global address, bit 19 an offset, bit 17 remapped.
pub fn store(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let value = read(streamer, key(streamer, word(words, 1)?, has(words, 19), has(words, 17)));
    streamer.write(Address::new(wide(words, 2)?, has(words, 22)), &value.to_le_bytes())?;
    Ok(Flow::Next)
}

/// MI_LOAD_REGISTER_MEM: the same bits.
pub fn load(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let key = key(streamer, word(words, 1)?, has(words, 19), has(words, 17));
    let value = streamer.read32(Address::new(wide(words, 2)?, has(words, 22)))?;
    write(streamer, key, value);
    Ok(Flow::Next)
}

/// MI_LOAD_REGISTER_REG: for the source bit 18 an offset, bit 16 remapped; for the target bits 19 and 17.
pub fn copy(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let source = key(streamer, word(words, 1)?, has(words, 18), has(words, 16));
    let target = key(streamer, word(words, 2)?, has(words, 19), has(words, 17));
    let value = read(streamer, source);
    write(streamer, target, value);
    Ok(Flow::Next)
}
