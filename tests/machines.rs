// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recorded machines: what is said of each in `tests/machines/<name>` is what its `expected.txt` says.
//!
//! `BLESS=1 cargo test --test machines` writes `expected.txt` anew; `git diff` then shows what has changed.

use std::{env, fmt::Write, fs, path::Path};
use xeplace::{Gpu, Machine, Support};

#[test]
fn recorded_machines_are_described_as_expected() {
    let machines = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines");
    let mut names: Vec<_> = fs::read_dir(&machines).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Those are for tests/trees.rs.
    names.retain(|path| !path.ends_with("trees"));
    names.sort();
    assert!(names.len() >= 3, "the recordings are there");
    for directory in names {
        let described = describe(&Machine::recorded(&directory).unwrap());
        let expected = directory.join("expected.txt");
        if env::var_os("BLESS").is_some() {
            fs::write(&expected, &described).unwrap();
        }
        assert_eq!(described, fs::read_to_string(&expected).unwrap(), "{}", directory.display());
    }
}

fn describe(machine: &Machine) -> String {
    let mut text = String::new();
    for gpu in machine.gpus() {
        describe_gpu(&mut text, gpu);
    }
    for gpu in machine.unusable() {
        writeln!(text, "unusable: {}: {}", gpu.node.display(), gpu.reason).unwrap();
    }
    for from in machine.gpus() {
        for to in machine.gpus().iter().filter(|to| to.id() > from.id()) {
            let link = machine.link(from.id(), to.id()).unwrap();
            assert_eq!(machine.link(to.id(), from.id()).unwrap().reason, link.reason, "predictions are symmetric");
            writeln!(text, "{} to {}: {link}", from.id(), to.id()).unwrap();
            let (hops, bandwidth) = (link.hops, link.bandwidth.map(gigabytes));
            writeln!(text, "  hops {hops:?}, bandwidth {bandwidth:?}").unwrap();
        }
    }
    for group in machine.groups() {
        let members: Vec<String> = group.gpus.iter().map(|gpu| gpu.0.to_string()).collect();
        writeln!(text, "group ({}): {}", group.basis, members.join(" ")).unwrap();
    }
    if text.is_empty() { "no GPU\n".to_owned() } else { text }
}

fn describe_gpu(text: &mut String, gpu: &Gpu) {
    writeln!(text, "{gpu}: {} at {}", gpu.name(), gpu.node().display()).unwrap();
    for region in gpu.regions() {
        let (total, visible) = (region.total >> 20, region.cpu_visible >> 20);
        writeln!(text, "  vram {}: {total} MiB, {visible} MiB visible", region.instance).unwrap();
    }
    match gpu.pcie() {
        Some(link) => writeln!(text, "  {} GT/s x{} at {}", link.gigatransfers, link.lanes, link.at).unwrap(),
        None => writeln!(text, "  no PCIe link").unwrap(),
    }
    writeln!(text, "  node {:?}", gpu.numa_node()).unwrap();
    let capabilities = gpu.capabilities().unwrap().list();
    for (name, support) in capabilities.iter().filter(|(_, support)| *support != Support::Enforced) {
        writeln!(text, "  {name} {support}").unwrap();
    }
}

fn gigabytes(bytes: f64) -> String {
    format!("{:.2} GB/s", bytes / 1e9)
}
