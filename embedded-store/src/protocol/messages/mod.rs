//! The protocol's messages. Field numbers and types are the protocol's, names follow it where they
//! help; no rule and no conversion lives here.

pub(crate) mod cluster;
pub(crate) mod monitoring;
pub(crate) mod operations;
pub(crate) mod persistent;
pub(crate) mod read;
pub(crate) mod recorded;
pub(crate) mod shared;
pub(crate) mod users;
pub(crate) mod write;
