// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the physical function's driver answers to this virtual one (`abi/guc_relay_actions_abi.h`).

use super::messages::{Header, by_host, failure, success};

/// VF2PF_HANDSHAKE: which version of this conversation is spoken.
const HANDSHAKE: u16 = 0x0001;
/// VF2PF_QUERY_RUNTIME: registers that a virtual function cannot read itself.
const QUERY_RUNTIME: u16 = 0x0101;

/// Refusals (`abi/guc_relay_communication_abi.h`).
const PROTOCOL_ERROR: u16 = 71;
const INVALID_REQUEST_CODE: u16 = 56;

/// Registers and their values: what is fused off and what is not. 20 Xe cores in 5 slices, as [`super::hwconfig`] says;
/// one render, one compute and two copy engines; no media.
const RUNTIME: [(u32, u32); 13] = [
    (0x0d00, 0),       // RPM_CONFIG0: 19.2 MHz
    (0x9114, 1 << 16), // XEHP_FUSE4: one compute engine
    (0x9118, 1),       // MIRROR_FUSE3
    (0x911c, 0),       // MIRROR_FUSE1
    (0x9134, 0xff),    // XELP_EU_ENABLE: 8 units a core
    (0x913c, 0xfffff), // XELP_GT_GEOMETRY_DSS_ENABLE: 20 cores
    (0x9140, 0),       // GT_VEBOX_VDBOX_DISABLE
    (0x9144, 0xfffff), // XEHP_GT_COMPUTE_DSS_ENABLE: 20 cores
    (0x9148, 0),       // XEHPC_GT_COMPUTE_DSS_ENABLE_EXT
    (0x914c, 0),       // XE2_GT_COMPUTE_DSS_2
    (0x9150, 0),       // XE2_GT_GEOMETRY_DSS_1
    (0x9154, 0),       // XE2_GT_GEOMETRY_DSS_2
    (0xc1dc, 0),       // HUC_KERNEL_LOAD_INFO: none
];

/// The answer to a relayed message.
pub fn answer(request: &[u32]) -> Vec<u32> {
    let Some(header) = request.first().and_then(|word| Header::of_host(*word)) else {
        return vec![by_host(failure(PROTOCOL_ERROR))];
    };
    match (header.action, request.get(1)) {
        (HANDSHAKE, Some(version)) => vec![by_host(success(0)), *version],
        (QUERY_RUNTIME, Some(start)) => runtime(*start as usize, header.data.into()),
        (HANDSHAKE | QUERY_RUNTIME, None) => vec![by_host(failure(PROTOCOL_ERROR))],
        _ => vec![by_host(failure(INVALID_REQUEST_CODE))],
    }
}

/// The registers from `start` on; a limit of 0 is none.
fn runtime(start: usize, limit: usize) -> Vec<u32> {
    let rest = &RUNTIME[start.min(RUNTIME.len())..];
    let told = if limit == 0 { rest } else { &rest[..limit.min(rest.len())] };
    let mut answer = vec![by_host(success(told.len() as u32)), (rest.len() - told.len()) as u32];
    answer.extend(told.iter().flat_map(|(register, value)| [*register, *value]));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_told_in_parts() {
        let first = answer(&[5 << 16 | u32::from(QUERY_RUNTIME), 0]);
        assert_eq!((first[0], first[1], first.len()), (0x7000_0005, 8, 12));
        let last = answer(&[u32::from(QUERY_RUNTIME), 12]);
        assert_eq!(last, [0x7000_0001, 0, 0xc1dc, 0]);
        assert_eq!(answer(&[u32::from(QUERY_RUNTIME), 99]), [0x7000_0000, 0]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(answer(&[0x99, 1]), [0x6000_0038]);
        assert_eq!(answer(&[]), [0x6000_0047]);
    }
}
