// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Battlemage GPU as far as Linux's xe driver needs one, for QEMU over vfio-user.
//!
//! It is a virtual function, so the driver brings no firmware and touches no power, clock or fuse registers. Facts about
//! the hardware come from the driver's sources (`drivers/gpu/drm/xe` of Linux 7.3; a file name without more is there) and
//! from Intel's Programmer's Reference Manuals.
//!
//! From a register write to a page fault, a reader meets the modules in this order:
//!
//! 1. [`device`]: QEMU forwards the guest's access; [`pci`] is the configuration space, [`registers`] the register file.
//! 2. [`guc`]: the firmware reads the driver's message from the command buffer ([`guc::ctb`], through [`ggtt`]) and puts the
//!    context on its engine.
//! 3. [`engine`]: a thread gives contexts turns; [`engine::streamer`] fetches commands, [`commands`] has what they do.
//! 4. [`engine::port`]: a command touches memory; its address is looked up in the [`tlb`], then in the page tables
//!    ([`ppgtt`]), and leads to VRAM ([`memory`]) or over the [`bus`] to guest RAM or another GPU.
//! 5. No page: the turn ends, [`guc::faults`] makes a message of it, [`interrupts`] calls the driver. Its answer brings the
//!    context back.
//!
//! Besides: [`control`] is how a test talks to the model, [`mishaps`] what it can ask for, [`trace`] what it can read.
#![forbid(unsafe_code)]

pub mod bus;
pub mod clock;
pub mod commands;
pub mod control;
pub mod device;
pub mod engine;
pub mod ggtt;
pub mod gpu;
pub mod guc;
pub mod interrupts;
pub mod memory;
pub mod mishaps;
pub mod pci;
pub mod ppgtt;
pub mod registers;
pub mod rig;
pub mod settings;
pub mod tlb;
pub mod trace;
