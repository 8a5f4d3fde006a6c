//! Benchmarks of xeplace.
fn main() {}
