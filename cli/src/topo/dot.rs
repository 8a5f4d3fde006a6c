// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine for Graphviz.

use super::{
    Topology,
    pairs::Pairs,
    tone::Tone,
    tree::{self, Branch, End, Host},
};
use crate::{target::Target, words};
use std::fmt::Write;
use xeplace::Gpu;

const HEAD: &str = "\
digraph machine {
  rankdir=LR; ranksep=0.6; nodesep=0.15; labelloc=t; fontname=\"sans-serif\";
  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f6f8fa\", color=\"#8c959f\", fontname=\"sans-serif\", fontsize=11];
  edge [arrowhead=none, fontname=\"monospace\", fontsize=9];
";

const LEGEND: &str = "green: connected, amber: in part, red: not connected, dashed: a guess";

/// The colour of a line says whether what is below it is connected to what is beside it.
pub fn text(topology: &Topology, target: &Target) -> String {
    let pairs = Pairs::of(topology);
    let hosts = tree::hosts(&topology.ways);
    let mut drawing = Drawing { topology, pairs, lines: HEAD.to_owned() };
    let label = format!("{target}\n{}\n{LEGEND}", topology.title());
    drawing.line(1, &format!("label={};", quoted(&label)));
    drawing.hosts(&hosts);
    drawing.lines + "}\n"
}

struct Drawing<'a> {
    topology: &'a Topology,
    pairs: Pairs,
    lines: String,
}

impl Drawing<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.lines, "{:depth$}{text}", "", depth = 2 * depth);
    }

    fn hosts(&mut self, hosts: &[Host]) {
        let parts: Vec<_> = hosts.iter().map(|host| tree::gpus_of(&host.below)).collect();
        for (host, tone) in hosts.iter().zip(Tone::of_parts(&self.pairs, &parts)) {
            let name = host.name();
            if hosts.len() > 1 {
                self.edge("processors", &name, tone, "");
            }
            match host.node(&self.topology.machine) {
                None => self.host(host, 1),
                Some(node) => {
                    self.line(1, &format!("subgraph {} {{", quoted(&format!("cluster {name}"))));
                    self.line(2, &format!("label=\"NUMA node {node}\"; fontsize=10; style=\"rounded,dashed\";"));
                    self.host(host, 2);
                    self.line(1, "}");
                }
            }
        }
    }

    fn host(&mut self, host: &Host, depth: usize) {
        let name = host.name();
        self.line(depth, &format!("{} [label={}];", quoted(&name), quoted(&format!("host bridge\n{name}"))));
        self.branches(&name, &host.below, depth);
    }

    fn branches(&mut self, above: &str, branches: &[Branch], depth: usize) {
        // From left to right, Graphviz puts what it is told first below the others.
        for (branch, tone) in branches.iter().zip(Tone::of_branches(&self.pairs, branches)).rev() {
            let label = branch.label().join("  ");
            match &branch.end {
                End::Switch(switch) => {
                    let name = switch.address.to_string();
                    self.line(depth, &format!("{} [label={}];", quoted(&name), quoted(&format!("switch\n{name}"))));
                    self.edge(above, &name, tone, &label);
                    self.branches(&name, &switch.below, depth);
                }
                End::Gpu(id) => {
                    let gpu = self.topology.gpu(*id);
                    let name = gpu.address().to_string();
                    self.line(depth, &format!("{} [{}];", quoted(&name), self.card(gpu)));
                    self.edge(above, &name, tone, &label);
                }
            }
        }
    }

    fn card(&self, gpu: &Gpu) -> String {
        let group =
            self.topology.group(gpu).map_or(String::new(), |place| format!(" · group {}", words::letters(place)));
        let lines = [
            format!("GPU {} · {}", gpu.id().0, words::short_name(gpu)),
            self.topology.details(gpu).join(" · ") + &group,
        ];
        format!("label={}, fillcolor=white", quoted(&lines.join("\n")))
    }

    fn edge(&mut self, above: &str, below: &str, tone: Tone, label: &str) {
        let style = if tone.is_guess() { "dashed" } else { "solid" };
        let line = format!(
            "{} -> {} [label={}, color=\"{}\", style={style}, penwidth=2, tooltip=\"{}\"];",
            quoted(above),
            quoted(below),
            quoted(label),
            colour(tone),
            tone.words()
        );
        self.line(1, &line);
    }
}

fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Yes | Tone::ProbablyYes => "#1a7f37",
        Tone::Partly => "#bf8700",
        Tone::No | Tone::ProbablyNo => "#cf222e",
        Tone::Unknown | Tone::Silent => "#8c959f",
    }
}

/// A string of Graphviz.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
