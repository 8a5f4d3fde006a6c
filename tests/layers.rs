// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shape of the tree: which module uses which, where `unsafe` is, who sees only the public API.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each module with the modules that it may use. All of them stand above it: read it from the top to
/// learn the library.
const USES: &[(&str, &[&str])] = &[
    // Values.
    ("error", &[]),
    ("range", &["error"]),
    ("address", &["error"]),
    ("location", &[]),
    ("wish", &["location"]),
    ("layout", &["error", "range", "location"]),
    ("spans", &["range"]),
    // The kernel: its structures and calls, its files.
    ("uapi", &[]),
    ("files", &[]),
    // The seam: one method per kernel call, and the machine that answers them without a kernel.
    ("driver", &["range", "uapi"]),
    ("descriptors", &["address", "driver"]),
    ("sim", &["error", "range", "address", "location", "uapi", "files", "driver"]),
    // Things.
    ("query", &["uapi", "driver"]),
    ("pcie", &["error", "address", "files"]),
    ("counters", &["error", "files"]),
    ("capabilities", &["range", "uapi", "driver"]),
    (
        "gpu",
        &[
            "error",
            "address",
            "location",
            "uapi",
            "files",
            "driver",
            "descriptors",
            "query",
            "pcie",
            "counters",
            "capabilities",
        ],
    ),
    ("discovery", &["error", "address", "location", "files", "driver", "descriptors", "query", "capabilities", "gpu"]),
    ("interconnect", &["error", "address", "location", "uapi", "files", "pcie", "capabilities", "gpu"]),
    (
        "recording",
        &[
            "error",
            "address",
            "location",
            "uapi",
            "files",
            "driver",
            "descriptors",
            "sim",
            "query",
            "pcie",
            "gpu",
            "discovery",
            "interconnect",
        ],
    ),
    (
        "machine",
        &[
            "error",
            "range",
            "address",
            "location",
            "uapi",
            "files",
            "driver",
            "descriptors",
            "sim",
            "query",
            "gpu",
            "discovery",
            "interconnect",
            "recording",
        ],
    ),
    ("vm", &["error", "range", "location", "uapi", "driver", "gpu", "machine"]),
    // What is so: of the CPU's mappings, of pages, of vms.
    ("mappings", &["error", "range", "files"]),
    ("residency", &["error", "range", "address", "location", "uapi", "files", "driver", "machine"]),
    ("process", &["error", "range", "machine", "mappings", "residency"]),
    ("attributes", &["error", "range", "location", "uapi", "machine", "vm"]),
    ("obstacle", &["location", "vm", "mappings"]),
    // Acts. None uses another.
    ("report", &["error", "range", "location", "vm"]),
    (
        "advice",
        &["error", "range", "location", "wish", "uapi", "capabilities", "interconnect", "machine", "vm", "report"],
    ),
    (
        "prefetch",
        &["error", "range", "location", "spans", "uapi", "query", "machine", "vm", "mappings", "residency", "obstacle"],
    ),
    (
        "explain",
        &[
            "error",
            "range",
            "location",
            "interconnect",
            "machine",
            "vm",
            "mappings",
            "residency",
            "attributes",
            "obstacle",
        ],
    ),
    // The whole.
    ("record", &["range", "location", "wish", "spans", "vm"]),
    (
        "space",
        &[
            "error",
            "range",
            "location",
            "wish",
            "uapi",
            "driver",
            "machine",
            "vm",
            "mappings",
            "residency",
            "attributes",
            "report",
            "advice",
            "prefetch",
            "explain",
            "record",
        ],
    ),
    ("memory", &["report", "error", "range", "wish", "layout", "uapi", "driver", "advice", "space"]),
];

/// The files with unsafe code, and how many blocks, functions and implementations of it, where that is counted.
const UNSAFE: &[(&str, Option<usize>)] = &[
    ("src/uapi/ioctl.rs", None),
    ("src/uapi/memory.rs", None),
    // Passes the caller's promise about an injected ioctl function on.
    ("src/driver/kernel.rs", Some(2)),
    ("capi/src/raw.rs", None),
    // Reads what a C function has written, and forks: the tests' part of the bargain.
    ("capi/tests/api/both/c.rs", Some(1)),
    // Reads what the library sends, as the kernel would.
    ("capi/tests/api/both/older.rs", Some(1)),
    ("capi/tests/fork.rs", Some(1)),
    // Maps memory where it wants it, and forks.
    ("tests/rig/guest/tests/differential/window.rs", None),
    // Counts what is allocated.
    ("capi/tests/quiet.rs", None),
];

