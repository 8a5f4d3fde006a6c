// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the GPUs of recorded machines.

use crate::{
    measure::side_by_side,
    report::{Goal, Report, Row},
};
use std::hint::black_box;
use xeplace::{Error, Machine, Result};

/// Machines of 8, 64 and 1,024 GPUs.
const MACHINES: [(usize, &str); 3] =
    [(8, "switch(8x bmg)"), (64, "8x switch(8x bmg)"), (1024, "32x host(4x switch(8x bmg))")];

/// From a directory to a machine whose GPUs are known.
pub(crate) fn recorded(report: &mut Report) -> Result<()> {
    let mut recordings = Vec::new();
    for (gpus, text) in MACHINES {
        let directory = tempfile::tempdir().map_err(|source| Error::File { path: std::env::temp_dir(), source })?;
        Machine::simulated(text)?.record(directory.path())?;
        recordings.push((gpus, directory));
    }
    let mut finders: Vec<_> = recordings
        .iter()
        .map(|(gpus, directory)| {
            move |_| {
                let machine = Machine::recorded(directory.path()).expect("it was just recorded");
                assert_eq!(black_box(machine).gpus().len(), *gpus);
            }
        })
        .collect();
    let [few, some, many] = &mut finders[..] else { unreachable!("there are three machines") };
    let times = side_by_side(11, [few, some, many]);
    for (place, (gpus, _)) in MACHINES.into_iter().enumerate() {
        let per_gpu = times.nanoseconds(place, gpus);
        let with_eight = times.nanoseconds(0, 8);
        report.add(Row {
            what: format!("discovery of {gpus} recorded GPUs, {:.1} ms", times.nanoseconds(place, 1) / 1e6),
            with: "of 8",
            item: "GPU",
            nanoseconds: (per_gpu, with_eight),
            ratio: per_gpu / with_eight,
            excess: per_gpu - with_eight,
            goal: if gpus == 8 { Goal::Nanoseconds(10e6 / 8.0) } else { Goal::Ratio(1.5) },
        });
    }
    Ok(())
}
