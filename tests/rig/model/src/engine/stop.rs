// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a context cannot go on with its next command now.

use crate::{ggtt::Unmapped, ppgtt::Fault};

/// What keeps a context from going on.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// A page is not there. The command is repeated when it is.
    Fault(Fault),
    /// A semaphore has not the value that the command waits for.
    Wait,
    /// The engine is wanted for something else. The command goes on later where it is now.
    Leave,
    /// The command cannot be executed.
    Failed(Failure),
}

/// Why a command cannot be executed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It uses memory that it must not: the firmware reports a memory error.
    #[error("memory error: {0}")]
    Memory(String),
    /// It is none that the engine knows, or it is used wrongly: the engine hangs, and the firmware resets it.
    #[error("bad command: {0}")]
    Command(String),
}

impl From<Unmapped> for Stop {
    fn from(unmapped: Unmapped) -> Stop {
        Stop::Failed(Failure::Memory(unmapped.to_string()))
    }
}

/// A command that cannot be executed.
pub fn bad_command<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed(Failure::Command(text.into())))
}
