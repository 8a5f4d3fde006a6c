// SPDX-License-Identifier: MIT OR Apache-2.0
//! The committed header is what the code says, and compiles alone in every dialect.

mod common;

use common::{Compiler, package, scratch};
use std::{env, fs};
use xeplace_capi::FUNCTIONS;

#[test]
fn the_header_is_current() {
    let path = package().join("../include/xeplace.h");
    let fresh = generate();
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "include/xeplace.h is stale; run `make header`");
}

#[test]
fn the_header_compiles_alone_in_every_dialect() {
    let source = scratch("header.c");
    fs::write(&source, "#include <xeplace.h>\n").unwrap();
    for (compiler, dialects) in [
        (Compiler::c(), ["-std=c99", "-std=c11", "-std=c17"]),
        (Compiler::cxx(), ["-std=c++11", "-std=c++17", "-std=c++20"]),
    ] {
        for dialect in dialects {
            compiler.check(&source, &[dialect]);
        }
    }
}

#[test]
fn the_header_for_cxx_compiles_alone() {
    let source = scratch("header.cc");
    fs::write(&source, "#include <xeplace.hpp>\n").unwrap();
    for dialect in ["-std=c++17", "-std=c++20"] {
        Compiler::cxx().check(&source, &[dialect]);
    }
}

/// What cbindgen makes of the code, with the table of functions and the inline helpers before its end.
fn generate() -> String {
    let mut config = cbindgen::Config::from_file(package().join("cbindgen.toml")).unwrap();
    // Functions take and give numbers, so nothing else tells cbindgen of the enumerations.
    config.export.include = enumerations();
    let mut header = Vec::new();
    let bindings = cbindgen::Builder::new().with_crate(package()).with_config(config).generate();
    bindings.expect("cbindgen reads capi/src").write(&mut header);
    let header = String::from_utf8(header).unwrap();
    let table = table(&header);
    let inline = fs::read_to_string(package().join("inline.h")).unwrap();
    let (_licence, inline) = inline.split_once("\n\n").unwrap();
    let end = "#ifdef __cplusplus\n}  // extern \"C\"\n";
    let (before, behind) = header.split_once(end).expect("cbindgen closes the extern \"C\" block");
    short_comments(&format!("{before}{table}\n{inline}\n{end}{behind}"))
}

fn enumerations() -> Vec<String> {
    let mut names = Vec::new();
    for file in fs::read_dir(package().join("src")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let found =
            text.lines().filter_map(|line| line.strip_prefix("pub enum ")?.strip_suffix(" {").map(str::to_owned));
        names.extend(found);
    }
    names.sort();
    names
}

/// Comments of one line on one line, and none that C90 would not have.
fn short_comments(header: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in header.lines() {
        let (indent, text) = line.split_at(line.len() - line.trim_start().len());
        if let (" */" | "*/", [.., open, only]) = (text, &mut lines[..]) {
            if let (true, Some(words)) = (open.trim_start() == "/**", only.trim_start().strip_prefix("* ")) {
                *open = format!("{}/** {words} */", &indent[..indent.len() - 1]);
                lines.pop();
                continue;
            }
        }
        lines.push(match line.split_once("  // ") {
            Some((before, words)) => format!("{before}  /* {words} */"),
            None => line.to_owned(),
        });
    }
    lines.join("\n") + "\n"
}

/// The table: a pointer for each function of the list, of the type that the header declares.
fn table(header: &str) -> String {
    let mut table = "/**\n * Every function of this header under its name without xep_, behind the table's version and \
                     size. See xep_get_table().\n */\nstruct xep_table {\n    uint32_t table_version;\n    uint32_t table_size;\n"
        .to_owned();
    for name in FUNCTIONS {
        let (result, arguments) = declaration(header, name);
        let short = name.strip_prefix("xep_").unwrap();
        table += &format!("    {result}(*{short})({arguments});\n");
    }
    table + "};\n"
}

/// What stands before and between the parentheses of a function's declaration.
fn declaration<'a>(header: &'a str, name: &str) -> (&'a str, String) {
    let call = format!("{name}(");
    let line = |text: &'a str| text.rsplit('\n').next().unwrap();
    let is_type = |text: &str| text.ends_with([' ', '*']) && !text.trim_start().starts_with(['*', '/']);
    let found =
        header.match_indices(&call).map(|(at, _)| header.split_at(at)).find(|(before, _)| is_type(line(before)));
    let (before, behind) = found.unwrap_or_else(|| panic!("{name} is declared"));
    let arguments = &behind[call.len()..behind.find(");").unwrap()];
    (line(before), arguments.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}
