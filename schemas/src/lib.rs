//! The stored contract: what the log is written in, for ever.
//!
//! In reading order: [names of streams](StreamName), [metadata](Metadata), the [codec](StoredEvent),
//! the [form that states are written down in](StateFormat), the [table of event types](EVENT_TYPES),
//! the [upcasters](mod@upcast), and [one enum over all events](AnyEvent). Beside the code lie
//! `samples/` (real bytes of every version ever written, never changed), `states/` (a state of every
//! version that is in use, with the events that led to it), `json/` (a JSON Schema per event type,
//! kept equal to the types by a test) and `graphql/` (the published SDL, kept equal to the API by a
//! test there).
//!
//! This crate knows what bytes mean, not where they are stored.

mod stream;

mod metadata;

mod codec;

mod state_format;

mod event_types;

pub mod upcast;

mod any_event;

pub use any_event::AnyEvent;
pub use codec::{Aggregate, Encoded, StoredEvent, Undecodable};
pub use event_types::{EVENT_TYPES, EventType, ParseId, id_in, stream_of};
pub use metadata::Metadata;
pub use state_format::{StateFormat, Unreadable};
pub use stream::{NotAStreamName, StreamName};
