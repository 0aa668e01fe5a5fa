//! An event as one line of JSON. Data and metadata stand there as JSON if that gives the same bytes
//! again, and else in base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::{Recorded, TOMBSTONE, TOMBSTONE_KIND};
use crate::semantics::names;

/// Ticks of 100 ns in a second.
const TICKS: u64 = 10_000_000;

/// Positions beyond this are none.
const MAX_POSITION: u64 = i64::MAX as u64 / 2;

/// Revisions beyond this are none, so that appends after an import never come to that of a tombstone.
const MAX_REVISION: u64 = TOMBSTONE / 2;

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Place in the log.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Place in the stream; [`Record::TOMBSTONE`] for the record that ends a stream for ever.
    pub revision: u64,
    /// Id, as the client chose it.
    pub id: Uuid,
    /// Event type.
    pub kind: String,
    /// Whether the client said that the data are JSON.
    pub is_json: bool,
    /// Ticks of 100 ns since 1970.
    pub created: u64,
    /// Custom metadata.
    pub metadata: Vec<u8>,
    /// What happened.
    pub data: Vec<u8>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It is not the JSON that it should be.
    #[error("not an event: {0}")]
    Json(String),
    /// A field holds what it cannot hold.
    #[error("`{field}` {reason}")]
    Field {
        /// The field.
        field: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// It does not fit what is there.
    #[error("{0}")]
    Conflict(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line<'a> {
    position: u64,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    revision: u64,
    id: Uuid,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    is_json: bool,
    #[serde(borrow)]
    created: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    metadata_base64: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data_base64: Option<Cow<'a, str>>,
}

impl Record {
    /// The revision of the record that ends a stream for ever.
    pub const TOMBSTONE: u64 = TOMBSTONE;

    /// The line of this event, without its end.
    pub fn to_line(&self) -> String {
        let (metadata, metadata_base64) = written(&self.metadata);
        let (data, data_base64) = written(&self.data);
        let line = Line {
            position: self.position,
            stream: Cow::Borrowed(&self.stream),
            revision: self.revision,
            id: self.id,
            kind: Cow::Borrowed(&self.kind),
            is_json: self.is_json,
            created: Cow::Owned(time(self.created)),
            metadata,
            metadata_base64,
            data,
            data_base64,
        };
        // Text, numbers and what was parsed before: none of it can fail.
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// Reads a line.
    pub fn from_line(line: &str) -> Result<Self, Malformed> {
        let line: Line<'_> =
            serde_json::from_str(line).map_err(|error| Malformed::Json(error.to_string()))?;
        let record = Self {
            position: line.position,
            revision: line.revision,
            id: line.id,
            is_json: line.is_json,
            created: ticks(&line.created)?,
            metadata: read("metadataBase64", line.metadata, line.metadata_base64.as_deref())?,
            data: read("dataBase64", line.data, line.data_base64.as_deref())?,
            stream: line.stream.into_owned(),
            kind: line.kind.into_owned(),
        };
        record.check()?;
        Ok(record)
    }

    fn check(&self) -> Result<(), Malformed> {
        let wrong = |field, reason| Err(Malformed::Field { field, reason });
        if self.position == 0 || self.position > MAX_POSITION {
            return wrong("position", "is not a position of the log");
        }
        if !names::is_writable(&self.stream) {
            return wrong("stream", "is not the name of a stream that can be written to");
        }
        if self.revision > MAX_REVISION && self.revision != TOMBSTONE {
            return wrong("revision", "is larger than any revision");
        }
        if self.revision == TOMBSTONE && names::original_of(&self.stream).is_some() {
            return wrong("stream", "holds metadata, which cannot be ended for ever");
        }
        if (self.revision == TOMBSTONE) != self.is_tombstone() {
            return wrong("revision", "and `type` disagree about whether this ends the stream");
        }
        Ok(())
    }

    /// Whether this ends its stream for ever.
    pub fn is_tombstone(&self) -> bool {
        self.kind == TOMBSTONE_KIND && self.revision == TOMBSTONE
    }
}

impl From<&Recorded> for Record {
    fn from(event: &Recorded) -> Self {
        Self {
            position: event.position,
            stream: event.stream.to_string(),
            revision: event.revision,
            id: event.id,
            kind: event.kind.to_string(),
            is_json: event.is_json,
            created: event.created,
            metadata: event.metadata.to_vec(),
            data: event.data.to_vec(),
        }
    }
}

/// As JSON, or in base64. Nothing at all for no bytes.
fn written(bytes: &[u8]) -> (Option<&RawValue>, Option<Cow<'_, str>>) {
    match as_json(bytes) {
        _ if bytes.is_empty() => (None, None),
        Some(json) => (Some(json), None),
        None => (None, Some(Cow::Owned(BASE64.encode(bytes)))),
    }
}

/// JSON that stands in a line as it is. A lone `null` would be read as a missing field.
fn as_json(bytes: &[u8]) -> Option<&RawValue> {
    let text = std::str::from_utf8(bytes).ok()?;
    if text == "null" || text.contains(['\n', '\r']) {
        return None;
    }
    let json: &RawValue = serde_json::from_str(text).ok()?;
    (json.get() == text).then_some(json)
}

fn read(
    field: &'static str,
    json: Option<&RawValue>,
    base64: Option<&str>,
) -> Result<Vec<u8>, Malformed> {
    match (json, base64) {
        (None, None) => Ok(Vec::new()),
        (Some(json), None) => Ok(json.get().as_bytes().to_vec()),
        (None, Some(text)) => {
            BASE64.decode(text).map_err(|_| Malformed::Field { field, reason: "is not base64" })
        }
        (Some(_), Some(_)) => {
            Err(Malformed::Field { field, reason: "stands beside the same content as JSON" })
        }
    }
}

/// RFC 3339 to the tick.
fn time(ticks: u64) -> String {
    let seconds = i64::try_from(ticks / TICKS).unwrap_or(i64::MAX);
    let whole = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or_default();
    let text = whole.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("{}.{:07}Z", text.trim_end_matches('Z'), ticks % TICKS)
}

fn ticks(time: &str) -> Result<u64, Malformed> {
    let wrong = |reason| Malformed::Field { field: "created", reason };
    let parsed =
        DateTime::parse_from_rfc3339(time).map_err(|_| wrong("is not a time in RFC 3339"))?;
    let seconds = u64::try_from(parsed.timestamp()).map_err(|_| wrong("is before 1970"))?;
    let nanoseconds = parsed.timestamp_subsec_nanos();
    if nanoseconds % 100 != 0 || nanoseconds >= 1_000_000_000 {
        return Err(wrong("is more precise than 100 nanoseconds"));
    }
    seconds
        .checked_mul(TICKS)
        .map(|ticks| ticks + u64::from(nanoseconds / 100))
        .filter(|ticks| i64::try_from(*ticks).is_ok())
        .ok_or_else(|| wrong("is too far in the future"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(metadata: &[u8], data: &[u8]) -> Record {
        Record {
            position: 7,
            stream: "order-\"1\"\n".to_owned(),
            revision: 3,
            id: Uuid::from_u128(5),
            kind: "Plâced".to_owned(),
            is_json: true,
            created: 17_637_324_861_234_567,
            metadata: metadata.to_vec(),
            data: data.to_vec(),
        }
    }

    #[test]
    fn json_stands_in_the_line_as_it_was_written() {
        let line = record(b"", br#"{"b":1.0,  "a":[1e3]}"#).to_line();
        assert_eq!(
            line,
            concat!(
                r#"{"position":7,"stream":"order-\"1\"\n","revision":3,"#,
                r#""id":"00000000-0000-0000-0000-000000000005","type":"Plâced","isJson":true,"#,
                r#""created":"2025-11-21T13:41:26.1234567Z","data":{"b":1.0,  "a":[1e3]}}"#
            )
        );
    }

    #[test]
    fn what_json_would_not_give_back_byte_for_byte_is_in_base64() {
        for data in [&b"\xff\x00"[..], b" {}", b"{}\n", b"{\n}", b"null", b"{", b"1 2", b"\r1"] {
            let line = record(data, data).to_line();
            assert!(
                line.contains("\"dataBase64\"") && line.contains("\"metadataBase64\""),
                "{line}"
            );
            assert_eq!(Record::from_line(&line), Ok(record(data, data)));
        }
    }

    proptest! {
        #[test]
        fn a_line_gives_the_same_event_again(
            metadata in proptest::collection::vec(any::<u8>(), 0..20),
            data in "[\\[\\]{}0-9,:\"a \\\\]{0,12}",
            stream in "\\PC{1,9}",
            created in 0..i64::MAX as u64 / 40,
        ) {
            let mut event = record(&metadata, data.as_bytes());
            event.stream = format!("s{stream}");
            event.created = created;
            prop_assert_eq!(Record::from_line(&event.to_line()), Ok(event));
        }
    }

    #[test]
    fn a_line_that_is_not_an_event_is_refused_with_what_is_wrong() {
        let good = record(b"", b"1").to_line();
        for (part, other, message) in [
            ("\"position\":7", "\"position\":0", "`position` is not a position of the log"),
            ("2025-11-21T", "2025-13-21T", "`created` is not a time in RFC 3339"),
            ("\"data\":1", "\"dataBase64\":\"*\"", "`dataBase64` is not base64"),
            (
                "\"revision\":3",
                "\"revision\":9223372036854775807",
                "`revision` and `type` disagree",
            ),
            (
                "\"stream\":\"order-\\\"1\\\"\\n\"",
                "\"stream\":\"$all\"",
                "`stream` is not the name",
            ),
            ("\"isJson\"", "\"json\"", "not an event: unknown field `json`"),
            ("\"data\":1", "\"data\":1,\"dataBase64\":\"\"", "`dataBase64` stands beside"),
        ] {
            let bad = good.replace(part, other);
            assert_ne!(bad, good);
            let error = Record::from_line(&bad).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn revisions_leave_room_for_those_that_follow() {
        let at = |revision| Record { revision, ..record(b"", b"1") }.to_line();
        let largest = i64::MAX as u64 / 2;
        Record::from_line(&at(largest)).unwrap();
        for revision in [largest + 1, TOMBSTONE - 1] {
            let error = Record::from_line(&at(revision)).unwrap_err().to_string();
            assert!(error.starts_with("`revision` is larger than any revision"), "{error}");
        }
    }

    #[test]
    fn metadata_cannot_end_for_ever() {
        let ending = |stream: &str| {
            let (stream, kind) = (stream.to_owned(), TOMBSTONE_KIND.to_owned());
            Record { stream, kind, revision: TOMBSTONE, ..record(b"", b"") }.to_line()
        };
        Record::from_line(&ending("order-1")).unwrap();
        let error = Record::from_line(&ending("$$order-1")).unwrap_err().to_string();
        assert!(error.starts_with("`stream` holds metadata"), "{error}");
    }
}
