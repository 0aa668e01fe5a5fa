//! Events as they came, before anything in them has been looked at.

use bytes::Bytes;
use schemas::{Metadata, StreamName};
use uuid::Uuid;

use crate::wire::NotOurs;
use crate::{Error, Position, Recorded};

/// An event of which only the place and the names are known. Its bytes are shared with what else
/// came in the same packet: whoever keeps some of many events copies them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Name of the stream it is in.
    pub stream: Box<str>,
    /// Its number in the stream, from 0, without gaps.
    pub revision: u64,
    /// Its place in the log of everything.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// Stored name of its type.
    pub event_type: Box<str>,
    /// JSON, if it is ours: who, why and because of what.
    pub metadata: Bytes,
    /// JSON, if it is ours.
    pub data: Bytes,
}

impl Raw {
    /// The event, its names and metadata understood.
    ///
    /// # Errors
    /// [`Error::Foreign`] when it is not one of ours. [`Journal::read_all`] leaves such events
    /// out and counts them; so does [`Journal::recorded`].
    ///
    /// [`Journal::read_all`]: crate::Journal::read_all
    /// [`Journal::recorded`]: crate::Journal::recorded
    pub fn recorded(self) -> Result<Recorded, Error> {
        self.understood().map_err(NotOurs::into_error)
    }

    pub(crate) fn understood(self) -> Result<Recorded, NotOurs> {
        let Self { stream, revision, position, event_id, event_type, metadata, data } = self;
        let not_ours = |stream: String, reason| NotOurs { stream, revision, position, reason };
        let stream = StreamName::try_from(stream).map_err(|error| {
            let reason = error.to_string();
            not_ours(error.0, reason)
        })?;
        let event_type = event_type.into();
        match serde_json::from_slice::<Metadata>(&metadata) {
            Ok(metadata) => {
                Ok(Recorded { stream, revision, position, event_id, event_type, metadata, data })
            }
            Err(error) => Err(not_ours(stream.to_string(), format!("metadata: {error}"))),
        }
    }

    /// How much memory it takes, about.
    pub fn bytes(&self) -> usize {
        let texts = self.stream.len() + self.event_type.len();
        size_of::<Self>() + texts + self.metadata.len() + self.data.len()
    }
}
