// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words that say something about a thing in a machine string.
//!
//! Each function here takes one word, and answers whether it knew it.

use super::{
    grammar::*,
    models::{CPUS, CpuModel, Ids},
    words::Token,
};
use crate::{
    driver::Features,
    error::Result,
    range::{BLOCK, PAGE},
};

/// The driver's own limit (`XE_MAX_TILES_PER_DEVICE` in `xe_device_types.h`).
const MAX_TILES: u32 = 2;
/// As many as Battlemage cards offer.
const MAX_VFS: u32 = 24;
const MAX_NODE: u32 = 63;

pub(super) fn machine(token: Token<'_>, machine: &mut Description) -> Result<bool> {
    match token.option() {
        ("cpu", Some(value)) => value.once(&mut machine.cpu, cpu(value)?)?,
        ("host", Some(value)) => value.once(&mut machine.bridge, ids(value)?)?,
        ("ram", Some(value)) => value.once(&mut machine.ram, value.size(64 << 20, 64 << 40, PAGE)?)?,
        ("without", Some(value)) => without(value, &mut machine.without)?,
        ("iommu", None) => token.flag(&mut machine.iommu)?,
        ("root", None) => token.flag(&mut machine.root)?,
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn host(token: Token<'_>, host: &mut Host) -> Result<bool> {
    match token.option() {
        ("host", Some(value)) => value.once(&mut host.bridge, ids(value)?)?,
        ("node", Some(value)) => value.once(&mut host.node, value.number(0, MAX_NODE)?)?,
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn port(token: Token<'_>, port: &mut Port) -> Result<bool> {
    Ok(acs(token, &mut port.acs)? || link(token, &mut port.link)?)
}

pub(super) fn switch(token: Token<'_>, switch: &mut Switch) -> Result<bool> {
    match token.option() {
        ("acs", Some(value)) if value.text == "up" => token.flag(&mut switch.upstream_redirects)?,
        ("acs", Some(value)) => return Err(value.expected("up")),
        _ => return Ok(acs(token, &mut switch.acs)? || link(token, &mut switch.link)?),
    }
    Ok(true)
}

pub(super) fn gpu(token: Token<'_>, gpu: &mut GpuText) -> Result<bool> {
    match token.option() {
        ("vram", Some(value)) => value.once(&mut gpu.vram, value.size(BLOCK, 1 << 40, BLOCK)?)?,
        ("bar", Some(value)) => value.once(&mut gpu.bar, value.size(1 << 20, 4 << 40, 1)?)?,
        ("tiles", Some(value)) => value.once(&mut gpu.tiles, value.number(1, MAX_TILES)? as u8)?,
        ("vfs", Some(value)) => value.once(&mut gpu.vfs, value.number(1, MAX_VFS)? as u8)?,
        ("node", Some(value)) => value.once(&mut gpu.node, value.number(0, MAX_NODE)?)?,
        ("without", Some(value)) => without(value, &mut gpu.without)?,
        _ => return Ok(acs(token, &mut gpu.acs)? || link(token, &mut gpu.link)?),
    }
    Ok(true)
}

/// Whether what was said of a GPU makes sense together. `token` is its model, `bar_at` what was said of its BAR.
pub(super) fn check(gpu: &GpuText, token: Token<'_>, bar_at: Token<'_>) -> Result<()> {
    let said = gpu.vram.is_some() || gpu.bar.is_some() || gpu.tiles.is_some() || gpu.vfs.is_some();
    if gpu.model.is_integrated() {
        let plugged = gpu.link != Link::default() || gpu.acs == Acs::Absent;
        return if said || plugged {
            Err(token
                .error(format!("{} is integrated: it has no VRAM, virtual functions, card or PCIe link", token.text)))
        } else {
            Ok(())
        };
    }
    let (tiles, bar) = (gpu.tiles(), gpu.bar());
    if !bar.is_power_of_two() {
        return Err(bar_at.error("the size of a BAR is a power of two"));
    }
    // `xe_vram_probe` fails on a tile that the BAR does not reach (`xe_vram.c`).
    if bar <= tiles[..tiles.len() - 1].iter().sum() {
        return Err(bar_at.error("the driver refuses a GPU with a tile that lies wholly outside of the BAR"));
    }
    if tiles[0] / gpu.functions() < BLOCK {
        return Err(token.error("VRAM is too small to be shared among so many virtual functions"));
    }
    Ok(())
}

fn cpu(value: Token<'_>) -> Result<&'static CpuModel> {
    CpuModel::named(value.text).ok_or_else(|| value.expected(&one_of(CPUS.iter().map(|cpu| cpu.name))))
}

/// `VVVV:DDDD`.
fn ids(value: Token<'_>) -> Result<Ids> {
    let hexadecimal = |digits: &str| {
        let right = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        right.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    };
    let ids = value
        .text
        .split_once(':')
        .and_then(|(vendor, device)| Some(Ids { vendor: hexadecimal(vendor)?, device: hexadecimal(device)? }));
    ids.ok_or_else(|| value.expected("vendor and device such as 8086:29c0"))
}

/// Names of features, separated by commas.
fn without(value: Token<'_>, lacks: &mut Features) -> Result<()> {
    for name in value.split(',') {
        let found = Features::NAMES.into_iter().find(|(known, _)| *known == name.text);
        let names = Features::NAMES.into_iter().map(|(known, _)| known);
        let (_, feature) = found.ok_or_else(|| name.expected(&one_of(names)))?;
        name.flag(&mut lacks.contains(feature))?;
        lacks.insert(feature);
    }
    Ok(())
}

/// `acs` or `noacs`; false if `token` is something else.
fn acs(token: Token<'_>, acs: &mut Acs) -> Result<bool> {
    let said = match token.text {
        "acs" => Acs::Redirect,
        "noacs" => Acs::Absent,
        _ => return Ok(false),
    };
    if *acs != Acs::AsBooted {
        return Err(token.error("acs or noacs is said twice"));
    }
    *acs = said;
    Ok(true)
}

/// `gen=4` or `x8`; false if `token` is something else.
fn link(token: Token<'_>, link: &mut Link) -> Result<bool> {
    if let ("gen", Some(value)) = token.option() {
        value.once(&mut link.generation, value.number(1, 6)? as u8)?;
        return Ok(true);
    }
    let digits = token.text.strip_prefix('x').unwrap_or("");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(false);
    }
    match digits.parse() {
        Ok(lanes @ (1 | 2 | 4 | 8 | 16)) => token.once(&mut link.lanes, lanes)?,
        _ => return Err(token.expected("x1, x2, x4, x8 or x16")),
    }
    Ok(true)
}

/// For errors: what could have been said.
pub(super) fn one_of(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
