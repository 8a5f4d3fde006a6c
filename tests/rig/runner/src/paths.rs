// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where things lie: the repository, and what the rig keeps below `target/rig`.

use std::path::{Path, PathBuf};

/// The directories of the rig.
pub struct Paths {
    /// The repository's root.
    pub repository: PathBuf,
    /// What is fetched, built and logged.
    pub rig: PathBuf,
    /// Where cargo builds, for the repository and for the rig alike.
    pub target: PathBuf,
}

impl Paths {
    /// Those of the repository that this program was built from; `rig` if named, else `target/rig`.
    pub fn new(rig: Option<PathBuf>) -> Paths {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let repository = own.ancestors().nth(3).expect("three directories deep").to_owned();
        let rig = rig.unwrap_or_else(|| repository.join("target/rig"));
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
        Paths { repository, rig, target }
    }

    /// Debian's packages, unpacked.
    pub fn unpacked(&self) -> PathBuf {
        self.rig.join("root")
    }

    /// One directory a machine.
    pub fn logs(&self) -> PathBuf {
        self.rig.join("logs")
    }

    /// The kernel as QEMU starts it, and the modules in the order in which they are loaded.
    pub fn kernel(&self) -> PathBuf {
        self.rig.join("kernel")
    }

    /// The module of the rig, built.
    pub fn module(&self) -> PathBuf {
        self.rig.join("module")
    }

    /// The sources of the rig itself.
    pub fn sources(&self) -> PathBuf {
        self.repository.join("tests/rig")
    }
}
