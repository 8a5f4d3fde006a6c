// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `topo` draws and writes for other programs.
//!
//! `BLESS=1 cargo test -p xeplace-cli --test topo` draws the README's picture anew.

use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesStart, Event},
};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{ErrorKind, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

const ONE: &str = "lnl";
const TWO: &str = "cpu=zen 2x bmg";
const GUESSES: &str = "cpu=client lnl port(b570 bar=256M) switch(2x bmg) switch(acs bmg bmg vfs=2) pvc";
const SIXTEEN: &str = "cpu=hsw-ep root host(switch(4x b60) switch(4x b60)) host(switch(2x switch(2x b580)) 4x b50)";
const SIXTY_FOUR: &str = "cpu=xeon 4x host(2x switch(8x b60))";
const ALL: [&str; 6] = ["none", ONE, TWO, GUESSES, SIXTEEN, SIXTY_FOUR];

fn topo(machine: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xeplace"));
    command.args(["topo", "--machine", machine]).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn printed(machine: &str, arguments: &[&str]) -> String {
    let output = topo(machine, arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn one_format_at_a_time() {
    for (one, other) in [("--json", "--svg"), ("--dot", "--hwloc"), ("--svg", "--dot")] {
        let output = topo(TWO, &[one, other]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty() && said.contains(one) && said.contains(other), "{said}");
    }
}

#[test]
fn a_file_gets_what_would_be_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out");
    for format in [&[][..], &["--json"], &["--svg"], &["--dot"], &["--hwloc"]] {
        let said = printed(TWO, &[format, &["-o", file.to_str().unwrap()]].concat());
        assert_eq!(said, "");
        let expected = printed(TWO, format);
        assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        assert_eq!(printed(TWO, &[format, &["--output", "-"]].concat()), expected);
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let output = topo(TWO, &["--svg", "-o", "/nowhere/out.svg"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("xeplace: /nowhere/out.svg: No such file"), "{said}");
}

/// One element of a drawing: its name, its attributes, and the text in it.
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

impl Element {
    fn of(start: &BytesStart<'_>) -> Element {
        let attribute = |found: quick_xml::events::attributes::Attribute<'_>| {
            let key = String::from_utf8(found.key.as_ref().to_vec()).unwrap();
            (key, found.unescape_value().unwrap().into_owned())
        };
        let attributes = start.attributes().map(|found| attribute(found.unwrap())).collect();
        Element { name: String::from_utf8(start.name().as_ref().to_vec()).unwrap(), attributes, text: String::new() }
    }

    fn number(&self, name: &str) -> f64 {
        self.attributes[name].parse().unwrap()
    }

    fn has_class(&self, class: &str) -> bool {
        self.attributes.get("class").is_some_and(|found| found.split(' ').any(|word| word == class))
    }
}

/// All elements of a well-formed document.
fn elements(document: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(document);
    let mut found: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) | Event::Empty(start) => found.push(Element::of(&start)),
            Event::Text(text) => {
                if let Some(last) = found.last_mut() {
                    last.text += text.decode().unwrap().trim();
                }
            }
            Event::GeneralRef(name) => {
                let name = name.decode().unwrap();
                found.last_mut().unwrap().text += resolve_predefined_entity(&name).expect("an entity of XML");
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

/// Left, top, right and bottom of a text in letters as wide as those of common fonts.
fn extent(text: &Element) -> [f64; 4] {
    let sizes = [("title", 17.0), ("number", 17.0), ("letter", 14.0), ("name", 13.0), ("tiny", 9.5)];
    let size = sizes.iter().find(|(class, _)| text.has_class(class)).map_or(11.0, |(_, size)| *size);
    let width = text.text.chars().count() as f64 * size * 0.6;
    let left = text.number("x") - if text.has_class("middle") { width / 2.0 } else { 0.0 };
    [left, text.number("y") - 0.75 * size, left + width, text.number("y") + 0.2 * size]
}

#[test]
fn no_text_of_a_picture_is_on_another_or_outside() {
    for machine in ALL {
        let found = elements(&printed(machine, &["--svg"]));
        let (width, height) = (found[0].number("width"), found[0].number("height"));
        let texts: Vec<&Element> = found.iter().filter(|element| element.name == "text").collect();
        assert!(!texts.is_empty());
        for (place, text) in texts.iter().enumerate() {
            let [left, top, right, bottom] = extent(text);
            assert!(left >= 0.0 && top >= 0.0 && right <= width && bottom <= height, "{machine}: {}", text.text);
            for other in &texts[..place] {
                let [from, above, to, below] = extent(other);
                let apart = right <= from || to <= left || bottom <= above || below <= top;
                assert!(apart, "{machine}: {:?} and {:?}", text.text, other.text);
            }
        }
    }
}

#[test]
fn a_picture_shows_each_gpu_each_pair_and_why_not() {
    let found = elements(&printed(SIXTEEN, &["--svg"]));
    let count = |class: &str| found.iter().filter(|element| element.has_class(class)).count();
    assert_eq!((count("number"), count("cell"), count("band"), count("letter")), (16, 16 * 16, 2, 2));
    let red = found.iter().filter(|element| element.has_class("cell") && element.has_class("no")).count();
    assert_eq!(red, 2 * 8 * 8, "pairs of different sockets");
    assert!(found.iter().any(|element| element.text.contains("8086:2f00")), "the reason");
}

#[test]
fn a_picture_of_many_gpus_shows_groups_in_place_of_pairs() {
    let found = elements(&printed(SIXTY_FOUR, &["--svg"]));
    assert_eq!(found.iter().filter(|element| element.has_class("number")).count(), 64);
    assert!(found.iter().any(|element| element.has_class("letter")));
    assert!(!found.iter().any(|element| element.has_class("cell")));
}

#[test]
fn any_name_of_a_machine_can_be_shown() {
    let directory = tempfile::tempdir().unwrap();
    let machine = directory.path().join("a&b<c>\"d\\e");
    let machine = machine.to_str().unwrap();
    let recorded = Command::new(env!("CARGO_BIN_EXE_xeplace")).args(["--machine", TWO, "record", machine]).output();
    assert!(recorded.unwrap().status.success());
    let found = elements(&printed(machine, &["--svg"]));
    assert!(found.iter().any(|element| element.text.contains("a&b<c>\"d\\e")));
    if let Some(drawn) = told("dot", &["-Tdot"], &printed(machine, &["--dot"])) {
        assert!(drawn.contains("a&b<c>\\\"d\\\\e"), "{drawn}");
    }
}

#[test]
fn guesses_are_dashed() {
    let found = elements(&printed(GUESSES, &["--svg"]));
    assert!(found.iter().any(|element| element.has_class("line") && element.has_class("guess")));
    assert!(printed(GUESSES, &["--dot"]).contains("style=dashed"));
    assert!(!printed(SIXTEEN, &["--dot"]).contains("style=dashed"));
}

#[test]
fn the_readme_shows_the_picture_that_the_program_draws() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, shown) = readme.split_once("![xeplace topo --svg --machine '").expect("the README has a picture");
    let (machine, rest) = shown.split_once("'](").unwrap();
    let (name, _) = rest.split_once(')').unwrap();
    let drawn = printed(machine, &["--svg"]);
    if env::var_os("BLESS").is_some() {
        fs::write(root.join(name), &drawn).unwrap();
    }
    assert!(drawn == fs::read_to_string(root.join(name)).unwrap(), "{name} is not what is drawn: see above");
}

/// What a program says to a document, or `None` where the program is not: then the test says so, and fails where
/// XEPLACE_REQUIRE_TOOLS=1 is set, as CI does.
fn told(program: &str, arguments: &[&str], document: &str) -> Option<String> {
    let mut command = Command::new(program);
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match piped.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let required = env::var_os("XEPLACE_REQUIRE_TOOLS").is_some_and(|value| value == "1");
            assert!(!required, "{program} is not installed");
            // Past the capture of the test's output.
            let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed");
            return None;
        }
        child => child.unwrap(),
    };
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn graphviz_draws_it() {
    for (machine, gpus) in [("none", 0), (TWO, 2), (GUESSES, 9), (SIXTEEN, 16)] {
        let Some(drawn) = told("dot", &["-Tplain"], &printed(machine, &["--dot"])) else { return };
        let nodes = drawn.lines().filter(|line| line.starts_with("node ") && line.contains("GPU "));
        assert_eq!(nodes.count(), gpus, "{machine}");
    }
}

/// The table below a matrix's title.
fn matrix(shown: &str, name: &str) -> Vec<Vec<u64>> {
    let below = shown.lines().skip_while(|line| !line.contains(name)).skip(2);
    let rows = below.take_while(|line| line.starts_with(" renderD"));
    rows.map(|line| line.split_whitespace().skip(1).map(|value| value.parse().unwrap()).collect()).collect()
}

#[test]
fn hwloc_opens_it_and_knows_the_distances() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("machine.xml");
    let file = file.to_str().unwrap();
    for (machine, gpus) in [("none", 0), (ONE, 1), (TWO, 2), (GUESSES, 9), (SIXTEEN, 16)] {
        printed(machine, &["--hwloc", "-o", file]);
        let Some(shown) = told("lstopo-no-graphics", &["-i", file, "--of", "console"], "") else { return };
        assert_eq!(shown.matches("GPU \"renderD").count(), gpus, "{machine}: {shown}");
    }
    let shown = told("lstopo-no-graphics", &["-i", file, "--of", "console", "--distances"], "").unwrap();
    let (bandwidth, hops) = (matrix(&shown, "XeplaceBandwidth"), matrix(&shown, "XeplaceHops"));
    assert_eq!((bandwidth.len(), hops.len()), (16, 16));
    assert_eq!((bandwidth[0][0], bandwidth[0][1], bandwidth[0][8]), (1_000_000, 31508, 0), "{shown}");
    assert_eq!((hops[0][0], hops[0][1], hops[0][4], hops[0][8]), (0, 8, 12, 255));
}

#[test]
fn hwloc_sees_nodes_and_links() {
    let found = elements(&printed(SIXTEEN, &["--hwloc"]));
    let of = |kind: &str| {
        let is = |element: &&Element| element.attributes.get("type").is_some_and(|found| found == kind);
        found.iter().filter(is).collect::<Vec<_>>()
    };
    assert_eq!((of("NUMANode").len(), of("PCIDev").len(), of("OSDev").len()), (2, 16, 16 + 2));
    let numbers = found.iter().filter_map(|element| element.attributes.get("gp_index"));
    let mut numbers: Vec<&String> = numbers.collect();
    let count = numbers.len();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "each object has its own number");
    assert!(of("PCIDev").iter().all(|device| device.number("pci_link_speed") > 15.0));
}
