//! Reads and subscriptions: page by page, pulled by whoever consumes them. Nothing is read ahead,
//! so a slow consumer costs one page of memory and holds nobody up. How pages travel is in
//! `protocol`, where they come from in `storage`.

mod log;
mod stream;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub(crate) use self::log::{LogRead, LogStart, LogSubscription};
pub(crate) use self::stream::{StreamRead, StreamSubscription};
use crate::event::Recorded;
use crate::storage::ReadError;

/// Records taken from memory at a time.
const RECENT_RECORDS: usize = 512;

/// Something that a read or a subscription tells its consumer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    Event(Arc<Recorded>),
    /// Everything up to and including this position has been examined.
    Checkpoint(u64),
    /// What comes next is new.
    CaughtUp(Reached),
    /// What comes next is not new any more: the consumer was too slow.
    FellBehind(Reached),
    /// The stream was never written to, or is deleted.
    NotFound,
    /// The read found nothing; this is the first revision that could be read.
    FirstRevision(u64),
    /// The newest revision of the stream that was read to its end.
    LastRevision(u64),
}

/// How far a subscription has come: what it has to begin after to go on from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// There is nothing yet.
    Nothing,
    Revision(u64),
    Position(u64),
}

/// Why a read or subscription ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadingError {
    #[error("the server is stopping")]
    Stopping,
    #[error("the stream {0} is deleted")]
    StreamDeleted(Arc<str>),
    #[error("the filter's regular expression takes too long")]
    CostlyFilter,
    #[error("the log cannot be read")]
    Storage(#[source] ReadError),
}

impl From<ReadError> for ReadingError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Stopping => Self::Stopping,
            ReadError::Database(_) | ReadError::Damaged(_) | ReadError::Corrupt(_) => {
                Self::Storage(error)
            }
        }
    }
}

/// Any read or subscription.
#[derive(Debug)]
pub(crate) enum Reading {
    Stream(StreamRead),
    Log(LogRead),
    StreamSubscription(StreamSubscription),
    LogSubscription(LogSubscription),
}

impl Reading {
    /// The next page, never empty; `None` at the end, which a subscription does not have.
    pub(crate) async fn next(
        &mut self,
        stopping: &CancellationToken,
    ) -> Result<Option<Vec<Output>>, ReadingError> {
        let page = async {
            match self {
                Self::Stream(read) => read.next().await,
                Self::Log(read) => read.next().await,
                Self::StreamSubscription(subscription) => subscription.next().await.map(Some),
                Self::LogSubscription(subscription) => subscription.next().await.map(Some),
            }
        };
        tokio::select! {
            biased;
            () = stopping.cancelled() => Err(ReadingError::Stopping),
            page = page => page,
        }
    }
}
