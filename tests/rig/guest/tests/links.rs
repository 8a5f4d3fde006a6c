// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the library predicts of links and groups is what the machine's file says and what the kernel answers.

use xeplace::{Basis, Machine, Verdict};
use xeplace_rig_guest::groups;

#[test]
#[ignore = "needs the rig's guest"]
fn groups_are_those_of_the_machine_s_file() {
    let machine = Machine::open().unwrap();
    assert!(machine.unusable().is_empty(), "{:?}", machine.unusable());
    let found: Vec<Vec<u32>> =
        machine.groups().iter().map(|group| group.gpus.iter().map(|gpu| gpu.0).collect()).collect();
    assert_eq!(found, groups());
}

#[test]
#[ignore = "needs the rig's guest"]
fn the_kernel_answers_as_predicted_for_each_pair() {
    let machine = Machine::open().unwrap();
    let groups = groups();
    for from in machine.gpus() {
        for to in machine.gpus() {
            let predicted = machine.link(from.id(), to.id()).unwrap();
            let together = groups.iter().any(|group| group.contains(&from.id().0) && group.contains(&to.id().0));
            let expected = if together { Verdict::Connected } else { Verdict::NotConnected };
            assert_eq!(predicted.verdict, expected, "{from:?} to {to:?}: {}", predicted.reason);
            let probed = machine.probe_link(from.id(), to.id()).unwrap();
            assert_eq!(probed.verdict, expected, "{from:?} to {to:?}, by the kernel's word");
            assert!(from.id() == to.id() || probed.basis == Basis::Probed);
        }
    }
}

#[test]
#[ignore = "needs the rig's guest"]
fn a_recording_of_this_machine_has_the_same_links() {
    let machine = Machine::open().unwrap();
    let directory = std::env::temp_dir().join("recording");
    machine.record(&directory).unwrap();
    let recorded = Machine::recorded(&directory).unwrap();
    assert_eq!(recorded.gpus().len(), machine.gpus().len());
    assert_eq!(recorded.groups(), machine.groups());
    for from in machine.gpus() {
        for to in machine.gpus() {
            assert_eq!(recorded.link(from.id(), to.id()).unwrap(), machine.link(from.id(), to.id()).unwrap());
        }
    }
}
