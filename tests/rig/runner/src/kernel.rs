// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's kernel as the rig starts it: uncompressed, with the modules that xe needs, in order.

use anyhow::{Context, Result};
use object::{Object, ObjectSection};
use ruzstd::decoding::StreamingDecoder;
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// A kernel and the modules of its xe driver.
pub struct Kernel {
    /// As `uname -r` says.
    pub version: String,
    /// What QEMU starts.
    pub image: PathBuf,
    /// Uncompressed, each behind those that it needs.
    pub modules: Vec<PathBuf>,
}

impl Kernel {
    /// That of the unpacked packages below `root`, made ready in `directory` unless it is so already.
    pub fn prepare(root: &Path, directory: &Path) -> Result<Kernel> {
        let tree = root.join("usr/lib/modules");
        let entry = fs::read_dir(&tree).with_context(|| format!("reading {}", tree.display()))?.next();
        let version = entry.context("there are no kernel modules")??.file_name().to_string_lossy().into_owned();
        let tree = tree.join(&version);
        if !directory.exists() {
            make(&version, &tree, root, directory)?;
        }
        let mut modules: Vec<PathBuf> = fs::read_dir(directory.join("modules"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        modules.sort();
        Ok(Kernel { version, image: directory.join("image"), modules })
    }
}

fn make(version: &str, tree: &Path, root: &Path, directory: &Path) -> Result<()> {
    let unfinished = directory.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(unfinished.join("modules"))?;
    let places = [tree.join("vmlinuz"), root.join("boot").join(format!("vmlinuz-{version}"))];
    let compressed =
        places.iter().find_map(|path| fs::read(path).ok()).context("the kernel's package has no vmlinuz")?;
    // Started as it is where it cannot be uncompressed: that takes 3 s longer under emulation.
    fs::write(unfinished.join("image"), vmlinux(&compressed).unwrap_or(compressed))?;
    for (place, (name, bytes)) in in_order(tree, "xe")?.iter().enumerate() {
        fs::write(unfinished.join(format!("modules/{place:02}-{name}.ko")), bytes)?;
    }
    fs::rename(unfinished, directory).context("putting the kernel into place")
}

/// `wanted` and the modules that it needs, each behind those that it needs itself: what depmod would find out, which is
/// not on every host.
struct Order<'a> {
    tree: &'a Path,
    /// File by module name.
    files: BTreeMap<String, PathBuf>,
    found: Vec<(String, Vec<u8>)>,
}

fn in_order(tree: &Path, wanted: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let listed = fs::read_to_string(tree.join("modules.order")).context("the kernel's list of modules")?;
    let files = listed.lines().map(|path| (module_name(path), PathBuf::from(path))).collect();
    let mut order = Order { tree, files, found: Vec::new() };
    order.visit(wanted)?;
    Ok(order.found)
}

impl Order<'_> {
    fn visit(&mut self, name: &str) -> Result<()> {
        if self.found.iter().any(|(found, _)| found == name) {
            return Ok(());
        }
        let path = self.files.get(name).with_context(|| format!("there is no module {name}"))?;
        let bytes = module(&self.tree.join(path))?;
        for needed in needs(&bytes).with_context(|| format!("module {name}"))? {
            self.visit(&needed)?;
        }
        self.found.push((name.to_owned(), bytes));
        Ok(())
    }
}

/// The kernel takes `-` and `_` in the names of modules for the same.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// Reads a module that may be compressed, as its ending says.
fn module(path: &Path) -> Result<Vec<u8>> {
    let with = |ending: &str| PathBuf::from(format!("{}{ending}", path.display()));
    let mut bytes = Vec::new();
    if let Ok(compressed) = fs::read(with(".xz")) {
        lzma_rs::xz_decompress(&mut &compressed[..], &mut bytes).with_context(|| format!("{}.xz", path.display()))?;
    } else if let Ok(compressed) = fs::File::open(with(".zst")) {
        StreamingDecoder::new(compressed)?.read_to_end(&mut bytes)?;
    } else {
        bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    }
    Ok(bytes)
}

/// The names in `depends=` of a module's `.modinfo`.
fn needs(module: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(module)?;
    let section = file.section_by_name(".modinfo").context("it has no .modinfo")?;
    let text = section.data()?;
    let found = text.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"depends="));
    let names = String::from_utf8_lossy(found.context("it does not say what it depends on")?).into_owned();
    Ok(names.split(',').filter(|name| !name.is_empty()).map(module_name).collect())
}

/// The ELF image in a bzImage with a zstd payload; QEMU starts it by PVH, past the kernel's own decompression.
///
/// The header's fields are those of `Documentation/arch/x86/boot.rst`. The payload's last word is its length unpacked.
fn vmlinux(image: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    let setup_sectors = usize::from(*image.get(0x1f1)?);
    let start = (setup_sectors.max(1) + 1) * 512 + word(0x248)?;
    let payload = image.get(start..start + word(0x24c)?.checked_sub(4)?)?;
    let mut elf = Vec::new();
    StreamingDecoder::new(payload).ok()?.read_to_end(&mut elf).ok()?;
    elf.starts_with(b"\x7fELF").then_some(elf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modules_are_normalised() {
        assert_eq!(module_name("kernel/drivers/gpu/drm/scheduler/gpu-sched.ko"), "gpu_sched");
        assert_eq!(module_name("kernel/drivers/gpu/drm/xe/xe.ko.xz"), "xe");
    }

    #[test]
    fn an_image_that_is_not_understood_is_left_as_it_is() {
        assert_eq!(vmlinux(b"short"), None);
        assert_eq!(vmlinux(&[0xff; 4096]), None);
        assert_eq!(vmlinux(&[0; 4096]), None);
    }
}
