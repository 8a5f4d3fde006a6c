// SPDX-License-Identifier: MIT OR Apache-2.0
//! NUMA policies of the simulated machine's nodes: `mbind` and `get_mempolicy`.

use super::{
    Answer,
    migrate::errno,
    pages::Page,
    process::Process,
    span::Span,
    state::{Event, State},
};
use crate::{
    range::{BLOCK, PAGE, Range},
    uapi::memory::MemoryPolicy,
};

impl State {
    /// EINVAL for a node that the machine has not got, EFAULT where nothing is mapped.
    pub(super) fn mbind(&mut self, range: Range, policy: &MemoryPolicy, move_pages: bool) -> Answer {
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
        self.cut_mappings(range)?;
        let policies = &mut self.pages.marks.policies;
        if takes_none {
            drop(policies.take(range.into()))
        } else {
            policies.spread(range.into(), *policy)
        }
        if move_pages {
            let node = first_node(policy);
            self.nodes.spread(range.into(), node);
        }
        Ok(())
    }

    /// The node of each page in RAM. A page is where it was moved, else where the policy of its memory would take it
    /// from; the simulation does not follow pages that were there before the policy.
    pub(super) fn page_nodes(&self, range: Range, nodes: &mut [i32]) -> Answer {
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        for (run, page) in self.pages.runs(&process, range.into()).map_err(errno)? {
            let is_in_ram = matches!(page, Page::Real(_) | Page::Ram);
            for address in (run.start..run.end).step_by(PAGE as usize) {
                let moved = self.nodes.at(address).map(|(_, node)| *node);
                let node =
                    moved.or_else(|| self.pages.marks.policies.at(address).map(|(_, policy)| first_node(policy)));
                let index = ((address - range.start()) / PAGE) as usize;
                nodes[index] = if is_in_ram { node.unwrap_or(0) } else { -libc::ENOENT };
            }
        }
        Ok(())
    }

    pub(super) fn get_mempolicy(&self, address: u64) -> Answer<MemoryPolicy> {
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        process.at(address).ok_or(libc::EFAULT)?;
        Ok(self.pages.marks.policies.at(address).map_or_else(MemoryPolicy::default, |(_, policy)| *policy))
    }

    /// A mapping that is cut inside a block must not be a huge page there: whatever it is, GPUs have to fault on that block
    /// again (`vma_adjust_trans_huge` in `mm/huge_memory.c`).
    fn cut_mappings(&mut self, range: Range) -> Answer {
        let process = Process::look(&self.pages.marks).map_err(errno)?;
        for end in [range.start(), range.end()].into_iter().filter(|end| end % BLOCK != 0) {
            if process.at(end).is_some_and(|mapping| mapping.span.start < end) {
                self.notify(Span::aligned(end, BLOCK), Event::Changed);
            }
        }
        Ok(())
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

/// The node that a policy prefers; node 0 where it names none.
fn first_node(policy: &MemoryPolicy) -> i32 {
    let word = policy.nodes.iter().position(|word| *word != 0);
    word.map_or(0, |word| word as i32 * 64 + policy.nodes[word].trailing_zeros() as i32)
}
