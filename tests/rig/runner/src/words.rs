// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest says on its second serial port: words of its first process, and between them the output of what it runs.

use crate::{kernel_log::ANNOUNCEMENT, machine::Run};
use anyhow::{Context, Result};
use regex::RegexSet;

/// A line of output that announces what the GPU model will have to report: the rest is a regular expression.
const REPORT_ANNOUNCEMENT: &str = "rig: expects model report ";

/// A line that is for the runner.
#[derive(PartialEq, Eq, Debug)]
pub enum Word {
    /// User space began.
    Up,
    /// The driver is loaded.
    Driver,
    /// Something was not as it must be.
    Broken(String),
    /// This place of the plan begins.
    Run(usize),
    /// It has run out of its time.
    Hung(usize),
    /// It has ended, with this exit status.
    Done(usize, i32),
    /// Nothing more comes.
    End,
}

impl Word {
    /// What `line` says, if it is for the runner.
    pub fn of_line(line: &str) -> Option<Word> {
        let (verb, rest) = line.strip_prefix("rig: ")?.split_once(' ').unwrap_or((&line[5..], ""));
        Some(match verb {
            "up" => Word::Up,
            "driver" => Word::Driver,
            "broken" => Word::Broken(rest.to_owned()),
            "run" => Word::Run(rest.parse().ok()?),
            "hung" => Word::Hung(rest.parse().ok()?),
            "done" => {
                let (place, status) = rest.split_once(' ')?;
                Word::Done(place.parse().ok()?, status.parse().ok()?)
            }
            "end" => Word::End,
            _ => return None,
        })
    }
}

/// What one run wrote and how it ended.
#[derive(Default, Debug)]
pub struct Output {
    pub lines: Vec<String>,
    /// What the GPU model has seen meanwhile that should not happen.
    pub reports: Vec<String>,
    pub status: Option<i32>,
    pub hung: bool,
}

/// How one run went.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub passed: usize,
    /// Each in a line.
    pub failures: Vec<String>,
}

impl Output {
    /// What the tests announced for the kernel's log.
    pub fn announced(&self) -> Vec<String> {
        let found = self.lines.iter().filter_map(|line| line.trim_start().strip_prefix(ANNOUNCEMENT));
        found.map(str::to_owned).collect()
    }

    /// What the GPU model reported and no test announced.
    pub fn unexpected_reports(&self) -> Result<Vec<&String>> {
        let found = self.lines.iter().filter_map(|line| line.trim_start().strip_prefix(REPORT_ANNOUNCEMENT));
        let announced = RegexSet::new(found).context("what a test announced of the model's reports")?;
        Ok(self.reports.iter().filter(|report| !announced.is_match(report)).collect())
    }

    /// Holds what it wrote against what `run` is meant to do.
    pub fn judge(&self, run: &Run) -> Verdict {
        match run.command {
            Some(_) => self.judge_command(run),
            None => self.judge_tests(),
        }
    }

    fn judge_command(&self, run: &Run) -> Verdict {
        let mut failures = Vec::new();
        if self.status != Some(run.status) {
            failures.push(format!("{}, {} expected", self.ending(), run.status));
        }
        let missing = run.says.iter().filter(|text| !self.lines.iter().any(|line| line.contains(*text)));
        failures.extend(missing.map(|text| format!("does not say {text:?}")));
        Verdict { passed: usize::from(failures.is_empty()), failures }
    }

    /// The lines `test NAME ... ok` of Rust's test harness, and its summary.
    fn judge_tests(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let results = self.lines.iter().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
        for (name, result) in results {
            match result.trim_end() {
                "ok" => verdict.passed += 1,
                result if result.starts_with("ignored") => {}
                result => {
                    verdict.failures.push(format!("{name}: {}", if result.is_empty() { "no result" } else { result }))
                }
            }
        }
        let summed_up = self.lines.iter().any(|line| line.starts_with("test result: "));
        if self.hung || !summed_up || (self.status != Some(0) && verdict.failures.is_empty()) {
            verdict.failures.push(format!("the test program did not end well: {}", self.ending()));
        } else if verdict.passed + verdict.failures.len() == 0 {
            verdict.failures.push("not one test ran".to_owned());
        }
        verdict
    }

    fn ending(&self) -> String {
        match self.status {
            _ if self.hung => "ran out of time".to_owned(),
            Some(status) => format!("exit status {status}"),
            None => "did not end".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str, status: i32) -> Output {
        Output { lines: text.lines().map(str::to_owned).collect(), status: Some(status), ..Output::default() }
    }

    fn run(text: &str) -> Run {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn words_are_told_from_output() {
        assert_eq!(Word::of_line("rig: done 3 101"), Some(Word::Done(3, 101)));
        assert_eq!(Word::of_line("rig: run 3"), Some(Word::Run(3)));
        assert_eq!(Word::of_line("rig: end 9.75"), Some(Word::End));
        assert_eq!(Word::of_line("rig: broken no driver"), Some(Word::Broken("no driver".to_owned())));
        for other in ["rig: expects kernel log Timedout", "test a ... ok", "rig: done x 0", ""] {
            assert_eq!(Word::of_line(other), None, "{other}");
        }
    }

    #[test]
    fn tests_are_counted_by_their_lines() {
        let text = "running 4 tests\ntest a ... ok\ntest b ... FAILED\ntest c ... ignored\ntest d ... ok\n\n\
            test result: FAILED. 2 passed; 1 failed; 1 ignored";
        let verdict = output(text, 101).judge(&run("test = 'x'"));
        assert_eq!(verdict, Verdict { passed: 2, failures: vec!["b: FAILED".to_owned()] });
    }

    #[test]
    fn a_test_program_that_dies_or_runs_nothing_has_failed() {
        let died = output("running 2 tests\ntest a ... ok\ntest b ... ", 139).judge(&run("test = 'x'"));
        assert_eq!(died.passed, 1);
        assert_eq!(died.failures, ["b: no result", "the test program did not end well: exit status 139"]);
        let nothing = output("running 0 tests\ntest result: ok. 0 passed", 0).judge(&run("test = 'x'"));
        assert_eq!(nothing.failures, ["not one test ran"]);
        let hung = Output { hung: true, ..output("test a ... ok\ntest result: ok", 0) }.judge(&run("test = 'x'"));
        assert_eq!(hung.failures, ["the test program did not end well: ran out of time"]);
    }

    #[test]
    fn a_command_is_judged_by_status_and_words() {
        let wanted = run("command = 'x'\nsays = ['two']\nstatus = 1");
        assert_eq!(output("one two three", 1).judge(&wanted), Verdict { passed: 1, failures: vec![] });
        let failed = output("one", 0).judge(&wanted);
        assert_eq!(failed.failures, ["exit status 0, 1 expected", "does not say \"two\""]);
    }

    #[test]
    fn announcements_are_found_in_captured_output() {
        let found = output("---- a stdout ----\nrig: expects kernel log Timedout job\n", 0).announced();
        assert_eq!(found, ["Timedout job"]);
    }

    #[test]
    fn what_the_model_reports_must_be_announced() {
        let mut output = output("rig: expects model report dead GPU", 0);
        output.reports = ["access to a dead GPU".to_owned(), "unknown command".to_owned()].into();
        assert_eq!(output.unexpected_reports().unwrap(), ["unknown command"]);
    }
}
