// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of results.

use comfy_table::{CellAlignment, Table, presets};
use std::fmt;

/// The table of results, with the goal beside each.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<[String; 5]>,
    missed: usize,
}

/// What a result should be.
pub(crate) enum Goal {
    /// At most this ratio.
    Ratio(f64),
    /// At most so many nanoseconds more than the other contender.
    Excess(f64),
    /// At most so many nanoseconds.
    Nanoseconds(f64),
}

/// One result.
pub(crate) struct Row<'a> {
    /// What was measured.
    pub(crate) what: String,
    /// With what it is compared.
    pub(crate) with: &'a str,
    /// What one item is: `range`, `page`, `GPU`.
    pub(crate) item: &'a str,
    /// Nanoseconds an item, of the library and of the other contender.
    pub(crate) nanoseconds: (f64, f64),
    /// How many times as long the library took.
    pub(crate) ratio: f64,
    /// How many nanoseconds an item longer it took.
    pub(crate) excess: f64,
    pub(crate) goal: Goal,
}

impl Report {
    pub(crate) fn add(&mut self, row: Row<'_>) {
        let (ours, theirs) = row.nanoseconds;
        let (goal, met) = match row.goal {
            Goal::Ratio(most) => (format!("ratio ≤ {most}"), row.ratio <= most),
            Goal::Excess(most) => (format!("≤ {} a {} more", time(most), row.item), row.excess <= most),
            Goal::Nanoseconds(most) => (format!("≤ {} a {}", time(most), row.item), ours <= most),
        };
        self.missed += usize::from(!met);
        self.rows.push([
            row.what,
            format!("{} a {}", time(ours), row.item),
            format!("{}: {}", row.with, time(theirs)),
            match row.goal {
                Goal::Excess(_) => format!("{:.2} ({:+.2} µs)", row.ratio, row.excess / 1e3),
                _ => format!("{:.3}", row.ratio),
            },
            format!("{goal}{}", if met { "" } else { "  MISSED" }),
        ]);
        eprint!(".");
    }
}

/// Nanoseconds in a unit that suits them.
fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        small if small < 1e3 => format!("{small:.3} ns"),
        middle if middle < 1e6 => format!("{:.3} µs", middle / 1e3),
        large => format!("{:.3} ms", large / 1e6),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN).set_header(["", "xeplace", "compared with", "ratio", "goal"]);
        table.add_rows(&self.rows);
        for column in [1, 3] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        match self.missed {
            0 => write!(out, "\n{table}\n\nall goals met"),
            missed => write!(out, "\n{table}\n\n{missed} of {} goals missed", self.rows.len()),
        }
    }
}
