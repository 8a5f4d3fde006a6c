// SPDX-License-Identifier: MIT OR Apache-2.0
//! MI_MATH: arithmetic on the general purpose registers, a word an instruction (`instructions/xe_alu_commands.h`).

use super::{
    Flow,
    registers::{general, set_general},
};
use crate::engine::{
    stop::{Stop, bad_command},
    streamer::Streamer,
};

/// Operands that are no registers.
const SOURCE_A: u32 = 0x20;
const SOURCE_B: u32 = 0x21;
const ACCUMULATOR: u32 = 0x31;
const ZERO_FLAG: u32 = 0x32;
const CARRY_FLAG: u32 = 0x33;

/// The state of the unit, which begins anew with each MI_MATH.
#[derive(Debug, Default)]
struct Unit {
    a: u64,
    b: u64,
    accumulator: u64,
    zero: bool,
    carry: bool,
}

impl Unit {
    /// Sets a source.
    fn load(&mut self, source: u32, value: u64) -> Result<(), Stop> {
        match source {
            SOURCE_A => self.a = value,
            SOURCE_B => self.b = value,
            _ => return bad_command(format!("MI_MATH loads operand {source:#x}")),
        }
        Ok(())
    }

    /// Computes; none if there is no such operation.
    fn compute(&mut self, operation: u32) -> Option<()> {
        let (a, b) = (self.a, self.b);
        (self.accumulator, self.carry) = match operation {
            0x100 => a.overflowing_add(b),
            0x101 => a.overflowing_sub(b),
            0x102 => (a & b, false),
            0x103 => (a | b, false),
            0x104 => (a ^ b, false),
            0x105 => (a << (b & 63), false),
            0x106 => (a >> (b & 63), false),
            0x107 => ((a as i64 >> (b & 63)) as u64, false),
            _ => return None,
        };
        self.zero = self.accumulator == 0;
        Some(())
    }

    /// A result; flags are all ones or all zeros.
    fn result(&self, operand: u32) -> Result<u64, Stop> {
        let flag = |set: bool| if set { u64::MAX } else { 0 };
        match operand {
            ACCUMULATOR => Ok(self.accumulator),
            ZERO_FLAG => Ok(flag(self.zero)),
            CARRY_FLAG => Ok(flag(self.carry)),
            _ => bad_command(format!("MI_MATH stores operand {operand:#x}")),
        }
    }
}

/// MI_MATH.
pub fn run(streamer: &mut Streamer<'_>, words: &[u32]) -> Result<Flow, Stop> {
    let mut unit = Unit::default();
    for instruction in &words[1..] {
        let (operation, first, second) = (instruction >> 20, instruction >> 10 & 0x3ff, instruction & 0x3ff);
        match operation {
            // No operation, and two fences.
            0x000..=0x002 => {}
            0x080 => unit.load(first, general(streamer, second & 15))?,
            0x480 => unit.load(first, !general(streamer, second & 15))?,
            0x081 => unit.load(first, 0)?,
            0x481 => unit.load(first, u64::MAX)?,
            0x180 => set_general(streamer, first & 15, unit.result(second)?),
            0x580 => set_general(streamer, first & 15, !unit.result(second)?),
            _ if unit.compute(operation).is_some() => {}
            _ => return bad_command(format!("operation {operation:#x} of MI_MATH")),
        }
    }
    Ok(Flow::Next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn computed(operation: u32, a: u64, b: u64) -> (u64, bool, bool) {
        let mut unit = Unit { a, b, ..Unit::default() };
        unit.compute(operation).unwrap();
        (unit.accumulator, unit.zero, unit.carry)
    }

    #[test]
    fn sums_and_differences_carry() {
        assert_eq!(computed(0x100, u64::MAX, 1), (0, true, true));
        assert_eq!(computed(0x101, 1, 2), (u64::MAX, false, true));
        assert_eq!(computed(0x101, 5, 5), (0, true, false));
    }

    #[test]
    fn shifts_to_the_right_keep_the_sign_or_not() {
        assert_eq!(computed(0x105, 3, 4).0, 48);
        assert_eq!(computed(0x106, 1 << 63, 63).0, 1);
        assert_eq!(computed(0x107, 1 << 63, 63).0, u64::MAX);
    }

    #[test]
    fn what_does_not_exist_is_an_error() {
        assert!(Unit::default().compute(0x108).is_none());
        assert!(Unit::default().result(0).is_err());
    }
}
