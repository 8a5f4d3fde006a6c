// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is to say of each pair of GPUs.

use super::{Topology, meeting::Meeting};
use crate::{
    causes::{Cause, Causes, Trouble},
    page::Ink,
};
use xeplace::{Gpu, GpuId, Link};

/// All pairs: the GPU of a row uses the VRAM of the GPU of a column.
pub struct Pairs {
    rows: Vec<Vec<Pair>>,
    pub causes: Vec<Cause>,
}

pub enum Pair {
    /// A GPU and itself.
    Same,
    /// The second one has no VRAM.
    NoVram,
    /// Its place on the bus cannot be read.
    Unreadable,
    Linked(Linked),
}

pub struct Linked {
    pub link: Link,
    pub meeting: Meeting,
    /// The place of its cause, if it is in trouble.
    pub note: Option<usize>,
}

impl Pairs {
    pub fn of(topology: &Topology) -> Pairs {
        let mut causes = Causes::default();
        let gpus = topology.machine.gpus();
        let mut row = |from: &Gpu| gpus.iter().map(|to| Pair::of(topology, from, to, &mut causes)).collect();
        let rows = gpus.iter().map(&mut row).collect();
        Pairs { rows, causes: causes.0 }
    }

    pub fn rows(&self) -> &[Vec<Pair>] {
        &self.rows
    }

    /// Of two GPUs of the machine.
    pub fn pair(&self, from: GpuId, to: GpuId) -> &Pair {
        &self.rows[from.0 as usize][to.0 as usize]
    }
}

impl Pair {
    fn of(topology: &Topology, from: &Gpu, to: &Gpu, causes: &mut Causes) -> Pair {
        if from.id() == to.id() {
            return Pair::Same;
        }
        if to.regions().is_empty() {
            return Pair::NoVram;
        }
        let Ok(link) = topology.machine.link(from.id(), to.id()) else { return Pair::Unreadable };
        let meeting = topology.meeting(from, to);
        let note = causes.add(from.id(), to.id(), &link);
        Pair::Linked(Linked { link, meeting, note })
    }

    /// In a few characters, without the number of a note.
    pub fn symbol(&self) -> String {
        let Linked { link, meeting, .. } = match self {
            Pair::Same => return "-".to_owned(),
            Pair::NoVram => return "none".to_owned(),
            Pair::Unreadable => return "?".to_owned(),
            Pair::Linked(linked) => linked,
        };
        let hops = || link.hops.map_or("yes".to_owned(), |hops| format!("{hops}{}", meeting.mark()));
        match Trouble::of(link) {
            None => hops(),
            Some(Trouble::ProbablyYes) => hops() + "?",
            Some(Trouble::ProbablyNo) => "no?".to_owned(),
            Some(Trouble::No) => "no".to_owned(),
            Some(Trouble::Unknown) => "?".to_owned(),
            Some(Trouble::SmallBar) => "bar".to_owned(),
        }
    }

    pub fn ink(&self) -> Ink {
        match self {
            Pair::Same | Pair::NoVram => Ink::Dim,
            Pair::Unreadable => Ink::Yellow,
            Pair::Linked(Linked { link, .. }) => match Trouble::of(link) {
                None => Ink::Green,
                Some(Trouble::No | Trouble::ProbablyNo) => Ink::Red,
                Some(Trouble::ProbablyYes | Trouble::Unknown | Trouble::SmallBar) => Ink::Yellow,
            },
        }
    }

    /// The place of the cause of its trouble.
    pub fn note(&self) -> Option<usize> {
        if let Pair::Linked(linked) = self { linked.note } else { None }
    }
}
