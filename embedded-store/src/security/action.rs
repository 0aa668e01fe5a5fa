//! What a call wants to do.

/// What a caller wants to do. Every call names one before it does anything, except those that must
/// be answered before a client can know how to introduce itself.
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
    /// Open a call that carries many appends; each of them asks for itself.
    OpenBatch,
    /// Read from a persistent subscription to this stream or to `$all`.
    Consume(&'a str),
    /// Create, update, delete, restart or replay persistent subscriptions.
    ManageSubscriptions,
    /// See what persistent subscriptions there are and how they do.
    ListSubscriptions,
    /// Run or look at an operation on the server: scavenge, shutdown and the like.
    Operate,
    /// See numbers about the server.
    ReadStatistics,
    /// Create, change, delete or list users.
    ManageUsers,
    /// See one user.
    ReadUser(&'a str),
    /// Change a password by naming the current one.
    ChangePassword,
}
