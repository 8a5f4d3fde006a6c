// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine as a picture: the tree from left to right, a row for each GPU, its group, and each pair.

mod layout;
mod legend;
mod matrix;
mod shapes;
mod style;

use super::{
    MATRIX, Topology,
    pairs::Pairs,
    tone::Tone,
    tree::{self, Branch, End, Host},
};
use crate::{page::Page, target::Target, words};
use layout::{BOX_HEIGHT, BOX_WIDTH, Layout, MARGIN, ROW};
use shapes::{letters, line, rounded};
use std::collections::BTreeSet;
use svg::{Document, node::element};
use xeplace::{Gpu, GpuId};

/// The picture of a machine. It needs no font of its own and follows the reader's choice of light or dark.
pub fn text(topology: &Topology, target: &Target) -> String {
    let hosts = tree::hosts(&topology.ways);
    let mut head = Page::plain();
    head.paragraph("", 0, &target.to_string());
    let layout = Layout::of(topology, &hosts, head.lines().count());
    let pairs = Pairs::of(topology);
    let mut picture = Picture { topology, pairs: &pairs, layout: &layout, parts: Vec::new(), tones: BTreeSet::new() };
    picture.head(&head);
    picture.hosts(&hosts);
    matrix::groups(&mut picture);
    if layout.rows.len() <= MATRIX {
        matrix::pairs(&mut picture);
    }
    let height = legend::draw(&mut picture);
    picture.finish(height, &target.to_string())
}

/// What has been drawn so far.
struct Picture<'a> {
    topology: &'a Topology,
    pairs: &'a Pairs,
    layout: &'a Layout,
    parts: Vec<Box<dyn svg::Node>>,
    /// Of the lines and fields so far.
    tones: BTreeSet<Tone>,
}

/// The end of a line that begins at a box.
struct Line {
    x: f64,
    y: f64,
    tone: Tone,
}

impl Picture<'_> {
    fn add(&mut self, part: impl Into<Box<dyn svg::Node>>) {
        self.parts.push(part.into());
    }

    fn head(&mut self, name: &Page) {
        let mut y = MARGIN + 14.0;
        self.add(letters(MARGIN, y, "title", &self.topology.title()));
        for line in name.lines() {
            y += layout::LINE;
            self.add(letters(MARGIN, y, "mono dim", line));
        }
    }

    fn hosts(&mut self, hosts: &[Host]) {
        for band in self.layout.bands(&self.topology.machine, hosts) {
            self.add(rounded(band.x, band.y, band.width, band.height, "band"));
            self.add(letters(band.x + 8.0, band.y + 13.0, "small dim", &format!("NUMA node {}", band.node)));
        }
        let parts: Vec<Vec<GpuId>> = hosts.iter().map(|host| tree::gpus_of(&host.below)).collect();
        let several = hosts.len() > 1;
        if several {
            let end =
                |(gpus, tone): (&Vec<GpuId>, Tone)| Line { x: self.layout.x(1), y: self.layout.middle(gpus), tone };
            let lines: Vec<Line> = parts.iter().zip(Tone::of_parts(self.pairs, &parts)).map(end).collect();
            self.meeting(0, self.layout.middle(&parts.concat()), "processors", &lines);
        }
        for host in hosts {
            self.branches(usize::from(several), &host.below, &format!("host bridge {}", host.name()));
        }
    }

    /// A bridge and all that is below it.
    fn branches(&mut self, level: usize, branches: &[Branch], name: &str) {
        let end = |(branch, tone): (&Branch, Tone)| {
            let x = match branch.end {
                End::Switch(_) => self.layout.x(level + 1),
                End::Gpu(_) => self.layout.gpus,
            };
            Line { x, y: self.layout.middle(&branch.gpus()), tone }
        };
        let lines: Vec<Line> = branches.iter().zip(Tone::of_branches(self.pairs, branches)).map(end).collect();
        self.meeting(level, self.layout.middle(&tree::gpus_of(branches)), name, &lines);
        for (branch, Line { y, .. }) in branches.iter().zip(&lines) {
            for (label, below) in branch.label().iter().zip([-4.0, 11.0]) {
                self.add(letters(self.layout.trunk(level) + 6.0, y + below, "tiny dim", label));
            }
            match &branch.end {
                End::Switch(switch) => self.branches(level + 1, &switch.below, &format!("switch {}", switch.address)),
                End::Gpu(id) => self.card(self.topology.gpu(*id), *y),
            }
        }
    }

    /// A box in which lines meet, and the lines.
    fn meeting(&mut self, level: usize, y: f64, name: &str, lines: &[Line]) {
        let tone = Tone::all(lines.iter().map(|line| line.tone));
        let (x, top, trunk) = (self.layout.x(level), y - BOX_HEIGHT / 2.0, self.layout.trunk(level));
        self.add(rounded(x, top, BOX_WIDTH, BOX_HEIGHT, &format!("box {}", style::class(tone))));
        let below = if tone == Tone::Silent { 23.0 } else { 16.0 };
        self.add(letters(x + 10.0, top + below, "small", name));
        self.add(letters(x + 10.0, top + 30.0, &format!("small word {}", style::class(tone)), tone.words()));
        self.line((x + BOX_WIDTH, y), (trunk, y), tone);
        if let (Some(first), Some(last)) = (lines.first(), lines.last()) {
            self.line((trunk, first.y.min(y)), (trunk, last.y.max(y)), tone);
        }
        for line in lines {
            self.line((trunk, line.y), (line.x, line.y), line.tone);
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), tone: Tone) {
        self.tones.insert(tone);
        if from != to {
            self.add(line(from, to, tone));
        }
    }

    /// A GPU.
    fn card(&mut self, gpu: &Gpu, y: f64) {
        let (x, top) = (self.layout.gpus, y - BOX_HEIGHT / 2.0);
        self.add(rounded(x, top, self.layout.card, BOX_HEIGHT, "box silent"));
        self.add(letters(x + 16.0, y + 6.0, "number middle", &gpu.id().0.to_string()));
        self.add(letters(x + 34.0, top + 16.0, "name", words::short_name(gpu)));
        self.add(letters(x + 34.0, top + 30.0, "tiny dim", &self.topology.details(gpu).join(" · ")));
    }

    fn finish(self, height: f64, name: &str) -> String {
        let width = self.layout.width;
        let document = Document::new()
            .set("viewBox", (0, 0, width, height))
            .set("width", width)
            .set("height", height)
            .set("role", "img")
            .add(element::Title::new(format!("{name}: {}", self.topology.title())))
            .add(element::Style::new(style::sheet()))
            .add(element::Rectangle::new().set("class", "page").set("width", width).set("height", height).set("rx", 8));
        self.parts.into_iter().fold(document, Document::add).to_string() + "\n"
    }
}

/// How high a row's box is, and where it begins.
fn row_box(y: f64) -> (f64, f64) {
    (y - ROW / 2.0 + 1.0, ROW - 2.0)
}
