//! The command `xeplace`.
fn main() {}
