//! A private Postgres cluster over the installed server binaries (Unix only).
//!
//! It belongs to one process: started by it, reached through a Unix socket only, stopped with it.
//! What a killed process leaves running is stopped at the next start. Nothing here knows SQL
//! beyond creating the one database, and nothing knows orders.
//!
//! Reading order: [`binaries`] finds the server, [`account`] decides which user runs it,
//! [`home`] lays out and locks the data directory, [`left_over`] clears what a killed run left,
//! [`server`] is the running process and [`death_watch`] what stops it when we are killed,
//! [`wire`] asks it whether it is ready, [`cluster`] puts these together.

mod account;
mod binaries;
mod cluster;
mod death_watch;
mod error;
mod home;
mod left_over;
mod server;
mod wire;

pub use binaries::Binaries;
pub use cluster::{Cluster, Options};
pub use error::Error;
pub use home::socket_dir_for;

/// The oldest Postgres this crate starts.
pub const OLDEST_MAJOR: u32 = 15;

/// Name of the database a cluster is created with.
pub const DATABASE: &str = "orderstore";

/// Name of the database user a cluster is created with: its owner, without a password.
pub const USER: &str = "orderstore";
