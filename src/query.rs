// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device says of itself: the replies of DRM_IOCTL_XE_DEVICE_QUERY.

use crate::{driver::Driver, uapi::*};
use std::{
    collections::BTreeSet,
    io,
    mem::{offset_of, size_of},
    os::fd::BorrowedFd,
};

/// A reply larger than this is refused: the largest, of a device with hundreds of engines, has some 10 KiB.
const MAX_REPLY: u32 = 1 << 20;
/// More entries than this in one reply are refused; the kernel itself has at most 2 tiles and some 30 engines.
const MAX_ENTRIES: usize = 1024;
/// VRAM larger than this is refused: no device decodes as many addresses (`va_bits` of `xe_pci.c` is 57 at most, and
/// physical addresses of x86-64 end at 52 bits).
const MAX_VRAM: u64 = 1 << 52;

/// One memory region, as DRM_XE_DEVICE_QUERY_MEM_REGIONS tells of it. Sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryRegion {
    /// The kernel's number of it: 1 for the first tile's VRAM.
    pub instance: u16,
    /// Usable VRAM.
    pub total: u64,
    /// In use, by whomever, when it was asked.
    pub used: u64,
    /// What the CPU, and so any peer GPU, reaches through the BAR.
    pub cpu_visible: u64,
    /// Smallest page.
    pub min_page: u32,
}

impl MemoryRegion {
    /// Whether all of it lies behind the BAR. Peers can use it only then: the kernel hands out bus addresses beyond a
    /// small BAR without looking (`xe_page_to_pcie` in `xe_svm.c`).
    pub fn is_fully_visible(&self) -> bool {
        self.cpu_visible >= self.total
    }

    /// Bytes that nobody uses.
    pub fn free(&self) -> u64 {
        self.total.saturating_sub(self.used)
    }
}

/// One GT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gt {
    /// The kernel's number of it.
    pub id: u16,
    /// The tile it belongs to.
    pub tile: u16,
    /// Media rather than main.
    pub media: bool,
    /// Major and minor version of its graphics or media architecture: (20, 1) is Battlemage.
    pub ip_version: (u16, u16),
}

/// One engine that programs can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Engine {
    /// What it does.
    pub class: EngineClass,
    /// The kernel's number of it within its class and GT.
    pub instance: u16,
    /// The GT it belongs to.
    pub gt: u16,
}

/// What an engine does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum EngineClass {
    /// 3D and compute.
    Render,
    /// Copies.
    Copy,
    /// Video decoding and encoding.
    VideoDecode,
    /// Video enhancement.
    VideoEnhance,
    /// Compute.
    Compute,
    /// Any other, by its number in `<drm/xe_drm.h>`.
    Other(u16),
}

impl EngineClass {
    fn of(number: u16) -> EngineClass {
        match number {
            DRM_XE_ENGINE_CLASS_RENDER => EngineClass::Render,
            DRM_XE_ENGINE_CLASS_COPY => EngineClass::Copy,
            DRM_XE_ENGINE_CLASS_VIDEO_DECODE => EngineClass::VideoDecode,
            DRM_XE_ENGINE_CLASS_VIDEO_ENHANCE => EngineClass::VideoEnhance,
            DRM_XE_ENGINE_CLASS_COMPUTE => EngineClass::Compute,
            other => EngineClass::Other(other),
        }
    }
}

/// The queries that describe a device, with the names that their replies have in a recording.
pub(crate) const QUERIES: [(u32, &str); 4] = [
    (DRM_XE_DEVICE_QUERY_ENGINES, "engines"),
    (DRM_XE_DEVICE_QUERY_MEM_REGIONS, "mem_regions"),
    (DRM_XE_DEVICE_QUERY_CONFIG, "config"),
    (DRM_XE_DEVICE_QUERY_GT_LIST, "gt_list"),
];

/// All that the replies say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Description {
    pub(crate) device_id: u16,
    pub(crate) revision: u8,
    /// `DRM_XE_QUERY_CONFIG_FLAG_*`.
    pub(crate) flags: u64,
    pub(crate) min_alignment: u64,
    pub(crate) va_bits: u32,
    /// VRAM only, in the order of the tiles.
    pub(crate) regions: Vec<MemoryRegion>,
    pub(crate) gts: Vec<Gt>,
    pub(crate) engines: Vec<Engine>,
}

