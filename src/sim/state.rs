// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that changes in a simulated machine, and what the kernel's notifiers do to it.

use super::{
    Answer,
    bind::Reset,
    counters::Counters,
    groups::{Groups, Owner, Peer},
    inject::{Call, Faults},
    nodes::Nodes,
    open_files::{FileId, OpenFiles, Opened},
    pages::Pages,
    span::{Span, Spans},
    spec::{DeviceSpec, Spec},
    vm::{Vm, VmKey},
    vram::PagemapId,
};
use crate::{files::Files, uapi::EAGAIN_TRIES};
use std::{
    collections::BTreeMap,
    os::fd::{AsRawFd, BorrowedFd},
};

#[derive(Debug)]
pub(super) struct State {
    pub(super) devices: Vec<Device>,
    /// How often one of them has come or gone.
    pub(super) pluggings: u64,
    pub(super) distances: Vec<Vec<Option<u32>>>,
    /// The machine's files as they were described.
    pub(super) files: Files,
    pub(super) open: OpenFiles,
    pub(super) vms: BTreeMap<VmKey, Vm>,
    pub(super) pages: Pages,
    pub(super) groups: Groups,
    /// The node of pages that `mbind` has moved.
    pub(super) nodes: Spans<i32>,
    pub(super) counters: Counters,
    pub(super) faults: Faults,
    pub(super) log: Vec<String>,
    pub(super) privileged: bool,
    /// Swap space exists since a test has swapped something out.
    pub(super) swaps: bool,
}

/// One GPU and the state of its driver.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) spec: DeviceSpec,
    pub(super) nodes: Nodes,
    /// Of its render node now.
    pub(super) minor: u32,
    /// How often it has come back.
    pub(super) plugging: u32,
    pub(super) plugged: bool,
    pub(super) wedged: bool,
    /// Of each tile, once there is one.
    pub(super) pagemaps: Vec<Option<PagemapId>>,
    /// VRAM of each tile that nothing can evict.
    pub(super) filled: Vec<u64>,
}

impl Device {
    fn new(spec: DeviceSpec, files: &Files) -> Device {
        let tiles = spec.tiles.len();
        Device {
            nodes: Nodes::find(files, spec.address, spec.render_minor),
            minor: spec.render_minor,
            plugging: 0,
            plugged: true,
            wedged: false,
            pagemaps: vec![None; tiles],
            filled: vec![0; tiles],
            spec,
        }
    }

    /// Has VRAM.
    pub(super) fn is_discrete(&self) -> bool {
        !self.spec.tiles.is_empty()
    }
}

/// Why a notifier calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// The pages have moved, or changed their protection.
    Changed,
    /// The mapping has ended.
    Unmapped,
}

impl State {
    pub(super) fn new(spec: Spec) -> State {
        let gpus = spec.devices.len();
        State {
            devices: spec.devices.into_iter().map(|device| Device::new(device, &spec.files)).collect(),
            pluggings: 0,
            distances: spec.distances,
            files: spec.files,
            open: OpenFiles::default(),
            vms: BTreeMap::new(),
            pages: Pages::default(),
            groups: Groups::default(),
            nodes: Spans::default(),
            counters: Counters::of(gpus),
            faults: Faults::default(),
            log: Vec::new(),
            privileged: spec.privileged,
            swaps: false,
        }
    }

    /// Answers one request on a device file.
    pub(super) fn ioctl<T>(
        &mut self,
        call: Call,
        fd: BorrowedFd<'_>,
        mut body: impl FnMut(&mut State, FileId, usize) -> Answer<T>,
    ) -> Answer<T> {
        self.retried(call, |state| {
            let (file, device) = state.device(fd)?;
            state.faults.strike(call)?;
            body(state, file, device)
        })
    }

    /// Makes a call as often as the real door would, and counts each try.
    pub(super) fn retried<T>(&mut self, call: Call, mut body: impl FnMut(&mut State) -> Answer<T>) -> Answer<T> {
        let mut tries = EAGAIN_TRIES;
        loop {
            self.counters.call(call);
            match body(self) {
                Err(libc::EINTR) => {}
                Err(libc::EAGAIN) if tries > 0 => tries -= 1,
                answer => return answer,
            }
        }
    }

