// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a machine down.

use super::{CONNECTED, NOT_CONNECTED, README};
use crate::{
    descriptors::Descriptors,
    discovery,
    driver::Driver,
    error::{Error, Result},
    files::{Files, Log},
    gpu::Gpu,
    interconnect::{Interconnect, anonymize},
    location::GpuId,
    query::{self, QUERIES},
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// What is recorded.
pub(crate) struct Original<'a> {
    pub(crate) driver: &'a Arc<dyn Driver>,
    pub(crate) files: &'a Files,
    pub(crate) descriptors: &'a Arc<Descriptors>,
    pub(crate) gpus: &'a [Gpu],
    /// What the kernel said of pairs.
    pub(crate) words: BTreeMap<(GpuId, GpuId), bool>,
}

/// Writes a machine into `directory`, which is made; one that has something in it is refused.
pub(crate) fn write(machine: &Original<'_>, directory: &Path) -> Result<()> {
    make_empty(directory)?;
    let (files, log) = machine.files.logged();
    let (gpus, _) = discovery::discover(machine.driver, &files, machine.descriptors)?;
    look_at_everything(&gpus, &Interconnect::new(files.clone()));
    look_at_host_nodes(&files);
    write_files(directory, &log.lock())?;
    for gpu in &gpus {
        write_replies(directory, gpu)?;
        write_capabilities(directory, machine, gpu)?;
    }
    write_links(directory, machine)?;
    let readme =
        format!("{README}\nSerial numbers and the kernel's command line are not in it, except for pci= there.\n");
    put(&directory.join("README"), readme.as_bytes())
}

fn make_empty(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::file(directory))?;
    let mut entries = fs::read_dir(directory).map_err(Error::file(directory))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::Invalid(format!("{} has something in it already", directory.display()))),
    }
}

/// So that the log holds all that any later question needs.
fn look_at_everything(gpus: &[Gpu], interconnect: &Interconnect) {
    // A GPU whose place cannot be read here cannot be read there either.
    for path in gpus.iter().filter_map(|gpu| gpu.path().ok()) {
        interconnect.look_at(path);
    }
}

/// For whoever places pages on them. A node without processors is one as well.
fn look_at_host_nodes(files: &Files) {
    let nodes = Path::new("/sys/devices/system/node");
    let _ = files.text(nodes.join("online"));
    let names = files.list(nodes).unwrap_or_default();
    let is_node = |name: &&String| name.strip_prefix("node").is_some_and(|number| number.parse::<u32>().is_ok());
    for name in names.iter().filter(is_node) {
        let _ = files.text(nodes.join(name).join("cpulist"));
    }
}

fn write_files(directory: &Path, log: &Log) -> Result<()> {
    let place = |path: &Path| directory.join(path.strip_prefix("/").unwrap_or(path));
    for path in log.directories.iter().filter(|path| !log.files.contains_key(*path)) {
        make(&place(path))?;
    }
    for (path, content) in &log.files {
        put(&place(path), &anonymous(path, content))?;
    }
    for (path, target) in &log.links {
        let link = place(path);
        make(link.parent().unwrap_or(directory))?;
        symlink(target, &link).map_err(Error::file(&link))?;
    }
    let targets = log.links.iter().map(|(path, target)| target_of(path, target));
    for target in targets.filter(|target| !log.files.contains_key(target) && !log.links.contains_key(target)) {
        make(&place(&target))?;
    }
    Ok(())
}

/// Where a link at `path` leads. No component of `path` is a link itself: it was followed to get there.
fn target_of(path: &Path, target: &Path) -> PathBuf {
    let mut real =
        path.parent().unwrap_or(path).join(target).components().fold(PathBuf::from("/"), |mut real, part| {
            match part {
                Component::ParentDir => drop(real.pop()),
                Component::Normal(name) => real.push(name),
                _ => {}
            }
            real
        });
    if real.as_os_str().is_empty() {
        real.push("/");
    }
    real
}

