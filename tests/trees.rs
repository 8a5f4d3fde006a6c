// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links on recorded PCI trees: what is predicted is what the running kernel computed.
//!
//! Each file of `tests/machines/trees` is a tree in many states of access control (ACS) and host bridges, with
//! `pci_p2pdma_distance()` of every pair of GPUs in each. `tests/rig/README.md` says how they are made.

#[allow(dead_code)]
#[path = "rig/guest/src/tree.rs"]
mod tree;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tree::{Round, Unpacked};
use xeplace::{Basis, GpuId, Link, Machine, Verdict};

/// What root and an ordinary user are shown of a configuration space, in bytes.
const ROOT: usize = 4096;
const USER: usize = 64;

/// P2P request redirect in the control register of access control.
const REQUEST_REDIRECT: u16 = 0x04;

/// A recorded tree in a directory of its own.
struct Tree {
    name: String,
    directory: TempDir,
    functions: BTreeMap<String, Function>,
    /// Where the control registers of access control are, by PCI address.
    controls: BTreeMap<String, u64>,
    rounds: Vec<Round>,
}

/// A PCI function as it was recorded. Of those that are on no way between GPUs not everything was.
struct Function {
    place: PathBuf,
    config: Option<Vec<u8>>,
    id: Option<[String; 2]>,
}

impl Tree {
    fn all() -> Vec<Tree> {
        let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines/trees");
        let mut paths: Vec<_> = fs::read_dir(recordings).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| Tree::read(path)).collect()
    }

    fn read(path: &Path) -> Tree {
        let directory = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(path).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let Unpacked { controls, rounds } = tree::unpack(entries, directory.path());
        let mut functions = BTreeMap::new();
        find_functions(&directory.path().join("sys/devices"), &mut functions);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Tree { name, directory, functions, controls, rounds }
    }

    /// The machine in the state of a round, as it is seen with `shown` bytes of each configuration space.
    fn machine(&self, round: &Round, shown: usize) -> Machine {
        for (address, function) in &self.functions {
            if let Some(mut config) = function.config.clone() {
                if let Some(register) = self.controls.get(address) {
                    let value = round.acs.get(address).copied().unwrap_or_default();
                    config[*register as usize..][..2].copy_from_slice(&value.to_le_bytes());
                }
                fs::write(function.place.join("config"), &config[..shown.min(config.len())]).unwrap();
            }
            if let Some(own) = &function.id {
                let other = round.ids.get(address).map(|(vendor, device)| [*vendor, *device]);
                let id = other.map_or(own.clone(), |id| id.map(|number| format!("{number:#06x}\n")));
                fs::write(function.place.join("vendor"), &id[0]).unwrap();
                fs::write(function.place.join("device"), &id[1]).unwrap();
            }
        }
        Machine::recorded(self.directory.path()).unwrap()
    }
}

fn find_functions(directory: &Path, found: &mut BTreeMap<String, Function>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if !entry.file_type().unwrap().is_dir() {
            continue;
        }
        let place = entry.path();
        find_functions(&place, found);
        let text = |name| fs::read_to_string(place.join(name)).ok();
        let id = text("vendor").zip(text("device")).map(|(vendor, device)| [vendor, device]);
        let config = fs::read(place.join("config")).ok();
        found.insert(entry.file_name().into_string().unwrap(), Function { place, config, id });
    }
}

/// Every ordered pair of GPUs: what the library says, and what the kernel said.
fn pairs(machine: &Machine, round: &Round) -> Vec<(Link, Option<u32>)> {
    let ids = || machine.gpus().iter().map(|gpu| gpu.id());
    let pair = |from: GpuId, to: GpuId| {
        let distance = round.distances[from.0 as usize][to.0 as usize];
        (machine.link(from, to).unwrap(), u32::try_from(distance).ok())
    };
    let others = |from: GpuId| ids().filter(move |to| *to != from);
    ids().flat_map(|from| others(from).map(move |to| pair(from, to))).collect()
}

fn agrees((link, distance): &(Link, Option<u32>)) -> bool {
    link.hops == *distance && (link.verdict == Verdict::Connected) == distance.is_some()
}

#[test]
fn root_is_told_of_every_link_what_the_kernel_computed() {
    let (mut states, mut connected, mut separate) = (0, 0, 0);
    for tree in Tree::all() {
        for round in &tree.rounds {
            for pair in pairs(&tree.machine(round, ROOT), round) {
                assert_eq!(pair.0.basis, Basis::Predicted, "{}: {}", tree.name, pair.0);
                assert!(agrees(&pair), "{}, {round:?}: {}, but {:?}", tree.name, pair.0, pair.1);
                *(if pair.1.is_some() { &mut connected } else { &mut separate }) += 1;
            }
            states += 1;
        }
    }
    assert!(states >= 300 && connected >= 3000 && separate >= 3000, "{states}, {connected}, {separate}");
}

#[test]
fn what_a_user_is_told_for_certain_the_kernel_computed_too() {
    let (mut certain, mut guessed) = (0, 0);
    for tree in Tree::all() {
        for round in tree.rounds.iter().step_by(3) {
            for pair in pairs(&tree.machine(round, USER), round) {
                let is_certain = pair.0.basis == Basis::Predicted;
                assert!(!is_certain || agrees(&pair), "{}, {round:?}: {}, but {:?}", tree.name, pair.0, pair.1);
                *(if is_certain { &mut certain } else { &mut guessed }) += 1;
            }
        }
    }
    assert!(certain >= 1000 && guessed >= 1000, "{certain}, {guessed}");
}

#[test]
fn one_bit_of_access_control_more_is_noticed() {
    let mut noticed = 0;
    for tree in Tree::all() {
        // The first round of each tree has no access control.
        let told = &tree.rounds[0];
        for address in tree.controls.keys() {
            let mut other = told.clone();
            other.acs.insert(address.clone(), REQUEST_REDIRECT);
            let machine = tree.machine(&other, ROOT);
            noticed += usize::from(!pairs(&machine, told).iter().all(agrees));
        }
    }
    assert!(noticed >= 50, "{noticed}");
}

#[test]
fn another_processor_is_noticed() {
    let mut noticed = 0;
    for tree in Tree::all() {
        let (told, cpu) = (&tree.rounds[0], tree.directory.path().join("proc/cpuinfo"));
        let is_amd = fs::read_to_string(&cpu).unwrap().contains("AuthenticAMD");
        let (vendor, family) = if is_amd { ("GenuineIntel", 6) } else { ("AuthenticAMD", 25) };
        fs::write(cpu, format!("vendor_id\t: {vendor}\ncpu family\t: {family}\n")).unwrap();
        noticed += usize::from(!pairs(&tree.machine(told, ROOT), told).iter().all(agrees));
    }
    assert!(noticed >= 8, "{noticed}");
}
