// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands of the copy engines that move much memory (`instructions/xe_gpu_commands.h`, `xe_migrate.c`).
//!
//! Each may stop in the middle, for a page fault or for another context, and goes on from there.

use super::{Flow, has, wide, word};
use crate::engine::{
    port::Area,
    stop::{Stop, bad_command},
    streamer::Streamer,
};

/// Bytes of a unit of MEM_COPY in its page mode.
const UNIT: u64 = 256;

/// MEM_COPY: bit 19 counts units of 256 bytes, bit 17 copies rows.
pub fn mem_copy(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let field = |index, mask: u32| Ok::<u64, Stop>(u64::from(word(words, index)? & mask) + 1);
    let (width, height) = (field(1, 0xff_ffff)?, field(2, 0x3_ffff)?);
    let (source, target) = (wide(words, 5)?, wide(words, 7)?);
    let (width, rows) = match (has(words, 19), has(words, 17)) {
        (true, _) => (width * UNIT, 1),
        (false, true) => (width, height),
        (false, false) => (width, 1),
    };
    let from = Area { start: source, pitch: field(3, 0x3_ffff)? };
    let to = Area { start: target, pitch: field(4, 0x3_ffff)? };
    streamer.copy(from, to, width, rows)?;
    Ok(Flow::Next)
}

/// MEM_SET: bit 17 fills rows; the byte is in the highest bits of the last word.
pub fn mem_set(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let field = |index, mask: u32| Ok::<u64, Stop>(u64::from(word(words, index)? & mask) + 1);
    let rows = if has(words, 17) { field(2, 0x3_ffff)? } else { 1 };
    let area = Area { start: wide(words, 4)?, pitch: field(3, 0x3_ffff)? };
    streamer.fill(area, field(1, 0xff_ffff)?, rows, (word(words, 6)? >> 24) as u8)?;
    Ok(Flow::Next)
}

/// XY_FAST_COPY_BLT, between surfaces that are not tiled.
pub fn fast_copy(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let tiled = word(words, 1)? >> 30 != 0 || words[0] >> 20 & 3 != 0 || words[0] >> 13 & 3 != 0;
    let pixel = match word(words, 1)? >> 24 & 7 {
        0 => 1,
        1 => 2,
        3 => 4,
        4 => 8,
        5 => 16,
        depth => return bad_command(format!("pixels of depth {depth} in XY_FAST_COPY_BLT")),
    };
    if tiled {
        return bad_command("a tiled surface in XY_FAST_COPY_BLT");
    }
    let [(left, top), (right, bottom), (source_left, source_top)] =
        [point(word(words, 2)?), point(word(words, 3)?), point(word(words, 6)?)];
    let area = |start: u64, pitch: u64, left: u64, top: u64| Area { start: start + top * pitch + left * pixel, pitch };
    let to = area(wide(words, 4)?, u64::from(word(words, 1)? & 0xffff), left, top);
    let from = area(wide(words, 8)?, u64::from(word(words, 7)? & 0xffff), source_left, source_top);
    streamer.copy(from, to, right.saturating_sub(left) * pixel, bottom.saturating_sub(top))?;
    Ok(Flow::Next)
}

/// XY_FAST_COLOR_BLT of 32-bit pixels whose four bytes are equal, on a surface that is not tiled.
pub fn fast_color(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let depth = words[0] >> 19 & 7;
    let tiled = word(words, 1)? >> 30 != 0;
    let color = word(words, 7)?;
    let byte = color as u8;
    if depth != 2 || tiled || color != u32::from_ne_bytes([byte; 4]) {
        return bad_command(format!("XY_FAST_COLOR_BLT of depth {depth}, color {color:#x}, tiled {tiled}"));
    }
    let ((left, top), (right, bottom)) = (point(word(words, 2)?), point(word(words, 3)?));
    let pitch = u64::from(word(words, 1)? & 0x3_ffff) + 1;
    let area = Area { start: wide(words, 4)? + top * pitch + left * 4, pitch };
    streamer.fill(area, right.saturating_sub(left) * 4, bottom.saturating_sub(top), byte)?;
    Ok(Flow::Next)
}

/// Column and row in one word.
fn point(word: u32) -> (u64, u64) {
    (u64::from(word & 0xffff), u64::from(word >> 16))
}
