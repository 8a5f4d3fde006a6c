// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command `xeplace`.

mod arguments;
mod causes;
mod doctor;
mod page;
mod record;
mod residency;
mod target;
mod topo;
mod words;

use arguments::{Arguments, Command};
use clap::Parser;
use page::Page;
use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};
use target::Target;

/// What a subcommand did: what to print, and whether all is well.
struct Answer {
    text: String,
    well: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).and_then(|answer| print(&answer.text).map(|()| answer.well).map_err(Into::into)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // With nobody to read it there is nothing left to say.
            let _ = writeln!(io::stderr(), "xeplace: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<Answer, Box<dyn Error>> {
    let target = Target::new(arguments.machine)?;
    let page = Page::for_stdout();
    match arguments.command {
        Command::Topo(topo) => topo::run(&target, page, &topo),
        Command::Doctor { json } => doctor::run(&target, page, json),
        Command::Residency { pid, range, json } => residency::run(&target, page, pid, range, json),
        Command::Record { directory } => record::run(&target, &directory),
    }
}

/// Writes it all. A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