    /// The device of an open device file that can be used: `xe_drm_ioctl`, then `drm_ioctl_kernel`.
    pub(super) fn device(&self, fd: BorrowedFd<'_>) -> Answer<(FileId, usize)> {
        let (file, device, plugging) = self.device_file(fd)?;
        let found = &self.devices[device];
        match plugging == found.plugging {
            true if found.wedged => Err(libc::ECANCELED),
            true if found.plugged => Ok((file, device)),
            _ => Err(libc::ENODEV),
        }
    }

    /// The device of an open device file, whatever has become of it: ENOTTY for any other file.
    pub(super) fn device_file(&self, fd: BorrowedFd<'_>) -> Answer<(FileId, usize, u32)> {
        let found = self.open.find(fd.as_raw_fd()).map_err(|error| error.raw_os_error().unwrap_or(libc::EBADF))?;
        match found {
            Some((file, Opened::Device { device, plugging })) => Ok((file, device, plugging)),
            _ => Err(libc::ENOTTY),
        }
    }

    /// Ends the files whose last descriptor was closed, and their vms.
    pub(super) fn sweep(&mut self) {
        for file in self.open.sweep() {
            let vms: Vec<VmKey> = self.vms.range((file, 0)..=(file, u32::MAX)).map(|(key, _)| *key).collect();
            for key in vms {
                self.close_vm(key);
            }
        }
    }

    /// The pagemap of a tile, made now if there is none: `xe_drm_pagemap_find_or_create`.
    pub(super) fn pagemap(&mut self, device: usize, tile: usize) -> PagemapId {
        if let Some(known) = self.devices[device].pagemaps[tile] {
            return known;
        }
        let owner = self.join(Peer::Pagemap(self.pages.vram.next_pagemap()), device);
        let total = self.devices[device].spec.tiles[tile].total;
        let made = self.pages.vram.create(device, tile, total, owner);
        self.devices[device].pagemaps[tile] = Some(made);
        made
    }

    /// `drm_pagemap_acquire_owner`: the kernel warns of each pair that it rejects.
    pub(super) fn join(&mut self, peer: Peer, device: usize) -> Owner {
        self.sweep();
        let (distances, devices, log) = (&self.distances, &self.devices, &mut self.log);
        let address = |index: usize| devices[index].spec.address;
        self.groups.join(peer, device, |member| {
            let reaches = distances[device][member].is_some();
            if !reaches {
                let line = format!("xe {}: no peer-to-peer path to {}", address(device), address(member));
                log.push(line);
            }
            reaches
        })
    }

    /// Functions between two devices, as the kernel counts them; the way through host memory counts as none.
    pub(super) fn hops(&self, from: usize, to: usize) -> u32 {
        self.distances[from][to].unwrap_or(0)
    }

    /// Something happened to the memory of `span`: every vm's mappings of it go (`xe_svm_invalidate`).
    pub(super) fn notify(&mut self, span: Span, event: Event) {
        let devices = &self.devices;
        for (key, vm) in &mut self.vms {
            let device = &devices[vm.device];
            let dead = !device.plugged || self.open.plugging(key.0) != Some(device.plugging);
            for (range, state) in vm.ranges.over_mut(span) {
                if dead && state.bound != 0 {
                    // The kernel writes page table entries through a BAR that has gone.
                    self.counters.oopses += 1;
                    self.log.push(format!("BUG: xe {}: oops in xe_svm_invalidate", device.spec.address));
                }
                (state.bound, state.held) = (0, None);
                if event == Event::Unmapped {
                    vm.garbage.insert(range);
                }
            }
        }
    }

    /// Destroys the ranges whose memory was unmapped, and resets attributes where the vm was told to:
    /// `xe_svm_garbage_collector`.
    pub(super) fn collect_garbage(&mut self, key: VmKey) {
        let Some(vm) = self.vms.get_mut(&key) else { return };
        for span in std::mem::take(&mut vm.garbage) {
            vm.ranges.take(span);
            if vm.reset_mirror(span) == Reset::ForgotPat {
                let address = self.devices[vm.device].spec.address;
                self.log.push(format!("WARNING: xe {address}: a reset mapping has no default attributes"));
            }
        }
    }
}
