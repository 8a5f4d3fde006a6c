// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few shapes of which the picture is made.

use super::style;
use crate::topo::tone::Tone;
use svg::node::element::{Line, Rectangle, Text};

pub fn letters(x: f64, y: f64, class: &str, content: &str) -> Text {
    // White space is joined where SVG is drawn, unless it does not break.
    Text::new(content.replace("  ", "\u{a0}\u{a0}")).set("x", x).set("y", y).set("class", class)
}

pub fn rounded(x: f64, y: f64, width: f64, height: f64, class: &str) -> Rectangle {
    let place = Rectangle::new().set("x", x).set("y", y).set("width", width).set("height", height);
    place.set("rx", 6).set("class", class)
}

pub fn line(from: (f64, f64), to: (f64, f64), tone: Tone) -> Line {
    let line = Line::new().set("x1", from.0).set("y1", from.1).set("x2", to.0).set("y2", to.1);
    line.set("class", format!("line {}", style::class(tone)))
}
