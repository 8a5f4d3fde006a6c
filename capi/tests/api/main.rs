// SPDX-License-Identifier: MIT OR Apache-2.0
//! One body of tests over the Rust API and the C API. The promises are those of docs/design.md.

mod both;
mod ends;
mod looking;
mod moving;
mod older;
mod wishes;

/// Two GPUs that reach each other, and a third that reaches none.
const PAIR_AND_LONER: &str = "cpu=client switch(2x bmg vram=256M) bmg vram=256M";
/// Two GPUs that reach each other.
const PAIR: &str = "cpu=zen switch(2x bmg vram=256M)";
