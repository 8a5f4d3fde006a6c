// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one place where a C caller's word is taken: that its pointers lead to what they should.

use crate::status::{Failure, Result};
use libc::{c_char, c_int, c_ulong, c_void};
use std::{
    ffi::CStr,
    mem::{MaybeUninit, size_of},
    os::fd::BorrowedFd,
    slice,
};
use xeplace::driver::Kernel;

/// A structure of the header.
///
/// # Safety
///
/// Any bytes make a valid value of it, and it has no padding.
pub(crate) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($name:ty),* $(,)?) => {
        $(
            // SAFETY: integers, arrays of integers and raw pointers; that there is no padding is checked in `abi.c`.
            unsafe impl $crate::raw::Plain for $name {}
        )*
    };
}

pub(crate) use plain;
plain!(u32);

/// A required place for an output.
pub(crate) fn out<'a, T>(place: Option<&'a mut MaybeUninit<T>>, what: &str) -> Result<&'a mut MaybeUninit<T>> {
    place.ok_or_else(|| Failure::null(what))
}

/// A required text in UTF-8.
pub(crate) fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(Failure::null(what));
    }
    // SAFETY: the caller says that it ends with a NUL and stays for the length of the call.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Failure::invalid(format_args!("{what} is not UTF-8")))
}

/// A caller's list of `count` elements.
pub(crate) fn list<'a, T: Plain>(first: *const T, count: usize, what: &str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    check_array(first, count, what)?;
    // SAFETY: not NULL and aligned, as just checked; the caller says that so many elements are there for the length of
    // the call, and any bytes make one.
    Ok(unsafe { slice::from_raw_parts(first, count) })
}

/// A caller's array to be filled.
pub(crate) struct Array<T> {
    first: *mut T,
    capacity: usize,
}

/// The caller's array of `capacity` elements; NULL if that is 0.
pub(crate) fn array<T: Plain>(first: *mut T, capacity: usize, what: &str) -> Result<Array<T>> {
    if capacity > 0 {
        check_array(first, capacity, what)?;
    }
    Ok(Array { first, capacity })
}

impl<T: Plain> Array<T> {
    /// Stores as many of `items` as it holds. Says how many there are.
    pub(crate) fn fill(self, items: impl IntoIterator<Item = T>) -> usize {
        let mut total = 0;
        for item in items {
            if total < self.capacity {
                // SAFETY: inside the array, which is not NULL and aligned; the caller says that it holds so many.
                unsafe { self.first.add(total).write(item) };
            }
            total += 1;
        }
        total
    }
}

fn check_array<T>(first: *const T, count: usize, what: &str) -> Result<()> {
    if first.is_null() {
        return Err(Failure::null(what));
    }
    let fits = count.checked_mul(size_of::<T>()).is_some_and(|bytes| bytes <= isize::MAX as usize);
    if !first.is_aligned() || !fits {
        return Err(Failure::invalid(format_args!("{what} is not an array of {count} elements")));
    }
    Ok(())
}

/// Reads a structure of which the caller's header knows `size` bytes.
///
/// What a shorter one lacks is zero. What a longer one has more than this library knows must be zero, else E2BIG: the
/// caller means something by it.
#[inline]
pub(crate) fn take<T: Plain>(from: *const T, size: usize, what: &str) -> Result<T> {
    if from.is_null() {
        return Err(Failure::null(what));
    }
    if size == size_of::<T>() {
        // SAFETY: the caller says that so many bytes are there; any bytes make a value, wherever they begin.
        return Ok(unsafe { from.read_unaligned() });
    }
    let mut value = MaybeUninit::<T>::zeroed();
    let known = size.min(size_of::<T>());
    // SAFETY: the caller says that `size` bytes are there; no more than fit are copied. Byte by byte nothing needs to
    // be aligned. What is not copied is zero, and any bytes make a value.
    let (value, rest) = unsafe {
        from.cast::<u8>().copy_to_nonoverlapping(value.as_mut_ptr().cast(), known);
        (value.assume_init(), slice::from_raw_parts(from.cast::<u8>().add(known), size - known))
    };
    if rest.iter().any(|byte| *byte != 0) {
        let words =
            format!("{what} of {size} bytes sets what this library, which knows {known} of them, does not have");
        return Err(Failure::new(libc::E2BIG, words));
    }
    Ok(value)
}

/// A caller's structure to be written, of which its header knows `size` bytes.
pub(crate) struct Structure<T> {
    to: *mut T,
    size: usize,
}

/// The caller's structure, which has to be there.
pub(crate) fn structure<T: Plain>(to: *mut T, size: usize, what: &str) -> Result<Structure<T>> {
    if to.is_null() { Err(Failure::null(what)) } else { Ok(Structure { to, size }) }
}

/// The caller's structure, if it wants one.
pub(crate) fn structure_or_null<T: Plain>(to: *mut T, size: usize) -> Option<Structure<T>> {
    (!to.is_null()).then_some(Structure { to, size })
}

impl<T: Plain> Structure<T> {
    /// Writes as much of `value` as the caller knows, and zeros where it knows more.
    #[inline]
    pub(crate) fn write(self, value: &T) {
        let known = self.size.min(size_of::<T>());
        // SAFETY: the caller says that `size` bytes are there to be written; a value has no padding.
        unsafe {
            match known == size_of::<T>() {
                true => self.to.write_unaligned(*value),
                false => (&raw const *value).cast::<u8>().copy_to_nonoverlapping(self.to.cast(), known),
            }
            self.to.cast::<u8>().add(known).write_bytes(0, self.size - known);
        }
    }
}

/// A caller's descriptor, which has to be open now and stays so until it is detached.
pub(crate) fn borrow(fd: c_int) -> Result<BorrowedFd<'static>> {
    // SAFETY: F_GETFD reads a flag of whatever the number denotes, if anything.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(Failure::new(libc::EBADF, format_args!("descriptor {fd} is not open")));
    }
    // SAFETY: it is open, so it is not -1; the caller says that it stays so.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The running kernel, reached through the caller's function.
pub(crate) fn kernel(
    function: extern "C" fn(*mut c_void, c_int, c_ulong, *mut c_void) -> c_int,
    user: *mut c_void,
) -> Kernel {
    // SAFETY: the caller says that it behaves as ioctl(2), from any thread.
    unsafe { Kernel::with_ioctl(function, user) }
}

/// Runs `body` and leaves the caller's `errno` as it was.
pub(crate) fn keep_errno<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: each thread has an errno for as long as it runs.
    let before = unsafe { *libc::__errno_location() };
    let answer = body();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = before };
    answer
}

/// The address of a function of the header, whatever its type.
#[repr(transparent)]
pub(crate) struct Function(pub(crate) *const ());

// SAFETY: code never changes.
unsafe impl Sync for Function {}
