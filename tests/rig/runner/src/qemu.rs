// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's command line for a machine.

use crate::{host, machine::Machine, model::Model, plug::plug};
use anyhow::{Context, Result};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// A QEMU that can be started.
pub struct Qemu {
    program: PathBuf,
    /// Debian's packages, if it comes from there: then it is started with the loader and libraries of the same place.
    root: Option<PathBuf>,
    /// As it says itself.
    pub version: String,
    /// `kvm` where that works, else `tcg`.
    pub accelerator: &'static str,
}

/// The serial ports of the guest: each has its purpose.
pub struct Ports<'a> {
    /// Port 0, the console: QEMU's own name of a character device, such as `file:…` or `stdio`.
    pub console: OsString,
    /// Port 1: what the guest's first process and the tests say.
    pub words: OsString,
    /// Port 2: the kernel's log, record by record.
    pub log: OsString,
    /// Port 3: the model's control socket.
    pub control: Option<&'a Path>,
    /// Commands for QEMU itself.
    pub monitor: &'a Path,
}

/// What the guest's kernel is told. No KASLR, so that addresses in its log can be looked up in Debian's System.map; no
/// mitigations and no watchdog, which under emulation cost time and see ghosts. The rest shortens the start.
const KERNEL_COMMAND_LINE: &str = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr tsc=reliable \
    no_timer_check nowatchdog audit=0 selinux=0 apparmor=0 rcupdate.rcu_expedited=1 random.trust_cpu=on pci=realloc \
    log_buf_len=4M printk.devkmsg=on unknown_nmi_panic";

impl Qemu {
    /// `own` if there is one, else the one unpacked below `root`.
    pub fn new(own: Option<PathBuf>, root: &Path) -> Result<Qemu> {
        let mut qemu = match own {
            Some(program) => Qemu { program, root: None, version: String::new(), accelerator: "tcg" },
            None => Qemu {
                program: root.join("usr/bin/qemu-system-x86_64"),
                root: Some(root.to_owned()),
                version: String::new(),
                accelerator: "tcg",
            },
        };
        let said = host::output(qemu.command().arg("--version")).context("trying QEMU")?;
        let version = said.split("version ").nth(1).and_then(|rest| rest.split_whitespace().next());
        qemu.version = version.unwrap_or("of unknown version").to_owned();
        Ok(qemu)
    }

    /// Itself, without arguments of its own.
    pub fn command(&self) -> Command {
        let Some(root) = &self.root else { return Command::new(&self.program) };
        let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(root.join("usr/lib/x86_64-linux-gnu")).arg(&self.program);
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(root.join(firmware));
        }
        command
    }

    /// Starts `machine` with `kernel` and `initramfs`, its GPUs served by `model`.
    pub fn machine(&self, machine: &Machine, kernel: &Path, initramfs: &Path, model: &Model, ports: Ports) -> Command {
        let mut command = self.command();
        let accelerator = match self.accelerator {
            "kvm" => "kvm",
            _ => "tcg,thread=multi,tb-size=512",
        };
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-smp", "2"]);
        command.args(["-machine", "q35,memory-backend=memory,hpet=off", "-accel", accelerator, "-cpu", &machine.cpu]);
        // The model reaches the guest's memory through this file.
        let size = format!("{}M", machine.memory);
        command.args(["-m", &size, "-object", &format!("memory-backend-memfd,id=memory,size={size},share=on")]);
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs).args(["-append", KERNEL_COMMAND_LINE]);
        command.arg("-serial").arg(ports.console).arg("-serial").arg(ports.words).arg("-serial").arg(ports.log);
        if let Some(control) = ports.control {
            command
                .arg("-chardev")
                .arg(joined("socket,id=control,path=", control))
                .args(["-serial", "chardev:control"]);
        }
        command
            .arg("-monitor")
            .arg(joined("unix:", ports.monitor).into_string().unwrap_or_default() + ",server=on,wait=off");
        plug(&mut command, machine, model);
        command
    }
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}
