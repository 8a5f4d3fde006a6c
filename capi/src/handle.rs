// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a C caller holds of an object: a number in the shape of a pointer, which leads nowhere once it is closed.

use crate::status::{Failure, Result};
use parking_lot::RwLock;
use std::{marker::PhantomData, ptr};

/// The live objects of one kind, `T`, and their handles, which C knows as pointers to `H`.
///
/// A handle is never followed as a pointer. It holds its kind, a place in this table, and how often that place had been
/// used before, so that a closed one is known from whatever has the place now. It is no address that a process can
/// have: whoever follows it by mistake crashes there.
pub(crate) struct Handles<H, T> {
    what: &'static str,
    kind: u64,
    places: RwLock<Places<T>>,
    handle: PhantomData<fn(*const H)>,
}

struct Places<T> {
    used: Vec<Place<T>>,
    free: Vec<u32>,
}

struct Place<T> {
    generation: u64,
    object: Option<T>,
}

const PLACE_BITS: u32 = 24;
const GENERATION_BITS: u32 = 24;
/// In bits 63 to 48 of every handle, with the kind below it: neither half of the addresses of x86-64, with four or five
/// levels of paging, begins like that.
const MARK: u64 = 0x7e00;

impl<H, T: Clone> Handles<H, T> {
    /// `kind` differs from table to table. `what` is what the objects are called.
    pub(crate) const fn new(kind: u8, what: &'static str) -> Handles<H, T> {
        let places = RwLock::new(Places { used: Vec::new(), free: Vec::new() });
        Handles { what, kind: MARK | kind as u64, places, handle: PhantomData }
    }

    /// A handle for `object`.
    pub(crate) fn open(&self, object: T) -> Result<*mut H> {
        let mut places = self.places.write();
        let index = match places.free.pop() {
            Some(index) => index,
            None if places.used.len() < 1 << PLACE_BITS => {
                places.used.push(Place { generation: 0, object: None });
                (places.used.len() - 1) as u32
            }
            None => return Err(Failure::new(libc::EMFILE, format_args!("too many handles of a {}", self.what))),
        };
        let place = &mut places.used[index as usize];
        place.object = Some(object);
        let handle = self.kind << 48 | place.generation << PLACE_BITS | u64::from(index);
        Ok(ptr::without_provenance_mut(handle as usize))
    }

    /// The object of a handle. EINVAL for NULL, EBADF for a handle that is closed or none of this kind.
    pub(crate) fn get(&self, handle: *const H) -> Result<T> {
        let (index, generation) = self.parse(handle)?;
        let places = self.places.read();
        let place = places.used.get(index).filter(|place| place.generation == generation);
        place.and_then(|place| place.object.clone()).ok_or_else(|| self.closed())
    }

    /// Ends a handle. `None` for NULL, of which there is nothing to end.
    pub(crate) fn close(&self, handle: *const H) -> Result<Option<T>> {
        if handle.is_null() {
            return Ok(None);
        }
        let (index, generation) = self.parse(handle)?;
        let mut places = self.places.write();
        let place = places.used.get_mut(index).filter(|place| place.generation == generation);
        let Some(place) = place.filter(|place| place.object.is_some()) else { return Err(self.closed()) };
        let object = place.object.take();
        place.generation += 1;
        // A place that has been used up is not used again: an old handle could be taken for a new one.
        if place.generation < 1 << GENERATION_BITS {
            places.free.push(index as u32);
        }
        Ok(object)
    }

    fn parse(&self, handle: *const H) -> Result<(usize, u64)> {
        if handle.is_null() {
            return Err(Failure::null(self.what));
        }
        let handle = handle.addr() as u64;
        if handle >> 48 != self.kind {
            return Err(Failure::new(libc::EBADF, format_args!("{handle:#x} is not the handle of a {}", self.what)));
        }
        let generation = handle >> PLACE_BITS & ((1 << GENERATION_BITS) - 1);
        Ok(((handle & ((1 << PLACE_BITS) - 1)) as usize, generation))
    }

    fn closed(&self) -> Failure {
        Failure::new(libc::EBADF, format_args!("the {} is closed", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Thing {}

    fn handles(kind: u8) -> Handles<Thing, u32> {
        Handles::new(kind, "thing")
    }

    #[test]
    fn a_closed_handle_is_known_even_when_its_place_is_used_again() {
        let handles = handles(1);
        let first = handles.open(1).unwrap();
        assert_eq!(handles.close(first).unwrap(), Some(1));
        let second = handles.open(2).unwrap();
        assert_ne!(first, second);
        assert!(handles.get(first).is_err());
        assert!(handles.close(first).is_err());
        assert_eq!(handles.get(second).unwrap(), 2);
    }

    #[test]
    fn null_and_foreign_pointers_lead_nowhere() {
        let (handles, others) = (handles(1), handles(2));
        assert!(handles.get(ptr::null()).is_err());
        assert_eq!(handles.close(ptr::null()).unwrap(), None);
        let foreign = others.open(1).unwrap();
        for pointer in [foreign, ptr::without_provenance_mut(8), ptr::without_provenance_mut(usize::MAX)] {
            assert!(handles.get(pointer).is_err(), "{pointer:?}");
            assert!(handles.close(pointer).is_err(), "{pointer:?}");
        }
    }

    #[test]
    fn a_handle_that_another_thread_closes_is_open_or_closed_and_nothing_else() {
        let handles = handles(1);
        for round in 0..100 {
            let handle = handles.open(round).unwrap().addr();
            let read = || handles.get(ptr::without_provenance(handle)).is_ok_and(|object| object == round);
            let close = || handles.close(ptr::without_provenance(handle)).is_ok();
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| (0..100).map(|_| read()).collect::<Vec<_>>());
                let closers = [scope.spawn(close), scope.spawn(close)];
                assert_eq!(closers.map(|closer| closer.join().unwrap()).iter().filter(|closed| **closed).count(), 1);
                assert!(reader.join().unwrap().is_sorted_by(|before, after| before >= after), "it stays closed");
            });
        }
    }

    #[test]
    fn a_place_is_given_up_when_its_generations_are() {
        let handles = handles(1);
        let first = handles.open(1).unwrap();
        handles.places.write().used[0].generation = (1 << GENERATION_BITS) - 1;
        assert!(handles.close(first).is_err());
        let last = ptr::without_provenance_mut(first.addr() | ((1 << GENERATION_BITS) - 1) << PLACE_BITS);
        handles.close(last).unwrap();
        assert_ne!(handles.open(2).unwrap().addr() & 0xff_ffff, 0);
    }
}
