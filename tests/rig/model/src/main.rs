// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command that serves modelled GPUs to QEMU.
#![forbid(unsafe_code)]

use clap::Parser;
use std::{path::PathBuf, process::ExitCode, sync::Arc};
use xeplace_rig_model::{
    control, device,
    rig::{self, Rig},
    settings::{Settings, Unfit},
    trace::Trace,
};

/// Serves modelled Battlemage GPUs to QEMU over vfio-user, until it hangs up
///
/// Options with several values give one to each GPU; the last one is for all that follow.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// How many GPUs
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    gpus: u8,
    /// VRAM of each, such as 256M or 1G
    #[arg(long, value_delimiter = ',', default_value = "256M", value_parser = bytes)]
    vram: Vec<u64>,
    /// What the CPU sees of it: a power of two [default: all]
    #[arg(long, value_delimiter = ',', value_parser = bytes)]
    bar: Vec<u64>,
    /// PCI device id, hexadecimal
    #[arg(long, value_delimiter = ',', default_value = "e20b", value_parser = hexadecimal)]
    device: Vec<u16>,
    /// Directory for the sockets gpu0.sock, gpu1.sock, …
    #[arg(long, default_value = ".")]
    sockets: PathBuf,
    /// Socket for requests in words; "help" there tells which
    #[arg(long)]
    control: Option<PathBuf>,
    /// Write all that happens to this file
    #[arg(long)]
    trace: Option<PathBuf>,
}

fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        unit => return Err(format!("{unit} is no unit")),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{digits}: {error}"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "too much".into())
}

fn hexadecimal(text: &str) -> Result<u16, std::num::ParseIntError> {
    u16::from_str_radix(text.trim_start_matches("0x"), 16)
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("gpu{0}: {1}")]
    Unfit(usize, Unfit),
    #[error(transparent)]
    Rig(#[from] rig::Broken),
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("gpu{0}: {1}")]
    Served(usize, device::Broken),
    #[error("gpu{0}: the device's thread is gone")]
    Panicked(usize),
}

impl Arguments {
    fn settings(&self) -> Result<Vec<Settings>, Failure> {
        let settings = |index: usize| {
            let vram = nth(&self.vram, index).expect("there is a default");
            let device = nth(&self.device, index).expect("there is a default");
            let window = nth(&self.bar, index).unwrap_or(vram);
            Settings { vram, window, device }.check().map_err(|unfit| Failure::Unfit(index, unfit))
        };
        (0..self.gpus.into()).map(settings).collect()
    }
}

/// The value for GPU number `index`.
fn nth<T: Copy>(values: &[T], index: usize) -> Option<T> {
    values.get(index).or(values.last()).copied()
}

fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let trace = Arc::new(Trace::default());
    if let Some(path) = &arguments.trace {
        trace.to_file(path).map_err(|error| Failure::File(path.clone(), error))?;
    }
    let (rig, devices) = Rig::start(&arguments.settings()?, &arguments.sockets, trace.clone())?;
    if let Some(path) = &arguments.control {
        control::listen(rig.clone(), path).map_err(|error| Failure::File(path.clone(), error))?;
    }
    for (index, device) in devices.into_iter().enumerate() {
        let served = device.join().map_err(|_| Failure::Panicked(index))?;
        served.map_err(|error| Failure::Served(index, error))?;
    }
    // Flushes it.
    trace.switch(false);
    if let Some(path) = &arguments.control {
        let _ = std::fs::remove_file(path);
    }
    for index in 0..rig.members.len() {
        println!("gpu{index}\n{}", control::answer(&rig, &format!("counters {index}")).trim_end_matches("ok\n"));
    }
    print!("traffic\n{}", control::answer(&rig, "traffic").trim_end_matches("ok\n"));
    Ok(())
}

fn main() -> ExitCode {
    match serve(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xeplace-rig-gpu: {failure}");
            ExitCode::FAILURE
        }
    }
}
