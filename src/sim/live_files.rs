// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that change as the simulated machine runs.

use super::{counters::GpuCounters, span::Span, state::State};
use crate::files::Tree;
use parking_lot::Mutex;
use std::{fmt::Write, fs, io, sync::Arc};

/// The files that lie over those of the machine's description, as things are at each call. They are made anew when a GPU
/// has come or gone; what they contain is made at each read.
pub(super) fn upper(state: Arc<Mutex<State>>) -> impl Fn() -> Arc<Tree> {
    let first = state.lock().pluggings;
    let kept = Mutex::new((first, Arc::new(tree(&state))));
    move || {
        let now = state.lock().pluggings;
        let mut kept = kept.lock();
        if kept.0 != now {
            *kept = (now, Arc::new(tree(&state)));
        }
        kept.1.clone()
    }
}

fn tree(state: &Arc<Mutex<State>>) -> Tree {
    let mut tree = Tree::default();
    let mut live = |path: String, content: fn(&State, usize) -> io::Result<String>, index: usize| {
        let state = state.clone();
        tree.live(path, move || content(&state.lock(), index).map(String::into_bytes));
    };
    live("/proc/self/maps".into(), |state, _| maps(state), 0);
    live("/proc/self/smaps".into(), |state, _| smaps(state), 0);
    live("/proc/iomem".into(), |state, _| Ok(iomem(state)), 0);
    live("/proc/swaps".into(), |state, _| Ok(swaps(state)), 0);
    let state = state.lock();
    for (index, device) in state.devices.iter().enumerate().filter(|(_, device)| device.plugged) {
        live(format!("/sys/kernel/debug/dri/{}/gt0/stats", device.spec.address), stats, index);
    }
    for device in &state.devices {
        device.nodes.lay_over(&mut tree, device.plugged.then_some(device.minor));
    }
    tree
}

/// The real mappings; those that a test has marked are mappings of their own.
fn maps(state: &State) -> io::Result<String> {
    let mut text = String::new();
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        for header in headers(state, line) {
            text.push_str(&header.text);
            text.push('\n');
        }
    }
    Ok(text)
}

/// Like the real ones, with the flags of marked mappings and with what is swapped out.
fn smaps(state: &State) -> io::Result<String> {
    let mut text = String::new();
    let real = fs::read_to_string("/proc/self/smaps")?;
    let mut lines = real.lines().peekable();
    while let Some(header) = lines.next() {
        let mut fields = Vec::new();
        while let Some(field) = lines.next_if(|line| !is_header(line)) {
            fields.push(field);
        }
        for part in headers(state, header) {
            text.push_str(&part.text);
            text.push('\n');
            for field in &fields {
                text.push_str(&part.field(state, field));
                text.push('\n');
            }
        }
    }
    Ok(text)
}

/// A mapping's line starts with its address, a field's with a capital letter.
fn is_header(line: &str) -> bool {
    !line.starts_with(|first: char| first.is_ascii_uppercase())
}

/// One mapping, or a part of it that a test has marked.
struct Header {
    span: Span,
    text: String,
    hugetlb: bool,
    io: bool,
    locked: bool,
}

fn headers(state: &State, line: &str) -> Vec<Header> {
    let marks = &state.pages.marks;
    let Some(mapping) = super::process::parse(line) else { return Vec::new() };
    let mut parts = Vec::new();
    marks.split(mapping, |part| parts.push(part.span));
    let rest = line.split_once(' ').map_or("", |(_, rest)| rest);
    let header = |span: Span| {
        let (hugetlb, io, locked) = (marks.hugetlb.any(span), marks.io.any(span), marks.locked.any(span));
        let mut text = format!("{:x}-{:x} {rest}", span.start, span.end);
        if hugetlb {
            text.truncate(text.trim_end().len());
            text.push_str(" /anon_hugepage (deleted)");
        }
        Header { span, text, hugetlb, io, locked }
    };
    parts.into_iter().map(header).collect()
}

impl Header {
    fn field(&self, state: &State, field: &str) -> String {
        let Some((name, value)) = field.split_once(':') else { return field.to_owned() };
        let kibibytes = |bytes: u64| format!("{:<16}{:>8} kB", format!("{name}:"), bytes >> 10);
        match name {
            "Size" => kibibytes(self.span.len()),
            "Swap" | "SwapPss" => kibibytes(state.pages.swapped(self.span)),
            "Locked" if self.locked => kibibytes(self.span.len()),
            "KernelPageSize" | "MMUPageSize" if self.hugetlb => kibibytes(crate::range::BLOCK),
            "VmFlags" => {
                let flags = [(self.hugetlb, " ht"), (self.io, " io pf"), (self.locked, " lo")];
                let added: String = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
                format!("VmFlags:{}{added} ", value.trim_end())
            }
            _ => field.to_owned(),
        }
    }
}

/// The VRAM of each tile that has a pagemap, as root sees it.
fn iomem(state: &State) -> String {
    let mut text = String::new();
    for (device, pagemap) in state.pagemaps() {
        let found = state.pages.vram.pagemap(pagemap);
        let last = found.physical.end - 1;
        let (start, last) = if state.privileged { (found.physical.start, last) } else { (0, 0) };
        let _ = writeln!(text, "{start:08x}-{last:08x} : {}", state.devices[device].spec.address);
    }
    text
}

/// No swap space until a test has swapped something out.
fn swaps(state: &State) -> String {
    let mut text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned();
    if state.swaps {
        let used = state.pages.swapped(Span { start: 0, end: u64::MAX }) >> 10;
        let _ = writeln!(text, "/swapfile                               file\t\t{SWAP_KIB}\t\t{used}\t\t-2");
    }
    text
}

const SWAP_KIB: u64 = 1 << 30;

/// `gt0/stats` in debugfs: names as in `xe_gt_stats.c`. Only root may look.
fn stats(state: &State, index: usize) -> io::Result<String> {
    if !state.privileged {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    let GpuCounters { page_faults, bytes_in, bytes_out, page_faults_by_size, migrate_tries_by_size, .. } =
        &state.counters.gpus[index];
    let mut text = format!("svm_pagefault_count: {page_faults}\n");
    for (size, index) in [("4K", 2), ("64K", 1), ("2M", 0)] {
        let _ = writeln!(text, "svm_{size}_pagefault_count: {}", page_faults_by_size[index]);
        let _ = writeln!(text, "svm_{size}_migrate_count: {}", migrate_tries_by_size[index]);
    }
    // A copy between two GPUs is made, and counted, by the source: as one towards the CPU.
    let from_peers: u64 = state.copied_from_peers(index);
    let _ = writeln!(text, "svm_device_copy_kb: {}", (bytes_in - from_peers) >> 10);
    let _ = writeln!(text, "svm_cpu_copy_kb: {}", bytes_out >> 10);
    Ok(text)
}
