//! The stored contract: names, versions, codec, upcasters, samples.
mod codec;
mod metadata;
mod stream;

pub use codec::{Aggregate, Encoded, StoredEvent, Undecodable};
pub use metadata::Metadata;
pub use stream::{NotAStreamName, StreamName};
