// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starts the GPU model for a machine.

use crate::{
    children::Child,
    machine::{Gpu, Machine},
};
use anyhow::{Context, Result, bail};
use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long the model may take to open its sockets.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running model, one socket a GPU; or nothing, for a machine without GPUs.
pub struct Model {
    child: Option<Child>,
    sockets: Vec<PathBuf>,
    control: Option<PathBuf>,
    log: PathBuf,
}

impl Model {
    /// Starts `program` for the GPUs of `machine`, with its sockets in `directory`, and a trace if one is wanted.
    pub fn start(
        program: &Path,
        machine: &Machine,
        directory: &Path,
        log: PathBuf,
        trace: Option<PathBuf>,
    ) -> Result<Model> {
        let count = machine.gpus().count();
        if count == 0 {
            return Ok(Model { child: None, sockets: Vec::new(), control: None, log });
        }
        let control = directory.join("control");
        let mut command = Command::new(program);
        let each = |value: fn(&Gpu) -> &str| machine.gpus().map(value).collect::<Vec<_>>().join(",");
        command.args(["--gpus", &count.to_string(), "--device", &each(|gpu| &gpu.device)]);
        command.args(["--vram", &each(|gpu| &gpu.vram), "--bar", &each(|gpu| gpu.bar.as_ref().unwrap_or(&gpu.vram))]);
        if let Some(trace) = trace {
            command.arg("--trace").arg(trace);
        }
        command.arg("--sockets").arg(directory).arg("--control").arg(&control);
        command.stdin(Stdio::null()).stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let child = Child::start(&mut command).context("starting the GPU model")?;
        let sockets = (0..count).map(|number| directory.join(format!("gpu{number}.sock"))).collect();
        let mut model = Model { child: Some(child), sockets, control: Some(control), log };
        model.wait_for_sockets()?;
        Ok(model)
    }

    /// Where each GPU is served.
    pub fn sockets(&self) -> &[PathBuf] {
        &self.sockets
    }

    /// Where it takes orders.
    pub fn control(&self) -> Option<&Path> {
        self.control.as_deref()
    }

    /// Whether it has ended, which it does only with its last client.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(Child::has_ended)
    }

    /// What it has seen that should not have happened: commands that it does not know, accesses to nowhere.
    pub fn reports(&self) -> Result<Vec<String>> {
        self.ask("reports")
    }

    /// Sends a line to its control socket; the lines of its answer. Without GPUs there is nobody to answer.
    pub fn ask(&self, request: &str) -> Result<Vec<String>> {
        let Some(control) = &self.control else { return Ok(Vec::new()) };
        let mut stream = UnixStream::connect(control).context("the GPU model's control socket")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{request}")?;
        let mut found = Vec::new();
        for line in BufReader::new(stream).lines() {
            match line? {
                line if line == "ok" => return Ok(found),
                line if line.starts_with("error") => bail!("the GPU model was asked for {request:?}: {line}"),
                line => found.push(line),
            }
        }
        bail!("the GPU model does not answer any more")
    }

    fn wait_for_sockets(&mut self) -> Result<()> {
        let started = Instant::now();
        while !self.sockets.iter().chain(&self.control).all(|socket| socket.exists()) {
            if self.has_ended() || started.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the GPU model did not open its sockets:\n{}", said.trim_end());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
