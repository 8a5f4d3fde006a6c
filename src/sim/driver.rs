// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated machine as a driver: each call locks the state and hands over.

use super::{
    Answer, Call, Sim,
    nodes::DRM_MAJOR,
    open_files::{FileId, Opened},
    state::State,
};
use crate::{
    driver::{Access, Driver, MapKind},
    range::Range,
    uapi::{
        self,
        memory::{Mapping, MemoryPolicy},
        *,
    },
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

impl Sim {
    fn ioctl<T>(
        &self,
        call: Call,
        fd: BorrowedFd<'_>,
        body: impl FnMut(&mut State, FileId, usize) -> Answer<T>,
    ) -> io::Result<T> {
        self.state.lock().ioctl(call, fd, body).map_err(io::Error::from_raw_os_error)
    }

    fn with<T>(&self, body: impl FnOnce(&mut State) -> Answer<T>) -> io::Result<T> {
        body(&mut self.state.lock()).map_err(io::Error::from_raw_os_error)
    }
}

impl State {
    fn open_path(&mut self, path: &Path) -> io::Result<OwnedFd> {
        self.sweep();
        let own = format!("/proc/{}/pagemap", std::process::id());
        if path == Path::new("/proc/self/pagemap") || path == Path::new(&own) {
            return self.open.open(Opened::Pagemap, None);
        }
        let minor = path.to_str().and_then(|path| path.strip_prefix("/dev/dri/renderD")?.parse::<u32>().ok());
        let found = self.devices.iter().position(|device| device.plugged && Some(device.minor) == minor);
        let device = found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        let plugging = self.devices[device].plugging;
        self.open.open(Opened::Device { device, plugging }, minor)
    }

    fn is_pagemap(&self, fd: BorrowedFd<'_>) -> bool {
        matches!(self.open.find(fd.as_raw_fd()), Ok(Some((_, Opened::Pagemap))))
    }
}

impl Driver for Sim {
    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        self.state.lock().open_path(path)
    }

    fn driver_name(&self, fd: BorrowedFd<'_>) -> io::Result<String> {
        self.with(|state| state.device_file(fd).map(|_| "xe".to_owned()))
    }

    fn device_number(&self, fd: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
        let own = self.with(|state| {
            let (file, ..) = state.device_file(fd)?;
            state.open.minor(file).ok_or(libc::ENOTTY)
        });
        match own {
            Ok(minor) => Ok((DRM_MAJOR, minor)),
            Err(_) => uapi::identify(fd.as_raw_fd()).map(|identity| identity.special),
        }
    }

    fn duplicate(&self, fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
        uapi::duplicate(fd, lowest)
    }

    fn retire(&self, kept: &OwnedFd) -> io::Result<()> {
        let inert = uapi::open(Path::new("/dev/null"), libc::O_RDONLY)?;
        uapi::replace(kept, inert.as_fd())
    }

    fn read_at(&self, fd: BorrowedFd<'_>, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let state = self.state.lock();
        if state.is_pagemap(fd) {
            return state.pagemap_entries(offset, bytes).map_err(io::Error::from_raw_os_error);
        }
        uapi::read_at(fd, offset, bytes)
    }

    fn device_query(&self, fd: BorrowedFd<'_>, query: u32, reply: &mut [u8]) -> io::Result<u32> {
        self.ioctl(Call::DeviceQuery, fd, |state, _, device| state.device_query(device, query, reply))
    }

    fn vm_create(&self, fd: BorrowedFd<'_>, vm: &mut drm_xe_vm_create) -> io::Result<()> {
        self.ioctl(Call::VmCreate, fd, |state, file, device| state.vm_create(file, device, vm))
    }

    fn vm_destroy(&self, fd: BorrowedFd<'_>, vm: &drm_xe_vm_destroy) -> io::Result<()> {
        self.ioctl(Call::VmDestroy, fd, |state, file, _| state.vm_destroy(file, vm))
    }

    fn vm_bind(&self, fd: BorrowedFd<'_>, bind: &drm_xe_vm_bind, syncs: BindSyncs) -> io::Result<()> {
        self.ioctl(Call::VmBind, fd, |state, file, _| state.vm_bind(file, bind, syncs))
    }

    fn madvise(&self, fd: BorrowedFd<'_>, advice: &drm_xe_madvise, mut retained: Option<&mut u32>) -> io::Result<()> {
        self.ioctl(Call::Madvise, fd, |state, file, _| state.madvise(file, advice, retained.as_deref_mut()))
    }

    fn vm_query_mem_range_attrs(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_query_mem_range_attr,
        found: &mut [drm_xe_mem_range_attr],
    ) -> io::Result<()> {
        query.num_mem_ranges = found.len() as u32;
        query.sizeof_mem_range_attr = if found.is_empty() { 0 } else { size_of::<drm_xe_mem_range_attr>() as u64 };
        self.ioctl(Call::VmQueryMemRangeAttrs, fd, |state, file, device| {
            state.vm_query_mem_range_attrs((file, device), query, found)
        })
    }

    fn vm_get_property(
        &self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_get_property,
        found: &mut [xe_vm_fault],
    ) -> io::Result<()> {
        query.size = size_of_val(found) as u32;
        self.ioctl(Call::VmGetProperty, fd, |state, file, _| state.vm_get_property(file, query, found))
    }

    fn pagemap_scan(
        &self,
        pagemap: BorrowedFd<'_>,
        scan: &mut pm_scan_arg,
        found: &mut [page_region],
    ) -> io::Result<usize> {
        self.with(|state| {
            state.retried(Call::PagemapScan, |state| {
                if !state.is_pagemap(pagemap) {
                    return Err(libc::ENOTTY);
                }
                state.faults.strike(Call::PagemapScan)?;
                state.pagemap_scan(scan, found)
            })
        })
    }

    fn mincore(&self, range: Range, pages: &mut [u8]) -> io::Result<()> {
        assert_eq!(range.pages(), pages.len() as u64, "a byte a page");
        self.with(|state| state.mincore(range, pages))
    }

    fn mbind(&self, range: Range, policy: &MemoryPolicy, move_pages: bool) -> io::Result<()> {
        self.with(|state| state.mbind(range, policy, move_pages))
    }

    fn get_mempolicy(&self, address: u64) -> io::Result<MemoryPolicy> {
        self.with(|state| state.get_mempolicy(address))
    }

    fn page_nodes(&self, range: Range, nodes: &mut [i32]) -> io::Result<()> {
        self.with(|state| state.page_nodes(range, nodes))
    }

    fn map(&self, length: u64, alignment: u64, kind: MapKind) -> io::Result<Mapping> {
        Mapping::anonymous(length as usize, alignment as usize, kind == MapKind::Shared)
    }

    fn unmap(&self, mapping: Mapping) {
        if let Ok(range) = Range::new(mapping.start(), mapping.len() as u64) {
            self.state.lock().unmapped(range.into());
        }
        drop(mapping);
    }

    fn gpu_touch(&self, (fd, vm): (BorrowedFd<'_>, u32), range: Range, access: Access) -> io::Result<()> {
        self.with(|state| {
            let (file, _) = state.device(fd)?;
            state.gpu_touch((file, vm), range, access)
        })
    }

    fn cpu_touched(&self, range: Range, _: Access) {
        self.state.lock().cpu_touched(range.into());
    }

    fn moved(&self, old: Range, mapping: &Mapping) {
        self.remapped(old, mapping.start());
    }
}
