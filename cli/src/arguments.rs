// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use clap::{Args, Parser, Subcommand};
use std::{ffi::OsString, path::PathBuf};
use xeplace::Range;

/// Shows which Intel GPUs can reach each other's memory, where memory is, and what to change.
#[derive(Parser, Debug)]
#[command(name = "xeplace", version, max_term_width = 100, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Arguments {
    /// Look at this machine and not at this host: a directory made by `record`, or a machine string, which is simulated
    ///
    /// Without it the environment variable XEPLACE_MACHINE says which machine; without that it is this host.
    #[arg(long, global = true, value_name = "STRING|DIR")]
    pub machine: Option<OsString>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Shows the GPUs, which of them reach each other's memory, and why others do not
    #[command(after_help = TOPO)]
    Topo(Topo),
    /// Says what this host can do, what is missing, and what to change; fails if there is a problem
    #[command(after_help = DOCTOR)]
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows where the memory of a process is, mapping by mapping, without touching it
    #[command(after_help = RESIDENCY)]
    Residency {
        /// The process
        #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
        pid: u32,
        /// Only these addresses, in hexadecimal: START-END (END excluded) or START+LENGTH
        #[arg(value_parser = range)]
        range: Option<Range>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Writes down this machine, for --machine and for bug reports; no serial numbers
    #[command(after_help = RECORD)]
    Record {
        /// A directory that does not exist, or an empty one
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Args, Debug)]
pub struct Topo {
    #[command(flatten)]
    pub format: TopoFormat,
    /// Write to FILE; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Ask the kernel about each pair and do not only predict
    ///
    /// This makes the memory map of each GPU's VRAM, a 64th of its size in system memory, which stays until memory
    /// gets short, and writes a line to the kernel's log for each GPU that is out of reach.
    #[arg(long)]
    pub probe: bool,
}

/// One of them, or tables for a terminal.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct TopoFormat {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Draw the tree of the machine, for light and dark pages
    #[arg(long)]
    pub svg: bool,
    /// Write the same drawing for Graphviz
    #[arg(long)]
    pub dot: bool,
    /// Write XML for hwloc 2: `lstopo -i FILE` shows it
    #[arg(long)]
    pub hwloc: bool,
}

const EXAMPLES: &str = "\
Examples:
  xeplace topo                                   which GPUs reach each other
  xeplace doctor                                 what is wrong with this host
  xeplace residency 4711                         where a process has its memory
  xeplace record /tmp/machine                    write down this machine
  xeplace --machine /tmp/machine topo            look at it, anywhere
  xeplace --machine 'cpu=zen switch(4x bmg)' topo  look at a machine that nobody has";

const TOPO: &str = "\
Examples:
  xeplace topo
  xeplace topo --json | jq '.links[] | select(.verdict != \"connected\")'
  xeplace topo --svg -o machine.svg
  xeplace topo --dot | dot -Tpdf -o machine.pdf
  xeplace topo --hwloc -o machine.xml && lstopo -i machine.xml
  xeplace --machine 'cpu=client root switch(4x bmg) switch(4x bmg)' topo";

const DOCTOR: &str = "\
Exit status: 0 if there is no problem, 1 if there is one. Notes and warnings are not problems.

Examples:
  xeplace doctor
  xeplace doctor --json | jq '.findings[] | select(.level == \"problem\")'";

const RESIDENCY: &str = "\
Another user's process needs CAP_SYS_PTRACE. In whose VRAM pages are is told with CAP_SYS_ADMIN only, unless there is
one GPU.

Examples:
  xeplace residency $$
  sudo xeplace residency 4711 7f1200000000-7f1240000000
  sudo xeplace residency 4711 7f1200000000+40000000 --json";

const RECORD: &str = "\
Recorded as root, it also says which bridges redirect traffic between GPUs.

Examples:
  sudo xeplace record /tmp/machine
  xeplace --machine /tmp/machine topo";

/// `START-END` or `START+LENGTH`, in hexadecimal with or without 0x, rounded outward to pages.
fn range(text: &str) -> Result<Range, String> {
    let number = |digits: &str| {
        let bare = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).unwrap_or(digits);
        let valid = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = valid.then(|| u64::from_str_radix(bare, 16).ok()).flatten();
        value.ok_or_else(|| format!("{digits:?} is not a hexadecimal number of at most 64 bits"))
    };
    let (start, length) = if let Some((start, end)) = text.split_once('-') {
        let (start, end) = (number(start)?, number(end)?);
        (start, end.checked_sub(start).ok_or("it ends before it starts")?)
    } else if let Some((start, length)) = text.split_once('+') {
        (number(start)?, number(length)?)
    } else {
        return Err("expected START-END or START+LENGTH".to_owned());
    };
    Range::around(start, length).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_makes_sense() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_range_is_an_interval_or_a_length() {
        let expected = Range::new(0x7000, 0x3000).unwrap();
        for text in ["7000-a000", "0x7000-0xa000", "7000+3000", "0x7fff+0x2001", "0X7000+3000"] {
            assert_eq!(range(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_ranges_are_refused() {
        for text in
            ["", "-", "+", "7000", "7000-7000", "a000-7000", "7000+0", "+7000", "7000-", "g-h", "ffffffffffffffff+2"]
        {
            assert!(range(text).is_err(), "{text}");
        }
        assert!(range("1-11111111111111111").is_err(), "more than 64 bits");
        assert!(range("0-ffffffffffffffff").is_err(), "the kernel's half");
    }

    /// The manual page names each subcommand and each option, and no option that there is not.
    #[test]
    fn the_manual_page_is_complete() {
        let manual = include_str!("../../man/xeplace.1").replace("\\-", "-");
        let mut options = Vec::new();
        let command = Arguments::command();
        for part in command.get_subcommands().chain([&command]) {
            assert!(manual.contains(part.get_name()), "{} is missing", part.get_name());
            for argument in part.get_arguments() {
                match argument.get_long() {
                    Some(long) => options.push(format!("--{long}")),
                    None => {
                        let name = argument.get_id().as_str();
                        let place = match name {
                            "directory" => "DIR".to_owned(),
                            name => name.to_uppercase(),
                        };
                        assert!(manual.contains(&place), "{place} of {} is missing", part.get_name());
                    }
                }
            }
        }
        options.extend(["--help", "--version"].map(str::to_owned));
        for option in &options {
            assert!(manual.contains(option), "{option} is missing");
        }
        let is_name = |character: char| character.is_ascii_lowercase() || character == '-';
        for found in manual.match_indices("--").map(|(at, _)| &manual[at..]) {
            let name = &found[..found[2..].find(|character| !is_name(character)).map_or(found.len(), |end| end + 2)];
            assert!(options.iter().any(|option| option == name), "the command line has no {name}");
        }
    }
}
