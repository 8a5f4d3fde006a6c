// SPDX-License-Identifier: MIT OR Apache-2.0
//! All GPUs of a machine in one process, so that each can reach the memory of the others.

use crate::{
    bus::Fabric,
    device::{self, Device},
    engine::{Engine, kind::KINDS},
    gpu::{self, Gpu},
    guc::Guc,
    settings::Settings,
    trace::Trace,
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

/// Why a rig cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// Memory or threads are not to be had.
    #[error("gpu{0}: {1}")]
    Resources(usize, io::Error),
    /// A GPU's socket cannot be made.
    #[error("gpu{0}: {1}: {2}")]
    Socket(usize, PathBuf, device::Broken),
}

/// A GPU and its engines.
#[derive(Clone, Debug)]
pub struct Member {
    /// The GPU.
    pub gpu: Arc<Gpu>,
    /// Its engines.
    pub engines: Vec<Arc<Engine>>,
}

/// All GPUs of a machine.
#[derive(Clone, Debug)]
pub struct Rig {
    /// The GPUs.
    pub members: Arc<[Member]>,
    /// What is between them.
    pub fabric: Arc<Fabric>,
    /// What they tell.
    pub trace: Arc<Trace>,
}

/// The thread that serves a GPU's function to QEMU.
pub type Server = JoinHandle<Result<(), device::Broken>>;

/// The socket of GPU number `index` in directory `sockets`.
pub fn socket(sockets: &Path, index: usize) -> PathBuf {
    sockets.join(format!("gpu{index}.sock"))
}

impl Rig {
    /// Starts GPUs with these settings, each with a socket in `sockets`. The threads end when QEMU hangs up.
    pub fn start(settings: &[Settings], sockets: &Path, trace: Arc<Trace>) -> Result<(Rig, Vec<Server>), Broken> {
        let memories = settings
            .iter()
            .enumerate()
            .map(|(index, settings)| gpu::memory(*settings).map_err(|error| Broken::Resources(index, error)));
        let memories: Vec<_> = memories.collect::<Result<_, _>>()?;
        let windows = memories.iter().zip(settings).map(|(vram, settings)| (vram.clone(), settings.window));
        let fabric = Fabric::new(windows);
        let mut members = Vec::new();
        let mut servers = Vec::new();
        for (index, (settings, vram)) in settings.iter().zip(memories).enumerate() {
            let gpu = Gpu::new(index, *settings, vram, fabric.clone(), trace.clone())
                .map_err(|error| Broken::Resources(index, error))?;
            let path = socket(sockets, index);
            let server = device::listen(&gpu, &path).map_err(|error| Broken::Socket(index, path, error))?;
            let (member, device) = start_member(gpu).map_err(|error| Broken::Resources(index, error))?;
            let name = format!("gpu{index} device");
            let thread = thread::Builder::new().name(name).spawn(move || device.serve(&server));
            servers.push(thread.map_err(|error| Broken::Resources(index, error))?);
            members.push(member);
        }
        Ok((Rig { members: members.into(), fabric, trace }, servers))
    }
}

/// Starts the threads of a GPU, all but that of its device.
fn start_member(gpu: Arc<Gpu>) -> io::Result<(Member, Device)> {
    let guc = Guc::start(gpu.clone())?;
    let start = |kind| Engine::start(kind, gpu.clone(), guc.clone());
    let engines: Vec<_> = KINDS.into_iter().map(start).collect::<Result<_, _>>()?;
    guc.connect(engines.clone());
    let device = Device::new(gpu.clone(), guc);
    Ok((Member { gpu, engines }, device))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A GPU of the smallest size, alone on its fabric.
    pub(crate) fn small() -> (Arc<Gpu>, Arc<Fabric>) {
        let settings = Settings { vram: 64 << 20, window: 16 << 20, device: 0xe20b };
        let vram = gpu::memory(settings).unwrap();
        let fabric = Fabric::new([(vram.clone(), settings.window)]);
        (Gpu::new(0, settings, vram, fabric.clone(), Arc::default()).unwrap(), fabric)
    }

    #[test]
    fn every_gpu_has_a_socket_of_its_own() {
        let sockets = tempfile::tempdir().unwrap();
        let settings = Settings { vram: 64 << 20, window: 16 << 20, device: 0xe20b };
        let (rig, servers) = Rig::start(&[settings; 2], sockets.path(), Arc::default()).unwrap();
        assert_eq!((rig.members.len(), servers.len()), (2, 2));
        assert!((0..2).all(|index| socket(sockets.path(), index).exists()));
        let again = Rig::start(&[settings], sockets.path(), Arc::default());
        assert!(matches!(again, Err(Broken::Socket(0, ..))));
    }
}
