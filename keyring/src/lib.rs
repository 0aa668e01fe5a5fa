//! Keeps personal data sealed: one key per person, which can be destroyed.
//!
//! Events only ever carry [`Sealed`](domain::personal::Sealed) data. Each person has a data key of
//! their own, which stands in the event store, wrapped (encrypted) under a master key that does not.
//! Destroying the data key erases the person from every event, snapshot, read model and backup of
//! those at once, without changing any of them.
//!
//! What it promises:
//!
//! - **Sealing needs the event store and nothing else**: orders are accepted while Postgres is away.
//! - **One key per person**, whoever seals at the same time on however many nodes: a key is created at
//!   an exact revision, and who comes second takes the first one's.
//! - **The same clear text sealed for the same place is the same value** (`cipher` says at what
//!   price), so that a command that is repeated stays the same command.
//! - **What was sealed for one place opens at no other**: stream, event type and field are
//!   authenticated with it.
//! - **An erasure is seen at once on the node that carries it out, and within
//!   [3 seconds](SECONDS_REMEMBERED) on all others.** It can be repeated and interrupted at any point.
//! - **Keys and clear text are never printed**, and overwritten in memory when they are done with.
//! - **Memory is bounded**: 20 000 keys, and the ids of 200 000 that are gone.
//!
//! docs/personal-data.md says where keys live, how to back them up and what an erasure leaves.
//!
//! In reading order: a [`Place`]; the `cipher` under one data key; the [`MasterKeys`] and the
//! [`Options`] they come from; what is remembered of persons (`memory`); and the [`Keyring`].

mod error;

mod place;

mod cipher;

mod master;

mod options;

mod memory;

mod keyring;

pub use error::{Error, MasterKeyError};
pub use keyring::{Erased, Keyring, Opened};
pub use master::MasterKeys;
pub use memory::SECONDS_REMEMBERED;
pub use options::Options;
pub use place::Place;
