// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own structures, names and numbers, and the door to it.
//!
//! Names, order and constants are as in `<drm/xe_drm.h>` and `<linux/fs.h>` of Linux 7.3, so that a search finds them
//! in both trees. The compiler checks sizes, offsets and request numbers here; `tests/uapi.rs` compares all of it with
//! the header itself. Nothing in here knows anything of the library above.

mod ioctl;
pub mod memory;
pub mod pagemap;
pub mod xe_drm;

pub use ioctl::{BindSyncs, IoctlFunction};
pub(crate) use ioctl::{Door, EAGAIN_TRIES, Identity, duplicate, identify, open, read_at, replace};
pub use pagemap::*;
pub use xe_drm::*;
