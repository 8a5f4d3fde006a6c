// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every link is predicted as the kernel computes it, whatever the access control and the host bridges of the PCI tree.
//!
//! `ROUNDS` states of the tree are made from `SEED`. With `RESCAN` the first function of all is removed and found again;
//! with `RECORD` everything is printed as a recording.

use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, thread,
    time::{Duration, Instant},
};
use xeplace::{Basis, GpuId, Machine, Verdict};
use xeplace_rig_guest::{
    pages::MemoryMap,
    pci,
    tree::{self, Entry, Round},
};

/// Every so many rounds xe itself is asked.
const ASK: usize = 5;

/// Access control: none; what redirects, bit by bit; what does not; what the kernel sets where an IOMMU is on.
const CONTROLS: [u16; 8] = [0x00, 0x04, 0x08, 0x20, 0x53, 0x10, 0x0c, 0x1d];

/// Host bridges: some in the kernel's list, some only for GPUs below one of them, and some that are nearly in it.
const HOST_BRIDGES: [(u16, u16); 16] = [
    (0x8086, 0x09a2),
    (0x8086, 0x09a2),
    (0x8086, 0x2030),
    (0x8086, 0x2020),
    (0x8086, 0x0b25),
    (0x8086, 0x4948),
    (0x1ae0, 0x0001),
    (0x10de, 0x2f98),
    (0x8086, 0x2f00),
    (0x8086, 0x2f00),
    (0x8086, 0x3c01),
    (0x8086, 0x09a3),
    (0x8086, 0x2034),
    (0x10de, 0x2f99),
    (0x10de, 0x09a2),
    (0x1ae1, 0x0001),
];

/// What can be changed in this tree.
struct Tree {
    /// Where the control registers of access control are.
    controls: BTreeMap<String, u64>,
    /// Bridges on root buses with their own ids: one of each bus stands for its host bridge.
    on_root_buses: BTreeMap<String, (u16, u16)>,
}

impl Tree {
    fn find() -> Tree {
        let functions = pci::functions();
        let control = |address: &String| Some((address.clone(), pci::control(address)?));
        let root = functions.iter().filter(|address| pci::is_on_root_bus(address) && pci::is_bridge(address));
        Tree {
            controls: functions.iter().filter_map(control).collect(),
            on_root_buses: root.map(|address| (address.clone(), pci::id(address))).collect(),
        }
    }

    /// Any state of it.
    fn draw(&self, rng: &mut Rng) -> Round {
        let mut round = Round::default();
        let share = *rng.choice(&[0.0, 0.05, 0.15, 0.15, 0.4]).expect("some");
        for address in self.controls.keys() {
            if rng.f64() < share {
                round.acs.insert(address.clone(), *rng.choice(&CONTROLS).expect("some"));
            }
        }
        let share = *rng.choice(&[0.0, 0.0, 0.3, 0.8]).expect("some");
        for address in self.on_root_buses.keys() {
            if rng.f64() < share {
                round.ids.insert(address.clone(), *rng.choice(&HOST_BRIDGES).expect("some"));
            }
        }
        round
    }

    /// Brings it about; into `round` what the registers have kept.
    fn set(&self, round: &mut Round) {
        for (address, register) in &self.controls {
            let kept = pci::set(address, *register, round.acs.remove(address).unwrap_or(0));
            if kept != 0 {
                round.acs.insert(address.clone(), kept);
            }
        }
        for (address, own) in &self.on_root_buses {
            pci::set_id(address, *round.ids.get(address).unwrap_or(own));
        }
    }
}

