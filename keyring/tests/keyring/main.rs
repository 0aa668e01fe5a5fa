//! The keyring against a real event store, through the real client.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod erasing;
mod files;
mod masters;
mod sealing;
mod store;