/// The content of a file as far as it may be shown and is of use.
fn anonymous(path: &Path, content: &[u8]) -> Vec<u8> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let lines = |wanted: fn(&str) -> bool| {
        let text = String::from_utf8_lossy(content);
        text.lines().filter(|line| wanted(line)).fold(String::new(), |text, line| text + line + "\n").into_bytes()
    };
    match name {
        "config" if path.starts_with("/sys") => {
            let mut content = content.to_vec();
            anonymize(&mut content);
            content
        }
        "cmdline" => {
            let text = String::from_utf8_lossy(content);
            let words: Vec<&str> = text.split_whitespace().filter(|word| word.starts_with("pci=")).collect();
            format!("{}\n", words.join(" ")).into_bytes()
        }
        // All processors are alike to the kernel's rule, which looks at the first.
        "cpuinfo" => {
            let text = String::from_utf8_lossy(content);
            let first = text.lines().take_while(|line| !line.trim().is_empty());
            first.fold(String::new(), |text, line| text + line + "\n").into_bytes()
        }
        // Of `/proc/bus/pci/devices`, which functions there are.
        "devices" => {
            let text = String::from_utf8_lossy(content);
            let first_two = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join("\t") + "\n";
            text.lines().map(first_two).collect::<String>().into_bytes()
        }
        name if name.starts_with("config") => {
            lines(|line| line.starts_with("CONFIG_PCI=") || line.contains("CONFIG_PCI_P2PDMA"))
        }
        _ => content.to_vec(),
    }
}

fn write_replies(directory: &Path, gpu: &Gpu) -> Result<()> {
    let place = place_of(directory, gpu);
    for (query, name) in QUERIES {
        let reply = query::ask(&**gpu.driver(), gpu.device()?, query);
        put(&place.join(name), &gpu.answer("DRM_IOCTL_XE_DEVICE_QUERY", reply)?)?;
    }
    Ok(())
}

fn write_capabilities(directory: &Path, machine: &Original<'_>, gpu: &Gpu) -> Result<()> {
    // The machine's own handle knows what its vms have found out meanwhile.
    let known = machine.gpus.iter().find(|known| known.address() == gpu.address() && !known.is_lost()).unwrap_or(gpu);
    let mut text = String::new();
    for (name, support) in known.capabilities()?.list() {
        let _ = writeln!(text, "{name} {support}");
    }
    put(&place_of(directory, gpu).join("capabilities"), text.as_bytes())
}

fn place_of(directory: &Path, gpu: &Gpu) -> PathBuf {
    directory.join("query").join(gpu.address().to_string())
}

fn write_links(directory: &Path, machine: &Original<'_>) -> Result<()> {
    let mut text = String::new();
    for ((from, to), connected) in &machine.words {
        let [from, to] = [from, to].map(|id| machine.gpus[id.0 as usize].address());
        let _ = writeln!(text, "{from} {to} {}", if *connected { CONNECTED } else { NOT_CONNECTED });
    }
    put(&directory.join("links"), text.as_bytes())
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::file(directory))
}

fn put(path: &Path, content: &[u8]) -> Result<()> {
    make(path.parent().unwrap_or(path))?;
    let written = fs::OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| {
        use io::Write;
        file.write_all(content)
    });
    written.map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recording_shows_of_a_host_is_what_the_rule_needs() {
        let shown =
            |path: &str, content: &str| String::from_utf8(anonymous(Path::new(path), content.as_bytes())).unwrap();
        assert_eq!(
            shown("/proc/cmdline", "root=UUID=12-34 pci=noaer,config_acs=10 luks.key=secret\n"),
            "pci=noaer,config_acs=10\n"
        );
        assert_eq!(
            shown("/proc/cpuinfo", "processor : 0\nfamily : 6\n\nprocessor : 1\n"),
            "processor : 0\nfamily : 6\n"
        );
        assert_eq!(
            shown("/proc/bus/pci/devices", "0010\t80867d40\t1b\t  38bff0000c\txe\n0100\t10de2f95\t0\n"),
            "0010\t80867d40\n0100\t10de2f95\n"
        );
        assert_eq!(
            shown("/boot/config-7.3.4", "CONFIG_X=y\nCONFIG_PCI=y\n# CONFIG_PCI_P2PDMA is not set\n"),
            "CONFIG_PCI=y\n# CONFIG_PCI_P2PDMA is not set\n"
        );
    }

    #[test]
    fn links_lead_where_the_kernel_leads_them() {
        let target = |path: &str, target: &str| target_of(Path::new(path), Path::new(target));
        assert_eq!(target("/sys/class/drm/card0", "../../devices/pci0000:00"), Path::new("/sys/devices/pci0000:00"));
        assert_eq!(target("/sys/a", "/sys/b/../c"), Path::new("/sys/c"));
        assert_eq!(target("/a", "../../.."), Path::new("/"));
    }
}