impl Description {
    /// Reads all replies, each gotten from `reply`, which wraps errors as its caller likes.
    pub(crate) fn from_replies<E>(
        mut reply: impl FnMut(u32, &'static str) -> Result<Vec<u8>, E>,
        broken: impl Fn(&'static str, io::Error) -> E,
    ) -> Result<Description, E> {
        let [engines, mem_regions, config, gt_list] = QUERIES;
        let mut parsed = |(query, name)| reply(query, name).map(|bytes| (name, bytes));
        let (name, bytes) = parsed(config)?;
        let config = Config::parse(&bytes).map_err(|error| broken(name, error))?;
        let (name, bytes) = parsed(mem_regions)?;
        let regions = vram(&bytes).map_err(|error| broken(name, error))?;
        let (name, bytes) = parsed(gt_list)?;
        let gts = self::gts(&bytes).map_err(|error| broken(name, error))?;
        let (name, bytes) = parsed(engines)?;
        let engines = self::engines(&bytes).map_err(|error| broken(name, error))?;
        let Config { device_id, revision, flags, min_alignment, va_bits } = config;
        Ok(Description { device_id, revision, flags, min_alignment, va_bits, regions, gts, engines })
    }
}

/// The raw reply to `query`.
pub(crate) fn ask(driver: &dyn Driver, device: BorrowedFd<'_>, query: u32) -> io::Result<Vec<u8>> {
    let size = driver.device_query(device, query, &mut [])?;
    if size > MAX_REPLY {
        return Err(nonsense(format!("a reply of {size} bytes is announced")));
    }
    let mut reply = vec![0; size as usize];
    if size > 0 {
        driver.device_query(device, query, &mut reply)?;
    }
    Ok(reply)
}

/// The VRAM regions of a MEM_REGIONS reply.
pub(crate) fn vram(reply: &[u8]) -> io::Result<Vec<MemoryRegion>> {
    let mut regions = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in entries(reply, size_of::<drm_xe_mem_region>())? {
        if entry.u16(offset_of!(drm_xe_mem_region, mem_class)) != DRM_XE_MEM_REGION_CLASS_VRAM {
            continue;
        }
        let region = MemoryRegion {
            instance: entry.u16(offset_of!(drm_xe_mem_region, instance)),
            total: entry.u64(offset_of!(drm_xe_mem_region, total_size)),
            used: entry.u64(offset_of!(drm_xe_mem_region, used)),
            cpu_visible: entry.u64(offset_of!(drm_xe_mem_region, cpu_visible_size)),
            min_page: entry.u32(offset_of!(drm_xe_mem_region, min_page_size)),
        };
        if region.instance == 0 || !seen.insert(region.instance) {
            return Err(nonsense(format!("VRAM has the instance number {}, or has it twice", region.instance)));
        }
        if region.total > MAX_VRAM {
            return Err(nonsense(format!("VRAM {} has {:#x} bytes", region.instance, region.total)));
        }
        regions.push(region);
    }
    regions.sort_by_key(|region| region.instance);
    Ok(regions)
}

struct Config {
    device_id: u16,
    revision: u8,
    flags: u64,
    min_alignment: u64,
    va_bits: u32,
}

impl Config {
    fn parse(reply: &[u8]) -> io::Result<Config> {
        let info: Vec<u64> = entries(reply, size_of::<u64>())?.map(|entry| entry.u64(0)).collect();
        if info.len() <= DRM_XE_QUERY_CONFIG_VA_BITS {
            return Err(nonsense(format!("{} parameters are fewer than the first xe driver gave", info.len())));
        }
        let identity = info[DRM_XE_QUERY_CONFIG_REV_AND_DEVICE_ID];
        let va_bits = info[DRM_XE_QUERY_CONFIG_VA_BITS];
        if !(32..=64).contains(&va_bits) {
            return Err(nonsense(format!("addresses have {va_bits} bits")));
        }
        Ok(Config {
            device_id: identity as u16,
            revision: (identity >> 16) as u8,
            flags: info[DRM_XE_QUERY_CONFIG_FLAGS],
            min_alignment: info[DRM_XE_QUERY_CONFIG_MIN_ALIGNMENT],
            va_bits: va_bits as u32,
        })
    }
}

fn gts(reply: &[u8]) -> io::Result<Vec<Gt>> {
    let gt = |entry: Entry<'_>| Gt {
        id: entry.u16(offset_of!(drm_xe_gt, gt_id)),
        tile: entry.u16(offset_of!(drm_xe_gt, tile_id)),
        media: entry.u16(offset_of!(drm_xe_gt, type_)) == DRM_XE_QUERY_GT_TYPE_MEDIA,
        ip_version: (entry.u16(offset_of!(drm_xe_gt, ip_ver_major)), entry.u16(offset_of!(drm_xe_gt, ip_ver_minor))),
    };
    Ok(entries(reply, size_of::<drm_xe_gt>())?.map(gt).collect())
}

fn engines(reply: &[u8]) -> io::Result<Vec<Engine>> {
    let engine = |entry: Entry<'_>| Engine {
        class: EngineClass::of(entry.u16(offset_of!(drm_xe_engine_class_instance, engine_class))),
        instance: entry.u16(offset_of!(drm_xe_engine_class_instance, engine_instance)),
        gt: entry.u16(offset_of!(drm_xe_engine_class_instance, gt_id)),
    };
    Ok(entries(reply, size_of::<drm_xe_engine>())?.map(engine).collect())
}

