//! The stored contract holds: every version ever written still reads, and every shape is published.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod json_schemas;
mod samples;
mod states;
