// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control socket: lines of text in, lines of text out, for a test that wants something to happen or to be told.

use crate::{
    engine::Engine,
    gpu::Gpu,
    mishaps::{Mishap, Subject},
    rig::{Member, Rig},
};
use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    str::{FromStr, SplitWhitespace},
    thread,
    time::Duration,
};

/// What can be asked for.
pub const HELP: &str = "\
drop GPU                      take a GPU out of its slot, without warning
freeze GPU ENGINE             an engine makes no progress until it is reset or thawed
thaw GPU ENGINE
fail GPU COMMAND NTH          the nth command of that name from now on ends in a memory error
corrupt GPU COMMAND NTH       … inverts the first byte that it writes
delay GPU COMMAND NTH MS      … begins late
skip GPU invalidation NTH     the nth invalidation of translations is acknowledged, but not done
calm GPU                      forget all of these that have not happened yet
counters GPU                  what a GPU did
translations GPU              how many translations its engines remember
contexts GPU                  its contexts, and what each could do
traffic                       accesses to the memory of other GPUs, by pair and direction
reports                       what should not have happened
trace on|off
COMMAND is copy, fill, invalidation or a name such as MI_STORE_DATA_IMM; ENGINE is rcs0, bcs0, bcs8 or ccs0.
";

/// Why a line was not obeyed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is no {1}")]
    Wrong(String, &'static str),
    #[error("there is more than was expected: {0}")]
    TooMuch(String),
    #[error("no trace: start the model with --trace")]
    NoTrace,
}

/// Answers at a new socket from now on, each connection in a thread of its own.
pub fn listen(rig: Rig, path: &Path) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    thread::Builder::new().name("control".into()).spawn(move || {
        for connection in listener.incoming() {
            let rig = rig.clone();
            let talk = move || connection.and_then(|stream| converse(&rig, &stream));
            // Somebody who hangs up in the middle of a line is no concern of others.
            let _ = thread::Builder::new().name("control".into()).spawn(talk);
        }
    })?;
    Ok(())
}

fn converse(rig: &Rig, mut stream: &UnixStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        stream.write_all(answer(rig, &line?).as_bytes())?;
    }
    Ok(())
}

/// The answer to a line: what was asked for, and last a line "ok" or "error" with the reason.
pub fn answer(rig: &Rig, line: &str) -> String {
    match obey(rig, line) {
        Ok(text) => text + "ok\n",
        Err(refusal) => format!("error: {refusal}\n"),
    }
}

/// The words of a line.
struct Words<'a>(SplitWhitespace<'a>);

impl Words<'_> {
    fn text(&mut self, what: &'static str) -> Result<&str, Refusal> {
        self.0.next().ok_or(Refusal::Missing(what))
    }

    fn parse<T: FromStr>(&mut self, what: &'static str) -> Result<T, Refusal> {
        let word = self.text(what)?;
        word.parse().map_err(|_| Refusal::Wrong(word.into(), what))
    }

    fn member<'a>(&mut self, rig: &'a Rig) -> Result<&'a Member, Refusal> {
        let index: usize = self.parse("GPU")?;
        rig.members.get(index).ok_or_else(|| Refusal::Wrong(index.to_string(), "GPU"))
    }

    fn engine<'a>(&mut self, rig: &'a Rig) -> Result<&'a Engine, Refusal> {
        let member = self.member(rig)?;
        let name = self.text("engine")?;
        let engine = member.engines.iter().find(|engine| engine.name() == name);
        engine.map(|engine| &**engine).ok_or_else(|| Refusal::Wrong(name.into(), "engine"))
    }

    fn end(&mut self) -> Result<(), Refusal> {
        self.0.next().map_or(Ok(()), |word| Err(Refusal::TooMuch(word.into())))
    }
}

fn obey(rig: &Rig, line: &str) -> Result<String, Refusal> {
    let words = &mut Words(line.split_whitespace());
    let verb = words.text("a word")?.to_string();
    let text = match &verb[..] {
        "help" => HELP.into(),
        "drop" => with_gpu(rig, words, Gpu::drop_off)?,
        "freeze" => with_engine(rig, words, Engine::freeze)?,
        "thaw" => with_engine(rig, words, Engine::thaw)?,
        "fail" => mishap(rig, words, Mishap::Fail)?,
        "corrupt" => mishap(rig, words, Mishap::Corrupt)?,
        "delay" => mishap(rig, words, Mishap::Delay(Duration::ZERO))?,
        "skip" => mishap(rig, words, Mishap::Skip)?,
        "calm" => with_gpu(rig, words, |gpu| gpu.mishaps.disarm())?,
        "counters" => counters(words.member(rig)?),
        "translations" => translations(words.member(rig)?),
        "contexts" => contexts(words.member(rig)?),
        "traffic" => traffic(rig),
        "reports" => rig.trace.reports().iter().fold(String::new(), |text, report| text + report + "\n"),
        "trace" => trace(rig, words)?,
        _ => return Err(Refusal::Wrong(verb, "request; try help")),
    };
    words.end()?;
    Ok(text)
}

fn with_gpu(rig: &Rig, words: &mut Words<'_>, act: impl FnOnce(&Gpu)) -> Result<String, Refusal> {
    act(&words.member(rig)?.gpu);
    Ok(String::new())
}

