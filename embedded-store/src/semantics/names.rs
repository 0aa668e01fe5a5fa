//! What stream names mean: which are possible, which stream holds another's metadata, where a link
//! points.

/// The stream that holds the metadata of `stream`.
pub(crate) fn metastream_of(stream: &str) -> String {
    format!("$${stream}")
}

/// The stream whose metadata `stream` holds, if it is a metastream.
pub(crate) fn original_of(stream: &str) -> Option<&str> {
    stream.strip_prefix("$$")
}

/// Whether events may be written to a stream of this name. `$all` is the whole log, not a stream;
/// it has metadata, which say who may read it.
pub(crate) fn is_writable(stream: &str) -> bool {
    !matches!(stream, "" | "$all" | "$$")
}

/// Where a link's data (`revision@stream`) points.
pub(crate) fn link_target(data: &[u8]) -> Option<(u64, &str)> {
    let (revision, stream) = std::str::from_utf8(data).ok()?.split_once('@')?;
    Some((revision.parse().ok()?, stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metastream_belongs_to_the_stream_it_is_named_after() {
        assert_eq!(metastream_of("order-1"), "$$order-1");
        assert_eq!(original_of("$$order-1"), Some("order-1"));
        assert_eq!(original_of("$et-order"), None);
    }

    #[test]
    fn nothing_can_be_written_to_the_whole_log() {
        assert!(is_writable("order-1"));
        assert!(!is_writable("$all"));
        assert!(is_writable("$$$all"));
        assert!(!is_writable(""));
    }

    #[test]
    fn a_link_points_at_a_revision_of_a_stream_whose_name_may_hold_the_separator() {
        assert_eq!(link_target(b"7@order@home"), Some((7, "order@home")));
        assert_eq!(link_target(b"order-1"), None);
        assert_eq!(link_target(b"x@order-1"), None);
    }
}
