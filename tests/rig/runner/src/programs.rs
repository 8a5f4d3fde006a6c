// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that run in the guest: built by cargo and the C compiler, as they are on any host.

use crate::{host, paths::Paths};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A test binary that can run on a host's own GPUs knows this variable.
pub const ON_HOST: &str = "XEPLACE_TEST_HOST";

/// What was built, by the name under which machines ask for it.
#[derive(Default)]
pub struct Programs {
    /// Tests of the library that can run on a host's GPUs.
    pub tests: BTreeMap<String, PathBuf>,
    /// Tests that run in the guest only.
    pub checks: BTreeMap<String, PathBuf>,
    /// Everything else: the command, examples.
    pub commands: BTreeMap<String, PathBuf>,
}

/// A message of cargo's about something that it has built.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Programs {
    /// Builds everything.
    pub fn build(paths: &Paths) -> Result<Programs> {
        let mut programs = Programs::default();
        let root = paths.repository.join("Cargo.toml");
        let wanted = ["--workspace", "--test", "*"];
        for (name, program) in cargo(paths, &root, "test", &[&["--no-run"], &wanted[..]].concat(), "test")? {
            if can_run_on_host(&program)? {
                programs.tests.insert(name, program);
            }
        }
        programs.commands.extend(cargo(paths, &root, "build", &["-p", "xeplace-cli"], "bin")?);
        let own = paths.sources().join("Cargo.toml");
        let wanted = ["--no-run", "-p", "xeplace-rig-guest", "--test", "*"];
        programs.checks.extend(cargo(paths, &own, "test", &wanted, "test")?);
        programs.commands.extend(examples(paths)?);
        Ok(programs)
    }

    /// The GPU model, built for speed.
    pub fn model(paths: &Paths) -> Result<PathBuf> {
        let own = paths.sources().join("Cargo.toml");
        let built = cargo(paths, &own, "build", &["--release", "-p", "xeplace-rig-model"], "bin")?;
        let found = built.into_iter().find(|(name, _)| name == "xeplace-rig-gpu");
        found.map(|(_, program)| program).context("the model's package has no program xeplace-rig-gpu")
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&String, &PathBuf)> {
        self.tests.iter().chain(&self.checks).chain(&self.commands)
    }
}

/// Runs cargo and lists the executables of `kind`. What the compiler has to say goes to the terminal.
fn cargo(paths: &Paths, manifest: &Path, verb: &str, arguments: &[&str], kind: &str) -> Result<Vec<(String, PathBuf)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([verb, "--quiet", "--locked", "--message-format=json-render-diagnostics"]).args(arguments);
    command.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&paths.target);
    command.stderr(std::process::Stdio::inherit());
    let shown = format!("cargo {verb} {}", arguments.join(" "));
    let done = command.output().with_context(|| shown.clone())?;
    ensure!(done.status.success(), "{shown}: {}", done.status);
    let mut found = Vec::new();
    for line in String::from_utf8(done.stdout)?.lines() {
        let message: Message = serde_json::from_str(line).with_context(|| format!("what cargo said: {line}"))?;
        if let (Some(executable), Some(target)) = (message.executable, message.target)
            && target.kind.iter().any(|found| found == kind)
        {
            found.push((target.name, executable));
        }
    }
    Ok(found)
}

/// Whether the program mentions the variable that lets it run on a host.
fn can_run_on_host(program: &Path) -> Result<bool> {
    let bytes = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    Ok(bytes.windows(ON_HOST.len()).any(|window| window == ON_HOST.as_bytes()))
}

/// The examples of all languages: `place-rs`, `place-c`, `place-cc`. Those in C and C++ get the library's archive.
fn examples(paths: &Paths) -> Result<Vec<(String, PathBuf)>> {
    let root = paths.repository.join("Cargo.toml");
    let rust = cargo(paths, &root, "build", &["--examples"], "example")?;
    let mut built: Vec<_> = rust.into_iter().map(|(name, program)| (name + "-rs", program)).collect();
    cargo(paths, &root, "build", &["-p", "xeplace-capi"], "staticlib")?;
    for entry in fs::read_dir(paths.repository.join("examples"))? {
        let source = entry?.path();
        let ending = source.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let (compiler, standard) = match ending {
            "c" => (std::env::var_os("CC").unwrap_or_else(|| "cc".into()), "-std=c11"),
            "cc" => (std::env::var_os("CXX").unwrap_or_else(|| "c++".into()), "-std=c++17"),
            _ => continue,
        };
        let name = format!("{}-{ending}", source.file_stem().unwrap_or_default().to_string_lossy());
        let program = paths.rig.join(&name);
        let mut command = Command::new(compiler);
        command.args([standard, "-O1", "-I"]).arg(paths.repository.join("include")).arg(&source);
        command.arg(paths.target.join("debug/libxeplace_capi.a"));
        command.args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-o"]).arg(&program);
        host::output(&mut command)?;
        built.push((name, program));
    }
    Ok(built)
}
