// SPDX-License-Identifier: MIT OR Apache-2.0
//! NUMA policies of the simulated machine's nodes: `mbind` and `get_mempolicy`.

use super::{Answer, migrate::errno, process::Process, state::State};
use crate::{range::Range, uapi::memory::MemoryPolicy};

impl State {
    /// EINVAL for a node that the machine has not got, EFAULT where nothing is mapped. Pages stay where they are: the
    /// simulation knows RAM, not its nodes.
    pub(super) fn mbind(&mut self, range: Range, policy: &MemoryPolicy) -> Answer {
        let named = (0..policy.nodes.len() as u32 * 64)
            .filter(|node| policy.nodes[*node as usize / 64] >> (node % 64) & 1 != 0);
        let (mut any, mut all_there) = (false, true);
        for node in named {
            any = true;
            all_there &= node == 0 || self.files.exists(format!("/sys/devices/system/node/node{node}"));
        }
        let takes_none = policy.mode == MemoryPolicy::default().mode;
        if !all_there || takes_none == any {
            return Err(libc::EINVAL);
        }
        self.mapped(range)?;
        self.policies.spread(range.into(), *policy);
        Ok(())
    }

    pub(super) fn get_mempolicy(&self, address: u64) -> Answer<MemoryPolicy> {
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        process.at(address).ok_or(libc::EFAULT)?;
        Ok(self.policies.at(address).map_or_else(MemoryPolicy::default, |(_, policy)| *policy))
    }

    fn mapped(&self, range: Range) -> Answer {
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        let mut at = range.start();
        for mapping in process.over(range.into()) {
            if mapping.span.start > at {
                break;
            }
            at = mapping.span.end;
        }
        if at < range.end() { Err(libc::EFAULT) } else { Ok(()) }
    }
}
