//! How single values go to Postgres: in the binary format of the wire protocol, which `COPY` and
//! the elements of array arguments share (PostgreSQL documentation, "COPY", "Binary Format").

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgRow, PgTypeInfo};
use sqlx::types::Json;
use sqlx::{Postgres, Row as _, Type};
use uuid::Uuid;

/// Type of a column, as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnType {
    /// Its name in SQL.
    pub(crate) sql: &'static str,
    /// Its object id (`pg_type.oid`), the same in every database.
    pub(crate) oid: u32,
    /// Type of an argument that holds a value of it for each of many rows.
    pub(crate) array: fn() -> PgTypeInfo,
    /// Whether it is an array itself. Arrays of arrays cannot be taken apart into rows, so on the
    /// way to `unnest` such a value travels as text.
    pub(crate) is_list: bool,
}

/// A value that a column can hold.
pub(crate) trait Value {
    /// The type of such a column.
    const TYPE: ColumnType;

    /// Appends the value without its length; false if there is none, and nothing was appended.
    fn put(&self, bytes: &mut Vec<u8>) -> bool;
}

/// Appends a field: its length and its value, or the length -1 for no value.
pub(crate) fn put_field(value: &impl Value, bytes: &mut Vec<u8>) {
    let at = bytes.len();
    bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    if value.put(bytes) {
        // A value of 2 GiB does not come out of an event that an event store has taken.
        let length = i32::try_from(bytes.len() - at - 4).unwrap_or(i32::MAX);
        bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

/// The fields of an encoded row, each with its length in front of it.
pub(crate) struct Split<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, _) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (field, rest) = self.0.split_at_checked(4 + length)?;
        self.0 = rest;
        Some(field)
    }
}

macro_rules! values {
    ($($type:ty: $sql:literal, $oid:literal, |$value:ident, $bytes:ident| $put:expr;)+) => {$(
        impl Value for $type {
            const TYPE: ColumnType = ColumnType {
                sql: $sql,
                oid: $oid,
                array: <Vec<$type> as Type<Postgres>>::type_info,
                is_list: false,
            };

            fn put(&self, $bytes: &mut Vec<u8>) -> bool {
                let $value = self;
                $put;
                true
            }
        }
    )+};
}

values! {
    bool: "boolean", 16, |value, bytes| bytes.push(u8::from(*value));
    i16: "smallint", 21, |value, bytes| bytes.extend_from_slice(&value.to_be_bytes());
    i32: "integer", 23, |value, bytes| bytes.extend_from_slice(&value.to_be_bytes());
    i64: "bigint", 20, |value, bytes| bytes.extend_from_slice(&value.to_be_bytes());
    String: "text", 25, |value, bytes| bytes.extend_from_slice(value.as_bytes());
    &str: "text", 25, |value, bytes| bytes.extend_from_slice(value.as_bytes());
    Uuid: "uuid", 2950, |value, bytes| bytes.extend_from_slice(value.as_bytes());
    DateTime<Utc>: "timestamptz", 1184, |value, bytes| {
        let since_2000 = value.timestamp_micros() - MICROSECONDS_UNTIL_2000;
        bytes.extend_from_slice(&since_2000.to_be_bytes());
    };
}

/// From the beginning of Unix time to that of Postgres.
const MICROSECONDS_UNTIL_2000: i64 = 946_684_800_000_000;

/// Any text-like code: a `text` column.
pub(crate) const CODE: ColumnType = <&str as Value>::TYPE;

impl<T: Value> Value for Option<T> {
    const TYPE: ColumnType = T::TYPE;

    fn put(&self, bytes: &mut Vec<u8>) -> bool {
        self.as_ref().is_some_and(|value| value.put(bytes))
    }
}

impl<T: Serialize> Value for Json<T> {
    const TYPE: ColumnType = ColumnType {
        sql: "jsonb",
        oid: 3802,
        array: <Vec<Json<()>> as Type<Postgres>>::type_info,
        is_list: false,
    };

    fn put(&self, bytes: &mut Vec<u8>) -> bool {
        // The version of the format.
        bytes.push(1);
        Document(&self.0).put(bytes)
    }
}

/// A document that is written and read as a whole, kept as the text of its JSON: `jsonb` is taken
/// apart by Postgres whenever it is written, and put together again whenever it is read.
pub(crate) struct Document<T>(pub(crate) T);

impl<T: Serialize> Value for Document<T> {
    const TYPE: ColumnType = CODE;

    #[expect(clippy::expect_used, reason = "rows hold plain data with string keys: they serialise")]
    fn put(&self, bytes: &mut Vec<u8>) -> bool {
        serde_json::to_writer(bytes, &self.0).expect("rows serialise");
        true
    }
}

/// The document in `column` of `row`.
pub(crate) fn document_in<T: DeserializeOwned>(row: &PgRow, column: &str) -> sqlx::Result<T> {
    let wrong = |error: serde_json::Error| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: error.into(),
    };
    serde_json::from_str(row.try_get(column)?).map_err(wrong)
}

impl Value for Vec<String> {
    const TYPE: ColumnType = ColumnType {
        sql: "text[]",
        oid: 1009,
        array: <Vec<String> as Type<Postgres>>::type_info,
        is_list: true,
    };

    fn put(&self, bytes: &mut Vec<u8>) -> bool {
        put_array_head(self.len(), <String as Value>::TYPE.oid, bytes);
        for element in self {
            put_field(element, bytes);
        }
        true
    }
}

/// Appends what stands in front of the elements of an array with one dimension.
pub(crate) fn put_array_head(length: usize, element: u32, bytes: &mut Vec<u8>) {
    let dimensions = i32::from(length > 0);
    bytes.extend_from_slice(&dimensions.to_be_bytes());
    // Whether there may be nulls in it. Postgres finds out by itself.
    bytes.extend_from_slice(&1_i32.to_be_bytes());
    bytes.extend_from_slice(&element.to_be_bytes());
    if length > 0 {
        bytes.extend_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
        // The number of the first element.
        bytes.extend_from_slice(&1_i32.to_be_bytes());
    }
}

/// A `text[]` field, as [`Value::put`] made it, as the text that Postgres reads it from.
pub(crate) fn list_as_text(field: &[u8]) -> Vec<u8> {
    const HEAD: usize = 20;
    // The length of the field, then the array.
    let elements = field.get(4 + HEAD..).unwrap_or_default();
    let mut text = vec![0; 4];
    text.push(b'{');
    for (number, element) in Split(elements).enumerate() {
        if number > 0 {
            text.push(b',');
        }
        text.push(b'"');
        for &byte in &element[4..] {
            if matches!(byte, b'"' | b'\\') {
                text.push(b'\\');
            }
            text.push(byte);
        }
        text.push(b'"');
    }
    text.push(b'}');
    let length = i32::try_from(text.len() - 4).unwrap_or(i32::MAX);
    text[..4].copy_from_slice(&length.to_be_bytes());
    text
}
