//! `event_store.client`: identifiers and positions that every service uses.

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Uuid {
    #[prost(oneof = "uuid::Value", tags = "1, 2")]
    pub(crate) value: Option<uuid::Value>,
}

pub(crate) mod uuid {
    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(crate) struct Structured {
        #[prost(int64, tag = "1")]
        pub(crate) most_significant_bits: i64,
        #[prost(int64, tag = "2")]
        pub(crate) least_significant_bits: i64,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Value {
        #[prost(message, tag = "1")]
        Structured(Structured),
        #[prost(string, tag = "2")]
        String(String),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamIdentifier {
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) stream_name: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct AllStreamPosition {
    #[prost(uint64, tag = "1")]
    pub(crate) commit_position: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) prepare_position: u64,
}

/// One entry of a `map<string, string>`, which is this on the wire. As a list of entries it costs
/// no hashing, and the constant keys no allocation.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MetadataEntry {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

/// Details of a refused batch.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct WrongExpectedVersion {
    #[prost(oneof = "wrong_expected_version::Current", tags = "1, 2")]
    pub(crate) current: Option<wrong_expected_version::Current>,
    #[prost(oneof = "wrong_expected_version::Expected", tags = "3, 4, 5, 6")]
    pub(crate) expected: Option<wrong_expected_version::Expected>,
}

pub(crate) mod wrong_expected_version {
    #[derive(Clone, Copy, PartialEq, prost::Oneof)]
    pub(crate) enum Current {
        #[prost(uint64, tag = "1")]
        Revision(u64),
        #[prost(message, tag = "2")]
        NoStream(()),
    }

    #[derive(Clone, Copy, PartialEq, prost::Oneof)]
    pub(crate) enum Expected {
        #[prost(uint64, tag = "3")]
        Revision(u64),
        #[prost(message, tag = "4")]
        Any(()),
        #[prost(message, tag = "5")]
        StreamExists(()),
        #[prost(message, tag = "6")]
        NoStream(()),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamDeleted {
    #[prost(message, optional, tag = "1")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct MaximumAppendSizeExceeded {
    #[prost(uint32, tag = "1")]
    pub(crate) max_append_size: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BadRequest {
    #[prost(string, tag = "1")]
    pub(crate) message: String,
}

/// `google.protobuf.Timestamp`, and `google.protobuf.Duration`, which has the same fields.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AnyMessage {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

/// `google.rpc.Status`, with the single `details` this protocol uses.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) details: Option<AnyMessage>,
}
