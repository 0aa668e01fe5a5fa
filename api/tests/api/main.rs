//! The API through its public way in: HTTP and WebSocket, over a real event store and a real
//! Postgres.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is surprised")]

mod acting;
mod support;

mod access;
mod schema;

mod authentication;
mod transport;

mod actions;
mod changing;
mod erasing;
mod finding;
mod goods;
mod lists;
mod metrics;
mod money;
mod past;
mod people;
mod placing;
mod processes;
mod refusals;
mod stocks;
mod writing;

mod sockets;

mod reading;
mod watching;
