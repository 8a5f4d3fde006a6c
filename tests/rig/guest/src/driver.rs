// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the driver itself has counted, from debugfs. Needs root.

use std::{collections::BTreeMap, fs, ops::Sub};

/// The counters of one GPU's first GT, by the names in `xe_gt_stats.c`.
#[derive(Clone, Debug)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// Those of the GPU with this PCI address, as they are now.
    ///
    /// # Panics
    ///
    /// Where debugfs shows no such GPU.
    pub fn of(address: &str) -> Stats {
        let entries = fs::read_dir("/sys/kernel/debug/dri").expect("debugfs");
        let directories = entries.map(|entry| entry.expect("debugfs").path());
        let is_it = |path: &std::path::PathBuf| {
            fs::read_to_string(path.join("name")).is_ok_and(|name| name.contains(address)) && path.join("gt0").exists()
        };
        let directory = directories.into_iter().find(is_it);
        let directory = directory.unwrap_or_else(|| panic!("debugfs has no GPU {address}"));
        Stats::parse(&crate::read(directory.join("gt0/stats")))
    }

    fn parse(text: &str) -> Stats {
        let pairs = text.lines().filter_map(|line| line.split_once(": "));
        Stats(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?))).collect())
    }

    /// One of them.
    ///
    /// # Panics
    ///
    /// If there is none of that name.
    pub fn get(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("the driver has no counter {name}"))
    }
}

/// What was counted between two looks.
impl Sub for Stats {
    type Output = Stats;

    fn sub(self, earlier: Stats) -> Stats {
        Stats(self.0.into_iter().map(|(name, value)| (name.clone(), value - earlier.get(&name))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_told_by_name_and_subtracted() {
        let earlier = Stats::parse("svm_pagefault_count: 3\nsvm_device_copy_kb: 0\n");
        let later = Stats::parse("svm_pagefault_count: 5\nsvm_device_copy_kb: 64\n");
        let between = later - earlier;
        assert_eq!((between.get("svm_pagefault_count"), between.get("svm_device_copy_kb")), (2, 64));
    }
}
