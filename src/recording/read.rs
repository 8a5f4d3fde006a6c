// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading what somebody else wrote down.

use super::{CONNECTED, NOT_CONNECTED, README};
use crate::{
    address::PciAddress,
    discovery,
    driver::Features,
    error::{Error, Result},
    files::Files,
    interconnect::Interconnect,
    pcie::BusPath,
    query::{Description, MemoryRegion},
    sim::{DeviceSpec, Spec, TileSpec},
    uapi::*,
};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// More GPUs than this are refused.
const MAX_GPUS: usize = 1024;
/// More tiles in one GPU than this are refused.
const MAX_TILES: usize = 16;
/// A tile with more VRAM than this is refused, as in a machine string.
const MAX_VRAM: u64 = 1 << 40;

/// What the kernel said of pairs, by the places of their devices.
type Words = Vec<((usize, usize), bool)>;

/// A simulation's seed, and what the kernel said of pairs.
pub(crate) fn read(directory: &Path) -> Result<(Spec, Words)> {
    let files = Files::at(directory);
    if !files.text("/README").map_err(Error::file(directory.join("README")))?.starts_with(README) {
        return Err(Error::file(directory)(nonsense("is not a recording of this format")));
    }
    let minors = render_minors(&files);
    let mut devices = Vec::new();
    for address in addresses(&files, directory)? {
        devices.push(device(&files, directory, address, &minors)?);
    }
    devices.sort_by_key(|device: &DeviceSpec| device.address);
    let words = words(&files, directory, &devices)?;
    let distances = distances(&files, &devices, &words);
    Ok((Spec { devices, distances, privileged: false, files }, words))
}

fn addresses(files: &Files, directory: &Path) -> Result<Vec<PciAddress>> {
    let names = match files.list("/query") {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Error::file(directory.join("query"))(error)),
    };
    if names.len() > MAX_GPUS {
        return Err(Error::file(directory.join("query"))(nonsense("holds more than 1024 GPUs")));
    }
    let address = |name: &String| {
        name.parse().map_err(|_| Error::file(directory.join("query").join(name))(nonsense("is not named as a GPU")))
    };
    names.iter().map(address).collect()
}

fn device(
    files: &Files,
    directory: &Path,
    address: PciAddress,
    minors: &BTreeMap<PciAddress, u32>,
) -> Result<DeviceSpec> {
    let place = PathBuf::from(format!("/query/{address}"));
    let shown = |name: &str| directory.join("query").join(address.to_string()).join(name);
    let description = Description::from_replies(
        |_, name| files.read(place.join(name)).map_err(Error::file(shown(name))),
        |name, error| Error::file(shown(name))(error),
    )?;
    let minor =
        minors.get(&address).ok_or_else(|| Error::file(shown(""))(nonsense("has no render node in sys/class/drm")))?;
    let tiles = tiles(&description.regions).map_err(Error::file(shown("mem_regions")))?;
    let mirror = description.flags & DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR != 0;
    let features = features(files, &place, mirror).map_err(Error::file(shown("capabilities")))?;
    let (device_id, revision) = (description.device_id, description.revision);
    Ok(DeviceSpec { address, render_minor: *minor, device_id, revision, tiles, features })
}

fn tiles(regions: &[MemoryRegion]) -> io::Result<Vec<TileSpec>> {
    let in_order = regions.iter().zip(1..).all(|(region, instance)| region.instance == instance);
    if regions.len() > MAX_TILES || !in_order {
        return Err(nonsense("has VRAM that is not numbered as its tiles are"));
    }
    if regions.iter().any(|region| region.total > MAX_VRAM) {
        return Err(nonsense("has a tile with more than 1 TiB of VRAM"));
    }
    let tile = |region: &MemoryRegion| TileSpec { total: region.total, cpu_visible: region.cpu_visible };
    Ok(regions.iter().map(tile).collect())
}