/// One entry of a reply: as many bytes as the kernel's structure has.
struct Entry<'a>(&'a [u8]);

impl Entry<'_> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }
}

/// The entries of a reply, each of `size` bytes: behind their number (32 bits) and 32 bits of padding.
fn entries(reply: &[u8], size: usize) -> io::Result<impl Iterator<Item = Entry<'_>>> {
    const HEADER: usize = 8;
    let Some((header, list)) = reply.split_at_checked(HEADER) else {
        return Err(nonsense(format!("{} bytes hold no number of entries", reply.len())));
    };
    let count = Entry(header).u32(0) as usize;
    if count > MAX_ENTRIES || count * size > list.len() {
        return Err(nonsense(format!("{} bytes cannot hold {count} entries", reply.len())));
    }
    Ok(list.chunks_exact(size).take(count).map(Entry))
}

fn nonsense(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(count: u32, words: &[u64]) -> Vec<u8> {
        let header = u64::from(count).to_le_bytes();
        header.into_iter().chain(words.iter().flat_map(|word| word.to_le_bytes())).collect()
    }

    #[test]
    fn a_config_reply_is_read() {
        let config = Config::parse(&reply(5, &[0x5_e20b, 0b101, 4096, 48, 2])).unwrap();
        assert_eq!((config.device_id, config.revision, config.flags), (0xe20b, 5, 0b101));
        assert_eq!((config.min_alignment, config.va_bits), (4096, 48));
    }

    #[test]
    fn vram_is_told_from_system_memory() {
        let system = [0, 1 << 34, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let second = [0x0001_0000_0002_0001, 8192, 1, 4096, 0, 0, 0, 0, 0, 0, 0];
        let first = [0x0001_0000_0001_0001, 8192, 1, 8192, 0, 0, 0, 0, 0, 0, 0];
        let regions = vram(&reply(3, &[system, second, first].concat())).unwrap();
        assert_eq!(regions.iter().map(|region| region.instance).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(regions[0].min_page, 65536);
        assert!(regions[0].is_fully_visible() && !regions[1].is_fully_visible());
        assert!(vram(&reply(2, &[first, first].concat())).is_err(), "one number for two regions");
    }

    #[test]
    fn short_replies_and_absurd_counts_are_refused() {
        assert!(vram(&[]).is_err());
        assert!(vram(&reply(1, &[1; 10])).is_err());
        assert!(vram(&reply(u32::MAX, &[1; 11])).is_err());
        assert!(engines(&reply(2, &[0; 7])).is_err());
        assert!(gts(&[1, 0, 0]).is_err());
        assert!(Config::parse(&reply(3, &[0; 3])).is_err());
        assert!(Config::parse(&reply(4, &[0, 0, 0, u64::MAX])).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_replies_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let description = Description::from_replies(|_, _| Ok(bytes.clone()), |_, error| error);
            prop_assert!(description.is_ok() || description.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData));
        }
    }
}
