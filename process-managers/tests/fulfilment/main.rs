//! Processes, end to end: a real event store, real HTTP partners, and bad luck.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bad_luck;
mod cancelling;
mod dying;
mod money;
mod paths;
mod shipping;
mod shop;
mod supply;
