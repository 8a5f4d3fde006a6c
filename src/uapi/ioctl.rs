// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one door to the kernel's files and devices.

#![allow(unsafe_code, reason = "one of the two files behind which the kernel is")]

use super::{pagemap::*, xe_drm::*};
use std::{
    ffi::{CString, c_int, c_ulong, c_void},
    fmt, io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr,
};

/// A caller's stand-in for `ioctl(2)`: `(user, fd, request, argument)`, answering like it, with `errno` set.
pub type IoctlFunction =
    unsafe extern "C" fn(user: *mut c_void, fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int;

/// How requests reach the kernel: by `ioctl(2)`, or by a function of the caller's.
#[derive(Clone, Copy)]
pub struct Door {
    function: IoctlFunction,
    user: *mut c_void,
}

// SAFETY: whoever made a door with `Door::injected` promised that the function can be called from any thread.
unsafe impl Send for Door {}
// SAFETY: as above.
unsafe impl Sync for Door {}

impl Door {
    /// `ioctl(2)` itself.
    pub const KERNEL: Door = Door { function: libc_ioctl, user: ptr::null_mut() };

    /// Sends each request through `function`, with `user` as its first argument.
    ///
    /// # Safety
    ///
    /// The function can be called from any thread with `user`, answers as the kernel does, and writes no more than the
    /// size in the request number says.
    pub const unsafe fn injected(function: IoctlFunction, user: *mut c_void) -> Door {
        Door { function, user }
    }

    /// Sends `request`, again if a signal cut it short, and a few times more if the kernel asks for it.
    ///
    /// EAGAIN comes from a race with an invalidation and goes away, but also, for ever, from a prefetch that is larger
    /// than the VRAM: so it is believed after [`EAGAIN_TRIES`].
    pub(crate) fn send<R: Request>(self, fd: BorrowedFd<'_>, request: &mut R) -> io::Result<c_int> {
        let mut tries = EAGAIN_TRIES;
        loop {
            // SAFETY: `Request` vouches for the layout and for what it points to.
            let answer =
                unsafe { (self.function)(self.user, fd.as_raw_fd(), R::OPCODE as c_ulong, (&raw mut *request).cast()) };
            if answer >= 0 {
                return Ok(answer);
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN) if tries > 0 => tries -= 1,
                _ => return Err(error),
            }
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Door({:?})", self.function as *const ())
    }
}

/// How often a request is sent again after EAGAIN.
pub(crate) const EAGAIN_TRIES: u32 = 8;

unsafe extern "C" fn libc_ioctl(_: *mut c_void, fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    // SAFETY: the caller of this function vouches for the argument.
    unsafe { libc::ioctl(fd, request as libc::Ioctl, argument) }
}

/// A request that the kernel knows by its number.
///
/// # Safety
///
/// `Self` has the layout that the kernel expects under `OPCODE`, and each address in it stays valid for the length of
/// the call: the kernel reads from there, or writes no more than `Self` says is there. Addresses that the kernel merely
/// looks up, as those of a range to be advised, may be anything.
pub(crate) unsafe trait Request {
    const OPCODE: libc::Ioctl;
}

/// Requests whose structures hold no address that the kernel would write to.
macro_rules! plain_requests {
    ($($name:ident $opcode:ident),* $(,)?) => {
        $(
            // SAFETY: size and number are checked beside the structure, and nothing is written through it.
            unsafe impl Request for $name {
                const OPCODE: libc::Ioctl = $opcode;
            }
        )*
    };
}

plain_requests! {
    drm_xe_vm_create DRM_IOCTL_XE_VM_CREATE,
    drm_xe_vm_destroy DRM_IOCTL_XE_VM_DESTROY,
    drm_xe_exec_queue_destroy DRM_IOCTL_XE_EXEC_QUEUE_DESTROY,
    drm_xe_wait_user_fence DRM_IOCTL_XE_WAIT_USER_FENCE,
}

/// A request together with the memory that its addresses are replaced with.
///
/// Whatever addresses the caller put there are overwritten by [`With::new`], so that no caller can make the kernel
/// write into memory that is not its own.
macro_rules! requests_with_memory {
    ($($name:ident $opcode:ident),* $(,)?) => {
        $(
            // SAFETY: size and number are checked beside the structure; see `With`.
            unsafe impl Request for With<$name> {
                const OPCODE: libc::Ioctl = $opcode;
            }
        )*
    };
}

requests_with_memory! {
    drm_xe_device_query DRM_IOCTL_XE_DEVICE_QUERY,
    drm_xe_vm_bind DRM_IOCTL_XE_VM_BIND,
    drm_xe_madvise DRM_IOCTL_XE_MADVISE,
    drm_xe_vm_query_mem_range_attr DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS,
    drm_xe_vm_get_property DRM_IOCTL_XE_VM_GET_PROPERTY,
    drm_xe_exec_queue_create DRM_IOCTL_XE_EXEC_QUEUE_CREATE,
    drm_xe_exec DRM_IOCTL_XE_EXEC,
    pm_scan_arg PAGEMAP_SCAN,
}

/// A structure whose addresses were set here and nowhere else.
#[repr(transparent)]
struct With<T>(T);

/// Where the syncs of a VM_BIND are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindSyncs {
    /// There are none.
    None,
    /// At an address that cannot be read. The kernel answers EFAULT if, and only if, it accepts everything else, and
    /// does nothing: so features are asked for.
    Unreadable,
}

