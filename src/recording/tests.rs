// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings that say what was there, and recordings that lie.

use crate::{
    error::Error,
    interconnect::{Basis, Verdict},
    location::GpuId,
    machine::Machine,
};
use proptest::prelude::*;
use std::{
    ffi::CString,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const BOTH: [GpuId; 2] = [GpuId(0), GpuId(1)];

/// A recording of a simulated machine.
fn recording(text: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    Machine::simulated(text).unwrap().record(directory.path()).unwrap();
    directory
}

/// Everything that a program can ask of a machine without changing it.
fn all_of(machine: &Machine) -> Vec<String> {
    let mut told: Vec<String> = machine.groups().iter().map(|group| format!("{group:?}")).collect();
    for gpu in machine.gpus() {
        told.push(format!("{gpu} {} {:x} {:?}", gpu.name(), gpu.device_id(), gpu.node()));
        told.push(format!("{:?} {:?} {:?}", gpu.regions(), gpu.gts(), gpu.engines()));
        told.push(format!("{:?} {:?} {:?}", gpu.pcie(), gpu.numa_node(), gpu.capabilities()));
        for other in machine.gpus() {
            told.push(format!("{:?}", machine.link(gpu.id(), other.id()).map_err(|error| error.to_string())));
        }
    }
    told
}

#[test]
fn a_recording_says_what_the_machine_said() {
    for text in [
        "none",
        "cpu=zen iommu 2x bmg",
        "cpu=client root switch(acs 2x bmg) switch(2x b570 bar=256M)",
        "cpu=xeon host(pvc) host(bmg vfs=2)",
        "cpu=client lnl bmg without=consult,purgeable",
    ] {
        let directory = recording(text);
        let recorded = Machine::recorded(directory.path()).unwrap();
        assert_eq!(all_of(&recorded), all_of(&Machine::simulated(text).unwrap()), "{text}");
        assert!(recorded.simulation().is_some());
    }
}

#[test]
fn a_recording_of_a_recording_is_the_same() {
    let first = recording("cpu=client root switch(acs 2x bmg)");
    let second = tempfile::tempdir().unwrap();
    Machine::recorded(first.path()).unwrap().record(second.path()).unwrap();
    let [first, second] = [&first, &second].map(|directory| Machine::recorded(directory.path()).unwrap());
    assert_eq!(all_of(&first), all_of(&second));
}

#[test]
fn what_the_kernel_said_is_in_the_recording_and_the_simulation_says_it_too() {
    let machine = Machine::simulated("cpu=client iommu switch(noacs 2x bmg)").unwrap();
    let [from, to] = BOTH;
    let told = machine.probe_link(from, to).unwrap();
    assert_eq!(told.basis, Basis::Probed);
    let directory = tempfile::tempdir().unwrap();
    machine.record(directory.path()).unwrap();
    let recorded = Machine::recorded(directory.path()).unwrap();
    assert_eq!(recorded.link(from, to).unwrap(), told);
    assert_eq!(recorded.probe_link(to, from).unwrap().verdict, told.verdict);
}

#[test]
fn host_nodes_are_in_the_recording() {
    let directory = recording("cpu=xeon host(bmg) host(bmg)");
    let machine = Machine::recorded(directory.path()).unwrap();
    assert_eq!(machine.gpus()[1].numa_node(), Some(1));
    assert_eq!([0, 1, 2].map(|node| machine.has_host_node(node)), [true, true, false]);
}

#[test]
fn nothing_is_overwritten() {
    let directory = recording("bmg");
    let error = Machine::simulated("bmg").unwrap().record(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
    let file = directory.path().join("README");
    assert!(Machine::simulated("bmg").unwrap().record(&file).is_err());
}

/// The one GPU of most recordings here.
const GPU: &str = "0000:03:00.0";

/// What `Machine::recorded` says of a recording of one GPU in which `path` is replaced.
fn error_with(path: &str, replace: impl Fn(&Path)) -> Error {
    // One recording serves all, as each thread puts back what it has replaced.
    thread_local!(static RECORDING: TempDir = recording("bmg"));
    RECORDING.with(|directory| {
        let path = directory.path().join(path);
        let aside = directory.path().with_extension("aside");
        fs::rename(&path, &aside).unwrap();
        replace(&path);
        let error = Machine::recorded(directory.path()).unwrap_err();
        if path.symlink_metadata().is_ok() {
            remove(&path);
        }
        fs::rename(&aside, &path).unwrap();
        error
    })
}

fn remove(path: &Path) {
    let is_directory = path.symlink_metadata().unwrap().is_dir();
    if is_directory { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

fn pipe(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(path.to_str().unwrap()).status().unwrap().success());
}

#[test]
fn what_stands_in_place_of_a_reply_is_an_error_that_names_it() {
    for name in ["config", "mem_regions", "gt_list", "engines"] {
        let path = format!("query/{GPU}/{name}");
        let secret = tempfile::NamedTempFile::new().unwrap();
        let replacements: [&dyn Fn(&Path); 9] = [
            &|_| {},
            &|path| fs::write(path, "").unwrap(),
            &|path| fs::write(path, [0xff; 64]).unwrap(),
            &|path| fs::write(path, "not a reply at all").unwrap(),
            &|path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap(),
            &|path| fs::create_dir(path).unwrap(),
            &pipe,
            &|path| symlink(path.file_name().unwrap(), path).unwrap(),
            &|path| symlink(secret.path(), path).unwrap(),
        ];
        for (number, replace) in replacements.iter().enumerate() {
            let error = error_with(&path, replace);
            let named = matches!(&error, Error::File { path, .. } if path.ends_with(format!("{GPU}/{name}")));
            assert!(named, "{name} replaced in way {number}: {error}");
        }
    }
}

#[test]
fn what_makes_no_sense_beside_the_replies_is_an_error_too() {
    let write = |text: &'static str| move |path: &Path| fs::write(path, text).unwrap();
    for (path, content, part) in [
        ("README", "", "not a recording"),
        ("README", "something else", "not a recording"),
        ("links", "0000:03:00.0 0000:99:00.0 connected", "links"),
        ("links", "0000:03:00.0 0000:03:00.0 perhaps", "perhaps"),
        ("sys/class/drm", "", "render node"),
        ("query", "", "query"),
    ] {
        let error = error_with(path, write(content));
        assert!(matches!(error, Error::File { .. }) && error.to_string().contains(part), "{path}: {error}");
    }
    let capabilities = format!("query/{GPU}/capabilities");
    for content in ["mirror", "mirror sometimes", "\u{0}\u{1}"] {
        assert!(error_with(&capabilities, write(content)).to_string().contains("capabilities"), "{content:?}");
    }
    assert_eq!(error_with("README", |_| {}).errno(), libc::ENOENT);
    assert!(Machine::recorded("/nowhere/at/all").is_err());
}

#[test]
fn vram_of_any_size_is_taken_or_refused() {
    // The second entry of the reply is the VRAM; its size is at 8.
    const SIZE: usize = 8 + 88 + 8;
    for (size, fine) in [(0, true), (1, true), (1 << 40, true), ((1 << 40) + 1, false), (u64::MAX, false)] {
        let directory = recording("2x bmg");
        let path = directory.path().join(format!("query/{GPU}/mem_regions"));
        let mut reply = fs::read(&path).unwrap();
        reply[SIZE..SIZE + 8].copy_from_slice(&size.to_le_bytes());
        fs::write(&path, reply).unwrap();
        let machine = Machine::recorded(directory.path());
        assert_eq!(machine.is_ok(), fine, "{size:#x}");
        if let Ok(machine) = machine {
            assert_eq!(machine.gpus()[0].regions()[0].total, size);
            let [from, to] = BOTH;
            machine.probe_link(to, from).unwrap();
        }
    }
}

#[test]
fn other_names_beside_the_gpus_are_refused() {
    let directory = recording("bmg");
    fs::create_dir(directory.path().join("query/../query/not-a-gpu")).unwrap();
    assert!(Machine::recorded(directory.path()).unwrap_err().to_string().contains("not named as a GPU"));
}

#[test]
fn a_bus_that_leads_nowhere_leaves_gpus_without_links() {
    let directory = recording("2x bmg");
    let bus = directory.path().join("sys/bus/pci/devices");
    let names: Vec<PathBuf> = fs::read_dir(&bus).unwrap().map(|entry| entry.unwrap().path()).collect();
    for link in &names {
        remove(link);
        symlink("../../../../../../etc", link).unwrap();
    }
    let machine = Machine::recorded(directory.path()).unwrap();
    let [from, to] = BOTH;
    assert!(matches!(machine.link(from, to), Err(Error::File { .. })));
    assert_eq!(machine.gpus()[0].pcie(), None);
    assert_eq!(machine.groups().len(), 2);
    // Asking the (simulated) kernel still works.
    assert_eq!(machine.probe_link(from, to).unwrap().verdict, Verdict::NotConnected);
}

#[test]
fn links_that_go_round_end() {
    let directory = recording("bmg");
    let node = directory.path().join("sys/class/drm/renderD128");
    remove(&node);
    symlink("renderD128", &node).unwrap();
    assert!(Machine::recorded(directory.path()).is_err());
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap() {
            metadata if metadata.is_dir() => files.extend(files_below(&path)),
            _ => files.push(path),
        }
    }
    files.sort();
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_recording_with_anything_in_it_is_read_or_refused(
        places in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
        content in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let directory = recording("cpu=client root switch(2x bmg)");
        let files = files_below(directory.path());
        for place in places {
            let path = place.get(&files);
            let _ = fs::remove_file(path);
            fs::write(path, &content).unwrap();
        }
        if let Ok(machine) = Machine::recorded(directory.path()) {
            // Each GPU that is left answers; there may be none.
            prop_assert!(all_of(&machine).len() >= machine.gpus().len());
        }
    }
}
