// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mishaps that a test asks for: the nth command fails, writes nonsense or is late; an invalidation does not happen.

use parking_lot::Mutex;
use std::{
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The command ends in a memory error.
    Fail,
    /// The first byte that the command writes is inverted.
    Corrupt,
    /// The command begins later.
    Delay(Duration),
    /// An invalidation is acknowledged but not done.
    Skip,
}

/// What it happens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Commands that copy memory.
    Copy,
    /// Commands that set memory.
    Fill,
    /// Commands with this name.
    Command(String),
    /// Invalidations of translations that the GuC is asked for.
    Invalidation,
}

/// That is no subject: it needs at least a letter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is named so")]
pub struct Nameless;

impl FromStr for Subject {
    type Err = Nameless;

    fn from_str(text: &str) -> Result<Subject, Nameless> {
        match text {
            "" => Err(Nameless),
            "copy" => Ok(Subject::Copy),
            "fill" => Ok(Subject::Fill),
            "invalidation" => Ok(Subject::Invalidation),
            name => Ok(Subject::Command(name.to_uppercase())),
        }
    }
}

impl Subject {
    fn is_command(&self, name: &str) -> bool {
        match self {
            Subject::Copy => matches!(name, "MEM_COPY" | "XY_FAST_COPY_BLT"),
            Subject::Fill => matches!(name, "MEM_SET" | "XY_FAST_COLOR_BLT"),
            Subject::Command(wanted) => wanted == name,
            Subject::Invalidation => false,
        }
    }
}

#[derive(Debug)]
struct Rule {
    subject: Subject,
    mishap: Mishap,
    /// How many more of the kind go well.
    spared: u64,
}

/// The mishaps that wait for their moment.
#[derive(Debug, Default)]
pub struct Mishaps {
    any: AtomicBool,
    rules: Mutex<Vec<Rule>>,
}

impl Mishaps {
    /// Lets `mishap` happen once, to the `nth` from now on, counted from 1.
    pub fn arm(&self, subject: Subject, mishap: Mishap, nth: u64) {
        self.rules.lock().push(Rule { subject, mishap, spared: nth.saturating_sub(1) });
        self.any.store(true, Ordering::Relaxed);
    }

    /// Forgets all that have not happened yet.
    pub fn disarm(&self) {
        self.rules.lock().clear();
        self.any.store(false, Ordering::Relaxed);
    }

    /// How many have not happened yet.
    pub fn waiting(&self) -> usize {
        self.rules.lock().len()
    }

    /// A command of this name begins.
    pub fn at_command(&self, name: &str) -> Option<Mishap> {
        self.meet(|subject| subject.is_command(name))
    }

    /// An invalidation was asked for.
    pub fn at_invalidation(&self) -> Option<Mishap> {
        self.meet(|subject| *subject == Subject::Invalidation)
    }

    fn meet(&self, concerns: impl Fn(&Subject) -> bool) -> Option<Mishap> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut rules = self.rules.lock();
        let mut due = None;
        for (index, rule) in rules.iter_mut().enumerate().filter(|(_, rule)| concerns(&rule.subject)) {
            match rule.spared.checked_sub(1) {
                Some(left) => rule.spared = left,
                None => due = due.or(Some(index)),
            }
        }
        due.map(|index| rules.remove(index).mishap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_of_a_kind_is_met_once() {
        let mishaps = Mishaps::default();
        mishaps.arm("copy".parse().unwrap(), Mishap::Fail, 2);
        assert_eq!(mishaps.at_command("MEM_COPY"), None);
        assert_eq!(mishaps.at_command("MEM_SET"), None);
        assert_eq!(mishaps.at_command("MEM_COPY"), Some(Mishap::Fail));
        assert_eq!(mishaps.at_command("MEM_COPY"), None);
        assert_eq!(mishaps.waiting(), 0);
    }

    #[test]
    fn two_for_the_same_moment_happen_one_after_the_other() {
        let mishaps = Mishaps::default();
        mishaps.arm("mi_atomic".parse().unwrap(), Mishap::Fail, 1);
        mishaps.arm("MI_ATOMIC".parse().unwrap(), Mishap::Corrupt, 1);
        assert_eq!(mishaps.at_command("MI_ATOMIC"), Some(Mishap::Fail));
        assert_eq!(mishaps.at_command("MI_ATOMIC"), Some(Mishap::Corrupt));
    }

    #[test]
    fn invalidations_are_no_commands() {
        let mishaps = Mishaps::default();
        mishaps.arm(Subject::Invalidation, Mishap::Skip, 1);
        assert_eq!(mishaps.at_command("INVALIDATION"), None);
        assert_eq!(mishaps.at_invalidation(), Some(Mishap::Skip));
    }
}
