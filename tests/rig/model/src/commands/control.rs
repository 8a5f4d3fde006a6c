// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that steer the command streamer: batches, preemption, interrupts.

use super::{Flow, has, wide};
use crate::{
    engine::{context::Batch, stop::Stop, streamer::Streamer},
    interrupts::mark,
};

/// The event "a command asks for an interrupt" in an engine's vector (GT_MI_USER_INTERRUPT, `regs/xe_irq_regs.h`).
const USER_INTERRUPT: u64 = 0;

/// MI_USER_INTERRUPT: calls the driver.
pub fn user_interrupt(streamer: &mut Streamer<'_>, _: &[u32]) -> Result<Flow, Stop> {
    let gpu = streamer.gpu();
    let (status, source) = streamer.context.interrupt_pages(&gpu.ggtt)?;
    let number = streamer.engine.kind().interrupt;
    mark(&gpu.ggtt, status + number * 16, USER_INTERRUPT, source + number)?;
    gpu.interrupt();
    Ok(Flow::Next)
}

/// MI_ARB_ON_OFF: bit 0 says whether the context may be taken off the engine.
///
/// A real engine does that at certain commands only (MI_ARB_CHECK, batch starts, …), here after any.
pub fn arbitration(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    streamer.context.preemptible = has(words, 0);
    Ok(Flow::Next)
}

/// MI_BATCH_BUFFER_START: bit 8 a process's address, bit 22 a nested batch.
///
/// A batch of a process cannot start a global one: the bit is then ignored.
pub fn batch_start(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let outer = streamer.context.batches.last();
    let process = has(words, 8) || outer.is_some_and(|batch| batch.process);
    // The ring is returned to in any case.
    let nested = has(words, 22) || outer.is_none();
    Ok(Flow::Start { batch: Batch { at: wide(words, 1)? & !3, process }, nested })
}

/// MI_BATCH_BUFFER_END.
pub fn batch_end(_: &mut Streamer<'_>, _: &[u32]) -> Result<Flow, Stop> {
    Ok(Flow::End)
}
