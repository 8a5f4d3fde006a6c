// SPDX-License-Identifier: MIT OR Apache-2.0
//! MI_ATOMIC: reads memory, computes and writes it back, with nothing in between.
//!
//! Numbers of operations as in the Programmer's Reference Manual, command reference, MI_ATOMIC: bits 12:8 tell the
//! operation, bits 14:13 of the same field the size.

use super::{
    Flow, has,
    registers::{general, set_general},
    wide, word,
};
use crate::engine::{
    port::Address,
    stop::{Stop, bad_command},
    streamer::Streamer,
};

/// Two operands; for 4 bytes only the lower half of each counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operands {
    first: u64,
    second: u64,
}

/// MI_ATOMIC: bit 22 a global address, bits 20:19 the size, bit 18 operands in the command, bit 16 returns the old value in
/// general purpose register 0.
pub fn run(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let address = Address::new(wide(words, 1)?, has(words, 22));
    let operation = words[0] >> 8 & 0xff;
    let length = match operation >> 5 {
        0 => 4,
        1 => 8,
        _ => return bad_command(format!("operation {operation:#x} of MI_ATOMIC, on 16 bytes")),
    };
    let operands = operands(streamer, words, length)?;
    let Some(compute) = operator(operation & 0x1f) else {
        return bad_command(format!("operation {operation:#x} of MI_ATOMIC"));
    };
    let old = streamer.change(address, length, |place| match length {
        4 => {
            let narrow = |value: u64| value as u32 as i32 as i64 as u64;
            let operands = Operands { first: narrow(operands.first), second: narrow(operands.second) };
            u64::from(place.update32(|old| compute(narrow(old.into()), operands) as u32))
        }
        _ => place.update64(|old| compute(old, operands)),
    })?;
    if has(words, 16) {
        set_general(streamer, 0, old);
    }
    Ok(Flow::Next)
}

/// The operands: behind the address, four words for each, or in general purpose registers 0 and 1. Those of an operation
/// that needs none may be missing.
fn operands(streamer: &Streamer<'_>, words: &[u32], length: u64) -> Result<Operands, Stop> {
    if !has(words, 18) {
        return Ok(Operands { first: general(streamer, 0), second: general(streamer, 1) });
    }
    let at = |index: usize| match (words.get(index), length) {
        (None, _) => Ok(0),
        (Some(_), 8) => wide(words, index),
        _ => word(words, index).map(u64::from),
    };
    Ok(Operands { first: at(3)?, second: at(7)? })
}

/// What an operation makes of the old value. Values of 4 bytes come with their sign extended, so that one table serves
/// both sizes.
fn operator(operation: u32) -> Option<fn(u64, Operands) -> u64> {
    Some(match operation {
        0x01 => |old, with| old & with.first,
        0x02 => |old, with| old | with.first,
        0x03 => |old, with| old ^ with.first,
        0x04 => |_, with| with.first,
        0x05 => |old, _| old.wrapping_add(1),
        0x06 | 0x0f => |old, _| old.wrapping_sub(1),
        0x07 => |old, with| old.wrapping_add(with.first),
        0x08 => |old, with| old.wrapping_sub(with.first),
        0x09 => |old, with| with.first.wrapping_sub(old),
        0x0a => |old, with| (old as i64).max(with.first as i64) as u64,
        0x0b => |old, with| (old as i64).min(with.first as i64) as u64,
        0x0c => |old, with| old.max(with.first),
        0x0d => |old, with| old.min(with.first),
        0x0e => |old, with| if old == with.first { with.second } else { old },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(operation: u32, old: i64, first: i64, second: i64) -> i64 {
        operator(operation).unwrap()(old as u64, Operands { first: first as u64, second: second as u64 }) as i64
    }

    #[test]
    fn every_operation_has_its_number() {
        assert_eq!(result(0x04, 7, 3, 0), 3);
        assert_eq!(result(0x05, 7, 3, 0), 8);
        assert_eq!(result(0x06, 7, 3, 0), 6);
        assert_eq!(result(0x07, 7, 3, 0), 10);
        assert_eq!(result(0x08, 7, 3, 0), 4);
        assert_eq!(result(0x09, 7, 3, 0), -4);
        assert_eq!(result(0x0e, 7, 7, 9), 9);
        assert_eq!(result(0x0e, 7, 8, 9), 7);
        assert!(operator(0x10).is_none() && operator(0x00).is_none());
    }

    #[test]
    fn maxima_are_signed_or_not() {
        assert_eq!(result(0x0a, -1, 5, 0), 5);
        assert_eq!(result(0x0c, -1, 5, 0), -1);
        assert_eq!(result(0x0b, -1, 5, 0), -1);
        assert_eq!(result(0x0d, -1, 5, 0), 5);
    }
}
