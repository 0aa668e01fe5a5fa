//! The one binary: `orderstore`.
fn main() {}
