// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a C function answers: 0 or a negative errno, with its text kept for the thread.

use crate::raw;
use libc::{c_char, c_int};
use std::{
    any::Any,
    cell::RefCell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Why a call failed, as a C caller is told.
#[derive(Debug)]
pub struct Failure {
    errno: c_int,
    text: String,
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(errno: c_int, text: impl fmt::Display) -> Failure {
        Failure { errno, text: text.to_string() }
    }

    /// The caller's mistake.
    pub(crate) fn invalid(text: impl fmt::Display) -> Failure {
        Failure::new(libc::EINVAL, text)
    }

    pub(crate) fn null(what: &str) -> Failure {
        Failure::invalid(format_args!("{what} is NULL"))
    }

    /// The running kernel has no such thing.
    pub(crate) fn simulation_only(what: &str) -> Failure {
        Failure::new(libc::EOPNOTSUPP, format_args!("{what} is possible on a simulated machine only"))
    }
}

impl From<xeplace::Error> for Failure {
    fn from(error: xeplace::Error) -> Failure {
        Failure::new(error.errno(), error)
    }
}

/// Runs `body`: 0, or a negative errno with its text kept for this thread.
///
/// The caller's `errno` stays as it was. A panic is a bug of the library; it ends here, because the host program is not
/// to be taken down by it.
pub(crate) fn status(body: impl FnOnce() -> Result<()>) -> c_int {
    answer(body).map_or_else(|errno| -errno, |()| 0)
}

/// Runs `body` likewise, for functions that answer with a value: `otherwise` if it failed.
pub(crate) fn value<T>(otherwise: T, body: impl FnOnce() -> Result<T>) -> T {
    answer(body).unwrap_or(otherwise)
}

fn answer<T>(body: impl FnOnce() -> Result<T>) -> Result<T, c_int> {
    raw::keep_errno(|| {
        let answer = catch_unwind(AssertUnwindSafe(body));
        let failure = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(failure)) => failure,
            Err(panic) => Failure::new(libc::ENOTRECOVERABLE, format_args!("bug in xeplace: {}", words(&*panic))),
        };
        LAST.with_borrow_mut(|last| last.set(&failure.text));
        Err(failure.errno)
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic")
}

/// The text of this thread's last failure.
pub(crate) fn last_error() -> *const c_char {
    LAST.with_borrow(|last| last.0.as_ptr())
}

/// Text for C: as much of it as fits, always with its NUL.
#[derive(Clone, Copy)]
pub(crate) struct Text<const SIZE: usize>([c_char; SIZE]);

thread_local! {
    /// Without a destructor, so that nothing runs at the end of a thread.
    static LAST: RefCell<Text<1024>> = const { RefCell::new(Text([0; 1024])) };
}

impl<const SIZE: usize> Text<SIZE> {
    pub(crate) fn of(text: impl fmt::Display) -> [c_char; SIZE] {
        let mut buffer = Text([0; SIZE]);
        buffer.set(&text.to_string());
        buffer.0
    }

    fn set(&mut self, text: &str) {
        let end = floor_char_boundary(text, SIZE - 1);
        let end = text.as_bytes()[..end].iter().position(|byte| *byte == 0).unwrap_or(end);
        for (place, byte) in self.0.iter_mut().zip(&text.as_bytes()[..end]) {
            *place = *byte as c_char;
        }
        self.0[end] = 0;
    }
}

/// The last place at or before `index` that cuts no character in two (`str::floor_char_boundary` is of Rust 1.91).
fn floor_char_boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn text<const SIZE: usize>(text: &str) -> String {
        let bytes: Vec<u8> = Text::<SIZE>::of(text).iter().map(|byte| *byte as u8).collect();
        CStr::from_bytes_until_nul(&bytes).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_ends_at_the_border() {
        let status = status(|| panic!("lost count"));
        assert_eq!(status, -libc::ENOTRECOVERABLE);
        LAST.with_borrow(|last| assert_eq!(last.0[0] as u8, b'b'));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(text::<8>("schön und gut"), "schön ");
        assert_eq!(text::<6>("schön und gut"), "sch\u{f6}");
        assert_eq!(text::<5>("schön und gut"), "sch");
        assert_eq!(text::<8>("a\0b"), "a");
        assert_eq!(text::<1>("a"), "");
    }
}