/// These use the library as everybody does.
const OUTSIDE: &[&str] = &["cli", "examples", "bench"];

const LICENCE: &str = "SPDX-License-Identifier: MIT OR Apache-2.0";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below `directory` that end in one of `endings`, in order, with their paths from the root of the tree.
/// Hidden directories and what was built are left out.
fn files(directory: &str, endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut pending = vec![root().join(directory)];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.starts_with('.') {
                    pending.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// Rust source without comments and without what stands in quotes.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| quoted(rest));
        if skipped.is_none() {
            code.push(next);
        } else {
            code.push(' ');
        }
        rest = &rest[skipped.unwrap_or(next.len_utf8())..];
    }
    code
}

/// The length of the comment that `text` begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.starts_with("/*").then(|| text.find("*/").map_or(text.len(), |end| end + 2))
}

/// The length of the string or character that `text` begins with, so that neither quotes nor braces in it count.
fn quoted(text: &str) -> Option<usize> {
    let raw = text.strip_prefix('r').map(|rest| rest.len() - rest.trim_start_matches('#').len());
    if let Some(hashes) = raw.filter(|hashes| text[1 + hashes..].starts_with('"')) {
        let end = format!("\"{}", "#".repeat(hashes));
        let begin = 2 + hashes;
        return text[begin..].find(&end).map(|at| begin + at + end.len());
    }
    if let Some(rest) = text.strip_prefix('\'') {
        // A character, and not a lifetime.
        let length = rest.chars().next()?.len_utf8();
        return if rest.starts_with('\\') {
            rest[2..].find('\'').map(|at| at + 4)
        } else {
            rest[length..].starts_with('\'').then_some(length + 2)
        };
    }
    let rest = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = rest.find(|c| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    });
    Some(end.map_or(text.len(), |end| end + 2))
}

/// `code` without its test modules: tests may use what they like.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        let mut depth = 0;
        let end = after.find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0 && matches!(c, '}' | ';')
        });
        rest = end.map_or("", |end| &after[end + 1..]);
    }
    kept + rest
}

/// The names that `code` names right below the root of the crate, which is `climbs` times `super` away.
fn named_at_root(code: &str, climbs: usize) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for root in ["crate::".to_owned(), "super::".repeat(climbs)] {
        for (at, _) in code.match_indices(&root) {
            let is_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if !is_word && !code[..at].ends_with("super::") {
                named.extend(first_names(&code[at + root.len()..]));
            }
        }
    }
    named
}

/// The name that `path` begins with, or each of the names, if it begins with braces.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '*')).collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = Vec::new();
    let (mut depth, mut from) = (0, 0);
    for (at, c) in group.char_indices() {
        let is_end = depth == 0 && c == '}';
        if is_end || depth == 0 && c == ',' {
            names.push(name(&group[from..at]));
            from = at + 1;
        }
        if is_end {
            break;
        }
        depth += i32::from(c == '{') - i32::from(c == '}');
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The module that a file of `src` belongs to, and how many times `super` leads from it to the root; `None` for the root
/// itself and for files of tests.
fn module(path: &Path) -> Option<(String, usize)> {
    let parts: Vec<&str> = path.iter().skip(1).map(|part| part.to_str().unwrap()).collect();
    let (last, directories) = parts.split_last()?;
    let name = last.strip_suffix(".rs")?;
    if directories.contains(&"tests") || name == "tests" || parts == ["lib.rs"] {
        return None;
    }
    let module = directories.first().copied().unwrap_or(name);
    Some((module.to_owned(), directories.len() + usize::from(name != "mod")))
}

/// What each module of the library names at the root of the crate, without itself.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in files("src", &[".rs"]) {
        let Some((module, climbs)) = module(&path) else { continue };
        let named = named_at_root(&without_tests(&code(&text)), climbs);
        uses.entry(module.clone()).or_default().extend(named.into_iter().filter(|name| *name != module));
    }
    uses
}

