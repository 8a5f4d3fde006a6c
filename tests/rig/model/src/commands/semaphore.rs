// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that compare a word in memory: one waits for it, one ends the batch.

use super::{Flow, has, registers, wide, word};
use crate::engine::{
    port::Address,
    stop::{Stop, bad_command},
    streamer::Streamer,
};

/// The watchdog of an engine: a counter, and a threshold at which the engine is reset (`regs/xe_engine_regs.h`).
const WATCHDOG_CONTROL: u32 = 0x178;
const WATCHDOG_THRESHOLD: u32 = 0x17c;
const WATCHDOG_START: u32 = 0;
const WATCHDOG_STOP: u32 = 1;

/// MI_SEMAPHORE_WAIT: goes on when the word in memory compares with the one in the command as bits 14:12 say. Bit 22 a
/// global address, bit 16 a register in its place.
pub fn wait(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let seen = match has(words, 16) {
        true => registers::polled(streamer, word(words, 2)?),
        false => streamer.read32(Address::new(wide(words, 2)? & !3, has(words, 22)))?,
    };
    if holds(words[0] >> 12 & 7, seen, word(words, 1)?)? || watchdog_bites(streamer) {
        return Ok(Flow::Next);
    }
    Err(Stop::Wait)
}

/// MI_CONDITIONAL_BATCH_BUFFER_END: ends all batches unless the word in memory compares with the one in the command; with bit
/// 18 only the innermost.
pub fn conditional_end(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let seen = streamer.read32(Address::new(wide(words, 2)? & !3, has(words, 22)))?;
    Ok(match holds(words[0] >> 12 & 7, seen, word(words, 1)?)? {
        true => Flow::Next,
        false if has(words, 18) => Flow::End,
        false => Flow::EndAll,
    })
}

/// Whether `seen` compares with `wanted`.
fn holds(comparison: u32, seen: u32, wanted: u32) -> Result<bool, Stop> {
    Ok(match comparison {
        0 => seen > wanted,
        1 => seen >= wanted,
        2 => seen < wanted,
        3 => seen <= wanted,
        4 => seen == wanted,
        5 => seen != wanted,
        _ => return bad_command(format!("comparison {comparison}")),
    })
}

/// Whether the watchdog ends the wait.
///
/// The driver starts it before a wait that never ends, in the first job of each engine of a virtual function, to have the
/// engine reset before its state is recorded (`emit_fake_watchdog()` in `xe_ring_ops.c`). It then expects the job to end
/// well, so the reset leaves nothing behind but a wait that is over.
fn watchdog_bites(streamer: &mut Streamer<'_>) -> bool {
    let running = streamer.context.registers.get(&WATCHDOG_CONTROL) == Some(&WATCHDOG_START);
    if !running || registers::read(streamer, WATCHDOG_THRESHOLD) == 0 {
        return false;
    }
    registers::write(streamer, WATCHDOG_CONTROL, WATCHDOG_STOP);
    let (engine, context) = (streamer.engine.name(), streamer.context.id);
    streamer.gpu().note(|| format!("{engine} context {context}: the watchdog resets the engine"));
    streamer.forget_translations();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_of_memory_with_the_command() {
        let true_for = |seen, wanted| (0..6).filter(move |comparison| holds(*comparison, seen, wanted) == Ok(true));
        assert_eq!(true_for(2, 1).collect::<Vec<_>>(), [0, 1, 5]);
        assert_eq!(true_for(1, 2).collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!(true_for(2, 2).collect::<Vec<_>>(), [1, 3, 4]);
        assert!(holds(6, 0, 0).is_err());
    }
}
