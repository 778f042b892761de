//! The `sp` binary.

fn main() {}
