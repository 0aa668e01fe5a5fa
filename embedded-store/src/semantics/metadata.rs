//! A stream's metadata: what of it decides which events can still be read, and how deleting and
//! reviving a stream rewrite it. Access control lists are stored by whoever writes them and never
//! enforced here.

use serde_json::{Map, Value};

/// `$tb` of a deleted stream.
const DELETED: u64 = i64::MAX as u64;

/// The part of a stream's metadata that hides events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Retention {
    /// Events before this revision are hidden (`$tb`).
    truncate_before: Option<u64>,
    /// Only so many newest events are visible (`$maxCount`).
    max_count: Option<u64>,
    /// Events older than this many seconds are hidden (`$maxAge`).
    max_age: Option<u64>,
}

impl Retention {
    /// What holds for every metastream, whatever anyone writes: only the newest metadata is
    /// visible.
    pub(crate) const METASTREAM: Self =
        Self { truncate_before: None, max_count: Some(1), max_age: None };

    /// Reads the newest event of a metastream. What is not a JSON object, or not a number where one
    /// belongs, hides nothing.
    pub(crate) fn parse(is_json: bool, data: &[u8]) -> Self {
        if !is_json {
            return Self::default();
        }
        let fields = object(data);
        let number = |name| fields.get(name).and_then(Value::as_u64);
        Self {
            truncate_before: number("$tb"),
            max_count: number("$maxCount").filter(|count| *count > 0),
            max_age: number("$maxAge").filter(|seconds| *seconds > 0),
        }
    }

    /// Whether the stream has been deleted and can be revived by the next append.
    pub(crate) fn is_deleted(self) -> bool {
        self.truncate_before == Some(DELETED)
    }

    /// The first revision that truncation and `$maxCount` leave visible in a stream that ends at
    /// `last`. Larger than `last` when nothing is left.
    pub(crate) fn first_visible(self, last: u64) -> u64 {
        let by_count = self.max_count.map_or(0, |count| (last + 1).saturating_sub(count));
        by_count.max(self.truncate_before.unwrap_or(0))
    }

    /// Seconds after which an event is hidden.
    pub(crate) fn max_age(self) -> Option<u64> {
        self.max_age
    }
}

/// The metadata that deletes a stream.
pub(crate) fn deleting() -> Vec<u8> {
    with_truncation(&[], DELETED)
}

/// `metadata` with every event before `revision` hidden and those from it on visible again.
pub(crate) fn with_truncation(metadata: &[u8], revision: u64) -> Vec<u8> {
    let mut fields = object(metadata);
    fields.insert("$tb".to_owned(), Value::from(revision));
    Value::Object(fields).to_string().into_bytes()
}

fn object(data: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Retention {
        Retention::parse(true, json.as_bytes())
    }

    #[test]
    fn a_stream_without_metadata_hides_nothing() {
        assert_eq!(Retention::default().first_visible(9), 0);
    }

    #[test]
    fn max_count_leaves_the_newest_events() {
        assert_eq!(parsed(r#"{"$maxCount":3}"#).first_visible(9), 7);
        assert_eq!(parsed(r#"{"$maxCount":30}"#).first_visible(9), 0);
    }

    #[test]
    fn the_stricter_of_truncation_and_max_count_wins() {
        assert_eq!(parsed(r#"{"$maxCount":3,"$tb":2}"#).first_visible(9), 7);
        assert_eq!(parsed(r#"{"$maxCount":3,"$tb":8}"#).first_visible(9), 8);
        assert_eq!(parsed(r#"{"$tb":12}"#).first_visible(9), 12);
    }

    #[test]
    fn what_is_not_understood_hides_nothing() {
        for metadata in ["", "[]", "nonsense", r#"{"$maxCount":"3","$tb":-1,"$maxAge":0}"#] {
            assert_eq!(parsed(metadata), Retention::default(), "{metadata}");
        }
        assert_eq!(Retention::parse(false, br#"{"$tb":3}"#), Retention::default());
    }

    #[test]
    fn a_deleted_stream_is_revived_at_a_revision_and_keeps_its_other_properties() {
        assert!(Retention::parse(true, &deleting()).is_deleted());
        let revived = with_truncation(br#"{"$tb":9223372036854775807,"owner":"me"}"#, 4);
        assert!(!Retention::parse(true, &revived).is_deleted());
        assert_eq!(Retention::parse(true, &revived).first_visible(9), 4);
        assert!(String::from_utf8(revived).unwrap().contains("owner"));
    }
}