#[test]
#[ignore = "needs the rig's guest"]
fn every_link_is_predicted_as_the_kernel_computes_it() {
    let number = |name, otherwise: u64| env::var(name).map_or(otherwise, |text| text.parse().expect("a number"));
    let (rounds, mut rng) = (number("ROUNDS", 10) as usize, Rng::with_seed(number("SEED", 1)));
    pci::load_module();
    if env::var_os("RESCAN").is_some() {
        pci::remove_and_rescan(&pci::functions()[0]);
    }
    let tree = Tree::find();
    tree.set(&mut Round::default());
    let mut entries = record();
    entries.extend(tree.controls.iter().map(|(address, register)| Entry::Control(address.clone(), *register)));
    let mut states = BTreeSet::new();
    while states.len() < rounds {
        let mut round = if states.is_empty() { Round::default() } else { tree.draw(&mut rng) };
        tree.set(&mut round);
        let place = states.len();
        if !states.insert((round.acs.clone(), round.ids.clone())) {
            continue;
        }
        let machine = Machine::open().unwrap();
        round.distances = distances(&machine);
        compare(&machine, &round);
        if place.is_multiple_of(ASK) {
            forget_groups();
            ask(&machine, &round);
        }
        entries.push(Entry::Round(round));
    }
    tree.set(&mut Round::default());
    if env::var_os("RECORD").is_some() {
        entries.iter().for_each(|entry| println!("recorded: {}", serde_json::to_string(entry).unwrap()));
    }
}

/// The tree as the library has written it down, with what a library might read that is mistaken about the rule.
fn record() -> Vec<Entry> {
    let directory = tempfile::tempdir().unwrap();
    Machine::open().unwrap().record(directory.path()).unwrap();
    for address in pci::functions() {
        let place = fs::canonicalize(format!("/sys/bus/pci/devices/{address}")).unwrap();
        let copy = directory.path().join(place.strip_prefix("/").unwrap());
        fs::create_dir_all(&copy).unwrap();
        for name in ["vendor", "device", "class", "config"].iter().filter(|name| !copy.join(name).exists()) {
            fs::write(copy.join(name), fs::read(place.join(name)).unwrap()).unwrap();
        }
    }
    tree::pack(directory.path())
}

fn distances(machine: &Machine) -> Vec<Vec<i32>> {
    let addresses: Vec<String> = machine.gpus().iter().map(|gpu| gpu.address().to_string()).collect();
    addresses.iter().map(|from| addresses.iter().map(|to| pci::distance(to, from)).collect()).collect()
}

/// Every ordered pair of GPUs with the kernel's distance. xe takes a GPU's own memory for connected without asking.
fn pairs(machine: &Machine, round: &Round) -> Vec<(GpuId, GpuId, Option<u32>)> {
    let ids = || machine.gpus().iter().map(|gpu| gpu.id());
    let all = ids().flat_map(|from| ids().map(move |to| (from, to))).filter(|(from, to)| from != to);
    let distance = |from: GpuId, to: GpuId| u32::try_from(round.distances[from.0 as usize][to.0 as usize]).ok();
    all.map(|(from, to)| (from, to, distance(from, to))).collect()
}

/// Holds what the library predicts against the kernel's distances.
fn compare(machine: &Machine, round: &Round) {
    for (from, to, distance) in pairs(machine, round) {
        let link = machine.link(from, to).unwrap();
        assert_eq!(link.hops, distance, "{from} to {to}: {link}; {round:?}");
        assert_eq!(link.verdict == Verdict::Connected, distance.is_some(), "{from} to {to}: {link}; {round:?}");
        assert_eq!(link.basis, Basis::Predicted, "{from} to {to}: {link}; {round:?}");
    }
}

/// Holds what xe answers to advice against the kernel's distances.
fn ask(machine: &Machine, round: &Round) {
    for (from, to, distance) in pairs(machine, round) {
        let link = machine.probe_link(from, to).unwrap();
        assert_eq!(link.basis, Basis::Probed);
        assert_eq!(link.verdict == Verdict::Connected, distance.is_some(), "{from} to {to}, by xe; {round:?}");
    }
}

/// Makes xe drop the memory maps of all GPUs, and with them its groups: it looks at a pair when a GPU joins, not later.
fn forget_groups() {
    let started = Instant::now();
    loop {
        fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
        if MemoryMap::read().is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "xe keeps the memory map of a GPU that nobody uses");
        thread::sleep(Duration::from_millis(5));
    }
}
