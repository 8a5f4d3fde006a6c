// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rule on described machines, against what their description says directly.

use super::*;
use crate::sim::{Spec, parse};
use proptest::prelude::*;

fn paths(spec: &Spec) -> Vec<BusPath> {
    spec.devices.iter().map(|device| BusPath::read(&spec.files, device.address).unwrap()).collect()
}

/// The prediction on the first two GPUs of a machine.
fn first_pair(text: &str) -> Prediction {
    let spec = parse(text).unwrap();
    let paths = paths(&spec);
    Rule::new(spec.files.clone()).predict(&paths[0], &paths[1])
}

fn outcome(text: &str) -> (Verdict, Basis) {
    let Prediction { verdict, basis, .. } = first_pair(text);
    (verdict, basis)
}

const YES: (Verdict, Basis) = (Verdict::Connected, Basis::Predicted);
const NO: (Verdict, Basis) = (Verdict::NotConnected, Basis::Predicted);

fn address(text: &str) -> PciAddress {
    text.parse().unwrap()
}

#[test]
fn hosts_decide_without_privilege() {
    assert_eq!(outcome("cpu=zen iommu 2x bmg"), YES);
    assert_eq!(first_pair("cpu=zen iommu 2x bmg").reason, Reason::Cpu);
    assert_eq!(outcome("cpu=xeon host(bmg) host(bmg)"), YES);
    assert_eq!(outcome("cpu=client 2x bmg"), NO);
    assert_eq!(outcome("cpu=q35 2x bmg"), NO);
    assert_eq!(outcome("cpu=hygon 2x bmg"), NO);
    assert_eq!(outcome("cpu=client lnl bmg"), NO);
    let bridge = HostBridgeId { vendor: 0x8086, device: 0xa700 };
    assert_eq!(first_pair("cpu=client 2x bmg").reason, Reason::NoCommonBridge(vec![bridge]));
    assert_eq!(first_pair("cpu=client lnl bmg").reason, Reason::OnRootBus(vec![bridge]));
}

#[test]
fn some_host_bridges_pass_peers_only_within_themselves() {
    assert_eq!(outcome("cpu=hsw-ep 2x bmg"), YES);
    assert_eq!(outcome("cpu=hsw-ep host(bmg) host(bmg)"), NO);
}

#[test]
fn access_control_decides_below_one_switch() {
    assert_eq!(outcome("cpu=client root switch(2x bmg)"), YES);
    assert_eq!(outcome("cpu=client root switch(acs 2x bmg)"), NO);
    assert_eq!(outcome("cpu=client root switch(acs=up 2x bmg)"), NO, "the common bridge counts");
    assert_eq!(outcome("cpu=client root bmg acs vfs=2"), NO);
    let Reason::AcsRedirect(functions) = first_pair("cpu=client root switch(acs 2x bmg)").reason else { panic!() };
    assert_eq!(functions, ["0000:02:00.0", "0000:02:01.0"].map(address));
}

#[test]
fn without_privilege_groups_tell_of_the_ports_at_their_borders() {
    assert_eq!(outcome("cpu=client switch(2x bmg)"), (Verdict::Connected, Basis::Guessed), "no IOMMU");
    let guessed = first_pair("cpu=client iommu switch(acs 2x bmg)");
    assert_eq!((guessed.verdict, guessed.basis), (Verdict::NotConnected, Basis::Guessed));
    assert!(matches!(guessed.reason, Reason::AcsRedirect(_)));
}

#[test]
fn a_host_that_passes_peers_leaves_no_doubt() {
    for text in ["cpu=zen switch(acs 2x bmg)", "cpu=xeon iommu switch(acs=up 2x bmg)"] {
        assert_eq!(outcome(text), YES, "{text}");
    }
}

