//! A server that speaks the gRPC protocol of EventStoreDB, in one process and durable on the local
//! disk, so that a program can be developed, tested and run small with the official clients and
//! without a cluster.
//!
//! ```ignore
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let server = embedded_store::serve(listener, embedded_store::Options::at("data")).await?;
//! let client = eventstore::Client::new(server.connection_string().parse()?)?;
//! // …
//! server.stop().await;
//! ```
//!
//! What it promises:
//!
//! - An append that was answered is on the disk and survives the end of the process at any moment.
//!   Readers and subscribers see an event only after that.
//! - Appends to one stream have consecutive revisions; all appends have one order, the log's. An
//!   append happens whole or not at all, and a repeated one is recognised by its event ids.
//! - A subscription misses nothing and sees nothing twice, from catching up to following. A slow
//!   one costs the server a page of memory and nobody else anything.
//! - A stop answers what waits, ends what runs with UNAVAILABLE, and leaves a directory that the
//!   next start opens at once.
//!
//! It is one node by design, for one machine: no cluster. TLS, users and access lists are options.
//! `docs/embedded-store.md` says what is served and what is not.
//!
//! The modules, from the outside in: `options`, `server`, `error` and [`maintenance`] are the public
//! face; `connection` and `descriptors` the sockets; `protocol` the messages and calls; `http` the web
//! page and what else is not gRPC; `security` who may do what; `reading` reads and subscriptions;
//! `persistent` groups that share a subscription; `semantics` the rules, pure; `storage` the disk;
//! `event` what all of them pass around; `beginning` what a new log holds.

mod beginning;
mod connection;
mod descriptors;
mod error;
mod event;
mod http;
pub mod maintenance;
mod options;
mod persistent;
mod protocol;
mod reading;
mod security;
mod semantics;
mod server;
mod statistics;
mod storage;

pub use error::{Error, Failure};
pub use options::{Authentication, MAX_APPEND_SIZE, Options, Tls};
pub use server::{Server, serve};
pub use storage::Recovery;
