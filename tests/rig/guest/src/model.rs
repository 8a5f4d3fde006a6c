// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the GPU models have done, and what can be done to them: their control socket, which the guest has as a serial
//! port.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    ops::Sub,
};

const PORT: &str = "/dev/ttyS3";

/// Asks the models something, or asks something of them; `help` tells what there is.
///
/// # Panics
///
/// Outside of the rig's guest, or if they refuse.
pub fn ask(request: &str) -> Vec<String> {
    let mut port = File::options().read(true).write(true).open(PORT).expect(PORT);
    writeln!(port, "{request}").expect(PORT);
    let mut lines = Vec::new();
    for line in BufReader::new(port).lines() {
        match line.expect(PORT) {
            line if line == "ok" => return lines,
            line if line.starts_with("error") => panic!("{request}: {line}"),
            line => lines.push(line),
        }
    }
    panic!("{PORT} has ended")
}

/// What one GPU did to the memory of another through its BAR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Loads.
    pub bytes_read: u64,
    /// Stores.
    pub bytes_written: u64,
}

impl Traffic {
    /// Since the models were started.
    ///
    /// # Panics
    ///
    /// If there are no such GPUs.
    pub fn between(accessor: usize, owner: usize) -> Traffic {
        let start = format!("{accessor} to {owner}: ");
        let lines = ask("traffic");
        let line = lines.iter().find_map(|line| line.strip_prefix(&start));
        Traffic::parse(line.unwrap_or_else(|| panic!("no traffic from {accessor} to {owner} in {lines:?}")))
    }

    /// `N reads N bytes, N writes N bytes`.
    fn parse(text: &str) -> Traffic {
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [_, bytes_read, _, bytes_written] = numbers[..] else { panic!("four numbers in {text}") };
        Traffic { bytes_read, bytes_written }
    }
}

/// What was accessed between two looks.
impl Sub for Traffic {
    type Output = Traffic;

    fn sub(self, earlier: Traffic) -> Traffic {
        Traffic {
            bytes_read: self.bytes_read - earlier.bytes_read,
            bytes_written: self.bytes_written - earlier.bytes_written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_read_and_subtracted() {
        let earlier = Traffic::parse("0 reads 0 bytes, 1 writes 4 bytes");
        let later = Traffic::parse("2 reads 8192 bytes, 3 writes 12 bytes");
        assert_eq!(later - earlier, Traffic { bytes_read: 8192, bytes_written: 8 });
    }
}
