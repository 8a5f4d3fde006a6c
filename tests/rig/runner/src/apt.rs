// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages from Debian's archive by name, without root: apt with a state of its own.
//!
//! apt itself finds the mirror, resolves dependencies, verifies signatures and resumes what was interrupted.

use crate::host;
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The suites: QEMU and the kernel are of the second, what they need of both.
const SUITES: [&str; 2] = ["trixie", "trixie-backports"];

/// Taken for installed. The kernel's package wants them to make an initramfs on the host and to start from its disk; the
/// rig makes its own. Its headers want a compiler and debug information; the host's compiler will do, without it.
const NOT_NEEDED: [(&str, &str); 6] = [
    ("dracut", "Provides: linux-initramfs-tool\n"),
    ("linux-base", ""),
    ("kmod", ""),
    ("adduser", ""),
    ("gcc-14-for-host", ""),
    ("pahole", ""),
];

const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// apt with its own lists, cache and idea of what is installed.
pub struct Apt {
    directory: PathBuf,
}

/// One package that apt has chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub architecture: String,
}

impl Apt {
    /// Sets it up below `directory`, with `mirror` or the one of this machine's own sources.
    pub fn new(directory: &Path, mirror: Option<&str>) -> Result<Apt> {
        for below in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(below))?;
        }
        let directory = directory.canonicalize()?;
        let mirror = mirror.map_or_else(host_mirror, |named| Ok(named.to_owned()))?;
        let keyring = KEYRINGS.into_iter().find(|path| Path::new(path).exists());
        let keyring = keyring.context("Debian's archive keys are missing: install debian-archive-keyring")?;
        let sources = SUITES.map(|suite| format!("deb [signed-by={keyring} arch=amd64] {mirror} {suite} main\n"));
        fs::write(directory.join("sources.list"), sources.concat())?;
        let installed = NOT_NEEDED.map(|(name, more)| {
            format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 9999\n{more}\n")
        });
        fs::write(directory.join("status"), installed.concat())?;
        fs::write(directory.join("apt.conf"), configuration(&directory))?;
        Ok(Apt { directory })
    }

    /// Fetches the lists of packages.
    pub fn update(&self) -> Result<()> {
        self.run(&["-q", "--error-on=any", "update"]).map(drop)
    }

    /// The newest version of `wanted` and of all that they depend on.
    pub fn resolve(&self, wanted: &[&str]) -> Result<Vec<Package>> {
        let said = self.run(&[&["--simulate"], &INSTALL[..], wanted].concat())?;
        let chosen: Vec<Package> = said.lines().filter_map(Package::of_line).collect();
        for name in wanted {
            ensure!(chosen.iter().any(|package| package.name == *name), "apt does not offer {name}");
        }
        Ok(chosen)
    }

    /// Fetches and verifies `wanted` and all that they depend on, but for what is here already.
    pub fn download(&self, wanted: &[&str]) -> Result<()> {
        self.run(&[&["-q", "--download-only"], &INSTALL[..], wanted].concat()).map(drop)
    }

    /// Where a downloaded package lies.
    pub fn archive(&self, package: &Package) -> PathBuf {
        self.directory.join("cache/archives").join(package.file_name())
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("apt-get");
        // -c and not APT_CONFIG: it is read last, and so has the last word.
        command.arg("-c").arg(self.directory.join("apt.conf")).args(arguments).env_remove("APT_CONFIG");
        host::output(command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive"))
    }
}

const INSTALL: [&str; 4] = ["--yes", "--no-install-recommends", "--target-release=trixie-backports", "install"];

impl Package {
    /// `Inst NAME (VERSION ORIGIN [ARCHITECTURE])`, as apt-get simulates.
    fn of_line(line: &str) -> Option<Package> {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        let version = rest.split(' ').next()?;
        let architecture = rest.split_once('[')?.1.split(']').next()?;
        Some(Package { name: name.to_owned(), version: version.to_owned(), architecture: architecture.to_owned() })
    }

    /// As apt names the file in its cache.
    fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }
}

/// Everything that apt would otherwise take from this machine or do to it. Proxies and the like stay as they are.
fn configuration(directory: &Path) -> String {
    let at = |name: &str| directory.join(name).display().to_string();
    let own = [
        ("Dir::State", directory.display().to_string()),
        ("Dir::State::Lists", at("lists")),
        ("Dir::State::status", at("status")),
        ("Dir::Cache", at("cache")),
        ("Dir::Cache::Archives", at("cache/archives")),
        ("Dir::Etc::sourcelist", at("sources.list")),
        ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
        ("Dir::Etc::preferences", "/dev/null".to_owned()),
        ("Dir::Etc::preferencesparts", "/dev/null".to_owned()),
        ("APT::Architecture", "amd64".to_owned()),
        ("APT::Sandbox::User", String::new()),
        ("APT::Get::AllowUnauthenticated", "false".to_owned()),
        ("Acquire::AllowInsecureRepositories", "false".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
        ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".to_owned()),
        ("Acquire::Retries", "3".to_owned()),
        ("Binary::apt-get::APT::Keep-Downloaded-Packages", "true".to_owned()),
    ];
    let hooks = ["APT::Architectures", "APT::Update::Pre-Invoke", "APT::Update::Post-Invoke"];
    let more = ["APT::Update::Post-Invoke-Success", "DPkg::Pre-Invoke", "DPkg::Post-Invoke", "DPkg::Pre-Install-Pkgs"];
    let cleared = hooks.iter().chain(&more).map(|name| format!("#clear {name};\n"));
    let set = own.map(|(name, value)| format!("{name} \"{value}\";\n"));
    cleared.chain(set).collect()
}

/// The Debian mirror of this machine's apt sources, whatever their format.
fn host_mirror() -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
    let said = host::output(&mut command).context("asking apt for this machine's mirror")?;
    match said.lines().find(|address| address.trim_end_matches('/').ends_with("/debian")) {
        Some(address) => Ok(address.to_owned()),
        None => bail!("this machine's apt sources name no Debian mirror: name one with --mirror"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_installation_names_files() {
        let line = "Inst qemu-system-x86 (1:11.1.3+ds-1~bpo13+1 Debian Backports:stable-backports [amd64])";
        let package = Package::of_line(line).unwrap();
        assert_eq!(package.file_name(), "qemu-system-x86_1%3a11.1.3+ds-1~bpo13+1_amd64.deb");
        assert_eq!(Package::of_line("Conf qemu-system-x86 (1:11.1.3 Debian [amd64])"), None);
        assert_eq!(Package::of_line("Reading package lists..."), None);
    }

    #[test]
    fn hooks_of_this_machine_do_not_run() {
        let text = configuration(Path::new("/somewhere"));
        assert!(text.contains("#clear APT::Update::Post-Invoke;"));
        assert!(text.contains("Dir::State::status \"/somewhere/status\";"));
    }
}
