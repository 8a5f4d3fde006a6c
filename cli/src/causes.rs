// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why some links are missing, doubtful or not to be used: each cause once, with what to do about it.

use crate::words;
use xeplace::{Basis, GpuId, Link, Machine, Reason, Verdict};

/// What is not plainly well about a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No link.
    No,
    /// No link, by a guess.
    ProbablyNo,
    /// A link, by a guess.
    ProbablyYes,
    /// It cannot be told.
    Unknown,
    /// A link to VRAM that does not lie behind its BAR.
    SmallBar,
}

impl Trouble {
    pub fn of(link: &Link) -> Option<Trouble> {
        match (link.verdict, link.basis) {
            (Verdict::NotConnected, Basis::Guessed) => Some(Trouble::ProbablyNo),
            (Verdict::NotConnected, _) => Some(Trouble::No),
            (Verdict::Unknown, _) => Some(Trouble::Unknown),
            (Verdict::Connected, _) if !link.fully_visible => Some(Trouble::SmallBar),
            (Verdict::Connected, Basis::Guessed) => Some(Trouble::ProbablyYes),
            (Verdict::Connected, _) => None,
        }
    }
}

/// One cause of trouble, with all pairs that have it.
#[derive(Clone, PartialEq, Debug)]
pub struct Cause {
    pub trouble: Trouble,
    /// With everything that the pairs' own reasons name.
    pub reason: Reason,
    /// From and to.
    pub pairs: Vec<(GpuId, GpuId)>,
}

/// The causes found so far, in the order in which they were found.
#[derive(Default)]
pub struct Causes(pub Vec<Cause>);

impl Causes {
    /// Adds a link. Says which cause it has, counted from 0, if it is in trouble.
    pub fn add(&mut self, from: GpuId, to: GpuId, link: &Link) -> Option<usize> {
        let trouble = Trouble::of(link)?;
        let found = self.0.iter_mut().enumerate().find_map(|(place, cause)| {
            let alike = cause.trouble == trouble;
            Some((place, alike.then(|| joined(trouble, &cause.reason, &link.reason)).flatten()?))
        });
        let place = match found {
            Some((place, reason)) => {
                self.0[place].reason = reason;
                place
            }
            None => {
                self.0.push(Cause { trouble, reason: link.reason.clone(), pairs: Vec::new() });
                self.0.len() - 1
            }
        };
        self.0[place].pairs.push((from, to));
        Some(place)
    }

    /// The causes of a whole machine, as far as one GPU of each group meets them. Links that cannot be looked up have
    /// none.
    pub fn between_groups(machine: &Machine) -> Causes {
        let mut causes = Causes::default();
        let firsts: Vec<GpuId> = machine.groups().iter().filter_map(|group| group.gpus.first().copied()).collect();
        for from in &firsts {
            for to in firsts.iter().filter(|to| *to != from) {
                if let Ok(link) = machine.link(*from, *to) {
                    causes.add(*from, *to, &link);
                }
            }
        }
        causes
    }
}

/// One reason for both, if there is one that says as much.
fn joined(trouble: Trouble, one: &Reason, other: &Reason) -> Option<Reason> {
    match (one, other) {
        _ if trouble == Trouble::SmallBar => Some(one.clone()),
        (Reason::NoCommonBridge(one), Reason::NoCommonBridge(other)) => Some(Reason::NoCommonBridge(union(one, other))),
        (Reason::AcsRedirect(one), Reason::AcsRedirect(other)) => Some(Reason::AcsRedirect(union(one, other))),
        (Reason::CommonBridge(_), Reason::CommonBridge(_)) => Some(one.clone()),
        _ => (one == other).then(|| one.clone()),
    }
}

fn union<T: Clone + Ord>(one: &[T], other: &[T]) -> Vec<T> {
    let mut all: Vec<T> = one.iter().chain(other).cloned().collect();
    all.sort();
    all.dedup();
    all
}

impl Cause {
    /// What is the matter.
    pub fn sentence(&self) -> String {
        match (self.trouble, &self.reason) {
            (Trouble::SmallBar, _) => {
                let mut to: Vec<GpuId> = self.pairs.iter().map(|(_, to)| *to).collect();
                to.sort();
                to.dedup();
                format!(
                    "connected, but not all VRAM of {} is behind its BAR, so no other GPU may use it",
                    words::gpus(&to)
                )
            }
            (Trouble::ProbablyYes, Reason::CommonBridge(_)) => {
                "a guess: whether the bridges on the way redirect traffic between peers (ACS) is shown to root only"
                    .to_owned()
            }
            (Trouble::ProbablyYes | Trouble::ProbablyNo, reason) => format!("a guess: {}", in_short(reason)),
            (Trouble::No | Trouble::Unknown, reason) => in_short(reason),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        const LOOK: &str = "look as root, or ask the kernel with `xeplace topo --probe`";
        match self.trouble {
            Trouble::SmallBar => Some("enable Resizable BAR and decoding above 4 GiB in the firmware".to_owned()),
            Trouble::No if self.reason == Reason::Kernel => Some("`sudo xeplace topo` may see what it is".to_owned()),
            Trouble::No => split(&self.reason).1,
            Trouble::ProbablyYes | Trouble::Unknown => Some(LOOK.to_owned()),
            Trouble::ProbablyNo => Some(match split(&self.reason).1 {
                Some(remedy) => format!("{LOOK}; then {remedy}"),
                None => LOOK.to_owned(),
            }),
        }
    }
}

/// What is the matter, without a long list of functions: the remedy has it too.
fn in_short(reason: &Reason) -> String {
    match reason {
        Reason::AcsRedirect(functions) if functions.len() > 4 => format!(
            "ACS redirect at {} and {} other functions sends their traffic to a host bridge that is not in the kernel's \
             list of those that pass it",
            functions[0],
            functions.len() - 1
        ),
        reason => split(reason).0,
    }
}

/// A reason's sentence has what can be done about it behind its last semicolon.
fn split(reason: &Reason) -> (String, Option<String>) {
    let text = reason.to_string();
    match text.rsplit_once("; ") {
        Some((what, remedy)) => (what.to_owned(), Some(remedy.to_owned())),
        None => (text, None),
    }
}
