//! The API through its public way in: HTTP and WebSocket, over a real event store and a real
//! Postgres.

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
