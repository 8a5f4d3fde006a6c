// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the library costs, beside what the same work costs without it, in one table.
//!
//! Everything is measured side by side: in each round each contender has its turn, and a ratio is the median of the
//! rounds' ratios. So what else the machine does meanwhile, and at what clock, falls on both.

mod advice;
mod discovery;
mod measure;
mod metered;
mod record;
mod report;
mod residency;

// The record is private, and stays so: its files are compiled here once more.
#[allow(dead_code, reason = "not all of them is measured")]
#[path = "../../src/error.rs"]
mod error;
#[allow(dead_code, reason = "not all of them is measured")]
#[path = "../../src/range.rs"]
mod range;
#[allow(dead_code, reason = "not all of them is measured")]
#[path = "../../src/spans.rs"]
mod spans;

use report::Report;

/// Adds rows to the table.
type Measure = fn(&mut Report) -> xeplace::Result<()>;

/// What can be measured alone, by its name as an argument.
const PARTS: [(&str, Measure); 5] = [
    ("advice", advice::sent),
    ("elision", advice::elided),
    ("residency", residency::resident),
    ("discovery", discovery::recorded),
    ("record", record::a_million_ranges),
];

fn main() -> xeplace::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|wanted| PARTS.iter().all(|(name, _)| name != wanted)) {
        return Err(xeplace::Error::Invalid(format!(
            "no such part: {unknown}; there are {:?}",
            PARTS.map(|part| part.0)
        )));
    }
    let mut report = Report::default();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            measure(&mut report)?;
        }
    }
    println!("{report}");
    Ok(())
}