#[test]
fn modules_use_only_what_the_table_says() {
    let mut wrong = Vec::new();
    let uses = uses();
    for (module, used) in &uses {
        let Some((_, listed)) = USES.iter().find(|(name, _)| name == module) else {
            wrong.push(format!("{module} has no row"));
            continue;
        };
        let listed: BTreeSet<String> = listed.iter().map(|name| name.to_string()).collect();
        wrong
            .extend(used.difference(&listed).map(|other| format!("{module} uses {other}, which its row does not say")));
    }
    wrong.extend(
        USES.iter().filter(|(name, _)| !uses.contains_key(*name)).map(|(name, _)| format!("there is no module {name}")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_use_only_those_above_them() {
    let place = |name: &str| USES.iter().position(|(module, _)| *module == name);
    for (below, (module, used)) in USES.iter().enumerate() {
        for other in *used {
            assert!(place(other).is_some_and(|above| above < below), "{other} does not stand above {module}");
        }
    }
}

#[test]
fn unsafe_code_is_where_it_belongs() {
    for (file, _) in UNSAFE {
        assert!(root().join(file).is_file(), "there is no {file}");
    }
    for (path, text) in files("", &[".rs"]) {
        let found = unsafe_places(&code(&text));
        let path = path.to_str().unwrap();
        match UNSAFE.iter().find(|(file, _)| *file == path) {
            None => assert_eq!(found, 0, "{path} has unsafe code"),
            Some((_, Some(count))) => assert_eq!(found, *count, "unsafe code in {path}"),
            Some((_, None)) => assert_ne!(found, 0, "{path} has no unsafe code any more"),
        }
    }
}

/// How many blocks, functions, traits and implementations are unsafe. `#[unsafe(no_mangle)]` is none of them.
fn unsafe_places(code: &str) -> usize {
    let words: Vec<&str> = code.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_').map(str::trim).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let follows = |word: &str| ["{", "fn", "impl", "extern", "trait"].iter().any(|start| word.starts_with(start));
    words.windows(2).filter(|pair| pair[0] == "unsafe" && follows(pair[1])).count()
        + words.iter().filter(|word| **word == "unsafe{").count()
}

#[test]
fn promise_6_no_environment_is_read_and_no_thread_or_signal_handler_is_made() {
    let surprises = ["env::var", "getenv", "thread::spawn", "thread::Builder", "sigaction", "libc::signal"];
    for (path, text) in files("src", &[".rs"]).into_iter().chain(files("capi/src", &[".rs"])) {
        let code = without_tests(&code(&text));
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        for word in surprises {
            assert!(is_test || !code.contains(word), "{word} in {}", path.display());
        }
    }
}

#[test]
fn every_source_names_its_licence_and_says_what_it_is() {
    for (path, text) in files("", &[".rs", ".c", ".h", ".hpp"]) {
        let mut lines = text.lines();
        assert!(lines.next().is_some_and(|line| line.contains(LICENCE)), "{}: no licence", path.display());
        if path.extension().is_some_and(|ending| ending == "rs") {
            let says = lines.next().is_some_and(|line| line.starts_with("//! ") && line.len() > 4);
            assert!(says, "{}: its second line does not say what it is", path.display());
        }
    }
}

#[test]
fn programs_use_the_library_as_everybody_does() {
    for directory in OUTSIDE {
        for (path, text) in files(directory, &[".rs", "Cargo.toml"]) {
            for name in ["xeplace_capi", "xeplace-capi"] {
                assert!(!text.contains(name), "{} uses {name}", path.display());
            }
        }
    }
    for (path, text) in files("src", &[".rs"]) {
        assert!(!code(&text).contains("doc(hidden)"), "{}: what is public is documented", path.display());
    }
}

#[test]
fn imports_are_seen_however_they_are_written() {
    let text = r##"
        use crate::{driver::{self, Driver}, error::Error, range::Range}; use crate::uapi::*;
        // use crate::comment;
        const TEXT: &str = "use crate::text; \" crate::more"; const QUOTE: char = '"'; const RAW: &str = r#"crate::raw"#;
        fn call<'a>(_: &'a super::super::files::Files) { super::sibling::call(crate::vm::made()) }
        #[cfg(test)]
        mod tests { use crate::machine::Machine; fn braces() { } }
        fn behind() { crate::wish::behind() }
    "##;
    let seen = named_at_root(&without_tests(&code(text)), 2);
    assert_eq!(Vec::from_iter(seen), ["driver", "error", "files", "range", "uapi", "vm", "wish"]);
    assert_eq!(module(Path::new("src/range.rs")), Some(("range".to_owned(), 1)));
    assert_eq!(module(Path::new("src/sim/mod.rs")), Some(("sim".to_owned(), 1)));
    assert_eq!(module(Path::new("src/sim/tree.rs")), Some(("sim".to_owned(), 2)));
    assert_eq!(module(Path::new("src/sim/tests.rs")), None);
}

#[test]
fn unsafe_code_is_seen_and_unsafe_attributes_are_not() {
    let text = "unsafe { a() } unsafe{b()} pub unsafe fn c() {} unsafe impl Send for D {} unsafe extern \"C\" {}
        #[unsafe(no_mangle)] extern fn e() {} #![deny(unsafe_code)] // unsafe { f() }";
    assert_eq!(unsafe_places(&code(text)), 5);
}
