//! The API through its public way in: HTTP and WebSocket, over a real event store and a real
//! Postgres.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is surprised")]

mod support;

mod access;
mod schema;

mod authentication;
mod transport;

mod placing;
mod refusals;
mod writing;

mod sockets;

mod reading;
mod watching;
