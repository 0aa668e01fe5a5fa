//! The server as its users meet it: through the official client, over a real connection.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod appending;
mod beginning;
mod browser;
mod conformance;
mod deleting;
mod durability;
mod harness;
mod http;
mod lifecycle;
mod maintenance_backup;
mod maintenance_checksums;
mod maintenance_compaction;
mod maintenance_damage;
mod maintenance_kill;
mod maintenance_lines;
mod maintenance_operations;
mod persistent;
mod reading;
mod robustness;
mod security;
mod subscribing;
mod web;
mod wire;

/// What the messages are made of.
#[expect(dead_code, reason = "the server's, of which the tests use little")]
#[path = "../../src/event.rs"]
mod event;

/// The messages of the protocol, for clients that the official one could not be.
#[expect(dead_code, reason = "the server's, of which the tests send a few")]
#[path = "../../src/protocol/messages/mod.rs"]
mod messages;
