//! `event_store.client.streams`: the messages of `Read`.

use super::recorded::RecordedEvent;
use super::shared::{AllStreamPosition, StreamIdentifier, Timestamp};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<Options>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Options {
    #[prost(oneof = "Source", tags = "1, 2")]
    pub(crate) source: Option<Source>,
    #[prost(enumeration = "Direction", tag = "3")]
    pub(crate) read_direction: i32,
    #[prost(bool, tag = "4")]
    pub(crate) resolve_links: bool,
    #[prost(oneof = "Amount", tags = "5, 6")]
    pub(crate) amount: Option<Amount>,
    #[prost(oneof = "Filtering", tags = "7, 8")]
    pub(crate) filtering: Option<Filtering>,
    #[prost(message, optional, tag = "9")]
    pub(crate) uuid_option: Option<UuidOption>,
    #[prost(message, optional, tag = "10")]
    pub(crate) control_option: Option<ControlOption>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Direction {
    Forwards = 0,
    Backwards = 1,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Source {
    #[prost(message, tag = "1")]
    Stream(StreamOptions),
    #[prost(message, tag = "2")]
    All(AllOptions),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum Amount {
    #[prost(uint64, tag = "5")]
    Count(u64),
    #[prost(message, tag = "6")]
    Subscription(SubscriptionOptions),
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Filtering {
    #[prost(message, tag = "7")]
    Filter(FilterOptions),
    #[prost(message, tag = "8")]
    NoFilter(()),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamOptions {
    #[prost(message, optional, tag = "1")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
    #[prost(oneof = "FromRevision", tags = "2, 3, 4")]
    pub(crate) from: Option<FromRevision>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum FromRevision {
    #[prost(uint64, tag = "2")]
    Revision(u64),
    #[prost(message, tag = "3")]
    Start(()),
    #[prost(message, tag = "4")]
    End(()),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct AllOptions {
    #[prost(oneof = "FromPosition", tags = "1, 2, 3")]
    pub(crate) from: Option<FromPosition>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum FromPosition {
    #[prost(message, tag = "1")]
    Position(AllStreamPosition),
    #[prost(message, tag = "2")]
    Start(()),
    #[prost(message, tag = "3")]
    End(()),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct SubscriptionOptions {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FilterOptions {
    #[prost(oneof = "FilterOn", tags = "1, 2")]
    pub(crate) on: Option<FilterOn>,
    #[prost(oneof = "Window", tags = "3, 4")]
    pub(crate) window: Option<Window>,
    #[prost(uint32, tag = "5")]
    pub(crate) checkpoint_interval_multiplier: u32,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum FilterOn {
    #[prost(message, tag = "1")]
    StreamIdentifier(Expression),
    #[prost(message, tag = "2")]
    EventType(Expression),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum Window {
    #[prost(uint32, tag = "3")]
    Max(u32),
    #[prost(message, tag = "4")]
    Count(()),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Expression {
    #[prost(string, tag = "1")]
    pub(crate) regex: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) prefix: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct UuidOption {
    #[prost(oneof = "UuidForm", tags = "1, 2")]
    pub(crate) form: Option<UuidForm>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum UuidForm {
    #[prost(message, tag = "1")]
    Structured(()),
    #[prost(message, tag = "2")]
    String(()),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ControlOption {
    #[prost(uint32, tag = "1")]
    pub(crate) compatibility: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadResp {
    #[prost(oneof = "Content", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub(crate) content: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Content {
    #[prost(message, tag = "1")]
    Event(ReadEvent),
    #[prost(message, tag = "2")]
    Confirmation(SubscriptionConfirmation),
    #[prost(message, tag = "3")]
    Checkpoint(Checkpoint),
    #[prost(message, tag = "4")]
    StreamNotFound(StreamNotFound),
    #[prost(uint64, tag = "5")]
    FirstStreamPosition(u64),
    #[prost(uint64, tag = "6")]
    LastStreamPosition(u64),
    #[prost(message, tag = "7")]
    LastAllStreamPosition(AllStreamPosition),
    #[prost(message, tag = "8")]
    CaughtUp(Reached),
    #[prost(message, tag = "9")]
    FellBehind(Reached),
}

/// How far everything was examined. The time came with later servers.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Checkpoint {
    #[prost(uint64, tag = "1")]
    pub(crate) commit_position: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) prepare_position: u64,
    #[prost(message, optional, tag = "3")]
    pub(crate) timestamp: Option<Timestamp>,
}

/// A subscription has caught up or fallen behind. In version 24.10 both messages are empty; later
/// servers say when it happened and how far the subscription had come.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Reached {
    #[prost(message, optional, tag = "1")]
    pub(crate) timestamp: Option<Timestamp>,
    /// Of a stream's subscription, unless it has seen nothing yet.
    #[prost(int64, optional, tag = "2")]
    pub(crate) stream_revision: Option<i64>,
    /// Of a subscription to all streams, unless there is nothing yet.
    #[prost(message, optional, tag = "3")]
    pub(crate) position: Option<AllStreamPosition>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SubscriptionConfirmation {
    #[prost(string, tag = "1")]
    pub(crate) subscription_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamNotFound {
    #[prost(message, optional, tag = "1")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadEvent {
    #[prost(message, optional, tag = "1")]
    pub(crate) event: Option<RecordedEvent>,
    #[prost(message, optional, tag = "2")]
    pub(crate) link: Option<RecordedEvent>,
    #[prost(oneof = "EventPosition", tags = "3, 4")]
    pub(crate) position: Option<EventPosition>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum EventPosition {
    #[prost(uint64, tag = "3")]
    CommitPosition(u64),
    #[prost(message, tag = "4")]
    NoPosition(()),
}
