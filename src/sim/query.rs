// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the driver tells: VM_QUERY_MEM_RANGE_ATTRS (`xe_vm.c`) and DEVICE_QUERY (`xe_query.c`).

use super::{Answer, bind::VA_BITS, open_files::FileId, span::Span, state::State, vm::Vma};
use crate::uapi::*;

impl State {
    /// `xe_vm_query_vmas_attrs_ioctl`: whole VMAs, neither clipped nor collected, without a check of the range.
    pub(super) fn vm_query_mem_range_attrs(
        &self,
        (file, device): (FileId, usize),
        query: &mut drm_xe_vm_query_mem_range_attr,
        found: &mut [drm_xe_mem_range_attr],
    ) -> Answer {
        if !self.devices[device].spec.features.knows_attribute_query() {
            return Err(libc::EINVAL);
        }
        let vm = self.vms.get(&(file, query.vm_id)).ok_or(libc::EINVAL)?;
        let span = match query.range {
            // An empty range finds the VMA on both sides of its start.
            0 => Span { start: query.start, end: query.start },
            range => Span::of(query.start, range),
        };
        let hit = |(whole, _): &(Span, &Vma)| query.range > 0 || whole.start < query.start;
        let vmas: Vec<(Span, &Vma)> = if query.range > 0 {
            vm.vmas.over(span).filter(hit).collect()
        } else {
            vm.vmas.at(query.start).into_iter().filter(hit).collect()
        };
        if found.is_empty() {
            query.num_mem_ranges = vmas.len() as u32;
            query.sizeof_mem_range_attr = size_of::<drm_xe_mem_range_attr>() as u64;
            return Ok(());
        }
        if vmas.len() > found.len() {
            return Err(libc::ENOSPC);
        }
        for (reply, (whole, vma)) in found.iter_mut().zip(&vmas) {
            *reply = element(*whole, vma);
        }
        query.num_mem_ranges = vmas.len() as u32;
        Ok(())
    }

    /// `xe_query_ioctl`.
    pub(super) fn device_query(&self, device: usize, query: u32, reply: &mut [u8]) -> Answer<u32> {
        let answer = match query {
            DRM_XE_DEVICE_QUERY_ENGINES => self.engines(),
            DRM_XE_DEVICE_QUERY_MEM_REGIONS => self.mem_regions(device),
            DRM_XE_DEVICE_QUERY_CONFIG => self.config(device),
            DRM_XE_DEVICE_QUERY_GT_LIST => self.gt_list(device),
            _ => return Err(libc::EINVAL),
        };
        if !reply.is_empty() {
            if reply.len() != answer.len() {
                return Err(libc::EINVAL);
            }
            reply.copy_from_slice(&answer);
        }
        Ok(answer.len() as u32)
    }

    fn mem_regions(&self, device: usize) -> Vec<u8> {
        let found = &self.devices[device];
        let mut words = Words::default();
        words.u32(1 + found.spec.tiles.len() as u32).u32(0);
        words.region([DRM_XE_MEM_REGION_CLASS_SYSMEM, 0], [self.system_memory(), 0, 0, 0]);
        for (index, tile) in found.spec.tiles.iter().enumerate() {
            let used = self.vram_used(device, index);
            let sizes = [tile.total, used, tile.cpu_visible, used.min(tile.cpu_visible)];
            words.region([DRM_XE_MEM_REGION_CLASS_VRAM, index as u16 + 1], sizes);
        }
        words.0
    }

    /// What of a tile's VRAM is in use, evictable or not.
    pub(super) fn vram_used(&self, device: usize, tile: usize) -> u64 {
        let found = &self.devices[device];
        let taken = |pagemap| self.pages.vram.used(pagemap) + self.pages.vram.pagemap(pagemap).spare;
        found.filled[tile] + found.pagemaps[tile].map_or(0, taken)
    }

    /// Bytes of RAM: of the simulated machine if its files say so, else of this one.
    fn system_memory(&self) -> u64 {
        let own = || std::fs::read_to_string("/proc/meminfo");
        let text = self.files.text("/proc/meminfo").or_else(|_| own()).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kibibytes = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
        kibibytes.unwrap_or(0) << 10
    }

