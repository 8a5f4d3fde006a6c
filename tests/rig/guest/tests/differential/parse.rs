// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios read from text: a step a line, as they are printed.

use crate::step::*;
use std::str::FromStr;

/// The steps in `text`.
///
/// # Panics
///
/// At a line that is none.
pub fn scenario(text: &str) -> Vec<Step> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| step(line).unwrap_or_else(|| panic!("no step: {line}"))).collect()
}

fn step(line: &str) -> Option<Step> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["fork"] => Some(Step::Fork),
        ["pressure", gpu] => Some(Step::Pressure(index(gpu)?)),
        ["unplug", gpu] => Some(Step::Unplug(index(gpu)?)),
        ["call", gpu, at, what] => Some(Step::Call(index(gpu)?, call(what)?, part(at)?)),
        [verb, at, ref rest @ ..] => on_memory(verb, part(at)?, rest),
        _ => None,
    }
}

fn on_memory(verb: &str, part: Part, rest: &[&str]) -> Option<Step> {
    Some(match (verb, rest) {
        ("map", [sharing]) => Step::Map(part, named(&SHARINGS, sharing)?),
        ("unmap", []) => Step::Unmap(part),
        ("mremap", []) => Step::Remap(part),
        ("mprotect", [protection]) => Step::Protect(part, named(&PROTECTIONS, protection)?),
        ("discard", []) => Step::Discard(part),
        ("guard", []) => Step::Guard(part),
        ("unguard", []) => Step::Unguard(part),
        ("cpu", [access]) => Step::Cpu(named(&ACCESSES, access)?, part),
        ("advise", wishes) => Step::Advise(part, wish(wishes)?),
        ("prefetch", [to]) => Step::Prefetch(part, place(to.strip_prefix("to=")?)?, Vec::new()),
        ("prefetch", [to, gpus]) => {
            Step::Prefetch(part, place(to.strip_prefix("to=")?)?, list(gpus.strip_prefix("for=")?, number)?)
        }
        ("reset", []) => Step::Reset(part),
        (gpu, [access]) => Step::Gpu(index(gpu)?, named(&ACCESSES, access)?, part),
        _ => return None,
    })
}

fn wish(words: &[&str]) -> Option<Wish> {
    let mut wish = Wish::default();
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("prefer", places) => wish.prefer = list(places, place)?,
            ("atomics", mode) => wish.atomics = Some(named(&MODES, mode)?),
            ("only-system-pages", "") => wish.only_system_pages = true,
            ("pat", index) => wish.pat = Some(number(index)?),
            ("for", gpus) => wish.gpus = list(gpus, number)?,
            _ => return None,
        }
    }
    Some(wish)
}

fn call(word: &str) -> Option<Call> {
    Some(match word.split_once('=').unwrap_or((word, "")) {
        ("prefer", to) => Call::Prefer(place(to)?),
        ("atomics", mode) => Call::Atomics(named(&MODES, mode)?),
        ("prefetch", "consult") => Call::Prefetch(None),
        ("prefetch", region) => Call::Prefetch(Some(number(region)?)),
        ("touch", access) => Call::Touch(named(&ACCESSES, access)?),
        ("mirror", "") => Call::Mirror,
        ("unmirror", "") => Call::Unmirror,
        _ => return None,
    })
}

fn part(word: &str) -> Option<Part> {
    let (page, pages) = word.split_once('+')?;
    Some(Part { page: number(page)?, pages: number(pages)? })
}

fn place(word: &str) -> Option<Place> {
    match word {
        "default" => Some(Place::Default),
        "system" => Some(Place::System),
        _ => match word.strip_prefix("node") {
            Some(node) => number(node).map(Place::Node),
            None => word.strip_prefix("vram").and_then(number).map(Place::Vram),
        },
    }
}

fn index(gpu: &str) -> Option<u32> {
    gpu.strip_prefix("gpu").and_then(number)
}

fn number<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

fn named<T: Copy>(names: &[(T, &str)], word: &str) -> Option<T> {
    names.iter().find(|(_, name)| *name == word).map(|(value, _)| *value)
}

fn list<T>(words: &str, one: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    words.split(',').map(one).collect()
}
