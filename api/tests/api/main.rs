//! The API through its public way in: HTTP and WebSocket, over a real event store and a real
//! Postgres.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is surprised")]

mod acting;
mod support;

mod access;
mod schema;

mod authentication;
mod transport;

mod changing;
mod goods;
mod money;
mod placing;
mod refusals;
mod stocks;
mod writing;

mod sockets;

mod reading;
mod watching;
