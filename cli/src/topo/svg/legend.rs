// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the colours and numbers mean, below the picture.

use super::{
    Picture,
    layout::{LINE, MARGIN},
    shapes::{letters, line},
};
use crate::{
    page::Page,
    topo::{MATRIX, table, tone::Tone},
};

/// Says how high the picture is.
pub fn draw(picture: &mut Picture<'_>) -> f64 {
    let mut y = picture.layout.bottom + LINE;
    if picture.layout.rows.is_empty() {
        picture.add(letters(MARGIN, y, "small", "no usable GPU of the xe driver"));
        return y + MARGIN;
    }
    for tone in std::mem::take(&mut picture.tones).into_iter().filter(|tone| *tone != Tone::Silent) {
        picture.add(line((MARGIN, y - 4.0), (MARGIN + 28.0, y - 4.0), tone));
        picture.add(letters(MARGIN + 38.0, y, "small", meaning(tone)));
        y += LINE;
    }
    let mut notes = Page::plain();
    notes.paragraph("", 0, LINES);
    if picture.layout.rows.len() <= MATRIX {
        notes.paragraph("", 0, FIELDS);
        table::footnotes(&picture.pairs.causes, &mut notes);
    }
    for note in notes.lines() {
        y += LINE;
        let words = note.trim_start();
        let indent = (note.len() - words.len()) as f64 * MONO;
        picture.add(letters(MARGIN + indent, y - LINE + 4.0, "mono dim", words));
    }
    y + MARGIN / 2.0
}

const LINES: &str = "A line has the colour of the pairs of a GPU below it with one beside it.";
const FIELDS: &str =
    "Numbers are hops. h: below one host bridge, x: across host bridges, c: on one card. Small: notes.";
/// Of a monospaced character of notes: 0.6 of its height.
const MONO: f64 = 6.6;

fn meaning(tone: Tone) -> &'static str {
    match tone {
        Tone::Yes => "connected: uses the other's VRAM in place",
        Tone::ProbablyYes => "connected, by a guess",
        Tone::Partly => "connected in part, or the VRAM is not all behind its BAR",
        Tone::Unknown => "unknown",
        Tone::ProbablyNo => "not connected, by a guess",
        Tone::No => "not connected: memory travels through the host",
        Tone::Silent => "",
    }
}
