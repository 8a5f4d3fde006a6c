// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines to run on, as data: one file each in `tests/rig/machines/`.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Deserializer};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// One machine: one boot.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The file's name.
    #[serde(skip)]
    pub name: String,
    /// What it is and what it is for, in one line.
    pub about: String,
    /// QEMU's CPU model: its vendor and family decide whether GPUs meet through the host bridge.
    pub cpu: String,
    /// Memory in MiB.
    #[serde(default = "default_memory")]
    pub memory: u32,
    /// What is plugged in, a root port each.
    #[serde(default)]
    pub slots: Vec<Slot>,
    /// Further host bridges.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// The GPUs that must be in one interconnect group, by their places in the order of PCI addresses.
    #[serde(default)]
    pub groups: Vec<Vec<u32>>,
    /// What runs there, in this order.
    #[serde(rename = "run")]
    pub runs: Vec<Run>,
    /// What the command line gives to all that runs there.
    #[serde(skip)]
    pub variables: Vec<(String, String)>,
}

fn default_memory() -> u32 {
    3072
}

/// A host bridge beside the first, with a root bus of its own.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Device number of the first function on its bus.
    pub first: u8,
    /// That function is a conventional bridge with nothing below, and not a root port.
    pub bridge: bool,
    /// As those of the machine.
    pub slots: Vec<Slot>,
}

/// What is plugged into a port.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// A GPU.
    Gpu(Gpu),
    /// GPUs that are functions of one device.
    Functions(Vec<Gpu>),
    /// A PCIe switch: what is in each of its downstream ports.
    Switch(#[serde(deserialize_with = "ports")] Vec<Slot>),
    /// The same with downstream ports that have access control.
    AcsSwitch(#[serde(deserialize_with = "ports")] Vec<Slot>),
}

/// In a switch a GPU may stand without saying that it is one.
fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Slot>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Port {
        Slot(Slot),
        Gpu(Gpu),
    }
    let slot = |port| match port {
        Port::Slot(slot) => slot,
        Port::Gpu(gpu) => Slot::Gpu(gpu),
    };
    Ok(Vec::deserialize(deserializer)?.into_iter().map(slot).collect())
}

impl Slot {
    /// The GPUs in it, in the order of their PCI addresses.
    fn gpus(&self) -> Vec<&Gpu> {
        match self {
            Slot::Gpu(gpu) => vec![gpu],
            Slot::Functions(gpus) => gpus.iter().collect(),
            Slot::Switch(slots) | Slot::AcsSwitch(slots) => slots.iter().flat_map(Slot::gpus).collect(),
        }
    }
}

/// A modelled GPU.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Gpu {
    /// PCI device id.
    pub device: String,
    /// VRAM, such as `256M`.
    pub vram: String,
    /// How much of it is behind its BAR; all of it if not said.
    pub bar: Option<String>,
}

impl Default for Gpu {
    fn default() -> Gpu {
        Gpu { device: "e20b".to_owned(), vram: "256M".to_owned(), bar: None }
    }
}

/// One thing that runs in the guest.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// A test binary; all of its tests run.
    #[serde(default)]
    pub test: Option<String>,
    /// A line for the guest's shell, instead of a test binary. It passes if it exits with `status`.
    #[serde(default)]
    pub command: Option<String>,
    /// Only those tests whose name contains one of these.
    #[serde(default)]
    pub only: Vec<String>,
    /// What a command's output must contain.
    #[serde(default)]
    pub says: Vec<String>,
    /// A command's exit status.
    #[serde(default)]
    pub status: i32,
    #[serde(default)]
    pub user: User,
    /// Variables of its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Seconds after which it is taken to hang.
    #[serde(default = "default_limit")]
    pub limit: u32,
}

fn default_limit() -> u32 {
    120
}

/// Who runs it.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default, Debug)]
#[serde(rename_all = "lowercase")]
pub enum User {
    /// The administrator.
    #[default]
    Root,
    /// Somebody who may open the render nodes and nothing else.
    User,
}

