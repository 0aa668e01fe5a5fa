//! Bytes to events and back. Consumers only ever meet the newest shape of an event.

use bytes::Bytes;
use domain::Decider;
use thiserror::Error;

use crate::StateFormat;

/// An event as it is stored: its type, the version of its shape and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Stored name of the event type, such as `order-placed`.
    pub event_type: &'static str,
    /// Version of the shape of `data`, from 1.
    pub version: u32,
    /// JSON.
    pub data: Bytes,
}

/// Why stored bytes are no event of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Undecodable {
    /// No event of this name is known (here).
    #[error("event type `{event_type}` is unknown; a newer orderstore may have written it")]
    UnknownType {
        /// As stored.
        event_type: String,
    },
    /// The event is known, this version of it is not.
    #[error("version {version} of `{event_type}` is unknown, the newest known is {newest}")]
    UnknownVersion {
        /// As stored.
        event_type: String,
        /// As stored.
        version: u32,
        /// What this build writes.
        newest: u32,
    },
    /// The bytes do not have the shape that their version promises.
    #[error("data of `{event_type}` version {version} is malformed: {reason}")]
    Malformed {
        /// As stored.
        event_type: String,
        /// As stored.
        version: u32,
        /// The parser's words.
        reason: String,
    },
}

/// An event type with stored names and versions.
pub trait StoredEvent: Sized {
    /// The event as it is to be stored, in the newest version of its shape.
    fn encode(&self) -> Encoded;

    /// The event stored as `data`, lifted to the newest shape.
    ///
    /// # Errors
    /// See [`Undecodable`].
    fn decode(event_type: &str, version: u32, data: &[u8]) -> Result<Self, Undecodable>;
}

/// A decider whose events are stored: it has a category of streams.
pub trait Aggregate: Decider<Event: StoredEvent> {
    /// First part of the names of its streams.
    const CATEGORY: &'static str;
    /// Identifies one stream of the category; printed into its name.
    type Id: std::fmt::Display + Clone + Eq + std::hash::Hash + Send + Sync + 'static;
    /// How its states are written down, if its streams become so long that reading one from its
    /// start takes a while. Such a state says nothing about a person in clear.
    const STATES: Option<StateFormat<Self::State>> = None;
}
