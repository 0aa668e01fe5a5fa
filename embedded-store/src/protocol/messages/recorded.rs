//! An event of the log, put on the wire from the record itself.
//!
//! It is what nearly all that a server sends consists of, and the one message that is not generated: a
//! message made of its own values would copy each of them once more for every reader.

use std::sync::Arc;

use bytes::{Buf, BufMut};
use prost::encoding::{
    DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, key_len,
};
use prost::{DecodeError, Message};

use crate::event::Recorded;

/// The content type of events that are JSON.
pub(crate) const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

/// `ReadEvent.RecordedEvent`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RecordedEvent {
    event: Option<Arc<Recorded>>,
    id_as_text: bool,
    /// What was read, by tests: nobody sends one to a server.
    #[cfg(test)]
    pub(crate) read: Box<tests::Read>,
}

impl RecordedEvent {
    /// An event with its id in the form that the client asked for.
    pub(crate) fn of(event: &Arc<Recorded>, id_as_text: bool) -> Self {
        Self {
            event: Some(Arc::clone(event)),
            id_as_text,
            #[cfg(test)]
            read: Box::default(),
        }
    }
}

impl Message for RecordedEvent {
    fn encode_raw(&self, to: &mut impl BufMut) {
        let Some(event) = &self.event else { return };
        self.put_id(event, to);
        put_head(2, bytes_len(3, &*event.stream), to);
        put_bytes(3, &*event.stream, to);
        put_number(3, event.revision, to);
        put_number(4, event.position, to);
        put_number(5, event.position, to);
        let mut room = itoa::Buffer::new();
        for (key, value) in properties(event, room.format(event.created)) {
            put_head(6, entry_len(key, value), to);
            put_bytes(1, key, to);
            put_bytes(2, value, to);
        }
        put_bytes(7, &event.metadata, to);
        put_bytes(8, &event.data, to);
    }

    fn encoded_len(&self) -> usize {
        let Some(event) = &self.event else { return 0 };
        let mut room = itoa::Buffer::new();
        let properties = properties(event, room.format(event.created));
        let entries = properties.iter().map(|(key, value)| message_len(6, entry_len(key, value)));
        message_len(1, self.id_len(event))
            + message_len(2, bytes_len(3, &*event.stream))
            + number_len(3, event.revision)
            + number_len(4, event.position)
            + number_len(5, event.position)
            + entries.sum::<usize>()
            + bytes_len(7, &event.metadata)
            + bytes_len(8, &event.data)
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        from: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        #[cfg(test)]
        {
            self.read.merge_field(tag, wire_type, from, context)
        }
        #[cfg(not(test))]
        {
            prost::encoding::skip_field(wire_type, tag, from, context)
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl RecordedEvent {
    fn put_id(&self, event: &Recorded, to: &mut impl BufMut) {
        put_head(1, self.id_len(event), to);
        if self.id_as_text {
            let mut room = uuid::Uuid::encode_buffer();
            put_bytes(2, event.id.hyphenated().encode_lower(&mut room).as_bytes(), to);
        } else {
            let (high, low) = event.id.as_u64_pair();
            put_head(1, number_len(1, high) + number_len(2, low), to);
            put_number(1, high, to);
            put_number(2, low, to);
        }
    }

    fn id_len(&self, event: &Recorded) -> usize {
        if self.id_as_text {
            return message_len(2, uuid::fmt::Hyphenated::LENGTH);
        }
        let (high, low) = event.id.as_u64_pair();
        message_len(1, number_len(1, high) + number_len(2, low))
    }
}

/// The properties that the protocol keeps beside an event.
fn properties<'a>(event: &'a Recorded, created: &'a str) -> [(&'static str, &'a str); 3] {
    let content_type = if event.is_json { JSON } else { BINARY };
    [("type", &*event.kind), ("content-type", content_type), ("created", created)]
}

fn entry_len(key: &str, value: &str) -> usize {
    bytes_len(1, key) + bytes_len(2, value)
}

/// What stands before a message in another one, or before bytes.
fn put_head(tag: u32, len: usize, to: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, to);
    encode_varint(len as u64, to);
}

/// A message in another one.
fn message_len(tag: u32, len: usize) -> usize {
    key_len(tag) + encoded_len_varint(len as u64) + len
}

/// Bytes or text. What is empty is left out, as the protocol has it.
fn put_bytes(tag: u32, bytes: impl AsRef<[u8]>, to: &mut impl BufMut) {
    let bytes = bytes.as_ref();
    if !bytes.is_empty() {
        put_head(tag, bytes.len(), to);
        to.put_slice(bytes);
    }
}

fn bytes_len(tag: u32, bytes: impl AsRef<[u8]>) -> usize {
    match bytes.as_ref().len() {
        0 => 0,
        len => message_len(tag, len),
    }
}

/// A number, signed ones as the same bits. Nought is left out, as the protocol has it.
fn put_number(tag: u32, number: u64, to: &mut impl BufMut) {
    if number != 0 {
        encode_key(tag, WireType::Varint, to);
        encode_varint(number, to);
    }
}

fn number_len(tag: u32, number: u64) -> usize {
    if number == 0 { 0 } else { key_len(tag) + encoded_len_varint(number) }
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::shared::uuid::{Structured, Value};
    use super::super::shared::{self, MetadataEntry, StreamIdentifier};
    use super::*;

    /// The message as the protocol describes it.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Read {
        #[prost(message, optional, tag = "1")]
        pub(crate) id: Option<shared::Uuid>,
        #[prost(message, optional, tag = "2")]
        pub(crate) stream_identifier: Option<StreamIdentifier>,
        #[prost(uint64, tag = "3")]
        pub(crate) stream_revision: u64,
        #[prost(uint64, tag = "4")]
        pub(crate) prepare_position: u64,
        #[prost(uint64, tag = "5")]
        pub(crate) commit_position: u64,
        #[prost(message, repeated, tag = "6")]
        pub(crate) metadata: Vec<MetadataEntry>,
        #[prost(bytes = "bytes", tag = "7")]
        pub(crate) custom_metadata: Bytes,
        #[prost(bytes = "bytes", tag = "8")]
        pub(crate) data: Bytes,
    }