impl Machine {
    /// All machines of `directory`, by their names.
    pub fn all(directory: &Path) -> Result<Vec<Machine>> {
        let mut machines = Vec::new();
        for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let text = fs::read_to_string(&path)?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                machines.push(Machine::parse(name, &text).with_context(|| path.display().to_string())?);
            }
        }
        machines.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(machines)
    }

    fn parse(name: String, text: &str) -> Result<Machine> {
        let machine = Machine { name, ..toml::from_str(text)? };
        for run in &machine.runs {
            ensure!(run.test.is_some() != run.command.is_some(), "a run is either a test or a command: {run:?}");
            let for_commands = run.says.is_empty() && run.status == 0;
            ensure!(run.command.is_some() || for_commands, "a test says by itself how it went: {run:?}");
        }
        let named: BTreeSet<u32> = machine.groups.iter().flatten().copied().collect();
        let count = machine.gpus().count() as u32;
        ensure!(named == (0..count).collect(), "the groups must name each of the {count} GPUs");
        Ok(machine)
    }

    /// One with this in it and nothing to run.
    pub fn of_tree(cpu: &str, slots: Vec<Slot>, hosts: Vec<Host>) -> Machine {
        let (name, about, cpu) = (String::new(), String::new(), cpu.to_owned());
        let (groups, runs, variables) = (Vec::new(), Vec::new(), Vec::new());
        Machine { name, about, cpu, memory: default_memory(), slots, hosts, groups, runs, variables }
    }

    /// Its GPUs in the order of their PCI addresses.
    pub fn gpus(&self) -> impl Iterator<Item = &Gpu> {
        self.slots.iter().chain(self.hosts.iter().flat_map(|host| &host.slots)).flat_map(Slot::gpus)
    }

    /// `0 1|2 3`, as the guest's checks are told.
    pub fn groups_text(&self) -> String {
        let group = |group: &Vec<u32>| group.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        self.groups.iter().map(group).collect::<Vec<_>>().join("|")
    }
}

impl Run {
    /// What the report calls it.
    pub fn name(&self) -> String {
        let what = self.test.as_deref().or(self.command.as_deref()).unwrap_or_default();
        match self.user {
            User::Root => what.to_owned(),
            User::User => format!("{what} (as a user)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Machine> {
        Machine::parse("test".to_owned(), text)
    }

    #[test]
    fn gpus_are_counted_through_switches_and_host_bridges() {
        let text = "about = ''\ncpu = 'max'\ngroups = [[0, 4], [1, 2, 3]]\n\
            slots = [{ gpu = { bar = '64M' } }, { switch = [{}, { acs-switch = [{ vram = '1G' }, {}] }] }]\n\
            hosts = [{ bridge = true, slots = [{ functions = [{ vram = '2G' }] }] }]\n[[run]]\ntest = 'space'";
        let machine = parse(text).unwrap();
        let vram: Vec<&str> = machine.gpus().map(|gpu| gpu.vram.as_str()).collect();
        assert_eq!(vram, ["256M", "256M", "1G", "256M", "2G"]);
        assert_eq!(machine.groups_text(), "0 4|1 2 3");
    }

    #[test]
    fn mistakes_are_told() {
        let about = "about = ''\ncpu = 'max'\n";
        for (mistake, told) in [
            ("run = [{}]", "either a test or a command"),
            ("run = [{ test = 'a', command = 'b' }]", "either a test or a command"),
            ("run = [{ test = 'a', says = ['b'] }]", "says by itself"),
            ("run = []\nslots = [{ gpu = {} }]", "must name each of the 1 GPUs"),
            ("run = []\ngroups = [[0]]", "must name each of the 0 GPUs"),
            ("run = []\nspeed = 3", "unknown field"),
        ] {
            let error = format!("{:#}", parse(&format!("{about}{mistake}")).unwrap_err());
            assert!(error.contains(told), "{mistake}: {error}");
        }
    }

    #[test]
    fn the_machines_of_this_repository_are_understood() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../machines");
        assert!(Machine::all(&directory).unwrap().len() >= 7);
    }
}
