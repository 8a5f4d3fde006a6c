// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a space does. Runs on simulated machines, and on this host's GPUs with `XEPLACE_TEST_HOST=1` (with two GPUs in
//! one interconnect group, each with 64 MiB of VRAM or more). Every test is the same on both.

mod counted;
mod pair;
mod placing;
mod runtimes;
mod traps;
