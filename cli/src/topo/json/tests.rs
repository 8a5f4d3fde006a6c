// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page about the JSON is right.

use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use xeplace::{
    Machine,
    sim::{Call, Fault},
};

const PAGE: &str = include_str!("../../../../docs/topo-json.md");

/// Fields and their types as the page has them, and as some machine has them.
type Fields = BTreeMap<String, BTreeSet<&'static str>>;

fn documented() -> Fields {
    let row = |line: &'static str| {
        let (field, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (kind, _) = rest.split_once(" |")?;
        let kinds = [kind.trim_end_matches('?')].into_iter().chain(kind.ends_with('?').then_some("null"));
        TYPES.contains(&kind.trim_end_matches('?')).then(|| (field.to_owned(), kinds.collect()))
    };
    PAGE.lines().filter_map(row).collect()
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn walk(value: &Value, path: &str, fields: &mut Fields) {
    if !path.is_empty() && path != "gpus[]" && !(path.ends_with("[]") && value.is_object()) {
        fields.entry(path.to_owned()).or_default().insert(kind(value));
    }
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| walk(element, &format!("{path}[]"), fields)),
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            let dot = if path.is_empty() { "" } else { "." };
            walk(member, &format!("{path}{dot}{name}"), fields);
        }),
        _ => {}
    }
}

fn document(machine: Machine) -> Value {
    let target = Target::new(Some("a machine".into())).unwrap();
    serde_json::from_str(&text(&Topology::of(machine), &target).unwrap()).unwrap()
}

/// One GPU of two cannot be asked what it is.
fn with_an_unusable_gpu() -> Machine {
    let whole = Machine::simulated("2x bmg").unwrap();
    let sim = whole.simulation().unwrap();
    sim.inject(Fault { call: Call::DeviceQuery, skip: 8, times: 1, errno: 13 });
    Machine::open_with(sim.clone(), whole.files().clone()).unwrap()
}

#[test]
fn the_page_has_each_field_and_its_type() {
    let mut machines = vec![with_an_unusable_gpu()];
    machines.extend(
        ["cpu=client lnl switch(acs 2x bmg) pvc", "cpu=xeon host(2x pvc) host(bmg)", "none"]
            .map(|machine| Machine::simulated(machine).unwrap()),
    );
    let (mut found, expected) = (Fields::new(), documented());
    machines.into_iter().for_each(|machine| walk(&document(machine), "", &mut found));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (field, kinds) in &found {
        assert!(kinds.is_subset(&expected[field]), "{field}: found {kinds:?}, documented {:?}", expected[field]);
    }
    assert_eq!(document(with_an_unusable_gpu())["format"], FORMAT);
    assert!(PAGE.contains(&format!("| `format` | integer | {FORMAT} |")));
}

#[test]
fn the_page_has_each_reason() {
    let functions: Vec<xeplace::PciAddress> = vec!["0000:00:01.0".parse().unwrap()];
    let reasons = [
        Reason::SameDevice,
        Reason::Cpu,
        Reason::HostBridge,
        Reason::CommonBridge(functions[0]),
        Reason::NoCommonBridge(Vec::new()),
        Reason::OnRootBus(Vec::new()),
        Reason::AcsRedirect(functions),
        Reason::AcsHidden,
        Reason::NoKernelSupport,
        Reason::Kernel,
        Reason::KernelDisagrees,
    ];
    for known in &reasons {
        let (word, _) = reason(known);
        assert_ne!(word, "other", "{known:?}");
        assert!(PAGE.contains(&format!("\n| `{word}` | ")), "{word}");
    }
}
