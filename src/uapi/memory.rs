// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of this process: mapping it, asking for its pages, its NUMA policy, and a page that tells a forked child.

#![allow(unsafe_code, reason = "one of the two files behind which the kernel is")]

use std::{
    fmt, io, ptr, slice,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Memory that `mmap` gave and that `munmap` takes when this is dropped.
pub struct Mapping {
    address: *mut u8,
    length: usize,
}

// SAFETY: a mapping is plain memory; it belongs to the process and not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: shared references only read.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `length` bytes of zeroed private memory, or shared memory, at a multiple of `alignment`.
    ///
    /// No swap space is reserved, and no page exists until it is touched. `length` is a multiple of the page size and
    /// `alignment` a power of two.
    pub fn anonymous(length: usize, alignment: usize, shared: bool) -> io::Result<Mapping> {
        let spare = length.checked_add(alignment).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        let sharing = if shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
        let flags = sharing | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: without MAP_FIXED the kernel picks addresses that nobody uses.
        let address = unsafe { libc::mmap(ptr::null_mut(), spare, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let before = address.addr().next_multiple_of(alignment) - address.addr();
        // SAFETY: both ends lie in the mapping just made, of which nobody else knows yet.
        unsafe {
            trim(address, before);
            trim(address.add(before + length), alignment - before);
        }
        Ok(Mapping { address: address.wrapping_byte_add(before).cast(), length })
    }

    /// No memory at all.
    pub(crate) fn none() -> Mapping {
        Mapping { address: ptr::null_mut(), length: 0 }
    }

    /// First address.
    pub fn start(&self) -> u64 {
        self.address.addr() as u64
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes; never so for a live mapping.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.address, self.length) }
    }

    /// Its bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is writable, lives as long as `self`, and `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.address, self.length) }
    }

    /// One of its 64-bit words, which others (a device, the kernel) may change meanwhile.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.length / 8, "the word lies in the mapping");
        // SAFETY: inside the mapping, aligned, and only ever used as an atomic.
        unsafe { AtomicU64::from_ptr(self.address.cast::<u64>().add(index)) }
    }

    /// Moves it to other addresses: `mremap` with `MREMAP_MAYMOVE | MREMAP_FIXED`, aligned as before to `alignment`.
    pub fn moved(mut self, alignment: usize) -> io::Result<Mapping> {
        let target = Mapping::anonymous(self.length, alignment, false)?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: source and target are mappings that this call owns; the target is replaced.
        let address = unsafe {
            libc::mremap(self.address.cast(), self.length, self.length, flags, target.address.cast::<libc::c_void>())
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        self.length = 0;
        Ok(target)
    }

    /// Makes the pages of `length` bytes at `offset` read-only or writable again. Bytes must not be written meanwhile.
    pub fn protect(&mut self, offset: usize, length: usize, writable: bool) -> io::Result<()> {
        assert!(offset + length <= self.length, "the part lies in the mapping");
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: the span lies in the mapping.
        check(unsafe { libc::mprotect(self.address.add(offset).cast(), length, protection) })
    }

    /// `madvise` with `advice` on `length` bytes at `offset`.
    pub fn madvise(&mut self, offset: usize, length: usize, advice: i32) -> io::Result<()> {
        assert!(offset + length <= self.length, "the part lies in the mapping");
        // SAFETY: the span lies in the mapping, which is borrowed mutably: its bytes may change.
        check(unsafe { libc::madvise(self.address.add(offset).cast(), length, advice) })
    }

    /// Splits it in two at `offset`, a multiple of the page size inside it.
    pub fn split(mut self, offset: usize) -> (Mapping, Mapping) {
        assert!(0 < offset && offset < self.length, "the cut lies in the mapping");
        let behind = Mapping { address: self.address.wrapping_add(offset), length: self.length - offset };
        self.length = offset;
        (self, behind)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping is owned, so nobody uses its bytes any more.
            unsafe { trim(self.address.cast(), self.length) };
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Mapping({:#x}+{:#x})", self.start(), self.length)
    }
}

/// Unmaps `length` bytes, if any.
///
/// # Safety
///
/// The caller owns them and nobody uses them any more.
unsafe fn trim(address: *mut libc::c_void, length: usize) {
    if length > 0 {
        // SAFETY: as above. It can fail only by running out of VMAs; then the memory stays mapped.
        unsafe { libc::munmap(address, length) };
    }
}

/// Bytes in a page of this process.
pub(crate) fn page_size() -> u64 {
    // SAFETY: takes a number and answers one.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

/// `mincore`: one byte a page, bit 0 set where the page is in memory. `start` is page-aligned.
pub fn mincore(start: u64, pages: &mut [u8]) -> io::Result<()> {
    // SAFETY: the kernel writes one byte a page, which is what the slice has; the addresses are only asked about.
    check(unsafe { libc::mincore(ptr::without_provenance_mut(start as usize), pages.len() * 4096, pages.as_mut_ptr()) })
}

/// A NUMA policy as `mbind` takes it: a mode of `<linux/mempolicy.h>` with its flags, and a set of up to 1,024 nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryPolicy {
    /// `MPOL_DEFAULT` (0), `MPOL_PREFERRED` (1), …
    pub mode: i32,
    /// The nodes, 64 a word.
    pub nodes: [u64; 16],
}

const MAX_NODE: usize = 1024;

/// `<linux/mempolicy.h>`.
const MPOL_PREFERRED: i32 = 1;
const MPOL_F_ADDR: u64 = 1 << 1;
const MPOL_MF_MOVE: u64 = 1 << 1;

impl MemoryPolicy {
    /// New pages come from `node` while it has any (`MPOL_PREFERRED`).
    pub fn preferred(node: u32) -> Option<MemoryPolicy> {
        let mut nodes = [0; 16];
        *nodes.get_mut(node as usize / 64)? |= 1 << (node % 64);
        Some(MemoryPolicy { mode: MPOL_PREFERRED, nodes })
    }
}

/// `mbind`: sets the policy of a range. With `move_pages`, pages that this process alone has move as well.
pub fn mbind(start: u64, length: u64, policy: &MemoryPolicy, move_pages: bool) -> io::Result<()> {
    let empty = policy.nodes.iter().all(|word| *word == 0);
    let (nodes, count) = if empty { (ptr::null(), 0) } else { (policy.nodes.as_ptr(), MAX_NODE + 1) };
    let flags = if move_pages { MPOL_MF_MOVE } else { 0 };
    // SAFETY: a policy changes where pages come from, not what they hold; the node set is 1,024 bits long (the kernel
    // reads one bit less than it is told).
    let status = unsafe { libc::syscall(libc::SYS_mbind, start, length, policy.mode, nodes, count, flags) };
    check(status as i32)
}

/// `get_mempolicy` with `MPOL_F_ADDR`: the policy of the mapping at `address`.
pub fn get_mempolicy(address: u64) -> io::Result<MemoryPolicy> {
    let mut policy = MemoryPolicy::default();
    // SAFETY: the mode and the set of 1,024 nodes are written; the address is only asked about.
    let status = unsafe {
        let (mode, nodes) = (&raw mut policy.mode, policy.nodes.as_mut_ptr());
        libc::syscall(libc::SYS_get_mempolicy, mode, nodes, MAX_NODE, address, MPOL_F_ADDR)
    };
    check(status as i32).map(|()| policy)
}

/// `move_pages` as a question: for each page from `start` on, its NUMA node, or a negative errno (ENOENT for a page that is
/// nowhere, or in VRAM).
pub fn page_nodes(start: u64, nodes: &mut [i32]) -> io::Result<()> {
    let pages: Vec<u64> = (0..nodes.len() as u64).map(|page| start + page * 4096).collect();
    // SAFETY: both arrays have the length that is told; without target nodes nothing moves.
    let status = unsafe {
        libc::syscall(libc::SYS_move_pages, 0, pages.len(), pages.as_ptr(), ptr::null::<i32>(), nodes.as_mut_ptr(), 0)
    };
    check(status as i32)
}

/// Whether this process is still the one that asked first, and not a forked child of it.
///
/// One page, wiped by the kernel in a child (`MADV_WIPEONFORK`), holds a mark: reading it costs no system call.
/// Call it once before there is anything to protect.
pub fn is_first_process() -> bool {
    static MARK: OnceLock<Option<Mapping>> = OnceLock::new();
    let mark = MARK.get_or_init(|| {
        let mut page = Mapping::anonymous(4096, 4096, false).ok()?;
        page.madvise(0, 4096, libc::MADV_WIPEONFORK).ok()?;
        page.word(0).store(1, Ordering::Relaxed);
        Some(page)
    });
    mark.as_ref().is_none_or(|page| page.word(0).load(Ordering::Relaxed) == 1)
}

fn check(status: i32) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_zeroed_and_movable() {
        let mut memory = Mapping::anonymous(8192, 2 << 20, false).unwrap();
        assert_eq!(memory.start() % (2 << 20), 0);
        assert!(memory.bytes().iter().all(|byte| *byte == 0));
        memory.bytes_mut()[4096] = 7;
        let (before, behind) = memory.split(4096);
        drop(before);
        let behind = behind.moved(4096).unwrap();
        assert_eq!(behind.bytes()[0], 7);
    }

    #[test]
    fn a_process_knows_itself() {
        assert!(is_first_process());
    }

    #[test]
    fn pages_exist_once_touched() {
        let mut memory = Mapping::anonymous(8192, 4096, false).unwrap();
        memory.bytes_mut()[0] = 1;
        let mut pages = [0; 2];
        mincore(memory.start(), &mut pages).unwrap();
        assert_eq!(pages.map(|byte| byte & 1), [1, 0]);
    }
}
