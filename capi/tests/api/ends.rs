// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends, what goes away, and what never made sense.

use crate::{PAIR, both::*};
use std::fs;
use xeplace::{Location, Place, driver::Access};

#[test]
fn promise_7_bad_input_gets_a_clear_error_and_changes_nothing() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let wish = Wish::prefer(&[vram(1)]);
        for span in [(4096, 0), (u64::MAX - 4095, 4096), (1 << 47, 4096), (0xffff_8000_0000_0000, 4096)] {
            assert_eq!(space.advise(span, &wish).err(), Some(libc::EINVAL), "{span:x?}");
            assert_eq!(space.prefetch(span, &Order::to(vram(1))).err(), Some(libc::EINVAL));
            assert_eq!(space.reset(span).err(), Some(libc::EINVAL));
            assert_eq!(space.residency(span).err(), Some(libc::EINVAL));
            assert_eq!(space.attributes(span).err(), Some(libc::EINVAL));
            assert_eq!(space.explain(span).err(), Some(libc::EINVAL));
            assert_eq!(space.touch(0, span, Access::Read), Err(libc::EINVAL));
        }
        assert_eq!(space.advise(data.span(), &Wish::default()).err(), Some(libc::EINVAL));
        assert_eq!(space.advise(data.span(), &Wish::prefer(&[vram(2)])).err(), Some(libc::ENOENT));
        let nobody = Wish { gpus: Some(vec![5]), ..wish };
        assert_eq!(space.advise(data.span(), &nobody).err(), Some(libc::ENOENT));
        assert_eq!(space.add(5), Err(libc::ENOENT));
        assert_eq!(space.touch(5, data.span(), Access::Read), Err(libc::ENOENT));
        // No vm was even made.
        assert_eq!(space.attributes(data.span()).unwrap(), []);
    });
}

#[test]
fn an_unaligned_range_is_rounded_outward() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let (start, _) = data.span();
        let told = space.advise((start + 4095, 2), &Wish::prefer(&[Location::System])).unwrap();
        assert_eq!(told.range, range((start, 8192)));
    });
}

#[test]
fn promise_7_a_closed_space_says_so() {
    each_api(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        let memory = space.allocate(2 * MIB, &[(Location::System, 1)], None).unwrap();
        let mut job = space.start_prefetch(data.span(), &Order::to(vram(0))).unwrap();
        space.close();
        assert_eq!(space.advise(data.span(), &Wish::prefer(&[Location::System])).err(), Some(libc::EBADF));
        assert_eq!(space.prefetch(data.span(), &Order::to(vram(0))).err(), Some(libc::EBADF));
        assert_eq!(space.residency(data.span()).err(), Some(libc::EBADF));
        assert_eq!(space.members().err(), Some(libc::EBADF));
        assert_eq!(space.add(0), Err(libc::EBADF));
        assert_eq!(job.step(), Err(libc::EBADF));
        assert_eq!(memory.span().1, 2 * MIB, "memory is memory still");
    });
}

#[test]
fn promise_7_a_gpu_that_has_gone_is_named() {
    each_simulated(PAIR, |machine| {
        let space = machine.space().unwrap();
        let data = Data::new(machine, 4 * MIB);
        space.advise(data.span(), &Wish::prefer(&[vram(1)])).unwrap().accepted.unwrap();
        space.prefetch(data.span(), &Order::to(vram(1))).unwrap().completed.unwrap();
        machine.unplug(1);
        assert_eq!(space.touch(1, data.span(), Access::Read), Err(libc::ENODEV));
        let told = space.advise(data.span(), &Wish { gpus: Some(vec![0]), ..Wish::prefer(&[vram(1)]) });
        assert_eq!(told.and_then(|told| told.accepted).err(), Some(libc::ENODEV));
        assert!(machine.is_lost(1) && !machine.is_lost(0));
        // The data is safe, and the other GPU goes on with it.
        assert_eq!(space.residency(data.span()).unwrap()[0].place, Place::System);
        let gone = space.members().unwrap()[1].0;
        space.detach(gone).unwrap();
        space.advise(data.span(), &Wish::prefer(&[vram(0)])).unwrap().accepted.unwrap();
        space.prefetch(data.span(), &Order::to(vram(0))).unwrap().completed.unwrap();
    });
}

#[test]
fn machines_that_make_no_sense_are_refused() {
    for text in ["", "2x", "99999999999x bmg", "bmg vram=", "switch(2x bmg", "bmg)", "bmg tiles=0", "cpu=pdp11 bmg"] {
        assert_eq!(each_refusal(text), [libc::EINVAL; 2], "{text:?}");
    }
    assert_eq!(each_refusal(&"(".repeat(10_000)), [libc::EINVAL; 2]);
    assert_eq!(each_refusal(&"switch(".repeat(10_000)), [libc::EINVAL; 2]);
    assert_eq!(each_refusal("none"), [0; 2]);
}

#[test]
fn a_recording_is_the_machine_again() {
    each_simulated(PAIR, |machine| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine");
        let path = path.to_str().unwrap();
        machine.record(path).unwrap();
        assert_eq!(machine.record(path), Err(libc::EINVAL), "there is something in it");
        for again in each_recorded(path) {
            let again = again.unwrap();
            assert_eq!((again.gpu_count(), again.groups()), (machine.gpu_count(), machine.groups()));
            let (space, data) = (again.space().unwrap(), Data::new(&*again, 2 * MIB));
            space.advise(data.span(), &Wish::prefer(&[vram(1)])).unwrap().accepted.unwrap();
        }
    });
}

#[test]
fn promise_7_hostile_recordings_are_refused_or_understood() {
    each_simulated(PAIR, |machine| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine");
        machine.record(path.to_str().unwrap()).unwrap();
        let mut files = Vec::new();
        collect(&path, &mut files);
        assert!(files.len() > 10, "{files:?}");
        for file in &files {
            let before = fs::read(file).unwrap();
            for garbage in [&b""[..], &[0xff; 300], b"99999999999999999999999\n"] {
                fs::write(file, garbage).unwrap();
                for answer in each_recorded(path.to_str().unwrap()) {
                    match answer {
                        Ok(machine) => assert!(machine.gpu_count() <= 2),
                        Err(errno) => assert!(errno > 0 && errno != libc::ENOTRECOVERABLE, "{file:?}: {errno}"),
                    }
                }
            }
            fs::write(file, before).unwrap();
        }
        assert!(
            each_recorded("/nonexistent/recording").iter().all(|answer| answer.as_ref().err() == Some(&libc::ENOENT))
        );
    });
}

/// The plain files below a directory.
fn collect(directory: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => collect(&entry.path(), files),
            kind if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}