impl Door {
    pub(crate) fn device_query(self, fd: BorrowedFd<'_>, query: u32, reply: &mut [u8]) -> io::Result<u32> {
        let size = u32::try_from(reply.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        let data = if reply.is_empty() { 0 } else { reply.as_mut_ptr().addr() as u64 };
        let mut request = With(drm_xe_device_query { query, size, data, ..Default::default() });
        self.send(fd, &mut request)?;
        Ok(request.0.size)
    }

    pub(crate) fn vm_bind(self, fd: BorrowedFd<'_>, bind: &drm_xe_vm_bind, syncs: BindSyncs) -> io::Result<()> {
        let mut request = *bind;
        // One operation a call: a larger number would make the kernel read a vector, and the union holds none.
        request.num_binds = 1;
        (request.num_syncs, request.syncs) = match syncs {
            BindSyncs::None => (0, 0),
            BindSyncs::Unreadable => (1, 8),
        };
        self.send(fd, &mut With(request)).map(drop)
    }

    /// PURGEABLE_STATE alone holds an address, `retained_ptr`: the kernel's word goes to `retained`, or, without one,
    /// to an address that cannot be written (EFAULT if the type is known).
    pub(crate) fn madvise(
        self,
        fd: BorrowedFd<'_>,
        advice: &drm_xe_madvise,
        retained: Option<&mut u32>,
    ) -> io::Result<()> {
        let mut request = *advice;
        if request.type_ == DRM_XE_VMA_ATTR_PURGEABLE_STATE {
            let address = retained.map_or(8, |word| (&raw mut *word).addr() as u64);
            let value = drm_xe_madvise_value { reserved: address, ..advice.as_value() };
            request = drm_xe_madvise::attribute(advice.vm_id, advice.start, advice.range, advice.type_, value);
        }
        self.send(fd, &mut With(request)).map(drop)
    }

    pub(crate) fn vm_query_mem_range_attrs(
        self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_query_mem_range_attr,
        found: &mut [drm_xe_mem_range_attr],
    ) -> io::Result<()> {
        query.num_mem_ranges = u32::try_from(found.len()).map_err(|_| io::Error::from_raw_os_error(libc::ENOBUFS))?;
        query.sizeof_mem_range_attr = if found.is_empty() { 0 } else { size_of::<drm_xe_mem_range_attr>() as u64 };
        query.vector_of_mem_attr = if found.is_empty() { 0 } else { found.as_mut_ptr().addr() as u64 };
        let mut request = With(*query);
        let answer = self.send(fd, &mut request);
        *query = request.0;
        answer.map(drop)
    }

    pub(crate) fn vm_get_property(
        self,
        fd: BorrowedFd<'_>,
        query: &mut drm_xe_vm_get_property,
        found: &mut [xe_vm_fault],
    ) -> io::Result<()> {
        query.size = u32::try_from(size_of_val(found)).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        query.data = if found.is_empty() { 0 } else { found.as_mut_ptr().addr() as u64 };
        let mut request = With(*query);
        let answer = self.send(fd, &mut request);
        *query = request.0;
        answer.map(drop)
    }

    pub(crate) fn exec_queue_create(
        self,
        fd: BorrowedFd<'_>,
        queue: &mut drm_xe_exec_queue_create,
        instance: drm_xe_engine_class_instance,
    ) -> io::Result<()> {
        (queue.width, queue.num_placements) = (1, 1);
        queue.instances = (&raw const instance).addr() as u64;
        let mut request = With(*queue);
        let answer = self.send(fd, &mut request);
        *queue = request.0;
        answer.map(drop)
    }

    /// Runs the batch at `exec.address`; the driver writes `value` to `fence` when it has ended.
    pub(crate) fn exec(
        self,
        fd: BorrowedFd<'_>,
        exec: &drm_xe_exec,
        fence: &std::sync::atomic::AtomicU64,
        value: u64,
    ) -> io::Result<()> {
        let sync = drm_xe_sync {
            type_: DRM_XE_SYNC_TYPE_USER_FENCE,
            flags: DRM_XE_SYNC_FLAG_SIGNAL,
            addr: fence.as_ptr().addr() as u64,
            timeline_value: value,
            ..Default::default()
        };
        let request =
            drm_xe_exec { num_syncs: 1, syncs: (&raw const sync).addr() as u64, num_batch_buffer: 1, ..*exec };
        self.send(fd, &mut With(request)).map(drop)
    }

    /// Answers how many regions were filled in.
    pub(crate) fn pagemap_scan(
        self,
        pagemap: BorrowedFd<'_>,
        scan: &mut pm_scan_arg,
        found: &mut [page_region],
    ) -> io::Result<usize> {
        scan.size = size_of::<pm_scan_arg>() as u64;
        scan.vec = found.as_mut_ptr().addr() as u64;
        scan.vec_len = found.len() as u64;
        let mut request = With(*scan);
        let answer = self.send(pagemap, &mut request);
        *scan = request.0;
        answer.map(|count| count as usize)
    }
}

/// `open` with `O_CLOEXEC`.
pub(crate) fn open(path: &Path, flags: c_int) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is a C string.
    owned(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) })
}

