// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges the guest's kernel log: what a test did not announce must not be there.

use anyhow::{Context, Result};
use regex::{Regex, RegexSet};
use std::{collections::BTreeMap, ops::Range};

/// A line of output that announces what the kernel will have to say: the rest is a regular expression.
pub const ANNOUNCEMENT: &str = "rig: expects kernel log ";

/// What no kernel says while all is well.
const BAD: [&str; 15] = [
    r"^WARNING:",
    r"^BUG:",
    r"\bOops\b",
    r"^general protection fault",
    r"Kernel panic",
    r"blocked for more than \d+ seconds",
    r"soft lockup|hard LOCKUP",
    r"rcu.*(stall|detected)",
    r"\*ERROR\*",
    r"^refcount_t:",
    r"^UBSAN:|^KASAN:|^KCSAN:",
    r"use-after-free",
    r"\bwedged\b",
    r"Timedout job|GT\d+: reset|reset (started|queued|failed)|Engine reset",
    r"memory CAT error",
];

/// The log of one boot, in parts by what was running.
#[derive(Default)]
pub struct KernelLog {
    lines: Vec<String>,
    /// Which lines were written during a run, by its place in the plan.
    runs: BTreeMap<usize, Range<usize>>,
    /// The guest's last word has arrived: nothing is missing.
    pub complete: bool,
}

impl KernelLog {
    /// Reads records as `/dev/kmsg` shows them: `priority,sequence,microseconds,flags;text`; what follows a record and
    /// begins with a space belongs to it and is left out.
    pub fn parse(bytes: &[u8]) -> KernelLog {
        let mut log = KernelLog::default();
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            let Some((_, said)) = line.split_once(';') else { continue };
            let at = log.lines.len();
            match said.strip_prefix("rig: ").map(|words| words.split_once(' ').unwrap_or((words, ""))) {
                Some(("run", place)) => log.mark(place, |_| at..usize::MAX),
                Some(("done", place)) => log.mark(place, |started| started.start..at),
                Some(("end", _)) => log.complete = true,
                _ => log.lines.push(said.trim_end_matches('\r').to_owned()),
            }
        }
        log
    }

    fn mark(&mut self, place: &str, change: impl Fn(Range<usize>) -> Range<usize>) {
        if let Ok(place) = place.parse() {
            let known = self.runs.get(&place).cloned().unwrap_or_default();
            self.runs.insert(place, change(known));
        }
    }

    /// What is bad in the log of run `place` and was not announced there, and what was announced and did not come.
    pub fn complaints(&self, place: usize, announced: &[String]) -> Result<Vec<String>> {
        let announced = announced.iter().map(|text| Regex::new(text).with_context(|| format!("{ANNOUNCEMENT}{text}")));
        let announced: Vec<Regex> = announced.collect::<Result<_>>()?;
        let span = self.runs.get(&place).cloned().unwrap_or_default();
        let lines = &self.lines[span.start.min(self.lines.len())..span.end.min(self.lines.len())];
        let mut complaints = bad(lines.iter(), &announced);
        for missing in announced.iter().filter(|regex| !lines.iter().any(|line| regex.is_match(line))) {
            complaints.push(format!("announced and not there: {missing}"));
        }
        Ok(complaints)
    }

    /// What is bad outside of all runs: while the driver was loaded, and at the end.
    pub fn complaints_elsewhere(&self) -> Vec<String> {
        let inside = |at: &usize| self.runs.values().any(|span| span.contains(at));
        bad((0..self.lines.len()).filter(|at| !inside(at)).map(|at| &self.lines[at]), &[])
    }
}

fn bad<'a>(lines: impl Iterator<Item = &'a String>, announced: &[Regex]) -> Vec<String> {
    let patterns = RegexSet::new(BAD).expect("these are regular expressions");
    let is_bad = |line: &&String| patterns.is_match(line) && !announced.iter().any(|regex| regex.is_match(line));
    lines.filter(is_bad).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "6,1,100,-;xe 0000:02:00.0: [drm] Found battlemage\n SUBSYSTEM=pci\n4,2,150,-;rig: run 0\n\
        4,3,200,-;WARNING: drivers/gpu/drm/xe/xe_vm.c:4782 at xe_vm_alloc_vma\n4,4,210,-;Call Trace:\n\
        4,5,250,-;rig: done 0\n4,6,260,-;rig: run 1\n6,7,270,-;all is well\n4,8,280,-;rig: done 1\n\
        3,9,290,-;BUG: unable to handle page fault\n4,10,300,-;rig: end\n";

    #[test]
    fn a_warning_belongs_to_the_run_during_which_it_came() {
        let log = KernelLog::parse(LOG.as_bytes());
        assert_eq!(log.complaints(0, &[]).unwrap(), ["WARNING: drivers/gpu/drm/xe/xe_vm.c:4782 at xe_vm_alloc_vma"]);
        assert!(log.complaints(1, &[]).unwrap().is_empty());
        assert_eq!(log.complaints_elsewhere(), ["BUG: unable to handle page fault"]);
        assert!(log.complete);
    }

    #[test]
    fn what_was_announced_must_come_and_is_no_fault() {
        let log = KernelLog::parse(LOG.as_bytes());
        assert!(log.complaints(0, &["xe_vm_alloc_vma$".to_owned()]).unwrap().is_empty());
        assert_eq!(log.complaints(1, &["Timedout".to_owned()]).unwrap(), ["announced and not there: Timedout"]);
        assert!(log.complaints(0, &["(".to_owned()]).is_err());
    }

    #[test]
    fn a_log_that_breaks_off_is_seen() {
        let cut = LOG.split("4,5,250").next().unwrap();
        let log = KernelLog::parse(cut.as_bytes());
        assert!(!log.complete);
        assert_eq!(log.complaints(0, &[]).unwrap().len(), 1, "the part without an end counts too");
    }

    #[test]
    fn all_bad_patterns_are_regular_expressions() {
        assert_eq!(RegexSet::new(BAD).unwrap().len(), BAD.len());
    }
}
