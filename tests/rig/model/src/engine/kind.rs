// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engines that the GPU has, and their numbers in messages, registers and interrupts.

/// One engine's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Its class in messages about contexts (`abi/guc_scheduler_abi.h`).
    pub guc_class: u32,
    /// Its place among the engines of that class.
    pub logical: u32,
    /// Its class in page faults (`xe_hw_engine_types.h`).
    pub class: u32,
    /// Its instance in page faults.
    pub instance: u32,
    /// Where its registers are (`regs/xe_engine_regs.h`).
    pub base: u32,
    /// Its byte in the interrupt source page, and its vector in the status page (`xe_hw_engine.c`).
    pub interrupt: u64,
}

/// The engines of a Battlemage without media: its share of copy engines is one for programs and one for page faults.
pub const KINDS: [Kind; 4] = [
    Kind { name: "rcs0", guc_class: 0, logical: 0, class: 0, instance: 0, base: 0x2000, interrupt: 0 },
    Kind { name: "bcs0", guc_class: 3, logical: 0, class: 3, instance: 0, base: 0x22000, interrupt: 15 },
    Kind { name: "bcs8", guc_class: 3, logical: 1, class: 3, instance: 8, base: 0x3ee000, interrupt: 23 },
    Kind { name: "ccs0", guc_class: 4, logical: 0, class: 5, instance: 0, base: 0x1a000, interrupt: 4 },
];

/// The first engine of a class that a mask of logical places allows.
pub fn place(guc_class: u32, mask: u32) -> Option<usize> {
    KINDS.iter().position(|kind| kind.guc_class == guc_class && mask >> kind.logical & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_copy_engine_is_the_one_for_page_faults() {
        assert_eq!(place(3, 0b10).map(|index| KINDS[index].name), Some("bcs8"));
        assert_eq!(place(3, 0b11).map(|index| KINDS[index].name), Some("bcs0"));
        assert_eq!(place(1, 1), None);
    }
}
