//! The C ABI of xeplace.
