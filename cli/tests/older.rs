// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the command says of older kernels, on simulated machines.

use std::process::{Command, Output};

/// Two GPUs with a link between them, of whose driver `lacks` is missing.
fn on_kernel_without(lacks: &str, arguments: &[&str]) -> Output {
    let machine = format!("cpu=zen without={lacks} switch(2x bmg)");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xeplace"));
    command.args(["--machine", &machine]).args(arguments).output().unwrap()
}

/// Words with one space between them.
fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

const BEFORE_7_0: &str = "multi-device,purgeable";
const BEFORE_6_18: &str = "madvise,multi-device,consult,autoreset,purgeable";
const BEFORE_6_15: &str = "mirror,madvise,multi-device,consult,autoreset,purgeable";

#[test]
fn doctor_names_what_is_missing_and_the_kernel_that_has_it() {
    for (lacks, code, sentence, summary) in [
        (BEFORE_7_0, 0, "told to use another one's VRAM => Linux 7.0 or later", "0 problems, 1 warning"),
        (BEFORE_6_18, 1, "no location can be preferred => Linux 6.18 or later", "1 problem, 3 warnings"),
        (BEFORE_6_15, 1, "nothing can be placed => Linux 6.15 with CONFIG_DRM_XE_GPUSVM", "2 problems, 3 warnings"),
    ] {
        let output = on_kernel_without(lacks, &["doctor"]);
        let shown = words(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(shown.contains(sentence) && shown.ends_with(summary), "{shown}");
        assert!(!shown.contains("can use each other's") && shown.contains("if their driver knew"), "{shown}");
    }
}

#[test]
fn topo_shows_the_machine_and_says_where_the_kernel_cannot_be_asked() {
    for (lacks, why) in [
        (BEFORE_7_0, "naming another device's VRAM (Linux before 7.0) is not supported here"),
        (BEFORE_6_18, "naming another device's VRAM (Linux before 7.0) is not supported here"),
        (BEFORE_6_15, "shared virtual memory is not supported here"),
    ] {
        let output = on_kernel_without(lacks, &["topo", "--probe", "--json"]);
        assert!(output.status.success(), "{output:?}");
        let complaints = words(&output.stderr);
        assert!(complaints.contains(&format!("no answer for 2 pairs: {why}")), "{complaints}");
        let shown = words(&output.stdout);
        assert!(shown.contains(r#""basis": "predicted""#) && !shown.contains(r#""probed""#), "{shown}");
    }
}
