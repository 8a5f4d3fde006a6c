// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a GPU's driver has counted since it was loaded, from debugfs.

use crate::{
    error::{Error, Result},
    files::Files,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// What the driver has counted on one GPU, of all processes, since it was loaded or the counters were reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SvmCounters {
    /// GPU page faults on mirrored memory.
    pub page_faults: u64,
    /// KiB copied into this GPU's VRAM from host memory.
    pub copied_in_kib: u64,
    /// KiB copied out of this GPU's VRAM, to host memory or to a peer.
    pub copied_out_kib: u64,
}

impl SvmCounters {
    /// Sums the `gt*/stats` below the first of `directories` that is there.
    pub(crate) fn read(files: &Files, directories: &[PathBuf]) -> Result<SvmCounters> {
        let mut missing = Error::NotFound("counters".to_owned());
        for directory in directories {
            match files.list(directory) {
                Ok(names) => return SvmCounters::sum(files, directory, &names),
                Err(error) => missing = Error::file(directory)(error),
            }
        }
        Err(missing)
    }

    fn sum(files: &Files, directory: &Path, names: &[String]) -> Result<SvmCounters> {
        let mut counters = SvmCounters::default();
        let is_gt = |name: &&String| name.strip_prefix("gt").is_some_and(|number| number.parse::<u16>().is_ok());
        for name in names.iter().filter(is_gt) {
            let path = directory.join(name).join("stats");
            match files.text(&path) {
                Ok(text) => counters.add(&text),
                // A media GT may have none.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::file(path)(error)),
            }
        }
        Ok(counters)
    }

    /// Adds the counts of one `stats` file. Its names are those of `xe_gt_stats.c`; those per page size are parts of
    /// the ones summed here.
    fn add(&mut self, text: &str) {
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let Ok(value) = value.trim().parse::<u64>() else { continue };
            match name.trim() {
                "svm_pagefault_count" => self.page_faults = self.page_faults.saturating_add(value),
                "svm_device_copy_kb" => self.copied_in_kib = self.copied_in_kib.saturating_add(value),
                "svm_cpu_copy_kb" => self.copied_out_kib = self.copied_out_kib.saturating_add(value),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Tree;

    #[test]
    fn the_counts_of_all_gts_are_summed() {
        let mut tree = Tree::default();
        tree.file("/debug/a/gt0/stats", "svm_pagefault_count: 3\nsvm_2M_pagefault_count: 2\nsvm_device_copy_kb: 64\n");
        tree.file("/debug/a/gt1/stats", "svm_pagefault_count: 4\nsvm_cpu_copy_kb: 8\nsvm_cpu_copy_us: nonsense\n");
        tree.file("/debug/a/gt2/other", "");
        let directories = [PathBuf::from("/debug/absent"), PathBuf::from("/debug/a")];
        let counters = SvmCounters::read(&Files::tree(tree), &directories).unwrap();
        assert_eq!(counters, SvmCounters { page_faults: 7, copied_in_kib: 64, copied_out_kib: 8 });
    }

    #[test]
    fn without_debugfs_there_is_an_error() {
        let error = SvmCounters::read(&Files::tree(Tree::default()), &["/debug/a".into()]).unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT);
    }
}
