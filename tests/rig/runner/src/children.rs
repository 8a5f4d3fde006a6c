// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that were started and must not outlive this one.

use std::{
    io,
    process::{self, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// A program that ends with this value, or with this process if that is interrupted or told to end.
pub struct Child(Arc<Mutex<process::Child>>);

static RUNNING: Mutex<Vec<Arc<Mutex<process::Child>>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Child {
    pub fn start(command: &mut Command) -> io::Result<Child> {
        let child = Arc::new(Mutex::new(command.spawn()?));
        lock(&RUNNING).push(child.clone());
        Ok(Child(child))
    }

    /// What it writes, if that was asked for.
    pub fn stdout(&self) -> Option<process::ChildStdout> {
        lock(&self.0).stdout.take()
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(lock(&self.0).try_wait(), Ok(None))
    }

    /// Waits for its end, but not for ever: whether it has come.
    pub fn ends_within(&mut self, patience: Duration) -> bool {
        let started = Instant::now();
        while !self.has_ended() {
            if started.elapsed() > patience {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        end(&self.0);
        lock(&RUNNING).retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

fn end(child: &Mutex<process::Child>) {
    let mut child = lock(child);
    // Both fail only if it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// From now on, SIGINT, SIGTERM and SIGHUP end the children first.
pub fn end_with_this_process() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        for child in lock(&RUNNING).iter() {
            // This fails only if it has ended already.
            let _ = lock(child).kill();
        }
        process::exit(130);
    })
}

/// A program that reads nothing, whose output is read here.
pub fn piped(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped())
}
