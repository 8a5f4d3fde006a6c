// SPDX-License-Identifier: MIT OR Apache-2.0
//! Open files of the simulated machine: real descriptors, so that numbers are reused and duplicated as they really are.

use crate::uapi::{self, Identity};
use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
};

/// One open file; all its descriptors, in all processes, share it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FileId(u64);

/// What was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opened {
    /// A device, as it was before its next unplugging.
    Device { device: usize, plugging: u32 },
    /// This process's pagemap.
    Pagemap,
}

#[derive(Debug)]
struct OpenFile {
    opened: Opened,
    identity: Identity,
    /// Of the render node by which a device was opened.
    minor: Option<u32>,
    /// The far end of the socket pair of which the program has the near one: it reads end-of-file when the program's
    /// last descriptor has been closed.
    far: UnixStream,
}

#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    files: BTreeMap<FileId, OpenFile>,
    next: u64,
}

impl OpenFiles {
    pub(super) fn open(&mut self, opened: Opened, minor: Option<u32>) -> io::Result<OwnedFd> {
        let (near, far) = UnixStream::pair()?;
        far.set_nonblocking(true)?;
        let near = OwnedFd::from(near);
        let identity = uapi::identify(near.as_raw_fd())?;
        self.files.insert(FileId(self.next), OpenFile { opened, identity, minor, far });
        self.next += 1;
        Ok(near)
    }

    /// The file that a descriptor number denotes now: EBADF if it is closed, `None` if it is a file from elsewhere.
    pub(super) fn find(&self, number: RawFd) -> io::Result<Option<(FileId, Opened)>> {
        let identity = uapi::identify(number)?;
        let same = |file: &OpenFile| (file.identity.device, file.identity.inode) == (identity.device, identity.inode);
        Ok(self.files.iter().find(|(_, file)| same(file)).map(|(id, file)| (*id, file.opened)))
    }

    /// Forgets the files whose last descriptor was closed, and tells which.
    pub(super) fn sweep(&mut self) -> Vec<FileId> {
        let closed = |file: &OpenFile| matches!((&file.far).read(&mut [0]), Ok(0));
        let gone: Vec<FileId> = self.files.iter().filter(|(_, file)| closed(file)).map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| drop(self.files.remove(id)));
        gone
    }

    /// At which plugging of its device a file was opened.
    pub(super) fn plugging(&self, file: FileId) -> Option<u32> {
        match self.files.get(&file)?.opened {
            Opened::Device { plugging, .. } => Some(plugging),
            Opened::Pagemap => None,
        }
    }

    pub(super) fn minor(&self, file: FileId) -> Option<u32> {
        self.files.get(&file)?.minor
    }

    pub(super) fn opened(&self) -> impl Iterator<Item = Opened> {
        self.files.values().map(|file| file.opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_file_lives_as_long_as_any_descriptor_of_it() {
        let mut files = OpenFiles::default();
        let first = files.open(Opened::Pagemap, None).unwrap();
        let second = uapi::duplicate(first.as_fd(), 3).unwrap();
        let found = files.find(first.as_raw_fd()).unwrap();
        assert!(found.is_some());
        drop(first);
        assert!(files.sweep().is_empty());
        assert_eq!(files.find(second.as_raw_fd()).unwrap(), found);
        drop(second);
        assert_eq!(files.sweep().len(), 1);
    }

    #[test]
    fn a_file_from_elsewhere_is_not_ours() {
        let files = OpenFiles::default();
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(files.find(null.as_raw_fd()).unwrap(), None);
        assert_eq!(files.find(-1).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