/// `F_DUPFD_CLOEXEC`: a duplicate whose number is `lowest` or higher.
pub(crate) fn duplicate(fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    owned(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) })
}

/// `dup3`: lets the number of `kept` denote the file of `other` from now on. What it denoted is closed, the number
/// never becomes free.
pub(crate) fn replace(kept: &OwnedFd, other: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: `kept` owns its number.
    let status = unsafe { libc::dup3(other.as_raw_fd(), kept.as_raw_fd(), libc::O_CLOEXEC) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `fstat`: what a descriptor number denotes, as (device, inode), and the device number if it is a device file.
pub(crate) fn identify(fd: RawFd) -> io::Result<Identity> {
    // SAFETY: all zeroes is a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: takes a number and fills in the structure.
    if unsafe { libc::fstat(fd, &raw mut stat) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
        special: (libc::major(stat.st_rdev), libc::minor(stat.st_rdev)),
    })
}

/// What a descriptor denotes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Major and minor number of a device file.
    pub(crate) special: (u32, u32),
}

/// `pread`, once.
pub(crate) fn read_at(fd: BorrowedFd<'_>, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most the slice's length.
    let count = unsafe { libc::pread(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), offset as libc::off_t) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

fn owned(fd: c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just handed the number out.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::fd::AsFd, sync::Mutex};

    /// What a caller's own ioctl function was given.
    #[derive(Default)]
    struct Seen {
        requests: Vec<(c_int, c_ulong)>,
        bind: Option<drm_xe_vm_bind>,
    }

    unsafe extern "C" fn note(user: *mut c_void, fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
        // SAFETY: `injected` below gives a `Mutex<Seen>` that outlives the door.
        let mut seen = unsafe { &*user.cast::<Mutex<Seen>>() }.lock().unwrap();
        seen.requests.push((fd, request));
        if request == DRM_IOCTL_XE_VM_BIND as c_ulong {
            // SAFETY: the request's number says what the argument is.
            seen.bind = Some(unsafe { *argument.cast::<drm_xe_vm_bind>() });
        }
        0
    }

    fn injected(seen: &Mutex<Seen>) -> Door {
        // SAFETY: the function writes nothing, and `seen` outlives the door.
        unsafe { Door::injected(note, ptr::from_ref(seen).cast_mut().cast()) }
    }

    #[test]
    fn j13_j14_j15_j34_a_bind_is_one_operation_and_has_no_syncs() {
        let seen = Mutex::default();
        let file = std::fs::File::open("/dev/null").unwrap();
        let prefetch = drm_xe_vm_bind_op { op: DRM_XE_VM_BIND_OP_PREFETCH, range: 4096, ..Default::default() };
        // Whatever a caller puts there: a vector of operations, syncs at some address.
        let careless = drm_xe_vm_bind {
            vm_id: 3,
            num_binds: 7,
            num_syncs: 2,
            syncs: 0xdead_0000,
            bind: prefetch,
            ..Default::default()
        };
        injected(&seen).vm_bind(file.as_fd(), &careless, BindSyncs::None).unwrap();
        let sent = seen.lock().unwrap().bind.unwrap();
        assert_eq!((sent.num_binds, sent.num_syncs, sent.syncs), (1, 0, 0));
        assert_eq!((sent.vm_id, sent.bind), (3, prefetch));
    }

    #[test]
    fn a_caller_s_own_function_gets_every_request() {
        let seen = Mutex::default();
        let file = std::fs::File::open("/dev/null").unwrap();
        let door = injected(&seen);
        door.device_query(file.as_fd(), DRM_XE_DEVICE_QUERY_CONFIG, &mut []).unwrap();
        let advice = drm_xe_madvise::attribute(1, 0, 4096, DRM_XE_MEM_RANGE_ATTR_ATOMIC, Default::default());
        door.madvise(file.as_fd(), &advice, None).unwrap();
        let requests = std::mem::take(&mut seen.lock().unwrap().requests);
        let fd = file.as_raw_fd();
        assert_eq!(requests, [DRM_IOCTL_XE_DEVICE_QUERY, DRM_IOCTL_XE_MADVISE].map(|request| (fd, request as c_ulong)));
    }
}
