//! What the protocol's operations mean, apart from how they travel and where they are kept. Pure:
//! no clock, no input or output.

pub(crate) mod append;
pub(crate) mod filter;
pub(crate) mod metadata;
pub(crate) mod names;

#[cfg(test)]
pub(crate) mod model;
