// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is so of several pairs at once, for one colour.

use super::{
    pairs::{Linked, Pair, Pairs},
    tree::Branch,
};
use crate::causes::Trouble;
use xeplace::GpuId;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tone {
    Yes,
    ProbablyYes,
    /// Some of the pairs, or connected and not to be used.
    Partly,
    Unknown,
    ProbablyNo,
    No,
    /// There is no pair.
    Silent,
}

impl Tone {
    pub fn of(pair: &Pair) -> Option<Tone> {
        match pair {
            Pair::Same | Pair::NoVram => None,
            Pair::Unreadable => Some(Tone::Unknown),
            Pair::Linked(Linked { link, .. }) => Some(match Trouble::of(link) {
                None => Tone::Yes,
                Some(Trouble::ProbablyYes) => Tone::ProbablyYes,
                Some(Trouble::SmallBar) => Tone::Partly,
                Some(Trouble::Unknown) => Tone::Unknown,
                Some(Trouble::ProbablyNo) => Tone::ProbablyNo,
                Some(Trouble::No) => Tone::No,
            }),
        }
    }

    /// Of all pairs between `some` and `others`, both ways.
    pub fn between(pairs: &Pairs, some: &[GpuId], others: &[GpuId]) -> Tone {
        let both = |one: &GpuId, other: &GpuId| [pairs.pair(*one, *other), pairs.pair(*other, *one)];
        let all = some.iter().flat_map(|one| others.iter().flat_map(move |other| both(one, other)));
        Tone::all(all.filter_map(Tone::of))
    }

    /// One for all of them.
    pub fn all(tones: impl Iterator<Item = Tone>) -> Tone {
        let joined = |one, other| if one == other { one } else { Tone::Partly };
        tones.filter(|tone| *tone != Tone::Silent).reduce(joined).unwrap_or(Tone::Silent)
    }

    /// Of the pairs that meet where `branches` do: for each branch, its GPUs with those of the others.
    pub fn of_branches(pairs: &Pairs, branches: &[Branch]) -> Vec<Tone> {
        Tone::of_parts(pairs, &branches.iter().map(Branch::gpus).collect::<Vec<_>>())
    }

    /// For each part, of its GPUs with those of the other parts.
    pub fn of_parts(pairs: &Pairs, parts: &[Vec<GpuId>]) -> Vec<Tone> {
        let others = |place: usize| {
            let others = parts.iter().enumerate().filter(move |(other, _)| *other != place);
            others.flat_map(|(_, gpus)| gpus.iter().copied()).collect::<Vec<_>>()
        };
        parts.iter().enumerate().map(|(place, gpus)| Tone::between(pairs, gpus, &others(place))).collect()
    }

    pub fn is_guess(self) -> bool {
        matches!(self, Tone::ProbablyYes | Tone::ProbablyNo)
    }

    /// Beside a bridge: of the GPUs below it.
    pub fn words(self) -> &'static str {
        match self {
            Tone::Yes => "connected",
            Tone::ProbablyYes => "connected?",
            Tone::Partly => "connected in part",
            Tone::Unknown => "unknown",
            Tone::ProbablyNo => "not connected?",
            Tone::No => "not connected",
            Tone::Silent => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topo::{Topology, tree};
    use xeplace::Machine;

    fn tones(machine: &str) -> Vec<Tone> {
        let topology = Topology::of(Machine::simulated(machine).unwrap());
        Tone::of_branches(&Pairs::of(&topology), &tree::hosts(&topology.ways)[0].below)
    }

    #[test]
    fn a_line_has_the_tone_of_what_meets_at_its_upper_end() {
        assert_eq!(tones("cpu=zen bmg switch(acs 2x bmg)"), [Tone::Yes; 2]);
        assert_eq!(tones("cpu=client root 2x bmg"), [Tone::No; 2]);
        assert_eq!(tones("cpu=client iommu port(bmg)"), [Tone::Silent]);
    }

    #[test]
    fn different_pairs_are_connected_in_part() {
        assert_eq!(tones("cpu=zen bmg bar=256M bmg")[0], Tone::Partly);
        assert_eq!(Tone::all([Tone::Yes, Tone::Silent, Tone::Yes].into_iter()), Tone::Yes);
        assert_eq!(Tone::all([Tone::Yes, Tone::No].into_iter()), Tone::Partly);
    }
}
