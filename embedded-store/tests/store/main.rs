//! The server as its users meet it: through the official client, over a real connection.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod appending;
mod crash;
mod deleting;
mod harness;
mod lifecycle;
mod metadata;
mod reading;
mod subscribing;
mod wire;
