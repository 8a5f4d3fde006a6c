// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes the archives that the kernel unpacks as its first file system: format "newc", of
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// An archive that is being written. Directories on the way to a file come by themselves. Everything belongs to root.
pub struct Archive<W> {
    out: W,
    entries: u32,
    directories: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    pub fn new(out: W) -> Archive<W> {
        Archive { out, entries: 0, directories: BTreeSet::new() }
    }

    /// A directory for everybody to read.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let above = &path[..end];
            if !above.is_empty() && self.directories.insert(above.to_owned()) {
                self.entry(above, DIRECTORY | 0o755, &[])?;
            }
        }
        Ok(())
    }

    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.make_way(path)?;
        self.entry(path, FILE | mode, content)
    }

    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.make_way(path)?;
        self.entry(path, LINK | 0o777, target.as_bytes())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()
    }

    fn make_way(&mut self, path: &str) -> io::Result<()> {
        path.rsplit_once('/').map_or(Ok(()), |(above, _)| self.directory(above))
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let path = path.trim_start_matches('/');
        self.entries += 1;
        let too_large = |_| io::Error::new(io::ErrorKind::FileTooLarge, path.to_owned());
        let length = u32::try_from(content.len()).map_err(too_large)?;
        let name_length = path.len() as u32 + 1;
        // Inode, mode, owner, group, links, time, length, four device numbers, length of the name, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name_length, 0];
        let mut header = String::from("070701");
        header.extend(fields.iter().map(|field| format!("{field:08x}")));
        self.out.write_all(header.as_bytes())?;
        self.padded(110, &[path.as_bytes(), &[0]].concat())?;
        self.padded(0, content)
    }

    /// Writes `bytes`, and zeros up to a multiple of four, `before` counted in.
    fn padded(&mut self, before: usize, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        let end = before + bytes.len();
        self.out.write_all(&[0; 3][..end.next_multiple_of(4) - end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.file("a/b/c", 0o755, b"hello").unwrap();
        archive.file("a/b/d", 0o644, b"").unwrap();
        archive.link("a/l", "b/c").unwrap();
        archive.finish().unwrap();
        bytes
    }

    #[test]
    fn directories_come_before_what_lies_in_them_and_once() {
        let text = String::from_utf8_lossy(&sample()).into_owned();
        let at = |name: &str| text.find(name).unwrap();
        assert!(at("a\0") < at("a/b\0") && at("a/b\0") < at("a/b/c\0") && at("a/b/c\0") < at("TRAILER!!!\0"));
        assert_eq!(text.matches("a/b\0").count(), 1);
    }

    #[test]
    fn headers_and_contents_are_aligned() {
        let bytes = sample();
        assert_eq!(bytes.len() % 4, 0);
        let headers = bytes.windows(6).enumerate().filter(|(_, six)| *six == b"070701");
        assert!(headers.clone().all(|(at, _)| at % 4 == 0));
        assert_eq!(headers.count(), 6);
    }
}
