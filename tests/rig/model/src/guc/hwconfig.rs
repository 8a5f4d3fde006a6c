// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of what the GPU has, which the driver hands on to programs (GET_HWCONFIG, `xe_guc_hwconfig.c`).
//!
//! Intel's Level Zero runtime takes the numbers of slices, cores and units from it and refuses a GPU without.

/// Keys as the firmware spells them, and values that fit the fuses in [`super::relay`].
const TABLE: [(u32, u32); 13] = [
    (1, 5),    // slices
    (70, 20),  // Xe cores
    (71, 8),   // execution units in each
    (10, 6),   // memory channels
    (11, 4),   // kind of memory: GDDR6
    (15, 8),   // threads in each execution unit
    (23, 1),   // render engines
    (24, 1),   // compute engines
    (62, 8),   // L3 banks
    (64, 512), // KiB in each
    (73, 128), // KiB of local memory in each Xe core
    (84, 4),   // L3 banks in each node
    (85, 6),   // L3 nodes
];

/// The table: key, length, value, one after the other.
pub fn words() -> impl Iterator<Item = u32> {
    TABLE.iter().flat_map(|(key, value)| [*key, 1, *value])
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_value_is_one_word() {
        let words: Vec<u32> = super::words().collect();
        assert!(words.chunks(3).all(|entry| entry[1] == 1));
    }
}
