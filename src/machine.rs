// SPDX-License-Identifier: MIT OR Apache-2.0
//! All GPUs of a host.

use crate::{
    descriptors::Descriptors,
    driver::Driver,
    error::{Error, Result},
    files::Files,
    gpu::Gpu,
    interconnect::{Group, Link},
    location::{GpuId, Region},
    sim::Sim,
};
use std::{path::Path, sync::Arc};

/// All GPUs of a host: found once, then unchanging. A clone is the same machine.
#[derive(Clone, Debug)]
pub struct Machine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gpus: Vec<Gpu>,
    driver: Arc<dyn Driver>,
    files: Files,
    descriptors: Arc<Descriptors>,
    simulation: Option<Arc<Sim>>,
}

impl Machine {
    /// This host.
    pub fn open() -> Result<Machine> {
        todo!()
    }
    /// This host or another one, through `driver`, as `files` describe it.
    pub fn open_with(_driver: Arc<dyn Driver>, _files: Files) -> Result<Machine> {
        todo!()
    }
    /// A simulated machine, from a machine string.
    pub fn simulated(_text: &str) -> Result<Machine> {
        todo!()
    }
    /// A recorded machine; placing on it runs on a simulation seeded from it.
    pub fn recorded(_directory: impl AsRef<Path>) -> Result<Machine> {
        todo!()
    }
    /// A directory is a recorded machine, anything else a machine string: what `--machine` takes.
    pub fn named(_name: &str) -> Result<Machine> {
        todo!()
    }
    /// The GPUs in the order of their PCI addresses.
    pub fn gpus(&self) -> &[Gpu] {
        &self.0.gpus
    }
    /// One GPU.
    pub fn gpu(&self, id: GpuId) -> Result<&Gpu> {
        self.0.gpus.get(id.0 as usize).ok_or_else(|| Error::NotFound(id.to_string()))
    }
    /// The GPU of a region, if there is such a region.
    pub fn owner(&self, region: Region) -> Result<&Gpu> {
        let gpu = self.gpu(region.gpu)?;
        let known = gpu.regions().iter().any(|found| found.instance == region.instance);
        known.then_some(gpu).ok_or_else(|| Error::NotFound(region.to_string()))
    }
    /// Whether, and why, a vm of `from` can use the VRAM of `to`: as predicted, or as probed if it was.
    pub fn link(&self, _from: GpuId, _to: GpuId) -> Result<Link> {
        todo!()
    }
    /// Asks the kernel about one pair, once: in a throw-away vm of `from`'s own, with the ENOLINK test.
    pub fn probe_link(&self, _from: GpuId, _to: GpuId) -> Result<Link> {
        todo!()
    }
    /// The interconnect groups as the kernel would make them.
    pub fn groups(&self) -> Vec<Group> {
        todo!()
    }
    /// The simulated machine behind this one, if it is not real.
    pub fn simulation(&self) -> Option<&Arc<Sim>> {
        self.0.simulation.as_ref()
    }
    /// Writes a recording of this machine into `directory`, which is made.
    pub fn record(&self, _directory: impl AsRef<Path>) -> Result<()> {
        todo!()
    }
    /// The GPU whose device file `fd` is an open of.
    pub(crate) fn gpu_of(&self, _fd: std::os::fd::BorrowedFd<'_>) -> Result<&Gpu> {
        todo!()
    }
    /// A vm of `from` was refused (`connected` false) or granted `to`'s memory: the kernel's own word on the link.
    pub(crate) fn learn_link(&self, _from: GpuId, _to: GpuId, _connected: bool) {
        todo!()
    }
    pub(crate) fn has_host_node(&self, _node: u32) -> bool {
        todo!()
    }
    pub(crate) fn find_lost(&self, _gpu: GpuId) {
        todo!()
    }
    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.0.driver
    }
    pub(crate) fn files(&self) -> &Files {
        &self.0.files
    }
    pub(crate) fn descriptors(&self) -> &Arc<Descriptors> {
        &self.0.descriptors
    }
}
