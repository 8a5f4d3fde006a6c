// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which machine to look at.

use std::{env, ffi::OsString, fmt};
use xeplace::{Error, Machine, Result};

/// This host, a recorded machine or a simulated one.
pub struct Target {
    /// What the user said; `None` for this host.
    name: Option<String>,
}

impl Target {
    /// What `--machine` said, else what the environment says. An empty variable says nothing.
    pub fn new(option: Option<OsString>) -> Result<Target> {
        let name = option.or_else(|| env::var_os("XEPLACE_MACHINE").filter(|name| !name.is_empty()));
        let name = name.map(OsString::into_string).transpose();
        let name = name.map_err(|name| Error::Invalid(format!("machine {name:?}: is not text")))?;
        Ok(Target { name })
    }

    pub fn open(&self) -> Result<Machine> {
        match &self.name {
            None => Machine::open(),
            // No machine string has a slash in it: somebody mistyped a directory.
            Some(name) if name.contains('/') => Machine::recorded(name),
            Some(name) => Machine::named(name),
        }
    }

    pub fn is_host(&self) -> bool {
        self.name.is_none()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => out.write_str("this host"),
            Some(name) => out.write_str(name),
        }
    }
}