fn with_engine(rig: &Rig, words: &mut Words<'_>, act: impl FnOnce(&Engine)) -> Result<String, Refusal> {
    act(words.engine(rig)?);
    Ok(String::new())
}

fn mishap(rig: &Rig, words: &mut Words<'_>, mishap: Mishap) -> Result<String, Refusal> {
    let gpu = &words.member(rig)?.gpu;
    let subject: Subject = words.parse("command")?;
    if (mishap == Mishap::Skip) != (subject == Subject::Invalidation) && !matches!(mishap, Mishap::Delay(_)) {
        return Err(Refusal::Wrong(format!("{subject:?}"), "thing to which this can happen"));
    }
    let nth = words.parse("number")?;
    let mishap = match mishap {
        Mishap::Delay(_) => Mishap::Delay(Duration::from_millis(words.parse("number of milliseconds")?)),
        other => other,
    };
    gpu.mishaps.arm(subject, mishap, nth);
    Ok(String::new())
}

fn counters(member: &Member) -> String {
    let mut text = String::new();
    for (name, value) in member.gpu.counters.all() {
        let _ = writeln!(text, "{name} {value}");
    }
    let _ = writeln!(text, "interrupts {}", member.gpu.interrupts.raised());
    let _ = writeln!(text, "strays {}", member.gpu.bus.fabric().strays());
    let _ = writeln!(text, "mishaps {}", member.gpu.mishaps.waiting());
    text
}

fn translations(member: &Member) -> String {
    member.engines.iter().fold(String::new(), |mut text, engine| {
        let _ = writeln!(text, "{} {}", engine.name(), engine.tlb().len());
        text
    })
}

fn contexts(member: &Member) -> String {
    let mut text = String::new();
    for engine in &member.engines {
        engine.schedule(|queue| {
            for (id, state) in queue.states() {
                let here = if queue.running() == Some(id) { " on the engine" } else { "" };
                let _ = writeln!(text, "{} {id} {state:?}{here}", engine.name());
            }
        });
    }
    text
}

fn traffic(rig: &Rig) -> String {
    let mut text = String::new();
    for accessor in 0..rig.members.len() {
        for owner in (0..rig.members.len()).filter(|owner| *owner != accessor) {
            let reading = rig.fabric.traffic(accessor, owner);
            let _ = writeln!(
                text,
                "{accessor} to {owner}: {} reads {} bytes, {} writes {} bytes",
                reading.reads, reading.bytes_read, reading.writes, reading.bytes_written
            );
        }
    }
    text
}

fn trace(rig: &Rig, words: &mut Words<'_>) -> Result<String, Refusal> {
    let on = match words.text("on or off")? {
        "on" => true,
        "off" => false,
        other => return Err(Refusal::Wrong(other.into(), "on or off")),
    };
    if !rig.trace.has_file() {
        return Err(Refusal::NoTrace);
    }
    rig.trace.switch(on);
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use std::sync::Arc;

    fn rig() -> (Rig, tempfile::TempDir) {
        let sockets = tempfile::tempdir().unwrap();
        let settings = Settings { vram: 64 << 20, window: 16 << 20, device: 0xe20b };
        let (rig, _) = Rig::start(&[settings; 2], sockets.path(), Arc::default()).unwrap();
        (rig, sockets)
    }

    #[test]
    fn lines_are_obeyed_or_refused_with_the_reason() {
        let (rig, _sockets) = rig();
        assert_eq!(answer(&rig, "drop 1"), "ok\n");
        assert!(!rig.members[1].gpu.is_alive() && rig.members[0].gpu.is_alive());
        for (line, reason) in [
            ("", "a word is missing"),
            ("drop", "GPU is missing"),
            ("drop 7", "7 is no GPU"),
            ("drop 0 1", "there is more than was expected: 1"),
            ("freeze 0 vcs0", "vcs0 is no engine"),
            ("skip 0 copy 1", "Copy is no thing to which this can happen"),
            ("dance", "dance is no request; try help"),
            ("trace on", "no trace: start the model with --trace"),
        ] {
            assert_eq!(answer(&rig, line), format!("error: {reason}\n"), "{line}");
        }
    }

    #[test]
    fn mishaps_wait_until_they_are_met_or_forgotten() {
        let (rig, _sockets) = rig();
        assert_eq!(answer(&rig, "skip 0 invalidation 3"), "ok\n");
        assert_eq!(answer(&rig, "delay 0 copy 1 20"), "ok\n");
        assert!(answer(&rig, "counters 0").contains("mishaps 2\n"));
        assert_eq!(answer(&rig, "calm 0"), "ok\n");
        assert!(answer(&rig, "counters 0").contains("mishaps 0\n"));
    }

    #[test]
    fn traffic_is_told_for_each_pair_in_both_directions() {
        let (rig, _sockets) = rig();
        assert_eq!(
            answer(&rig, "traffic"),
            "0 to 1: 0 reads 0 bytes, 0 writes 0 bytes\n1 to 0: 0 reads 0 bytes, 0 writes 0 bytes\nok\n"
        );
    }

    #[test]
    fn the_socket_answers_line_by_line() {
        let (rig, sockets) = rig();
        let path = sockets.path().join("control");
        listen(rig, &path).unwrap();
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(b"reports\nnonsense\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ok");
        assert!(lines.next().unwrap().unwrap().starts_with("error: "));
    }
}
