// SPDX-License-Identifier: MIT OR Apache-2.0
//! The man page knows the header.

use std::collections::BTreeMap;

const HEADER: &str = include_str!("../../include/xeplace.h");
const PAGE: &str = include_str!("../../man/xeplace.3");

/// Functions with their return type and parameters, white space evened out.
type Functions = BTreeMap<String, (String, Vec<String>)>;

#[test]
fn the_page_has_each_function_of_the_header_as_it_is_declared() {
    let (declared, described) = (declared(HEADER), described(PAGE));
    assert!(declared.len() > 40, "the header was not understood: {declared:?}");
    let missing: Vec<_> = declared.keys().filter(|name| !described.contains_key(*name)).collect();
    assert!(missing.is_empty(), "man/xeplace.3 does not name {missing:?}");
    let unknown: Vec<_> = described.keys().filter(|name| !declared.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "man/xeplace.3 names what the header does not have: {unknown:?}");
    for (name, declaration) in &declared {
        assert_eq!(&described[name], declaration, "{name} in man/xeplace.3 and in the header");
    }
}

#[test]
fn functions_are_found_between_comments_and_types() {
    let header = "/** See xep_a(). */ typedef int (*xep_call)(void *user); // xep_b()\n\
                  struct xep_table { int (*open)(int); };\nconst char *\nxep_c( void );\nint xep_d(int fd, const char*name);\n\
                  static inline int xep_e(void) {\n    int xep_f(int);\n    return xep_c() != 0;\n}\n";
    let found = declared(header);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["xep_c", "xep_d", "xep_e"]);
    assert_eq!(found["xep_c"], ("const char *".to_owned(), vec!["void".to_owned()]));
    assert_eq!(found["xep_d"].1, ["int fd", "const char *name"]);
}

/// What is declared at the top level of a header.
fn declared(header: &str) -> Functions {
    let code = without_comments(header);
    let mut found = Functions::new();
    let mut depth = 0;
    for statement in code.split_inclusive(['{', '}', ';']) {
        // Of a block, only `extern "C" {` has declarations in it.
        let opens = statement.ends_with('{') && !statement.contains("extern");
        if depth == 0 && (statement.ends_with(';') || statement.contains("static inline")) {
            found.extend(prototype(statement));
        }
        match statement.as_bytes().last() {
            Some(b'{') if opens => depth += 1,
            Some(b'}') if depth > 0 => depth -= 1,
            _ => {}
        }
    }
    found
}

fn prototype(statement: &str) -> Option<(String, (String, Vec<String>))> {
    let statement = statement.trim_end_matches([';', '{']).trim().trim_start_matches("static inline ");
    let (before, parameters) = statement.split_once('(')?;
    let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')? + 1;
    let (kind, name) = before.split_at(start);
    if !name.starts_with("xep_") || kind.contains("typedef") {
        return None;
    }
    let (parameters, _) = parameters.rsplit_once(')')?;
    Some((name.to_owned(), (even(kind), parameters.split(',').map(even).collect())))
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        code += &rest[..start];
        rest = rest[start..].split_once("*/").map_or("", |(_, behind)| behind);
    }
    code += rest;
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// What the page declares: `.Ft`, `.Fo`, some `.Fa`, `.Fc`.
fn described(page: &str) -> Functions {
    let mut found = Functions::new();
    let (mut kind, mut current) = (String::new(), None);
    for line in page.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim_matches('"');
        match word {
            ".Ft" => kind = even(rest),
            ".Fo" => current = Some((rest.to_owned(), Vec::new())),
            // In a sentence it names a parameter.
            ".Fa" => {
                if let Some((_, parameters)) = &mut current {
                    parameters.push(even(rest));
                }
            }
            ".Fc" => {
                let (name, parameters) = current.take().expect(".Fc ends a .Fo");
                assert!(found.insert(name.clone(), (kind.clone(), parameters)).is_none(), "{name} is there twice");
            }
            _ => {}
        }
    }
    found
}

/// One space between words, none behind a star.
fn even(text: &str) -> String {
    let spaced = text.replace('*', " * ");
    spaced.split_whitespace().collect::<Vec<_>>().join(" ").replace("* ", "*")
}
