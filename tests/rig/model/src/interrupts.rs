// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interrupts: bytes in a page of guest memory that say who calls, and one MSI.
//!
//! A virtual function has no interrupt registers. Each source owns a byte of the source page and a vector of 16 bytes of
//! the status page; a byte of 0xff says that the event happened (`xe_memirq.c`).

use crate::ggtt::{Ggtt, Unmapped};
use parking_lot::Mutex;
use std::{
    fs::File,
    io::{self, Write},
    sync::atomic::{AtomicU64, Ordering},
};

/// The value of a byte whose event happened.
const HAPPENED: u8 = 0xff;

/// The MSI of one GPU.
#[derive(Debug, Default)]
pub struct Interrupts {
    msi: Mutex<Option<File>>,
    raised: AtomicU64,
}

impl Interrupts {
    /// From now on the MSI goes to this eventfd, or nowhere.
    pub fn connect(&self, msi: Option<File>) {
        *self.msi.lock() = msi;
    }

    /// Raises the MSI. Without a listener it is lost, as on real hardware with MSI off.
    pub fn raise(&self) -> io::Result<()> {
        if let Some(msi) = self.msi.lock().as_mut() {
            self.raised.fetch_add(1, Ordering::Relaxed);
            msi.write_all(&1u64.to_ne_bytes())?;
        }
        Ok(())
    }

    /// How often it was raised.
    pub fn raised(&self) -> u64 {
        self.raised.load(Ordering::Relaxed)
    }
}

/// Writes down that event number `event` happened: in the vector at global address `status`, and in the byte at `source`.
pub fn mark(ggtt: &Ggtt, status: u64, event: u64, source: u64) -> Result<(), Unmapped> {
    ggtt.write8(status + event, HAPPENED)?;
    ggtt.write8(source, HAPPENED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ggtt::tests::identity;

    #[test]
    fn a_mark_sets_one_byte_of_the_vector_and_the_byte_of_the_source() {
        let ggtt = identity(1);
        mark(&ggtt, 0x100, 15, 0x403).unwrap();
        assert_eq!(ggtt.read32(0x10c), Ok(0xff00_0000));
        assert_eq!(ggtt.read32(0x400), Ok(0xff00_0000));
        assert_eq!(ggtt.read32(0x100), Ok(0));
    }
}
