//! `event_store.client.persistent_subscriptions`.

use bytes::Bytes;

use super::read::{FilterOptions, UuidOption};
use super::recorded::RecordedEvent;
use super::shared::{AllStreamPosition, StreamIdentifier, Uuid};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadReq {
    #[prost(oneof = "ReadContent", tags = "1, 2, 3")]
    pub(crate) content: Option<ReadContent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ReadContent {
    #[prost(message, tag = "1")]
    Options(ReadOptions),
    #[prost(message, tag = "2")]
    Ack(Ack),
    #[prost(message, tag = "3")]
    Nack(Nack),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadOptions {
    #[prost(oneof = "read_options::Source", tags = "1, 5")]
    pub(crate) source: Option<read_options::Source>,
    #[prost(string, tag = "2")]
    pub(crate) group_name: String,
    #[prost(int32, tag = "3")]
    pub(crate) buffer_size: i32,
    #[prost(message, optional, tag = "4")]
    pub(crate) uuid_option: Option<UuidOption>,
}

pub(crate) mod read_options {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Source {
        #[prost(message, tag = "1")]
        Stream(super::StreamIdentifier),
        #[prost(message, tag = "5")]
        All(()),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ack {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) id: Bytes,
    #[prost(message, repeated, tag = "2")]
    pub(crate) ids: Vec<Uuid>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Nack {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) id: Bytes,
    #[prost(message, repeated, tag = "2")]
    pub(crate) ids: Vec<Uuid>,
    #[prost(enumeration = "NackAction", tag = "3")]
    pub(crate) action: i32,
    #[prost(string, tag = "4")]
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum NackAction {
    Unknown = 0,
    Park = 1,
    Retry = 2,
    Skip = 3,
    Stop = 4,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadResp {
    #[prost(oneof = "ReadAnswer", tags = "1, 2")]
    pub(crate) content: Option<ReadAnswer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ReadAnswer {
    #[prost(message, tag = "1")]
    Event(ReadEvent),
    #[prost(message, tag = "2")]
    Confirmation(SubscriptionConfirmation),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SubscriptionConfirmation {
    #[prost(string, tag = "1")]
    pub(crate) subscription_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadEvent {
    #[prost(message, optional, tag = "1")]
    pub(crate) event: Option<RecordedEvent>,
    #[prost(message, optional, tag = "2")]
    pub(crate) link: Option<RecordedEvent>,
    #[prost(oneof = "EventPosition", tags = "3, 4")]
    pub(crate) position: Option<EventPosition>,
    #[prost(oneof = "Count", tags = "5, 6")]
    pub(crate) count: Option<Count>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum EventPosition {
    #[prost(uint64, tag = "3")]
    CommitPosition(u64),
    #[prost(message, tag = "4")]
    NoPosition(()),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum Count {
    #[prost(int32, tag = "5")]
    RetryCount(i32),
    #[prost(message, tag = "6")]
    NoRetryCount(()),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CreateReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<PutOptions>,
}

/// `UpdateReq` has the same fields, but for the filter and the name of the strategy.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UpdateReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<PutOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PutOptions {
    /// What clients filled before there was a choice.
    #[prost(message, optional, tag = "1")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
    #[prost(string, tag = "2")]
    pub(crate) group_name: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) settings: Option<Settings>,
    #[prost(oneof = "put_options::Source", tags = "4, 5")]
    pub(crate) source: Option<put_options::Source>,
}

pub(crate) mod put_options {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Source {
        #[prost(message, tag = "4")]
        Stream(super::StreamOptions),
        #[prost(message, tag = "5")]
        All(super::AllOptions),
    }
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

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AllOptions {
    #[prost(oneof = "FromPosition", tags = "1, 2, 3")]
    pub(crate) from: Option<FromPosition>,
    #[prost(oneof = "Filtering", tags = "4, 5")]
    pub(crate) filtering: Option<Filtering>,
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

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Filtering {
    #[prost(message, tag = "4")]
    Filter(FilterOptions),
    #[prost(message, tag = "5")]
    NoFilter(()),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Settings {
    #[prost(bool, tag = "1")]
    pub(crate) resolve_links: bool,
    /// What clients filled before there was a choice.
    #[prost(uint64, tag = "2")]
    pub(crate) revision: u64,
    #[prost(bool, tag = "3")]
    pub(crate) extra_statistics: bool,
    #[prost(oneof = "MessageTimeout", tags = "4, 14")]
    pub(crate) message_timeout: Option<MessageTimeout>,
    #[prost(int32, tag = "5")]
    pub(crate) max_retry_count: i32,
    #[prost(oneof = "CheckpointAfter", tags = "6, 15")]
    pub(crate) checkpoint_after: Option<CheckpointAfter>,
    #[prost(int32, tag = "7")]
    pub(crate) min_checkpoint_count: i32,
    #[prost(int32, tag = "8")]
    pub(crate) max_checkpoint_count: i32,
    #[prost(int32, tag = "9")]
    pub(crate) max_subscriber_count: i32,
    #[prost(int32, tag = "10")]
    pub(crate) live_buffer_size: i32,
    #[prost(int32, tag = "11")]
    pub(crate) read_batch_size: i32,
    #[prost(int32, tag = "12")]
    pub(crate) history_buffer_size: i32,
    #[prost(enumeration = "NamedStrategy", tag = "13")]
    pub(crate) named_consumer_strategy: i32,
    #[prost(string, tag = "16")]
    pub(crate) consumer_strategy: String,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum MessageTimeout {
    #[prost(int64, tag = "4")]
    Ticks(i64),
    #[prost(int32, tag = "14")]
    Ms(i32),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum CheckpointAfter {
    #[prost(int64, tag = "6")]
    Ticks(i64),
    #[prost(int32, tag = "15")]
    Ms(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum NamedStrategy {
    DispatchToSingle = 0,
    RoundRobin = 1,
    Pinned = 2,
}

/// The answer to whatever needs none.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Done {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeleteReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<DeleteOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeleteOptions {
    #[prost(oneof = "delete_options::Source", tags = "1, 3")]
    pub(crate) source: Option<delete_options::Source>,
    #[prost(string, tag = "2")]
    pub(crate) group_name: String,
}

pub(crate) mod delete_options {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Source {
        #[prost(message, tag = "1")]
        Stream(super::StreamIdentifier),
        #[prost(message, tag = "3")]
        All(()),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetInfoReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<GetInfoOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetInfoOptions {
    #[prost(oneof = "SourceOption", tags = "1, 2")]
    pub(crate) source: Option<SourceOption>,
    #[prost(string, tag = "3")]
    pub(crate) group_name: String,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum SourceOption {
    #[prost(message, tag = "1")]
    Stream(StreamIdentifier),
    #[prost(message, tag = "2")]
    All(()),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetInfoResp {
    #[prost(message, optional, tag = "1")]
    pub(crate) subscription_info: Option<SubscriptionInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SubscriptionInfo {
    #[prost(string, tag = "1")]
    pub(crate) event_source: String,
    #[prost(string, tag = "2")]
    pub(crate) group_name: String,
    #[prost(string, tag = "3")]
    pub(crate) status: String,
    #[prost(message, repeated, tag = "4")]
    pub(crate) connections: Vec<ConnectionInfo>,
    #[prost(int32, tag = "5")]
    pub(crate) average_per_second: i32,
    #[prost(int64, tag = "6")]
    pub(crate) total_items: i64,
    #[prost(int64, tag = "7")]
    pub(crate) count_since_last_measurement: i64,
    #[prost(string, tag = "8")]
    pub(crate) last_checkpointed_event_position: String,
    #[prost(string, tag = "9")]
    pub(crate) last_known_event_position: String,
    #[prost(bool, tag = "10")]
    pub(crate) resolve_link_tos: bool,
    #[prost(string, tag = "11")]
    pub(crate) start_from: String,
    #[prost(int32, tag = "12")]
    pub(crate) message_timeout_milliseconds: i32,
    #[prost(bool, tag = "13")]
    pub(crate) extra_statistics: bool,
    #[prost(int32, tag = "14")]
    pub(crate) max_retry_count: i32,
    #[prost(int32, tag = "15")]
    pub(crate) live_buffer_size: i32,
    #[prost(int32, tag = "16")]
    pub(crate) buffer_size: i32,
    #[prost(int32, tag = "17")]
    pub(crate) read_batch_size: i32,
    #[prost(int32, tag = "18")]
    pub(crate) check_point_after_milliseconds: i32,
    #[prost(int32, tag = "19")]
    pub(crate) min_check_point_count: i32,
    #[prost(int32, tag = "20")]
    pub(crate) max_check_point_count: i32,
    #[prost(int32, tag = "21")]
    pub(crate) read_buffer_count: i32,
    #[prost(int64, tag = "22")]
    pub(crate) live_buffer_count: i64,
    #[prost(int32, tag = "23")]
    pub(crate) retry_buffer_count: i32,
    #[prost(int32, tag = "24")]
    pub(crate) total_in_flight_messages: i32,
    #[prost(int32, tag = "25")]
    pub(crate) outstanding_messages_count: i32,
    #[prost(string, tag = "26")]
    pub(crate) named_consumer_strategy: String,
    #[prost(int32, tag = "27")]
    pub(crate) max_subscriber_count: i32,
    #[prost(int64, tag = "28")]
    pub(crate) parked_message_count: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConnectionInfo {
    #[prost(string, tag = "1")]
    pub(crate) from: String,
    #[prost(string, tag = "2")]
    pub(crate) username: String,
    #[prost(int32, tag = "3")]
    pub(crate) average_items_per_second: i32,
    #[prost(int64, tag = "4")]
    pub(crate) total_items: i64,
    #[prost(int64, tag = "5")]
    pub(crate) count_since_last_measurement: i64,
    #[prost(message, repeated, tag = "6")]
    pub(crate) observed_measurements: Vec<Measurement>,
    #[prost(int32, tag = "7")]
    pub(crate) available_slots: i32,
    #[prost(int32, tag = "8")]
    pub(crate) in_flight_messages: i32,
    #[prost(string, tag = "9")]
    pub(crate) connection_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Measurement {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(int64, tag = "2")]
    pub(crate) value: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReplayParkedReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<ReplayParkedOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReplayParkedOptions {
    #[prost(string, tag = "1")]
    pub(crate) group_name: String,
    #[prost(oneof = "replay_options::Source", tags = "2, 3")]
    pub(crate) source: Option<replay_options::Source>,
    #[prost(oneof = "replay_options::StopAt", tags = "4, 5")]
    pub(crate) stop_at: Option<replay_options::StopAt>,
}

pub(crate) mod replay_options {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Source {
        #[prost(message, tag = "2")]
        Stream(super::StreamIdentifier),
        #[prost(message, tag = "3")]
        All(()),
    }

    #[derive(Clone, Copy, PartialEq, prost::Oneof)]
    pub(crate) enum StopAt {
        #[prost(int64, tag = "4")]
        StopAt(i64),
        #[prost(message, tag = "5")]
        NoLimit(()),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<ListOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListOptions {
    #[prost(oneof = "ListOption", tags = "1, 2")]
    pub(crate) list: Option<ListOption>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ListOption {
    #[prost(message, tag = "1")]
    AllSubscriptions(()),
    #[prost(message, tag = "2")]
    ForStream(ListForStream),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListForStream {
    #[prost(oneof = "SourceOption", tags = "1, 2")]
    pub(crate) source: Option<SourceOption>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListResp {
    #[prost(message, repeated, tag = "1")]
    pub(crate) subscriptions: Vec<SubscriptionInfo>,
}
