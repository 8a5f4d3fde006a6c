// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each GPU's group, and each pair: beside the rows of the GPUs.

use super::{
    Picture,
    layout::{CELL, GROUP, ROW},
    row_box,
    shapes::{letters, rounded},
    style,
};
use crate::{
    topo::{pairs::Pair, tone::Tone},
    words,
};
use xeplace::GpuId;

/// Each pair: the GPU of a row uses the VRAM of the GPU of a column.
pub fn pairs(picture: &mut Picture<'_>) {
    let layout = picture.layout;
    let Some((_, first)) = layout.rows.first() else { return };
    if layout.rows.len() < 2 {
        return;
    }
    let top = first - ROW / 2.0;
    picture.add(letters(layout.pairs(), top - 22.0, "small dim", "uses VRAM of GPU"));
    for (column, (to, _)) in layout.rows.iter().enumerate() {
        let x = layout.pairs() + column as f64 * CELL;
        picture.add(letters(x + CELL / 2.0, top - 7.0, "small middle", &to.0.to_string()));
        for (from, y) in &layout.rows {
            cell(picture, x, *y, *from, *to);
        }
    }
}

fn cell(picture: &mut Picture<'_>, x: f64, y: f64, from: GpuId, to: GpuId) {
    let pair = picture.pairs.pair(from, to);
    let tone = Tone::of(pair);
    picture.tones.extend(tone);
    let class = tone.map_or("none", style::class);
    let (top, height) = row_box(y);
    picture.add(rounded(x + 1.0, top, CELL - 2.0, height, &format!("cell {class}")));
    let symbol = if matches!(pair, Pair::Same) { "·".to_owned() } else { pair.symbol() };
    picture.add(letters(x + CELL / 2.0, y + 4.0, &format!("small middle word {class}"), &symbol));
    if let Some(place) = pair.note() {
        picture.add(letters(x + CELL - 9.0, top + 11.0, "tiny middle dim", &(place + 1).to_string()));
    }
}

/// One bar for GPUs of one group that stand below each other.
pub fn groups(picture: &mut Picture<'_>) {
    let layout = picture.layout;
    let topology = picture.topology;
    let group = |gpu: &GpuId| topology.groups.iter().position(|group| group.gpus.contains(gpu));
    let Some((_, first)) = layout.rows.first() else { return };
    let x = layout.groups();
    picture.add(letters(x + GROUP / 2.0, first - ROW / 2.0 - 7.0, "small dim middle", "group"));
    for run in layout.rows.chunk_by(|(one, _), (other, _)| group(one) == group(other)) {
        let Some(place) = group(&run[0].0) else { continue };
        let (top, _) = row_box(run[0].1);
        let (last, height) = row_box(run[run.len() - 1].1);
        let class = style::group(place, topology.groups[place].gpus.len());
        picture.add(rounded(x, top, GROUP, last + height - top, &class));
        let middle = (top + last + height) / 2.0;
        picture.add(letters(x + GROUP / 2.0, middle + 5.0, "letter middle", &words::letters(place)));
    }
}
