// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where things stand in the picture. Sizes are in pixels.

use crate::{
    topo::{
        MATRIX, Topology,
        tree::{self, Branch, End, Host},
    },
    words,
};
use std::collections::BTreeMap;
use xeplace::{GpuId, Machine};

pub const MARGIN: f64 = 24.0;
/// Of one GPU.
pub const ROW: f64 = 44.0;
/// Of one line of small text.
pub const LINE: f64 = 16.0;
pub const BOX_WIDTH: f64 = 148.0;
pub const BOX_HEIGHT: f64 = 38.0;
/// From a box to the upright line beside it.
const TRUNK: f64 = 14.0;
/// Of the column of groups.
pub const GROUP: f64 = 26.0;
/// Of a pair.
pub const CELL: f64 = 34.0;
/// Between columns that belong to different things.
pub const GAP: f64 = 12.0;
/// 100 columns of small monospaced text and the margins.
const LEAST_WIDTH: f64 = 720.0;
/// Of a character of the size of names and of details: wide enough for any common font.
const NAME: f64 = 8.0;
const DETAIL: f64 = 6.1;
/// Above the rows of a host bridge, for the name of its NUMA node.
const BAND_HEAD: f64 = 22.0;

pub struct Layout {
    /// The middle of each GPU's row, from the top.
    pub rows: Vec<(GpuId, f64)>,
    places: BTreeMap<GpuId, f64>,
    /// Where the tree's levels begin, and how far apart they are.
    step: f64,
    /// The left of the GPUs' boxes, and their width.
    pub gpus: f64,
    pub card: f64,
    pub width: f64,
    /// Below all rows.
    pub bottom: f64,
}

/// A NUMA node around host bridges.
pub struct Band {
    pub node: u32,
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Layout {
    /// Of a picture with so many lines of text below its title.
    pub fn of(topology: &Topology, hosts: &[Host], lines: usize) -> Layout {
        let mut y = MARGIN + 14.0 + LINE * (lines as f64 + 1.0) + 28.0;
        let mut rows = Vec::new();
        for host in hosts {
            if host.node(&topology.machine).is_some() {
                y += BAND_HEAD;
            }
            for gpu in tree::gpus_of(&host.below) {
                rows.push((gpu, y + ROW / 2.0));
                y += ROW;
            }
            y += GAP;
        }
        let label = hosts.iter().map(|host| longest_label(&host.below)).max().unwrap_or(0);
        let step = (BOX_WIDTH + TRUNK + 6.0 + label as f64 * DETAIL + GAP).ceil();
        let levels = hosts.iter().map(|host| depth(&host.below)).max().unwrap_or(0) + usize::from(hosts.len() > 1);
        let gpus = MARGIN + GAP + levels as f64 * step;
        let card = topology.machine.gpus().iter().map(|gpu| {
            let name = words::short_name(gpu).chars().count() as f64 * NAME;
            let details = topology.details(gpu).join(" · ").chars().count() as f64 * DETAIL;
            (34.0 + name.max(details) + GAP).ceil()
        });
        let card = card.fold(0.0, f64::max);
        let pairs = if rows.len() <= MATRIX { rows.len() as f64 * CELL } else { 0.0 };
        let width = (gpus + card + GAP + GAP + GROUP + GAP + pairs + MARGIN).max(LEAST_WIDTH);
        Layout { places: rows.iter().copied().collect(), rows, step, gpus, card, width, bottom: y }
    }

    /// The left of a level of the tree.
    pub fn x(&self, level: usize) -> f64 {
        MARGIN + GAP + level as f64 * self.step
    }

    /// Where the upright line stands that belongs to a level's boxes.
    pub fn trunk(&self, level: usize) -> f64 {
        self.x(level) + BOX_WIDTH + TRUNK
    }

    /// The left of the column of groups.
    pub fn groups(&self) -> f64 {
        self.gpus + self.card + 2.0 * GAP
    }

    /// The left of the matrix.
    pub fn pairs(&self) -> f64 {
        self.groups() + GROUP + GAP
    }

    /// The middle of the rows of `gpus`, which are beside each other.
    pub fn middle(&self, gpus: &[GpuId]) -> f64 {
        (self.places[&gpus[0]] + self.places[&gpus[gpus.len() - 1]]) / 2.0
    }

    /// A band for each run of host bridges with one NUMA node.
    pub fn bands(&self, machine: &Machine, hosts: &[Host]) -> Vec<Band> {
        let x = self.x(usize::from(hosts.len() > 1)) - GAP;
        let runs = hosts.chunk_by(|one, other| one.node(machine) == other.node(machine));
        let band = |run: &[Host]| {
            let gpus: Vec<GpuId> = run.iter().flat_map(|host| tree::gpus_of(&host.below)).collect();
            let (first, last) = (self.places[&gpus[0]], self.places[&gpus[gpus.len() - 1]]);
            let y = first - ROW / 2.0 - BAND_HEAD + 4.0;
            let (width, height) = (self.gpus + self.card + GAP - x, last + ROW / 2.0 + 4.0 - y);
            Some(Band { node: run[0].node(machine)?, x, y, width, height })
        };
        runs.filter_map(band).collect()
    }
}

/// How many boxes stand one behind the other.
fn depth(branches: &[Branch]) -> usize {
    let below = branches.iter().map(|branch| match &branch.end {
        End::Gpu(_) => 0,
        End::Switch(switch) => depth(&switch.below),
    });
    1 + below.max().unwrap_or(0)
}

/// In characters.
fn longest_label(branches: &[Branch]) -> usize {
    let of = |branch: &Branch| {
        let own = branch.label().iter().map(|label| label.chars().count()).max().unwrap_or(0);
        match &branch.end {
            End::Gpu(_) => own,
            End::Switch(switch) => own.max(longest_label(&switch.below)),
        }
    };
    branches.iter().map(of).max().unwrap_or(0)
}
