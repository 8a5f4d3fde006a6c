// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's file system: busybox, the driver's modules, the programs with their libraries, and the plan.

use crate::{
    cpio::Archive,
    host,
    libraries::{libraries, loadable},
    machine::{Machine, Run, User},
    paths::Paths,
    programs::{ON_HOST, Programs},
    setup::Setup,
};
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Who runs things that are not for root; the group may open render nodes.
const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nrender:x:105:user\nuser:x:1000:\n";

/// Writes what all machines have in common.
pub fn write_common(paths: &Paths, setup: &Setup, programs: &Programs, to: &Path) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(fs::File::create(to)?));
    for directory in ["dev", "proc", "sys", "tmp", "run", "root", "etc"] {
        archive.directory(directory)?;
    }
    archive.file("init", 0o755, &read(&paths.sources().join("guest/init"))?)?;
    archive.file("bin/busybox", 0o755, &read(&setup.busybox)?)?;
    for applet in host::output(Command::new(&setup.busybox).arg("--list"))?.lines().filter(|name| *name != "busybox") {
        archive.link(&format!("bin/{applet}"), "busybox")?;
    }
    archive.file("etc/passwd", 0o644, USERS.as_bytes())?;
    archive.file("etc/group", 0o644, GROUPS.as_bytes())?;
    for module in &setup.kernel.modules {
        let name = module.file_name().context("a module has a name")?.to_string_lossy();
        archive.file(&format!("lib/modules/{name}"), 0o644, &read(module)?)?;
    }
    // Not among the modules that are loaded at the start: tests that need it load it.
    archive.file("lib/xeplace_pci.ko", 0o644, &read(&setup.module)?)?;
    add_programs(&mut archive, programs)?;
    archive.finish().context("writing the guest's file system")
}

fn add_programs<W: Write>(archive: &mut Archive<W>, programs: &Programs) -> Result<()> {
    let mut needed: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (name, program) in programs.all() {
        archive.file(&format!("bin/{name}"), 0o755, &loadable(read(program)?))?;
        needed.extend(libraries(program)?.into_iter().map(|path| (path.display().to_string(), path)));
    }
    for (path, library) in needed {
        archive.file(&path, 0o755, &read(&library)?)?;
    }
    Ok(())
}

/// Writes `common` and behind it what `machine` runs.
pub fn write(common: &Path, machine: &Machine, programs: &Programs, to: &Path) -> Result<()> {
    let mut out = BufWriter::new(fs::File::create(to)?);
    std::io::copy(&mut fs::File::open(common)?, &mut out)?;
    let mut archive = Archive::new(out);
    let gpus = machine.gpus().count();
    let mut facts = format!("GPUS={gpus}\nexport RIG_GROUPS={} {ON_HOST}=1\n", quoted(&machine.groups_text()));
    for (name, value) in &machine.variables {
        facts += &format!("export {name}={}\n", quoted(value));
    }
    archive.file("rig/machine", 0o644, facts.as_bytes())?;
    archive.file("rig/welcome", 0o644, welcome(programs).as_bytes())?;
    for (place, run) in machine.runs.iter().enumerate() {
        archive.file(&format!("rig/plan/{place:03}"), 0o644, plan(place, run, programs).as_bytes())?;
    }
    archive.finish().context("writing the guest's plan")
}

/// What a shell greets with.
fn welcome(programs: &Programs) -> String {
    let names = |kind: &BTreeMap<String, PathBuf>| kind.keys().cloned().collect::<Vec<_>>().join(" ");
    format!(
        "\nTests: {} (and with --ignored: {}). Programs: {}.\n\
         su user -c COMMAND runs one without privilege. The GPU model listens on /dev/ttyS3: help there tells to what.\n\
         The guest ends with this shell.\n\n",
        names(&programs.tests),
        names(&programs.checks),
        names(&programs.commands)
    )
}

/// Assignments that the guest's first process reads.
fn plan(place: usize, run: &Run, programs: &Programs) -> String {
    let user = match run.user {
        User::Root => "root",
        User::User => "user",
    };
    let command = run.command.clone().unwrap_or_else(|| {
        let test = run.test.as_deref().unwrap_or_default();
        // Those that run in the guest only are ignored elsewhere.
        let ignored = if programs.checks.contains_key(test) { " --ignored" } else { "" };
        let only: String = run.only.iter().map(|name| format!(" {}", quoted(name))).collect();
        format!("{test} --test-threads=1 --show-output{ignored}{only}")
    });
    let environment: String =
        run.environment.iter().map(|(name, value)| format!("{name}={} ", quoted(value))).collect();
    format!("RUN={place}\nRUN_AS={user}\nLIMIT={}\nCOMMAND={}\n", run.limit, quoted(&(environment + &command)))
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_one_word_for_a_shell() {
        for text in ["plain", "two words", "it's", "$HOME `date` \"\\"] {
            let echo = format!("printf %s {}", quoted(text));
            assert_eq!(host::output(Command::new("sh").args(["-c", &echo])).unwrap(), text);
        }
    }
}
