// SPDX-License-Identifier: MIT OR Apache-2.0
//! One boot: starts model and QEMU, listens to the guest, and ends it when it has stopped talking.

use crate::{
    children::{self, Child},
    kernel_log::KernelLog,
    machine::Machine,
    model::Model,
    qemu::{Ports, Qemu},
    words::{Output, Word},
};
use anyhow::{Context, Result};
use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

/// How long the guest may take from power-on to its first run, and from one run to the next.
const START: Duration = Duration::from_secs(150);
/// And from its last word to its end.
const POWER_OFF: Duration = Duration::from_secs(30);
/// Beyond the limit of a run, which the guest itself watches over.
const GRACE: Duration = Duration::from_secs(45);
/// How long QEMU may take to say what its processors do.
const MONITOR: Duration = Duration::from_secs(5);

/// What is needed to boot.
pub struct Boot<'a> {
    pub qemu: &'a Qemu,
    pub kernel: &'a Path,
    pub initramfs: &'a Path,
    pub model: &'a Path,
    /// What the model is asked for as each run begins.
    pub mishaps: &'a [String],
    /// Whether the model writes down all that happens.
    pub trace: bool,
    /// Where everything that the guest says is kept.
    pub logs: PathBuf,
}

/// What came of it.
#[derive(Default)]
pub struct Booted {
    /// What each run wrote, by its place in the plan.
    pub outputs: Vec<Output>,
    /// What went wrong with the guest itself.
    pub troubles: Vec<String>,
    pub kernel_log: KernelLog,
}

impl Boot<'_> {
    /// Runs the plan of `machine` to its end.
    pub fn run(&self, machine: &Machine) -> Result<Booted> {
        fs::create_dir_all(&self.logs)?;
        let sockets = tempfile::tempdir()?;
        let mut model = self.model(machine, sockets.path())?;
        let monitor = sockets.path().join("monitor");
        let ports = Ports {
            console: self.file("console"),
            words: "stdio".into(),
            log: self.file("kernel"),
            control: model.control(),
            monitor: &monitor,
        };
        let mut command = self.qemu.machine(machine, self.kernel, self.initramfs, &model, ports);
        children::piped(&mut command).stderr(fs::File::create(self.log("qemu"))?);
        let mut qemu = Child::start(&mut command).context("starting QEMU")?;
        let lines = listen(qemu.stdout().context("QEMU's output")?, fs::File::create(self.log("words"))?);
        let mut booted = self.follow(machine, &lines, &model, &monitor);
        if booted.troubles.is_empty() && !qemu.ends_within(POWER_OFF) {
            self.dump(&monitor);
            booted.troubles.push(self.last_words("does not power off"));
        }
        if !booted.troubles.is_empty() && model.has_ended() {
            booted.troubles.push(format!("the GPU model has ended: see {}", self.log("model").display()));
        }
        drop(qemu);
        booted.kernel_log = KernelLog::parse(&fs::read(self.log("kernel")).unwrap_or_default());
        if !booted.kernel_log.complete && booted.troubles.is_empty() {
            booted.troubles.push("the kernel's log is not whole".to_owned());
        }
        Ok(booted)
    }

    /// Gives the terminal to a shell in the guest.
    pub fn shell(&self, machine: &Machine) -> Result<()> {
        fs::create_dir_all(&self.logs)?;
        let sockets = tempfile::tempdir()?;
        let model = self.model(machine, sockets.path())?;
        let monitor = sockets.path().join("monitor");
        let ports = Ports {
            console: "mon:stdio".into(),
            words: self.file("words"),
            log: self.file("kernel"),
            control: model.control(),
            monitor: &monitor,
        };
        let mut command = self.qemu.machine(machine, self.kernel, self.initramfs, &model, ports);
        command.stderr(fs::File::create(self.log("qemu"))?);
        command.status().context("starting QEMU").map(drop)
    }

    /// Reads what the guest says until it ends, or has nothing to say for too long.
    fn follow(&self, machine: &Machine, lines: &Receiver<String>, model: &Model, monitor: &Path) -> Booted {
        let mut booted = Booted::default();
        booted.outputs.resize_with(machine.runs.len(), Output::default);
        let (mut place, mut patience) = (None, START);
        loop {
            let line = match lines.recv_timeout(patience) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => break booted.troubles.push(self.last_words("ended too early")),
                Err(RecvTimeoutError::Timeout) => {
                    self.dump(monitor);
                    break booted.troubles.push(self.last_words("does not answer any more"));
                }
            };
            match (Word::of_line(&line), place) {
                (Some(Word::Run(begun)), _) if begun < machine.runs.len() => {
                    place = Some(begun);
                    let refused = self.mishaps.iter().filter_map(|mishap| model.ask(mishap).err());
                    booted.troubles.extend(refused.map(|error| format!("{error:#}")));
                    patience = Duration::from_secs(machine.runs[begun].limit.into()) + GRACE;
                }
                (Some(Word::Done(_, status)), Some(done)) => {
                    booted.outputs[done].status = Some(status);
                    let reports = model.reports().unwrap_or_else(|error| vec![format!("{error:#}")]);
                    let known: usize = booted.outputs[..done].iter().map(|output| output.reports.len()).sum();
                    booted.outputs[done].reports = reports.into_iter().skip(known).collect();
                    (place, patience) = (None, START);
                }
                (Some(Word::Hung(_)), Some(hung)) => booted.outputs[hung].hung = true,
                (Some(Word::Broken(what)), _) => booted.troubles.push(what),
                (Some(Word::End), _) => break,
                (None, Some(running)) => booted.outputs[running].lines.push(line),
                _ => {}
            }
        }
        booted
    }

    fn model(&self, machine: &Machine, sockets: &Path) -> Result<Model> {
        let trace = self.trace.then(|| self.log("trace"));
        Model::start(self.model, machine, sockets, self.log("model"), trace)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// As a character device of QEMU's.
    fn file(&self, name: &str) -> OsString {
        let mut device = OsString::from("file:");
        device.push(self.log(name));
        device
    }

    /// Asks QEMU what the guest's processors are doing, and the guest's kernel for their stacks on its console.
    fn dump(&self, monitor: &Path) {
        let mut found = String::new();
        if let Ok(mut stream) = UnixStream::connect(monitor) {
            let asked = stream
                .write_all(b"info registers -a\ninfo pci\nnmi\n")
                .and_then(|()| stream.set_read_timeout(Some(MONITOR)));
            let _ = asked.map(|()| stream.read_to_string(&mut found));
        }
        let _ = fs::write(self.log("monitor"), found);
    }

    /// What happened to the guest, with the end of what its console and QEMU have to say.
    fn last_words(&self, what: &str) -> String {
        let mut text = format!("the guest {what}");
        for name in ["console", "qemu"] {
            let said = fs::read(self.log(name)).unwrap_or_default();
            let said = String::from_utf8_lossy(&said).into_owned();
            let lines: Vec<&str> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(12)..];
            if !last.is_empty() {
                text += &format!("\n  the end of {name}.log:\n    {}", last.join("\n    "));
            }
        }
        text
    }
}

/// Lines as they come, each kept in `copy` as well.
fn listen(source: impl Read + Send + 'static, mut copy: fs::File) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut bytes = Vec::new();
        while source.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            // A full disk must not stop the guest; the line is judged all the same.
            let _ = copy.write_all(&bytes);
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            if send.send(line).is_err() {
                break;
            }
            bytes.clear();
        }
    });
    receive
}
