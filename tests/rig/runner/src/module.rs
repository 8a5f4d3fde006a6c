// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the rig's kernel module against Debian's headers.

use crate::{host, paths::Paths};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// Its name, and what it is made of.
const NAME: &str = "xeplace_pci.ko";
const SOURCES: [&str; 2] = ["Kbuild", "xeplace_pci.c"];

/// What Debian's kernel is built with and need not be here: an option of newer compilers, and debug information. Neither
/// changes what a module and the kernel must agree on.
const WITHOUT: [&str; 2] = ["CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=", "CONFIG_DEBUG_INFO_BTF_MODULES="];

/// Programs of Debian's kernel build: where make looks for them, and where the package of the headers has them.
const TOOLS: [(&str, &str); 3] = [
    ("scripts/basic/fixdep", "scripts/basic/fixdep"),
    ("scripts/mod/modpost", "scripts/mod/modpost.real-lsb-64"),
    ("tools/objtool/objtool", "tools/objtool/objtool.real-x86"),
];

/// The module for kernel `version`, built unless that has been done.
pub fn build(paths: &Paths, version: &str) -> Result<PathBuf> {
    let (sources, directory) = (paths.sources().join("guest/module"), paths.module().join("module"));
    let module = directory.join(NAME);
    let is_same = |name: &str| fs::read(sources.join(name)).ok() == fs::read(directory.join(name)).ok();
    if module.exists() && SOURCES.into_iter().all(is_same) {
        return Ok(module);
    }
    host::require(&[("make", "builds the rig's kernel module"), ("cc", "builds the rig's kernel module")])?;
    if paths.module().exists() {
        fs::remove_dir_all(paths.module())?;
    }
    fs::create_dir_all(&directory)?;
    for name in SOURCES {
        fs::copy(sources.join(name), directory.join(name)).with_context(|| name.to_owned())?;
    }
    let root = paths.unpacked().canonicalize()?;
    let abi = version.rsplit_once('-').map_or(version, |(abi, _)| abi);
    let output = paths.module().canonicalize()?.join("output");
    prepare(&root, version, abi, &output)?;
    let mut make = Command::new("make");
    make.arg("-C").arg(root.join(format!("usr/src/linux-headers-{abi}-common"))).args(WITHOUT);
    make.arg(format!("KBUILD_OUTPUT={}", output.display()));
    make.arg(format!("M={}", directory.canonicalize()?.display()));
    make.arg(format!("CC={}", std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()))).arg("modules");
    host::output(&mut make).context("building the rig's kernel module")?;
    Ok(module)
}

/// Makes what the kernel's build calls its output tree. Debian's programs in it are started with the loader and libraries
/// of the same place.
fn prepare(root: &Path, version: &str, abi: &str, output: &Path) -> Result<()> {
    let headers = root.join(format!("usr/src/linux-headers-{version}"));
    let programs = root.join(format!("usr/lib/linux-kbuild-{abi}"));
    fs::create_dir_all(output)?;
    for name in [".config", "Module.symvers", "arch", "include"] {
        symlink(headers.join(name), output.join(name))?;
    }
    let (loader, libraries) = (root.join("usr/lib64/ld-linux-x86-64.so.2"), root.join("usr/lib/x86_64-linux-gnu"));
    for (name, program) in TOOLS {
        let words = [&loader, Path::new("--library-path"), &libraries, &programs.join(program)];
        let command: Vec<String> = words.iter().map(|word| format!("'{}'", word.display())).collect();
        let script = output.join(name);
        fs::create_dir_all(script.parent().unwrap_or(output))?;
        fs::write(&script, format!("#!/bin/sh\nexec {} \"$@\"\n", command.join(" ")))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
