//! `event_store.client.streams`: the messages of `Append`, `BatchAppend`, `Delete` and `Tombstone`.

use bytes::Bytes;

use super::shared::{
    AllStreamPosition, MetadataEntry, RpcStatus, StreamIdentifier, Timestamp, Uuid,
};

/// What the stream must look like. The same four fields under the same numbers in every request.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum ExpectedRevision {
    #[prost(uint64, tag = "2")]
    Revision(u64),
    #[prost(message, tag = "3")]
    NoStream(()),
    #[prost(message, tag = "4")]
    Any(()),
    #[prost(message, tag = "5")]
    StreamExists(()),
}

/// A stream and what it must look like: the options of `Append`, `Delete` and `Tombstone`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Target {
    #[prost(message, optional, tag = "1")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
    #[prost(oneof = "ExpectedRevision", tags = "2, 3, 4, 5")]
    pub(crate) expected: Option<ExpectedRevision>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProposedMessage {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Uuid>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) metadata: Vec<MetadataEntry>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) custom_metadata: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) data: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AppendReq {
    #[prost(oneof = "AppendContent", tags = "1, 2")]
    pub(crate) content: Option<AppendContent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum AppendContent {
    #[prost(message, tag = "1")]
    Options(Target),
    #[prost(message, tag = "2")]
    ProposedMessage(ProposedMessage),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AppendResp {
    #[prost(oneof = "AppendResult", tags = "1, 2")]
    pub(crate) result: Option<AppendResult>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum AppendResult {
    #[prost(message, tag = "1")]
    Success(Success),
    #[prost(message, tag = "2")]
    WrongExpectedVersion(WrongExpectedVersion),
}

/// The answer to an append that holds; the same message in `Append` and `BatchAppend`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Success {
    #[prost(oneof = "CurrentRevision", tags = "1, 2")]
    pub(crate) current_revision: Option<CurrentRevision>,
    #[prost(oneof = "WrittenPosition", tags = "3, 4")]
    pub(crate) position: Option<WrittenPosition>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum CurrentRevision {
    #[prost(uint64, tag = "1")]
    Revision(u64),
    #[prost(message, tag = "2")]
    NoStream(()),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum WrittenPosition {
    #[prost(message, tag = "3")]
    Position(AllStreamPosition),
    #[prost(message, tag = "4")]
    NoPosition(()),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct WrongExpectedVersion {
    #[prost(oneof = "Current", tags = "6, 7")]
    pub(crate) current: Option<Current>,
    #[prost(oneof = "Expected", tags = "8, 9, 10, 11")]
    pub(crate) expected: Option<Expected>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum Current {
    #[prost(uint64, tag = "6")]
    Revision(u64),
    #[prost(message, tag = "7")]
    NoStream(()),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum Expected {
    #[prost(uint64, tag = "8")]
    Revision(u64),
    #[prost(message, tag = "9")]
    Any(()),
    #[prost(message, tag = "10")]
    StreamExists(()),
    #[prost(message, tag = "11")]
    NoStream(()),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchAppendReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) correlation_id: Option<Uuid>,
    #[prost(message, optional, tag = "2")]
    pub(crate) options: Option<BatchOptions>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) proposed_messages: Vec<ProposedMessage>,
    #[prost(bool, tag = "4")]
    pub(crate) is_final: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchOptions {
    #[prost(message, optional, tag = "1")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
    #[prost(oneof = "ExpectedRevision", tags = "2, 3, 4, 5")]
    pub(crate) expected: Option<ExpectedRevision>,
    #[prost(oneof = "BatchDeadline", tags = "6, 7")]
    pub(crate) deadline: Option<BatchDeadline>,
}

/// Until when a batch has to be written: a time, as clients of 21.10 say it, or from its arrival
/// on. The official Rust client puts the time into the duration.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum BatchDeadline {
    #[prost(message, tag = "6")]
    At(Timestamp),
    #[prost(message, tag = "7")]
    In(Timestamp),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchAppendResp {
    #[prost(message, optional, tag = "1")]
    pub(crate) correlation_id: Option<Uuid>,
    #[prost(oneof = "BatchResult", tags = "2, 3")]
    pub(crate) result: Option<BatchResult>,
    #[prost(message, optional, tag = "4")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
    #[prost(oneof = "BatchExpected", tags = "5, 6, 7, 8")]
    pub(crate) expected: Option<BatchExpected>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum BatchResult {
    #[prost(message, tag = "2")]
    Error(RpcStatus),
    #[prost(message, tag = "3")]
    Success(Success),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum BatchExpected {
    #[prost(uint64, tag = "5")]
    Revision(u64),
    #[prost(message, tag = "6")]
    NoStream(()),
    #[prost(message, tag = "7")]
    Any(()),
    #[prost(message, tag = "8")]
    StreamExists(()),
}

/// The request of `Delete` and of `Tombstone`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeleteReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<Target>,
}

/// The answer to `Delete` and to `Tombstone`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct DeleteResp {
    #[prost(oneof = "DeletePosition", tags = "1, 2")]
    pub(crate) position: Option<DeletePosition>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum DeletePosition {
    #[prost(message, tag = "1")]
    Position(AllStreamPosition),
    #[prost(message, tag = "2")]
    NoPosition(()),
}
