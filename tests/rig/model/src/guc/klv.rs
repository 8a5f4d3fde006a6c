// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys, lengths and values: what the driver tells of itself, what its share of the GPU is (`abi/guc_klvs_abi.h`).

use super::ctb::Ring;
use crate::settings::Settings;

/// GMD_ID of Battlemage: graphics 20.01, revision 4 (`xe_pci.c`; the fields in `regs/xe_gt_regs.h`).
pub const GMD_ID: u32 = 20 << 22 | 1 << 14 | 4;

/// The function's part of the global address space: behind what the firmware keeps, and enough for 4,096 queues.
const GGTT_START: u64 = 16 << 20;
const GGTT_LENGTH: u64 = 1 << 30;

/// Context ids of the function.
const CONTEXTS: u64 = 32768;

/// One value of the function's share: how many words, and which.
pub fn share(key: u16, settings: Settings) -> Option<(u32, u64)> {
    Some(match key {
        0x0001 => (2, GGTT_START),
        0x0002 => (2, GGTT_LENGTH),
        0x0003 => (2, settings.vram),
        0x0004 => (1, CONTEXTS),
        // Tiles, as a mask.
        0x0005 => (1, 1),
        // Doorbells: none, so the driver calls by register.
        0x0006 => (1, 0),
        0x3000 => (1, GMD_ID.into()),
        // No groups of engines to schedule together.
        0x3001 => (1, 0),
        _ => return None,
    })
}

/// What the driver told of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelfConfig {
    /// The ring from host to firmware.
    pub to_guc: Ring,
    /// The ring from firmware to host.
    pub to_host: Ring,
    /// Global address of the firmware's interrupt vector.
    pub status: u64,
    /// Global address of the firmware's byte in the interrupt source page.
    pub source: u64,
}

impl SelfConfig {
    /// Takes a value in; says no where the key is unknown.
    pub fn set(&mut self, key: u16, value: u64) -> bool {
        match key {
            0x0900 => self.status = value,
            0x0901 => self.source = value,
            0x0902 => self.to_guc.buffer = value,
            0x0903 => self.to_guc.descriptor = value,
            0x0904 => self.to_guc.length = value as u32 / 4,
            0x0905 => self.to_host.buffer = value,
            0x0906 => self.to_host.descriptor = value,
            0x0907 => self.to_host.length = value as u32 / 4,
            _ => return false,
        }
        true
    }

    /// Whether both rings are known.
    pub fn has_rings(&self) -> bool {
        self.to_guc.length > 0 && self.to_host.length > 0
    }
}

/// The pairs of key and words in a list of them.
pub fn pairs(mut words: &[u32]) -> impl Iterator<Item = (u16, &[u32])> {
    std::iter::from_fn(move || {
        let (header, rest) = words.split_first()?;
        let (value, rest) = rest.split_at_checked(*header as usize & 0xffff)?;
        words = rest;
        Some(((*header >> 16) as u16, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_names_the_memory_that_the_gpu_has() {
        let settings = Settings { vram: 384 << 20, window: 256 << 20, device: 0xe20b };
        assert_eq!(share(0x0003, settings), Some((2, 384 << 20)));
        assert_eq!(share(0x7777, settings), None);
    }

    #[test]
    fn ring_lengths_are_told_in_bytes() {
        let mut config = SelfConfig::default();
        assert!(config.set(0x0904, 4096) && !config.has_rings());
        assert!(config.set(0x0907, 16384) && config.has_rings());
        assert_eq!((config.to_guc.length, config.to_host.length), (1024, 4096));
        assert!(!config.set(0x0908, 1));
    }

    #[test]
    fn a_list_that_is_cut_off_ends_early() {
        let list = [0x2001_0001, 7, 0x2002_0001, 9, 0x2003_0002, 1];
        assert_eq!(pairs(&list).collect::<Vec<_>>(), [(0x2001, &[7][..]), (0x2002, &[9][..])]);
    }
}
