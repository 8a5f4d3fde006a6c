// SPDX-License-Identifier: MIT OR Apache-2.0
//! The documents: their links lead somewhere, and the tests that they name exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const NOT_YET: &str = "—";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents at the top and in `docs`.
fn documents() -> Vec<PathBuf> {
    let directories = [root().to_owned(), root().join("docs")];
    let entries = directories.iter().flat_map(|directory| fs::read_dir(directory).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut seen = 0;
    for document in documents() {
        for link in links(&text(&document)).iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.with_file_name(path) };
            assert!(target.exists(), "{} links to {link}", document.display());
            if !anchor.is_empty() {
                let found = text(&target).lines().any(|line| line.starts_with('#') && anchor_of(line) == anchor);
                assert!(found, "{} links to {link}, and there is no such heading", document.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} links were found");
}

/// What stands in `](…)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect()
}

/// A heading as the usual renderers make an anchor of it.
fn anchor_of(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_trap_has_a_row_and_names_tests_that_exist() {
    let rows = rows("docs/kernel.md", "| # |");
    let numbers: Vec<u32> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=36).collect::<Vec<_>>());
    for row in &rows {
        assert!(["hidden", "reported", "documented"].contains(&row[4].as_str()), "trap {}: {}", row[0], row[4]);
    }
    assert_tests_exist(&rows);
}

#[test]
fn every_patch_has_a_row_and_names_tests_that_exist() {
    let rows = rows("docs/series.md", "| Patch |");
    let patches = rows.iter().flat_map(|row| row[0].split(", ")).filter_map(|patch| patch.parse().ok());
    assert_eq!(patches.collect::<BTreeSet<u32>>(), (1..=17).collect());
    assert_tests_exist(&rows);
}

#[test]
fn every_module_has_its_place_among_the_layers() {
    let library = text(&root().join("src/lib.rs"));
    let modules = library.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    let rows = rows("docs/design.md", "| Row | Modules |");
    let placed: BTreeSet<&str> = rows.iter().flat_map(|row| row[1].split('`').skip(1).step_by(2)).collect();
    for module in modules.filter_map(|module| module.strip_suffix(';')) {
        assert!(placed.contains(module), "docs/design.md has no layer for {module}");
    }
}

/// The cells of a table that begins with `head`.
fn rows(document: &str, head: &str) -> Vec<Vec<String>> {
    let text = text(&root().join(document));
    let table = text.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = table
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim_matches([' ', '|']).to_owned()).collect());
    rows.collect()
}

/// Tests are named in the last column, as `one`, `another`.
fn assert_tests_exist(rows: &[Vec<String>]) {
    let known = tests();
    assert!(known.len() > 100, "only {} tests were found in the source", known.len());
    for row in rows {
        let cell = row.last().unwrap();
        if [NOT_YET, "–"].contains(&cell.as_str()) {
            continue;
        }
        let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{}: {cell} names no test", row[0]);
        for name in named {
            assert!(known.contains(name), "{}: there is no test {name}", row[0]);
        }
    }
}

/// The names of all tests of the tree: what follows `fn` behind an attribute that ends in `test]`.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<PathBuf> = ["src", "tests", "capi", "cli"].map(|name| root().join(name)).into();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let source = text(&path);
            let behind = source.split("test]").skip(1).filter_map(|rest| rest.split_once("fn "));
            found.extend(behind.filter_map(|(_, rest)| rest.split_once('(')).map(|(name, _)| name.to_owned()));
        }
    }
    found
}