    fn described(event: &Recorded, id_as_text: bool) -> Read {
        let (high, low) = event.id.as_u64_pair();
        let numbers = Structured {
            most_significant_bits: high.cast_signed(),
            least_significant_bits: low.cast_signed(),
        };
        let id = if id_as_text {
            Value::String(event.id.to_string())
        } else {
            Value::Structured(numbers)
        };
        let stream_name = Bytes::copy_from_slice(event.stream.as_bytes());
        let entry = |key: &str, value: &str| MetadataEntry {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Bytes::copy_from_slice(value.as_bytes()),
        };
        let content_type =
            if event.is_json { "application/json" } else { "application/octet-stream" };
        Read {
            id: Some(shared::Uuid { value: Some(id) }),
            stream_identifier: Some(StreamIdentifier { stream_name }),
            stream_revision: event.revision,
            prepare_position: event.position,
            commit_position: event.position,
            metadata: vec![
                entry("type", &event.kind),
                entry("content-type", content_type),
                entry("created", &event.created.to_string()),
            ],
            custom_metadata: event.metadata.clone(),
            data: event.data.clone(),
        }
    }

    prop_compose! {
        fn an_event()(
            position in prop_oneof![Just(0), any::<u64>()],
            revision in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
            created in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
            id in prop_oneof![Just(0), any::<u128>()],
            (stream, kind) in (".{0,200}", ".{0,40}"),
            is_json in any::<bool>(),
            metadata in prop::collection::vec(any::<u8>(), 0..300),
            data in prop::collection::vec(any::<u8>(), 0..300),
        ) -> Recorded {
            Recorded {
                position,
                stream: stream.into(),
                revision,
                id: Uuid::from_u128(id),
                kind: kind.into(),
                is_json,
                created,
                metadata: metadata.into(),
                data: data.into(),
            }
        }
    }

    proptest! {
        #[test]
        fn an_event_is_on_the_wire_as_the_protocol_describes_it(
            event in an_event(),
            id_as_text in any::<bool>(),
        ) {
            let described = described(&event, id_as_text).encode_to_vec();
            let sent = RecordedEvent::of(&Arc::new(event), id_as_text);
            prop_assert_eq!(sent.encoded_len(), described.len());
            prop_assert_eq!(sent.encode_to_vec(), described);
        }
    }
}
