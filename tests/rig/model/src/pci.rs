// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration space of the PCI function: what it is, its BARs, MSI, PCI Express (PCI Local Bus and PCI Express Base
//! specifications).
//!
//! QEMU keeps BARs and MSI itself, but forwards what the guest writes. From that the place of the VRAM window is learnt.

/// Bytes of the configuration space of a PCI Express function.
pub const LENGTH: usize = 4096;

const VENDOR: usize = 0x00;
const DEVICE: usize = 0x02;
const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const SUBCLASS: usize = 0x0a;
const CLASS: usize = 0x0b;
const BAR0: usize = 0x10;
const BAR2: usize = 0x18;
const SUBSYSTEM: usize = 0x2c;
const CAPABILITIES: usize = 0x34;
/// Behind the header, only capabilities can be written, and QEMU keeps those itself.
const HEADER: usize = 0x40;

const INTEL: u16 = 0x8086;
/// Command bit: the function answers to memory addresses.
const MEMORY_SPACE: u8 = 1 << 1;

/// Where the capabilities are.
const EXPRESS: usize = 0x40;
const MSI: usize = 0xac;
const POWER: usize = 0xd0;
/// Access control, an extended capability, and its control register.
const ACCESS: usize = 0x100;
const ACCESS_CONTROL: usize = ACCESS + 6;
/// P2P request redirect, P2P completion redirect, P2P egress control, direct translated P2P: what an endpoint can have.
const REDIRECTS: u16 = 0x04 | 0x08 | 0x20 | 0x40;

/// The configuration space of one GPU.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: Box<[u8; LENGTH]>,
    window: u64,
}

impl ConfigSpace {
    /// That of device `device`, with a VRAM window of `window` bytes.
    pub fn new(device: u16, window: u64) -> ConfigSpace {
        let mut space = ConfigSpace { bytes: Box::new([0; LENGTH]), window };
        space.put16(VENDOR, INTEL);
        space.put16(DEVICE, device);
        // It has capabilities.
        space.put16(STATUS, 1 << 4);
        // A display controller that no firmware wants to draw on.
        (space.bytes[CLASS], space.bytes[SUBCLASS]) = (0x03, 0x80);
        // Both BARs are of 64 bits, the second prefetchable.
        space.put32(BAR0, 0b0100);
        space.put32(BAR2, 0b1100);
        space.put16(SUBSYSTEM, INTEL);
        space.put16(SUBSYSTEM + 2, 0x1100);
        space.bytes[CAPABILITIES] = EXPRESS as u8;
        space.express();
        space.msi();
        space.power();
        space.access_control();
        space
    }

    /// Version 2, an endpoint; function-level reset; a link of 16 GT/s and 16 lanes.
    fn express(&mut self) {
        self.capability(EXPRESS, 0x10, MSI);
        self.put16(EXPRESS + 0x02, 0x0002);
        self.put32(EXPRESS + 0x04, 1 << 28 | 1 << 15 | 0b010);
        self.put32(EXPRESS + 0x0c, 0b11 << 10 | 16 << 4 | 4);
        self.put16(EXPRESS + 0x12, 1 << 12 | 16 << 4 | 4);
    }

    /// One vector, an address of 64 bits.
    fn msi(&mut self) {
        self.capability(MSI, 0x05, POWER);
        self.put16(MSI + 2, 1 << 7);
    }

    /// Version 3; always in D0.
    fn power(&mut self) {
        self.capability(POWER, 0x01, 0);
        self.put16(POWER + 2, 3);
        // State survives D3, as far as anyone asks (no soft reset).
        self.put16(POWER + 4, 1 << 3);
    }

    /// Version 1, nothing set.
    fn access_control(&mut self) {
        self.put32(ACCESS, 1 << 16 | 0x000d);
        self.put16(ACCESS + 4, REDIRECTS);
    }

    fn capability(&mut self, at: usize, id: u8, next: usize) {
        (self.bytes[at], self.bytes[at + 1]) = (id, next as u8);
    }

    fn put16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Reads; what is beyond the end is zero.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        for (byte, at) in data.iter_mut().zip(offset..) {
            *byte = self.bytes.get(at as usize).copied().unwrap_or(0);
        }
    }

    /// Writes; what cannot be written stays.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        for (byte, at) in data.iter().zip(offset as usize..) {
            if matches!(at, COMMAND..STATUS | BAR0..SUBSYSTEM) && at < HEADER {
                self.bytes[at] = *byte;
            }
            if (ACCESS_CONTROL..ACCESS_CONTROL + 2).contains(&at) {
                // What the capability does not have cannot be set.
                self.bytes[at] = *byte & self.bytes[at - 2];
            }
        }
    }

    /// Where the guest has put the VRAM window; none while the function does not answer to memory addresses.
    pub fn window(&self) -> Option<u64> {
        let mut bar = [0; 8];
        self.read(BAR2 as u64, &mut bar);
        let base = u64::from_le_bytes(bar) & !(self.window - 1);
        (self.bytes[COMMAND] & MEMORY_SPACE != 0 && base != 0).then_some(base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_where_the_guest_put_it_while_memory_is_on() {
        let mut space = ConfigSpace::new(0xe20b, 256 << 20);
        space.write(0x18, &0x4000_000cu32.to_le_bytes());
        space.write(0x1c, &0x38u32.to_le_bytes());
        assert_eq!(space.window(), None);
        space.write(4, &[6, 0]);
        assert_eq!(space.window(), Some(0x38_4000_0000));
        // Sizing: all ones while memory is off.
        space.write(4, &[0, 0]);
        space.write(0x18, &[0xff; 8]);
        assert_eq!(space.window(), None);
    }

    #[test]
    fn what_the_function_is_cannot_be_written() {
        let mut space = ConfigSpace::new(0xe20b, 256 << 20);
        space.write(0, &[0; 4]);
        let mut id = [0; 4];
        space.read(0, &mut id);
        assert_eq!(u32::from_le_bytes(id), 0xe20b_8086);
    }

    #[test]
    fn of_access_control_only_what_is_there_can_be_set() {
        let mut space = ConfigSpace::new(0xe20b, 256 << 20);
        space.write(ACCESS_CONTROL as u64, &[0x3d, 0xff]);
        let mut control = [0; 2];
        space.read(ACCESS_CONTROL as u64, &mut control);
        assert_eq!(control, [0x2c, 0]);
    }

    #[test]
    fn capabilities_follow_each_other() {
        let space = ConfigSpace::new(0xe20b, 256 << 20);
        let mut found = vec![];
        let mut at = space.bytes[CAPABILITIES];
        while at != 0 {
            found.push(space.bytes[at as usize]);
            at = space.bytes[at as usize + 1];
        }
        assert_eq!(found, [0x10, 0x05, 0x01]);
    }
}
