// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiling programs against the header and running them against the library that was just built.

#![allow(dead_code, reason = "each test uses some of it")]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// The directory of this package.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of this name for the tests' own use.
pub fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Where cargo puts the library: beside the directory of this test.
pub fn library(extension: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let path = test.parent().unwrap().join(format!("libxeplace_capi.{extension}"));
    assert!(path.exists(), "{} was built with this test", path.display());
    path
}

/// A directory in which the shared library has its installed names.
pub fn installed() -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let directory = scratch("lib");
        std::fs::create_dir_all(&directory).unwrap();
        for name in ["libxeplace.so", "libxeplace.so.0"] {
            // Other test programs may run side by side: each puts a link of its own in the place at once.
            let temporary = directory.join(format!("{name}.{}", std::process::id()));
            std::os::unix::fs::symlink(library("so"), &temporary).unwrap();
            std::fs::rename(&temporary, directory.join(name)).unwrap();
        }
        directory
    };
    DIRECTORY.get_or_init(make).clone()
}

/// A compiler with the caller's flags.
pub struct Compiler {
    program: String,
    flags: Vec<String>,
    language: &'static str,
}

impl Compiler {
    /// `$CC $CFLAGS`, else `cc`.
    pub fn c() -> Compiler {
        Compiler::from("CC", "cc", "CFLAGS", "c")
    }

    /// `$CXX $CXXFLAGS`, else `c++`.
    pub fn cxx() -> Compiler {
        Compiler::from("CXX", "c++", "CXXFLAGS", "c++")
    }

    /// The one for a source file of this name.
    pub fn of(source: &Path) -> Compiler {
        if source.extension().is_some_and(|extension| extension == "c") { Compiler::c() } else { Compiler::cxx() }
    }

    fn from(program: &str, otherwise: &str, flags: &str, language: &'static str) -> Compiler {
        let flags = env::var(flags).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Compiler { program: env::var(program).unwrap_or_else(|_| otherwise.to_owned()), flags, language }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-x", self.language]);
        command.arg("-I").arg(package().join("../include")).args(&self.flags);
        command
    }

    /// Fails the test if `source` does not compile.
    pub fn check(&self, source: &Path, flags: &[&str]) {
        let output = self.command().args(flags).arg("-fsyntax-only").arg(source).output();
        succeeded(&output.expect("a compiler"), &format!("compiling {} {flags:?}", source.display()));
    }

    /// Compiles and links `source`; `None` if the compiler refuses one of `flags`.
    pub fn build(&self, source: &Path, name: &str, flags: &[&str], link: &[&str]) -> PathBuf {
        let program = scratch(name);
        let mut command = self.command();
        command.args(["-g", "-O1"]).args(flags).arg(source).arg("-o").arg(&program).args(["-x", "none"]).args(link);
        let output = command.output().expect("a compiler");
        succeeded(&output, &format!("compiling {} {flags:?}", source.display()));
        program
    }

    /// Whether programs built with `flag` run here.
    pub fn has(&self, flag: &str) -> bool {
        let source = scratch(&format!("has-{}-{}", self.language, std::process::id()));
        std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let program = source.with_extension("out");
        let built = self.command().arg(flag).arg(&source).arg("-o").arg(&program).output().expect("a compiler");
        built.status.success() && Command::new(&program).status().is_ok_and(|status| status.success())
    }
}

/// Fails the test with all that a program wrote, if it failed.
pub fn succeeded(output: &Output, what: &str) {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{what}: {}\n{out}{err}", output.status);
}