/// As far as they were asked for; all that a device with mirrors has otherwise.
fn features(files: &Files, place: &Path, mirror: bool) -> io::Result<Features> {
    let text = match files.text(place.join("capabilities")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut missing = Vec::new();
    for line in text.lines() {
        match line.split_once(' ') {
            Some((name, "unsupported")) => missing.push(name),
            Some((_, "enforced" | "accepted-only" | "unprobed")) => {}
            _ => return Err(nonsense(&format!("has the line {line:?}"))),
        }
    }
    let has = |name| !missing.contains(&name);
    let found = [
        (mirror, Features::MIRROR),
        (has("preferred_location"), Features::MADVISE),
        (has("multi_device"), Features::MULTI_DEVICE),
        (has("prefetch_consult"), Features::CONSULT),
        (mirror && has("autoreset"), Features::AUTORESET),
        (has("purgeable"), Features::PURGEABLE),
    ];
    Ok(found.into_iter().filter(|(has, _)| *has).map(|(_, feature)| feature).collect())
}

/// The render node of each PCI device that has one.
fn render_minors(files: &Files) -> BTreeMap<PciAddress, u32> {
    let minor = |name: String| {
        let minor = name.strip_prefix("renderD")?.parse().ok()?;
        let address = discovery::address_of(files, &Path::new("/sys/class/drm").join(&name).join("device")).ok()?;
        Some((address, minor))
    };
    files.list("/sys/class/drm").unwrap_or_default().into_iter().filter_map(minor).collect()
}

fn words(files: &Files, directory: &Path, devices: &[DeviceSpec]) -> Result<Words> {
    let text = match files.text("/links") {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::file(directory.join("links"))(error)),
    };
    let place = |name: &str| {
        let address: PciAddress = name.parse().ok()?;
        devices.binary_search_by_key(&address, |device| device.address).ok()
    };
    let word = |line: &str| {
        let mut fields = line.split_whitespace();
        let pair = (place(fields.next()?)?, place(fields.next()?)?);
        let connected = match fields.next()? {
            CONNECTED => true,
            NOT_CONNECTED => false,
            _ => return None,
        };
        Some((pair, connected))
    };
    let parsed = |line| {
        word(line).ok_or_else(|| Error::file(directory.join("links"))(nonsense(&format!("has the line {line:?}"))))
    };
    text.lines().map(parsed).collect()
}

/// What the kernel's rule says of each pair, and where the kernel itself was heard, what it said.
fn distances(files: &Files, devices: &[DeviceSpec], words: &Words) -> Vec<Vec<Option<u32>>> {
    let interconnect = Interconnect::new(files.clone());
    let paths: Vec<Option<BusPath>> = devices.iter().map(|device| BusPath::read(files, device.address).ok()).collect();
    let mut distances = vec![vec![None; devices.len()]; devices.len()];
    for one in 0..devices.len() {
        for other in 0..=one {
            let both = paths[one].as_ref().zip(paths[other].as_ref());
            let distance = both.and_then(|(one, other)| interconnect.distance(one, other));
            (distances[one][other], distances[other][one]) = (distance, distance);
        }
        distances[one][one] = Some(0);
    }
    // Asking in one direction tells of both, unless the other was asked as well: its line overrides.
    for ((from, to), connected) in words.iter().filter(|((from, to), _)| from != to) {
        let backward = words.iter().find(|(pair, _)| *pair == (*to, *from)).map_or(*connected, |(_, word)| *word);
        override_distance(&mut distances[*from][*to], *connected);
        override_distance(&mut distances[*to][*from], backward);
    }
    distances
}

/// The distance of two cards in one switch, for a pair of which only the kernel's word is known.
const SOME_DISTANCE: u32 = 4;

fn override_distance(distance: &mut Option<u32>, connected: bool) {
    *distance = connected.then(|| distance.unwrap_or(SOME_DISTANCE));
}

fn nonsense(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
