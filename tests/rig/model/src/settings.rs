// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one modelled GPU is to be.

/// How much memory a GPU has, how much of it the CPU sees, and which product it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of VRAM.
    pub vram: u64,
    /// Bytes of VRAM that BAR 2 shows; a power of two, at most `vram` rounded up to one.
    pub window: u64,
    /// PCI device id.
    pub device: u16,
}

/// Settings that no GPU can have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// VRAM is not whole MiB, or too little for the driver.
    #[error("VRAM must be whole MiB, at least 64 MiB")]
    Vram,
    /// No BAR can be so large.
    #[error("the CPU-visible part must be a power of two of at least 16 MiB, and no more than the VRAM")]
    Window,
}

impl Settings {
    /// Checks that a GPU can be so.
    pub fn check(self) -> Result<Settings, Unfit> {
        const MIB: u64 = 1 << 20;
        if !self.vram.is_multiple_of(MIB) || self.vram < 64 * MIB {
            return Err(Unfit::Vram);
        }
        if !self.window.is_power_of_two() || self.window < 16 * MIB || self.window > self.vram {
            return Err(Unfit::Window);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_power_of_two_and_no_larger_than_the_memory() {
        let fit = Settings { vram: 384 << 20, window: 256 << 20, device: 0xe20b };
        assert_eq!(fit.check(), Ok(fit));
        assert_eq!(Settings { window: 384 << 20, ..fit }.check(), Err(Unfit::Window));
        assert_eq!(Settings { window: 512 << 20, ..fit }.check(), Err(Unfit::Window));
        assert_eq!(Settings { vram: 4096, ..fit }.check(), Err(Unfit::Vram));
    }
}
