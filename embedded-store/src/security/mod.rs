//! Who may do what: the rules by which a caller is recognised and let through.

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// Read or follow a stream, or its metadata if it is a metastream.
    Read(&'a str),
    /// Append to a stream, or change its metadata if it is a metastream.
    Append(&'a str),
    /// Delete or tombstone a stream.
    Delete(&'a str),
    /// Read or follow `$all`.
    ReadLog,
}
