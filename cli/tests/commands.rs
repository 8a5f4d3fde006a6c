// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the command does, on simulated and recorded machines and on this host.
//!
//! `BLESS=1 cargo test -p xeplace-cli` writes the files in `golden` anew; `git diff` then shows what has changed.

use serde_json::Value;
use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
};

const TWO_SWITCHES: &str = "cpu=client root switch(4x bmg) switch(4x bmg)";

/// The command as it is run without anything special in the environment.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xeplace"));
    command.args(arguments).env_remove("XEPLACE_MACHINE").env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn on(machine: &str, arguments: &[&str]) -> Output {
    run(&[&["--machine", machine], arguments].concat())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output of a run that succeeds and says nothing on standard error.
fn good(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// Standard error of a run that fails with `code` and prints nothing.
fn bad(output: &Output, code: i32) -> &str {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    text(&output.stderr)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Compares with a file in `golden`.
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if env::var_os("BLESS").is_some() {
        fs::write(&path, found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&path).unwrap(), "{name}");
}

#[test]
fn topo_shows_two_switches() {
    golden("two-switches.txt", good(&on(TWO_SWITCHES, &["topo"])));
}

#[test]
fn topo_shows_guesses_small_bars_and_integrated_gpus() {
    let machine = "cpu=client iommu lnl switch(acs 2x bmg) switch(2x b60 bar=256M) pvc";
    golden("mixed.txt", good(&on(machine, &["topo"])));
}

#[test]
fn many_gpus_are_shown_by_groups() {
    let machine = "cpu=client root 8x host(switch(8x bmg))";
    let shown = on(machine, &["topo"]);
    let shown = good(&shown);
    assert!(shown.contains("64 GPUs, 8 interconnect groups"), "{shown}");
    assert!(shown.contains("H  gpus 56-63"), "{shown}");
    assert!(!shown.contains("no[1]") && shown.contains("[1]"), "{shown}");
    assert!(shown.lines().skip(70).all(|line| line.chars().count() <= 100), "{shown}");
}

#[test]
fn topo_in_json_has_every_pair() {
    let shown = json(&on(TWO_SWITCHES, &["topo", "--json"]));
    let links = shown["links"].as_array().unwrap();
    assert_eq!(links.len(), 8 * 7);
    let verdict = |from: u64, to: u64| {
        let link = links.iter().find(|link| link["from"] == from && link["to"] == to).unwrap();
        link["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (verdict(0, 3), verdict(0, 4), verdict(4, 0)),
        ("connected".into(), "not_connected".into(), "not_connected".into())
    );
    assert_eq!(shown["gpus"][7]["vram"][0]["total"], 12_u64 << 30);
    assert_eq!(shown["groups"][1]["gpus"], serde_json::json!([4, 5, 6, 7]));
}

#[test]
fn a_probe_says_what_it_costs_and_corrects_a_guess() {
    let machine = "cpu=client switch(acs=up 2x bmg)";
    assert_eq!(json(&on(machine, &["topo", "--json"]))["links"][0]["verdict"], "connected");
    let probed = on(machine, &["topo", "--json", "--probe"]);
    assert!(text(&probed.stderr).contains("384 MiB of system memory"), "{probed:?}");
    let link = &json(&probed)["links"][0];
    assert_eq!((&link["verdict"], &link["basis"]), (&"not_connected".into(), &"probed".into()));
}

#[test]
fn doctor_succeeds_where_memory_can_be_placed() {
    let shown = on("cpu=zen switch(2x bmg)", &["doctor"]);
    let shown = good(&shown);
    assert!(shown.ends_with("0 problems, 0 warnings\n"), "{shown}");
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert!(words.join(" ").contains("192 MiB for each of gpus 0-1; 384 MiB in all"), "{shown}");
}

#[test]
fn doctor_says_what_to_change() {
    let machine = "cpu=client iommu root without=multi-device switch(acs 2x bmg) bmg bar=256M";
    let findings = json(&on(machine, &["doctor", "--json"]))["findings"].clone();
    let remedy = |topic: &str| {
        let found = findings.as_array().unwrap().iter().filter(|finding| finding["topic"] == topic);
        found.filter_map(|finding| finding["remedy"].as_str()).collect::<Vec<_>>().join("\n")
    };
    assert!(remedy("links").contains("pci=disable_acs_redir=0000:02:00.0;"), "{findings:#}");
    assert!(remedy("links").contains("behind one PCIe switch"), "{findings:#}");
    assert!(remedy("bar").contains("Resizable BAR"), "{findings:#}");
    assert!(remedy("features").contains("Linux 7.0"), "{findings:#}");
    assert!(remedy("iommu").contains("without the IOMMU"), "{findings:#}");
}

#[test]
fn doctor_fails_where_nothing_can_be_placed() {
    for (machine, word) in [("none", "no GPU of the xe driver"), ("2x bmg without=mirror", "shared virtual memory")] {
        let output = on(machine, &["doctor"]);
        assert_eq!(output.status.code(), Some(1), "{machine}");
        assert!(text(&output.stdout).contains("problem") && text(&output.stdout).contains(word), "{output:?}");
    }
}

#[test]
fn doctor_knows_five_level_paging() {
    let (_root, machine) = recorded("2x bmg");
    let cpuinfo = Path::new(&machine).join("proc/cpuinfo");
    let text = fs::read_to_string(&cpuinfo).unwrap();
    fs::write(&cpuinfo, text + "flags\t\t: fpu vme la57 lm\n").unwrap();
    let shown = on(&machine, &["doctor"]);
    assert!(good(&shown).contains("boot with no5lvl"), "{shown:?}");
}

#[test]
fn doctor_finds_the_gpu_that_another_driver_has() {
    let (_root, machine) = recorded("bmg");
    let [driver] = &find(Path::new(&machine), "driver")[..] else { panic!("one GPU has one driver") };
    let target = fs::read_link(driver).unwrap().with_file_name("i915");
    fs::remove_file(driver).unwrap();
    symlink(target, driver).unwrap();
    let output = on(&machine, &["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.contains("renderD128 (i915)"), "{shown}");
    assert!(shown.contains("boot with i915.force_probe=!e20b xe.force_probe=e20b"), "{shown}");
}

#[test]
fn doctor_knows_a_kernel_without_peer_to_peer_support() {
    let (_root, machine) = recorded("2x bmg");
    let boot = Path::new(&machine).join("boot");
    fs::create_dir(&boot).unwrap();
    fs::write(boot.join("config-7.3.4"), "CONFIG_PCI=y\n").unwrap();
    let shown = on(&machine, &["doctor"]);
    assert!(good(&shown).contains("built without CONFIG_PCI_P2PDMA"), "{shown:?}");
}

#[test]
fn a_recorded_machine_is_shown_as_the_one_that_was_recorded() {
    let (_root, directory) = recorded(TWO_SWITCHES);
    let (from, again) = (on(TWO_SWITCHES, &["topo"]), on(&directory, &["topo"]));
    let behind_title = |shown: &str| shown.split_once('\n').unwrap().1.to_owned();
    assert_eq!(behind_title(good(&from)), behind_title(good(&again)));
}

/// A recording of `machine`, which lives as long as the first value.
fn recorded(machine: &str) -> (tempfile::TempDir, String) {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("machine").to_str().unwrap().to_owned();
    let said = on(machine, &["record", &directory]);
    assert!(good(&said).contains(&directory), "{said:?}");
    (root, directory)
}

#[test]
fn a_recording_is_not_written_over() {
    let (_root, directory) = recorded("bmg");
    assert!(bad(&on("bmg", &["record", &directory]), 1).contains(&directory));
}

#[test]
fn residency_lists_the_mappings_of_a_process() {
    let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
    let pid = child.id().to_string();
    let shown = run(&["residency", &pid]);
    let listed = json(&run(&["residency", &pid, "--json"]));
    let mappings = listed["mappings"].as_array().unwrap();
    let stack = mappings.iter().find(|mapping| mapping["name"] == "[stack]").unwrap();
    let (start, end) = (stack["start"].as_u64().unwrap(), stack["end"].as_u64().unwrap());
    let part = run(&["residency", &pid, &format!("{start:x}-{end:x}"), "--json"]);
    let beyond = run(&["residency", &pid, "1000+1000"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(good(&shown).contains("sleep") && good(&shown).contains("[stack]"), "{shown:?}");
    let runs = stack["runs"].as_array().unwrap();
    assert!(runs.iter().any(|run| run["place"] == "system"), "{stack}");
    assert_eq!(runs.iter().map(length).sum::<u64>(), end - start);
    assert_eq!(json(&part)["mappings"].as_array().unwrap().len(), 1);
    assert!(bad(&beyond, 1).contains("nothing is mapped there"));
    let gone = run(&["residency", &pid]);
    assert_eq!(bad(&gone, 1), format!("xeplace: no such process {pid}\n"));
}

fn length(run: &Value) -> u64 {
    run["end"].as_u64().unwrap() - run["start"].as_u64().unwrap()
}

#[test]
fn a_simulated_machine_has_no_other_process() {
    assert!(bad(&on("bmg", &["residency", "1"]), 1).contains("no such process 1"));
}

#[test]
fn the_environment_names_a_machine_and_the_option_outranks_it() {
    let with = |arguments: &[&str], machine: &str| {
        let output = command(arguments).env("XEPLACE_MACHINE", machine).output().unwrap();
        good(&output).lines().next().unwrap().to_owned()
    };
    assert_eq!(with(&["topo"], "3x bmg"), "3x bmg: 3 GPUs, 1 interconnect group");
    assert_eq!(with(&["topo", "--machine", "none"], "3x bmg"), "none: 0 GPUs, 0 interconnect groups");
    assert!(with(&["topo"], "").starts_with("this host: "));
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for arguments in [
        &[][..],
        &["place"],
        &["topo", "--all"],
        &["topo", "extra"],
        &["doctor", "--probe"],
        &["record"],
        &["residency"],
        &["residency", "self"],
        &["residency", "0"],
        &["residency", "-1"],
        &["residency", "4294967295"],
        &["residency", "1", "7000"],
        &["residency", "1", "7000-6000"],
        &["residency", "1", "0-ffffffffffffffff"],
        &["topo", "--machine"],
    ] {
        let output = run(arguments);
        assert!(!bad(&output, 2).is_empty(), "{arguments:?}");
    }
}

#[test]
fn absurd_machines_are_refused_with_a_reason() {
    let deep = "switch(".repeat(5000);
    let wide = "bmg ".repeat(20_000);
    for machine in
        ["", " ", "4x", "gtx", "cpu=", "cpu=zen 99999999999x bmg", "bmg vram=99999999T", "\u{1f600}", &deep, &wide]
    {
        let output = on(machine, &["topo"]);
        let said = bad(&output, 1);
        assert!(said.starts_with("xeplace: machine string, column "), "{machine:.40}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn hostile_directories_are_refused_and_nothing_outside_is_read() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("empty")).unwrap();
    fs::create_dir_all(path("outward/sys/class")).unwrap();
    symlink("/sys/class/drm", path("outward/sys/class/drm")).unwrap();
    fs::create_dir_all(path("loop/sys/class")).unwrap();
    symlink("drm", path("loop/sys/class/drm")).unwrap();
    fs::write(path("file"), "bmg").unwrap();
    for name in ["empty", "outward", "loop", "file", "absent"] {
        let output = on(&path(name), &["topo"]);
        assert!(bad(&output, 1).starts_with("xeplace: "), "{name}: {output:?}");
    }
}

#[test]
fn a_damaged_recording_is_refused() {
    let (_root, directory) = recorded("2x bmg");
    let replies = find(Path::new(&directory), "mem_regions");
    assert_eq!(replies.len(), 2, "one for each GPU");
    fs::write(&replies[0], [0xff; 64]).unwrap();
    assert!(bad(&on(&directory, &["topo"]), 1).contains("mem_regions"));
}

/// The files below `directory` whose names contain `word`.
fn find(directory: &Path, word: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(find(&entry.path(), word));
        } else if entry.file_name().to_string_lossy().contains(word) {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    // More than a pipe holds, so that the command is still writing when nobody reads any more.
    let arguments = ["--machine", "4x host(8x bmg)", "topo", "--json"];
    let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(first, "{\n");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_full_disk_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&["--machine", "bmg", "topo"]).stdout(full).output().unwrap();
    assert!(bad(&output, 1).starts_with("xeplace: standard output: "), "{output:?}");
}

#[test]
fn without_a_terminal_there_are_no_colours() {
    assert!(!good(&on("2x bmg", &["topo"])).contains('\x1b'));
}

#[test]
fn help_has_examples() {
    for arguments in
        [&["--help"][..], &["topo", "--help"], &["doctor", "--help"], &["residency", "--help"], &["record", "--help"]]
    {
        assert!(good(&run(arguments)).contains("Examples:"), "{arguments:?}");
    }
    assert_eq!(good(&run(&["--version"])), format!("xeplace {}\n", env!("CARGO_PKG_VERSION")));
}
