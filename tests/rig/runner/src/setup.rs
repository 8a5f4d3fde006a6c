// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fetches and unpacks what the rig needs: QEMU, a kernel with its headers, busybox.
//!
//! Each step leaves its result whole or not at all, so that an interrupted set-up goes on where it stopped.

use crate::{
    apt::{Apt, Package},
    host,
    kernel::Kernel,
    module,
    paths::Paths,
    qemu::Qemu,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

const KERNEL: &str = "linux-image-amd64";
const HEADERS: &str = "linux-headers-amd64";
const BUSYBOX: &str = "busybox-static";
const QEMU: &str = "qemu-system-x86";

/// Bump it when what is made of the packages changes.
const EDITION: u32 = 1;

/// Everything that a boot needs beside the project itself.
pub struct Setup {
    pub qemu: Qemu,
    pub kernel: Kernel,
    /// The module that answers what only the kernel knows.
    pub module: PathBuf,
    pub busybox: PathBuf,
}

/// How to set up.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Debian mirror, instead of the one of this machine's apt sources
    #[arg(long, value_name = "ADDRESS")]
    pub mirror: Option<String>,
    /// Look for newer packages, even if there is a complete set already
    #[arg(long)]
    pub update: bool,
    /// Emulate processors even where KVM works
    #[arg(long)]
    pub emulate: bool,
}

/// Makes sure that all is there.
pub fn setup(paths: &Paths, options: &Options) -> Result<Setup> {
    fs::create_dir_all(&paths.rig).with_context(|| format!("making {}", paths.rig.display()))?;
    let own_qemu = host::own_qemu();
    let mut wanted = vec![KERNEL, HEADERS, BUSYBOX];
    if own_qemu.is_none() {
        wanted.push(QEMU);
    }
    let stamp = paths.rig.join("packages");
    let complete = fs::read_to_string(&stamp).is_ok_and(|found| found.lines().next() == Some(&heading(&wanted)));
    if !complete || options.update {
        fetch(paths, options, &wanted, &stamp)?;
    }
    let kernel = Kernel::prepare(&paths.unpacked(), &paths.kernel())?;
    let module = module::build(paths, &kernel.version)?;
    let mut qemu = Qemu::new(own_qemu, &paths.unpacked())?;
    if !options.emulate && kvm_works(paths, &qemu, &kernel)? {
        qemu.accelerator = "kvm";
    }
    let busybox = paths.unpacked().join("usr/bin/busybox");
    Ok(Setup { qemu, kernel, module, busybox })
}

/// Whether KVM runs this kernel; asked once while the host runs.
fn kvm_works(paths: &Paths, qemu: &Qemu, kernel: &Kernel) -> Result<bool> {
    let this_boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let known = paths.rig.join("kvm");
    if let Some(answer) = fs::read_to_string(&known).ok().as_deref().and_then(|text| text.strip_prefix(&this_boot)) {
        return Ok(answer == "works");
    }
    let works = host::kvm_works(qemu.command(), &kernel.image);
    fs::write(known, this_boot + if works { "works" } else { "does not work" })?;
    Ok(works)
}

fn heading(wanted: &[&str]) -> String {
    format!("edition {EDITION}: {}", wanted.join(" "))
}

fn fetch(paths: &Paths, options: &Options, wanted: &[&str], stamp: &Path) -> Result<()> {
    let started = Instant::now();
    host::require(&[
        ("apt-get", "fetches and verifies Debian's packages (package apt)"),
        ("dpkg-deb", "unpacks them (package dpkg)"),
    ])?;
    let apt = Apt::new(&paths.rig.join("apt"), options.mirror.as_deref())?;
    println!("set-up: asking the archive for {}", wanted.join(", "));
    apt.update()?;
    let chosen = apt.resolve(wanted)?;
    let list = listing(wanted, &chosen);
    if fs::read_to_string(stamp).is_ok_and(|found| found == list) {
        println!("set-up: {} packages, all as new as the archive's", chosen.len());
        return Ok(());
    }
    println!("set-up: fetching {} packages", chosen.len());
    apt.download(wanted)?;
    unpack(&apt, &chosen, &paths.unpacked())?;
    replace(&paths.kernel())?;
    replace(&paths.module())?;
    fs::write(stamp, list)?;
    println!("set-up: done in {} s", started.elapsed().as_secs());
    Ok(())
}

fn listing(wanted: &[&str], chosen: &[Package]) -> String {
    let lines = chosen.iter().map(|package| format!("{} {}\n", package.name, package.version));
    std::iter::once(heading(wanted) + "\n").chain(lines).collect()
}

/// Unpacks all packages into a new directory, which then takes the place of the old one.
fn unpack(apt: &Apt, packages: &[Package], root: &Path) -> Result<()> {
    let unfinished = root.with_extension("unfinished");
    replace(&unfinished)?;
    fs::create_dir_all(&unfinished)?;
    for package in packages {
        host::output(Command::new("dpkg-deb").arg("--extract").arg(apt.archive(package)).arg(&unfinished))?;
    }
    replace(root)?;
    fs::rename(&unfinished, root).context("putting the unpacked packages into place")
}

/// Makes room for a directory of this name.
fn replace(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", directory.display()))
        }
        _ => Ok(()),
    }
}