#[test]
fn bandwidth_is_that_of_the_way_which_traffic_takes() {
    // The slots have 8 lanes of 4.0; the switch itself has one lane of 1.0 to the root.
    let narrow = |text: &str| first_pair(text).bandwidth.unwrap();
    let within = narrow("cpu=client root switch(gen=1 x1 2x bmg gen=4 x8)");
    assert!((within - 15.75e9).abs() < 0.01e9, "{within}");
    let around = narrow("cpu=zen root switch(acs gen=1 x1 2x bmg gen=4 x8)");
    assert!((around - 0.25e9).abs() < 0.01e9, "{around}");
}

#[test]
fn the_kernels_word_counts_and_a_contradiction_is_told() {
    let exact = || Some(first_pair("cpu=zen 2x bmg"));
    let agreed = corrected(exact(), true);
    assert_eq!((agreed.basis, agreed.reason, agreed.hops), (Basis::Probed, Reason::Cpu, Some(8)));
    let contradicted = corrected(exact(), false);
    assert_eq!((contradicted.verdict, contradicted.hops), (Verdict::NotConnected, None));
    assert_eq!(contradicted.reason, Reason::KernelDisagrees);
    let guess = corrected(Some(first_pair("cpu=client switch(2x bmg)")), false);
    assert_eq!((guess.verdict, guess.reason), (Verdict::NotConnected, Reason::Kernel));
    assert_eq!(corrected(None, true).reason, Reason::Kernel);
}

/// Machine strings of every kind of host, with switches, ports, access control and virtual functions.
fn machines() -> impl Strategy<Value = String> {
    let cpu = prop::sample::select(vec!["zen", "amd-old", "client", "xeon", "hsw-ep", "hygon", "q35"]);
    let gpu = prop::sample::select(vec!["bmg", "2x bmg", "pvc", "bmg vfs=2", "b570 acs", "2x bmg gen=4 x8"]);
    let gpu = gpu.prop_map(str::to_owned);
    let slot = gpu.prop_recursive(3, 8, 3, |inner| {
        let access = prop::sample::select(vec!["", "acs ", "noacs ", "acs=up "]);
        let switch = (access, prop::collection::vec(inner, 1..4));
        switch.prop_map(|(access, slots)| format!("switch({access}{})", slots.join(" ")))
    });
    let slots = prop::collection::vec(slot, 1..4).prop_map(|slots| slots.join(" "));
    let integrated = prop::sample::select(vec!["", "lnl "]);
    let hosts = prop_oneof![
        (integrated, slots.clone()).prop_map(|(integrated, slots)| format!("{integrated}{slots}")),
        (slots.clone(), slots).prop_map(|(one, two)| format!("host({one}) host({two})")),
    ];
    let iommu = prop::sample::select(vec!["", "iommu "]);
    (cpu, iommu, hosts).prop_map(|(cpu, iommu, hosts)| format!("cpu={cpu} {iommu}root {hosts}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn with_privilege_every_prediction_is_the_kernels_answer(text in machines()) {
        let spec = parse(&text).unwrap();
        let rule = Rule::new(spec.files.clone());
        let paths = paths(&spec);
        for (from, row) in spec.distances.iter().enumerate() {
            for (to, distance) in row.iter().enumerate() {
                let found = rule.predict(&paths[from], &paths[to]);
                prop_assert_eq!(found.basis, Basis::Predicted, "{}", &text);
                prop_assert_eq!(found.hops, *distance, "{}: {} to {}: {:?}", &text, from, to, found);
                prop_assert_eq!(found.verdict == Verdict::Connected, distance.is_some());
            }
        }
    }

    #[test]
    fn without_privilege_what_is_called_certain_is_right(text in machines()) {
        let text = text.replace("root ", "");
        let spec = parse(&text).unwrap();
        let rule = Rule::new(spec.files.clone());
        let paths = paths(&spec);
        for (from, row) in spec.distances.iter().enumerate() {
            for (to, distance) in row.iter().enumerate() {
                let found = rule.predict(&paths[from], &paths[to]);
                if found.basis == Basis::Predicted {
                    prop_assert_eq!(found.hops, *distance, "{}: {} to {}: {:?}", &text, from, to, found);
                }
            }
        }
    }
}
