// SPDX-License-Identifier: MIT OR Apache-2.0
//! Colours and letters of the picture.

use crate::topo::tone::Tone;

/// What an element of a tone is called in the style sheet.
pub fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Yes => "yes",
        Tone::ProbablyYes => "yes guess",
        Tone::Partly => "partly",
        Tone::Unknown => "silent guess",
        Tone::ProbablyNo => "no guess",
        Tone::No => "no",
        Tone::Silent => "silent",
    }
}

/// Of the bar of a group with so many GPUs. Colours repeat; the letter tells.
pub fn group(place: usize, gpus: usize) -> String {
    if gpus == 1 { "alone".to_owned() } else { format!("group{}", place % GROUPS.len()) }
}

/// White letters can be read on all of them, and they differ for most who are colour-blind.
const GROUPS: [&str; 8] = ["#0969da", "#8250df", "#1b7c83", "#bc4c00", "#bf3989", "#4d6b1f", "#57606a", "#7d4e00"];

const LETTERS: &str = "\
text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; }
.title { font-size: 17px; font-weight: 600; } .name { font-size: 13px; font-weight: 600; }
.number { font-size: 17px; font-weight: 600; } .small { font-size: 11px; } .middle { text-anchor: middle; }
.tiny, .mono { font-family: ui-monospace, 'DejaVu Sans Mono', monospace; font-size: 9.5px; }
.mono { font-size: 11px; }
.letter { font-size: 14px; font-weight: 600; fill: #ffffff; } .word { font-weight: 600; }
.line { stroke-width: 2.5; stroke-linecap: round; } .line.guess { stroke-dasharray: 1 5; }
.box { stroke-width: 1.5; } .box.guess { stroke-dasharray: 4 3; } .cell { stroke: none; }
.alone { fill: #6e7781; }
";

/// Of a light or a dark page.
struct Colours {
    page: &'static str,
    text: &'static str,
    dim: &'static str,
    plain: [&'static str; 2],
    band: [&'static str; 2],
    /// Of each tone: for lines and words, and behind words.
    yes: [&'static str; 2],
    partly: [&'static str; 2],
    no: [&'static str; 2],
}

const LIGHT: Colours = Colours {
    page: "#ffffff",
    text: "#1f2328",
    dim: "#59636e",
    plain: ["#8c959f", "#f6f8fa"],
    band: ["#b6d0ea", "#f2f8ff"],
    yes: ["#1a7f37", "#dafbe1"],
    partly: ["#9a6700", "#fff8c5"],
    no: ["#cf222e", "#ffebe9"],
};

const DARK: Colours = Colours {
    page: "#0d1117",
    text: "#e6edf3",
    dim: "#9198a1",
    plain: ["#656c76", "#21262d"],
    band: ["#2b4465", "#111b29"],
    yes: ["#3fb950", "#12351f"],
    partly: ["#d29922", "#3b2d05"],
    no: ["#f85149", "#4a1a1d"],
};

/// The style sheet.
pub fn sheet() -> String {
    let groups: String =
        GROUPS.iter().enumerate().map(|(place, fill)| format!(".group{place} {{ fill: {fill}; }}\n")).collect();
    format!("\n{LETTERS}{groups}{}@media (prefers-color-scheme: dark) {{\n{}}}\n", LIGHT.rules(), DARK.rules())
}

impl Colours {
    fn rules(&self) -> String {
        let Colours { page, text, dim, plain, band, .. } = self;
        let mut rules = format!(
            ".page {{ fill: {page}; }} text {{ fill: {text}; }} .dim {{ fill: {dim}; }}\n\
             .band {{ stroke: {}; fill: {}; }} .box {{ fill: {page}; }} .cell.none {{ fill: {}; }} \
             .word.none {{ fill: {dim}; font-weight: 400; }}\n",
            band[0], band[1], plain[1]
        );
        for (name, [strong, soft]) in
            [("silent", plain), ("yes", &self.yes), ("partly", &self.partly), ("no", &self.no)]
        {
            rules += &format!(
                ".{name} {{ stroke: {strong}; }} .word.{name} {{ fill: {strong}; stroke: none; }} \
                 .cell.{name} {{ fill: {soft}; stroke: none; }}\n"
            );
        }
        rules + ".letter { fill: #ffffff; }\n"
    }
}
