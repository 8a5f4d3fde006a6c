// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened, in words: a trace that can be switched on, and reports of what should not happen.

use parking_lot::Mutex;
use std::{
    fmt::Display,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

/// Reports that are kept and shown; later ones are only in the trace.
const KEPT: usize = 1000;

/// The trace of a rig. One line an event: microseconds since the start, the GPU, the event.
#[derive(Debug)]
pub struct Trace {
    on: AtomicBool,
    file: Mutex<Option<BufWriter<File>>>,
    reports: Mutex<Vec<String>>,
    start: Instant,
}

impl Default for Trace {
    fn default() -> Trace {
        Trace { on: AtomicBool::new(false), file: Mutex::default(), reports: Mutex::default(), start: Instant::now() }
    }
}

impl Trace {
    /// Writes the trace to a new file at `path`, from now on.
    pub fn to_file(&self, path: &Path) -> io::Result<()> {
        *self.file.lock() = Some(BufWriter::new(File::create(path)?));
        self.switch(true);
        Ok(())
    }

    /// Continues the trace, or holds it.
    pub fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
        self.flush();
    }

    /// Whether it has a file to write to.
    pub fn has_file(&self) -> bool {
        self.file.lock().is_some()
    }

    /// Notes an event of GPU number `gpu`. The text is made only while the trace is on.
    pub fn note<T: Display>(&self, gpu: usize, text: impl FnOnce() -> T) {
        if self.on.load(Ordering::Relaxed) {
            self.write(gpu, &text());
        }
    }

    /// Tells of something that neither a sound driver nor a sound model does.
    pub fn report(&self, gpu: usize, text: impl Display) {
        self.note(gpu, || format!("!! {text}"));
        let mut reports = self.reports.lock();
        if reports.len() < KEPT {
            eprintln!("gpu{gpu}: {text}");
            reports.push(format!("gpu{gpu}: {text}"));
        }
        drop(reports);
        self.flush();
    }

    /// All reports so far.
    pub fn reports(&self) -> Vec<String> {
        self.reports.lock().clone()
    }

    // A full disk must not end the GPU; the trace is then incomplete.
    fn flush(&self) {
        if let Some(file) = self.file.lock().as_mut() {
            let _ = file.flush();
        }
    }

    fn write(&self, gpu: usize, text: &dyn Display) {
        if let Some(file) = self.file.lock().as_mut() {
            let _ = writeln!(file, "{:>10} gpu{gpu} {text}", self.start.elapsed().as_micros());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_is_off_costs_no_text() {
        let trace = Trace::default();
        trace.note(0, || -> &str { panic!("made a text for nobody") });
    }

    #[test]
    fn events_are_written_and_reports_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let trace = Trace::default();
        trace.to_file(file.path()).unwrap();
        trace.note(1, || "an event");
        trace.report(0, "a surprise");
        trace.switch(false);
        trace.note(1, || "unseen");
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("gpu1 an event\n") && text.contains("gpu0 !! a surprise\n") && !text.contains("unseen"));
        assert_eq!(trace.reports(), ["gpu0: a surprise"]);
    }
}
