//! The protocol's messages. Field numbers and types are the protocol's, names follow it where they
//! help; no rule and no conversion lives here.

pub(crate) mod cluster;
pub(crate) mod read;
pub(crate) mod shared;
pub(crate) mod write;
