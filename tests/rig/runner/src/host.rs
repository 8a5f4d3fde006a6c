// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this machine offers: programs, and whether its own QEMU and KVM will do.

use crate::children::{Child, piped};
use anyhow::{Context, Result, bail};
use std::{
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// The first version with the vfio-user client.
const OLDEST_QEMU: (u32, u32) = (10, 1);
/// By then a kernel that runs has said its name.
const GREETING: Duration = Duration::from_secs(8);

/// Runs a program to its end: what it wrote, or what it complained of.
pub fn output(command: &mut Command) -> Result<String> {
    let name = Path::new(command.get_program()).display().to_string();
    let done = match command.stdin(Stdio::null()).output() {
        Ok(done) => done,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("{name} is not installed here"),
        Err(error) => return Err(error).with_context(|| format!("starting {name}")),
    };
    if !done.status.success() {
        let complaint = String::from_utf8_lossy(&done.stderr);
        bail!("{name} failed ({}):\n{}", done.status, complaint.trim_end());
    }
    String::from_utf8(done.stdout).with_context(|| format!("what {name} wrote"))
}

/// All of `programs` that are not here, in one message.
pub fn require(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<String> = programs
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(program, why)| format!("  {program}: {why}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("missing on this machine (Debian and its kin have them, or offer them as packages):\n{}", missing.join("\n"))
}

/// A program of the search path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// This machine's own QEMU, if it is new enough.
pub fn own_qemu() -> Option<PathBuf> {
    let program = find("qemu-system-x86_64")?;
    let said = output(Command::new(&program).arg("--version")).ok()?;
    (version(&said)? >= OLDEST_QEMU).then_some(program)
}

/// `QEMU emulator version 11.1.3 (…)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split("version ").nth(1)?.split(['.', ' ', '\n']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether KVM not only exists but runs `kernel`: it is started, and must have something to say.
///
/// Opening `/dev/kvm` and making a machine is not enough, nor is a firmware that runs: there are hosts, virtual
/// themselves, on which a kernel then never gets anywhere.
pub fn kvm_works(mut qemu: Command, kernel: &Path) -> bool {
    if std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return false;
    }
    qemu.args(["-nodefaults", "-no-reboot", "-display", "none", "-machine", "q35", "-accel", "kvm", "-cpu", "host"]);
    qemu.args(["-m", "512M", "-serial", "stdio", "-append", "earlyprintk=ttyS0 panic=-1", "-kernel"]).arg(kernel);
    let Ok(child) = Child::start(piped(&mut qemu).stderr(Stdio::null())) else { return false };
    let Some(console) = child.stdout() else { return false };
    let (send, receive) = mpsc::channel();
    // Ends with the child, whose output it reads.
    thread::spawn(move || {
        let greets = |line: io::Result<String>| line.is_ok_and(|line| line.contains("Linux version"));
        send.send(BufReader::new(console).lines().any(greets))
    });
    receive.recv_timeout(GREETING).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_qemu_are_compared_as_numbers() {
        assert!(version("QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)").unwrap() >= OLDEST_QEMU);
        assert!(version("QEMU emulator version 10.0.13").unwrap() < OLDEST_QEMU);
        assert!(version("QEMU emulator version 9.2.0").unwrap() < OLDEST_QEMU);
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn what_is_missing_is_told_at_once() {
        let error = require(&[("sh", "a shell"), ("no-such-thing", "to be missed"), ("nor-this", "either")]);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("no-such-thing: to be missed") && text.contains("nor-this") && !text.contains("sh:"));
    }

    #[test]
    fn a_failure_tells_what_the_program_said() {
        let error = output(Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("no"), "{error}");
    }
}
