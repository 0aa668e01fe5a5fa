//! What of a stream's metadata hides its events.

use embedded_store::maintenance::Record;
use serde_json::Value;

/// `$tb` of a deleted stream.
const DELETED: u64 = i64::MAX as u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Limits {
    truncate_before: u64,
    max_count: Option<u64>,
    max_age: bool,
}

impl Limits {
    pub(super) fn of(metadata: &Record) -> Self {
        if !metadata.is_json {
            return Self::default();
        }
        let fields: Value = serde_json::from_slice(&metadata.data).unwrap_or_default();
        let number = |name: &str| fields.get(name).and_then(Value::as_u64);
        Self {
            truncate_before: number("$tb").unwrap_or(0),
            max_count: number("$maxCount").filter(|count| *count > 0),
            max_age: number("$maxAge").is_some_and(|seconds| seconds > 0),
        }
    }

    /// Whether the stream is deleted until the next append.
    pub(super) fn delete(self) -> bool {
        self.truncate_before == DELETED
    }

    /// Whether readers of a stream that ends at `last` are shown anything before `revision`. What
    /// `$maxAge` leaves is not known here.
    pub(super) fn show_before(self, revision: u64, last: u64) -> bool {
        let by_count = self.max_count.map_or(0, |count| (last + 1).saturating_sub(count));
        !self.max_age && by_count.max(self.truncate_before) < revision
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn limits(data: &str) -> Limits {
        Limits::of(&Record {
            position: 0,
            stream: "$$a".to_owned(),
            revision: 0,
            id: Uuid::nil(),
            kind: "$metadata".to_owned(),
            is_json: true,
            created: 0,
            metadata: Vec::new(),
            data: data.into(),
        })
    }

    #[test]
    fn a_stream_without_limits_shows_everything() {
        for data in ["", "[]", "{}", r#"{"$tb":-1,"$maxCount":0,"$maxAge":"1"}"#] {
            assert_eq!(limits(data), Limits::default(), "{data}");
        }
        assert!(limits("{}").show_before(1, 9));
        assert!(!limits("{}").show_before(0, 9));
    }

    #[test]
    fn a_limited_stream_hides_its_beginning() {
        assert!(!limits(r#"{"$maxCount":3}"#).show_before(7, 9));
        assert!(limits(r#"{"$maxCount":3}"#).show_before(8, 9));
        assert!(!limits(r#"{"$maxCount":3,"$tb":8}"#).show_before(8, 9));
        assert!(!limits(r#"{"$maxAge":60}"#).show_before(8, 9));
    }

    #[test]
    fn a_deleted_stream_is_known_by_its_truncation() {
        assert!(limits(r#"{"$tb":9223372036854775807}"#).delete());
        assert!(!limits(r#"{"$tb":4}"#).delete());
    }
}