    fn config(&self, device: usize) -> Vec<u8> {
        let spec = &self.devices[device].spec;
        let vram = if spec.tiles.is_empty() { 0 } else { DRM_XE_QUERY_CONFIG_FLAG_HAS_VRAM };
        let flags = spec.features.config_flags(
            vram | DRM_XE_QUERY_CONFIG_FLAG_HAS_LOW_LATENCY
                | DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR
                | DRM_XE_QUERY_CONFIG_FLAG_HAS_PURGING_SUPPORT,
        );
        let identity = u64::from(spec.revision) << 16 | u64::from(spec.device_id);
        let mut words = Words::default();
        words.u32(5).u32(0);
        words.u64s([identity, flags, MIN_ALIGNMENT, u64::from(VA_BITS), MAX_PRIORITY]);
        words.0
    }

    /// A main and a media GT on each tile.
    fn gt_list(&self, device: usize) -> Vec<u8> {
        let tiles = self.devices[device].spec.tiles.len();
        let all = (2u64 << tiles) - 1;
        let mut words = Words::default();
        words.u32(2 * tiles.max(1) as u32).u32(0);
        for tile in 0..tiles.max(1) as u16 {
            let near = if tiles == 0 { 1 } else { 2 << tile };
            for (kind, version) in [(DRM_XE_QUERY_GT_TYPE_MAIN, [20, 1]), (DRM_XE_QUERY_GT_TYPE_MEDIA, [13, 1])] {
                words.u16s([kind, tile, 2 * tile + kind, 0, 0, 0]).u32(REFERENCE_CLOCK);
                // The structure is aligned to 8 bytes, the clock ends at 16.
                words.u64s([near, all ^ near]).u16s([version[0], version[1], 4, 0]).u64s([0; 7]);
            }
        }
        words.0
    }

    fn engines(&self) -> Vec<u8> {
        let mut words = Words::default();
        words.u32(ENGINES.len() as u32).u32(0);
        for (class, gt) in ENGINES {
            words.u16s([class, 0, gt, 0]).u64s([0; 3]);
        }
        words.0
    }
}

/// 64 KiB pages of VRAM need that alignment; Battlemage has no such need (`xe_query.c`).
const MIN_ALIGNMENT: u64 = 4096;
const MAX_PRIORITY: u64 = 1;
/// Hertz, as Battlemage reports it.
const REFERENCE_CLOCK: u32 = 19_200_000;
/// Class and GT of each.
const ENGINES: [(u16, u16); 5] = [
    (DRM_XE_ENGINE_CLASS_RENDER, 0),
    (DRM_XE_ENGINE_CLASS_COPY, 0),
    (DRM_XE_ENGINE_CLASS_COMPUTE, 0),
    (DRM_XE_ENGINE_CLASS_VIDEO_DECODE, 1),
    (DRM_XE_ENGINE_CLASS_VIDEO_ENHANCE, 1),
];

fn element(whole: Span, vma: &Vma) -> drm_xe_mem_range_attr {
    let value = |val| drm_xe_mem_range_attr_value { val, reserved: 0 };
    drm_xe_mem_range_attr {
        start: whole.start,
        end: whole.end,
        preferred_mem_loc: drm_xe_mem_range_attr_preferred_mem_loc {
            devmem_fd: vma.wish.fd as u32,
            migration_policy: u32::from(vma.wish.policy),
        },
        atomic: value(vma.wish.atomic),
        pat_index: value(u32::from(vma.wish.pat)),
        ..Default::default()
    }
}

/// The bytes of a reply.
#[derive(Default)]
struct Words(Vec<u8>);

impl Words {
    fn u16s<const N: usize>(&mut self, values: [u16; N]) -> &mut Words {
        values.iter().for_each(|value| self.0.extend(value.to_le_bytes()));
        self
    }

    fn u32(&mut self, value: u32) -> &mut Words {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64s<const N: usize>(&mut self, values: [u64; N]) -> &mut Words {
        values.iter().for_each(|value| self.0.extend(value.to_le_bytes()));
        self
    }

    /// `struct drm_xe_mem_region`: total, used, visible, visible used.
    fn region(&mut self, class_and_instance: [u16; 2], sizes: [u64; 4]) {
        self.u16s(class_and_instance).u32(4096).u64s(sizes).u64s([0; 6]);
    }
}
