// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong, and what was being tried.

use std::{io, path::PathBuf};

/// The result of whatever can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and what was being tried.
///
/// Each error has an `errno` ([`Error::errno`]), which is what a C caller receives, negated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a request.
    #[error("{call} on {what}: {source}")]
    Kernel {
        /// The request, as its man page or header names it.
        call: &'static str,
        /// What it was about.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file is missing, cannot be read, or says something unexpected.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The caller asked for something that makes no sense. Nothing was changed.
    #[error("{0}")]
    Invalid(String),
    /// A machine string cannot be understood.
    #[error("machine string, column {column}: {reason}")]
    MachineString {
        /// Where, counted in characters from 1.
        column: usize,
        /// What was expected there.
        reason: String,
    },
    /// This kernel or this device cannot do it.
    #[error("{0} is not supported here")]
    Unsupported(&'static str),
    /// There is no such GPU, region or vm.
    #[error("no such {0}")]
    NotFound(String),
    /// No location of a wish can be lived with by all vms that use the range.
    #[error("{0}")]
    NoLink(String),
    /// The GPU has gone: unplugged, unbound from its driver, or wedged.
    #[error("{0} is gone")]
    Lost(String),
    /// The handle was closed or the vm detached.
    #[error("the {0} is closed")]
    Closed(&'static str),
    /// This process is a forked child: its parent's vms mirror the parent's memory, not this one's.
    #[error("this process was forked: the vms mirror its parent's memory; open a space of its own here")]
    Forked,
    /// A prefetch ended and not all of it is in place.
    #[error("{what}")]
    Incomplete {
        /// How much stays where, and why.
        what: String,
        /// The errno of the first obstacle.
        errno: i32,
    },
}

impl Error {
    /// The errno that a C caller receives, negated.
    ///
    /// `EINVAL` for what the caller got wrong, `EOPNOTSUPP` for a missing feature, `ENOENT` for an unknown GPU or vm,
    /// `ENOLINK`, `ENODEV` for a lost GPU, `EBADF` for a closed handle, `ECHILD` in a forked child;
    /// otherwise the kernel's own.
    pub fn errno(&self) -> i32 {
        match self {
            Error::Kernel { source, .. } | Error::File { source, .. } => errno_of(source),
            Error::Invalid(_) | Error::MachineString { .. } => libc::EINVAL,
            Error::Unsupported(_) => libc::EOPNOTSUPP,
            Error::NotFound(_) => libc::ENOENT,
            Error::NoLink(_) => libc::ENOLINK,
            Error::Lost(_) => libc::ENODEV,
            Error::Closed(_) => libc::EBADF,
            Error::Forked => libc::ECHILD,
            Error::Incomplete { errno, .. } => *errno,
        }
    }

    /// For `map_err`: the kernel's answer to `call`, about `what`.
    pub(crate) fn kernel<T: ToString>(call: &'static str, what: T) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Kernel { call, what: what.to_string(), source }
    }

    /// For `map_err`: a failed read of `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::File { path: path.into(), source }
    }
}

/// The errno in `error`, or the nearest one where it came from a decoder and not from the kernel.
pub(crate) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(match error.kind() {
        io::ErrorKind::NotFound => libc::ENOENT,
        io::ErrorKind::PermissionDenied => libc::EACCES,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => libc::EINVAL,
        _ => libc::EIO,
    })
}
