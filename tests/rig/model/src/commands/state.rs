// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands of the render and compute engines: all that only set state are passed over, as nothing is drawn here.
//!
//! Bits 28:27 tell the pipe, 26:24 the opcode, 23:16 the sub-opcode (`instructions/xe_gfxpipe_commands.h`). The driver sets
//! such state once, in the first job of an engine. What would run programs on execution units is unknown here.

use super::{Command, Length, flush, many, nothing, one};

/// The pipes.
const COMMON: u32 = 0;
const SINGLE_WORD: u32 = 1;
const COMPUTE: u32 = 2;
const RENDER: u32 = 3;

/// The command with this first word.
pub fn find(header: u32) -> Option<Command> {
    let (pipe, opcode, sub_opcode) = (header >> 27 & 3, header >> 24 & 7, header >> 16 & 0xff);
    Some(match (pipe, opcode, sub_opcode) {
        (RENDER, 2, 0) => many("PIPE_CONTROL", flush::pipe_control),
        // 3DSTATE_SO_DECL_LIST has a longer length field.
        (RENDER, 1, 0x17) => {
            Command { name: "3DSTATE_SO_DECL_LIST", length: Length::Field { mask: 0x1ff }, run: nothing }
        }
        (RENDER, 0 | 1, _) => many("3DSTATE", nothing),
        (COMMON, 1, _) => many("STATE", nothing),
        (SINGLE_WORD, 0 | 1, _) => one("STATE of one word", nothing),
        (COMPUTE, 2, 0) => many("CFE_STATE", nothing),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn state_is_known_and_what_draws_or_computes_is_not() {
        assert_eq!(find(0x7a00_0004).unwrap().name, "PIPE_CONTROL");
        assert_eq!(find(0x7851_0003).unwrap().name, "3DSTATE");
        assert_eq!(find(0x6101_0014).unwrap().name, "STATE");
        assert!(find(0x7b00_0005).is_none(), "3DPRIMITIVE");
        assert!(find(0x7202_0025).is_none(), "COMPUTE_WALKER");
    }
}
