// SPDX-License-Identifier: MIT OR Apache-2.0
//! `xeplace record`.

use crate::{Answer, target::Target, words};
use std::{error::Error, path::Path};

pub fn run(target: &Target, directory: &Path) -> Result<Answer, Box<dyn Error>> {
    let machine = target.open()?;
    machine.record(directory)?;
    let found = words::count(machine.gpus().len(), "GPU");
    let text = format!("{}: {found} of {target}; look at it with --machine {0}\n", directory.display());
    Ok(Answer { text, well: true })
}
