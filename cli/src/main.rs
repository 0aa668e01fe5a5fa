//! The one binary: `orderstore`.
mod client;
mod import;
fn main() {}
