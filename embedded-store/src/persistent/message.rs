//! An event on its way through a group.

use std::sync::Arc;

use crate::event::{LINK_KIND, Recorded};
use crate::semantics::names;

/// An event as consumers get it: itself, or a link and what it points at.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// What stands in the stream that is read. Consumers name a message by the id of this.
    pub(crate) original: Arc<Recorded>,
    target: Target,
}

#[derive(Debug, Clone)]
enum Target {
    Itself,
    Found(Arc<Recorded>),
    /// It points at what is not there any more.
    Gone,
}

impl Resolved {
    pub(crate) fn plain(event: Arc<Recorded>) -> Self {
        Self { original: event, target: Target::Itself }
    }

    pub(crate) fn link(link: Arc<Recorded>, target: Option<Arc<Recorded>>) -> Self {
        Self { original: link, target: target.map_or(Target::Gone, Target::Found) }
    }

    /// The event that matters, unless it is gone.
    pub(crate) fn event(&self) -> Option<&Arc<Recorded>> {
        match &self.target {
            Target::Itself => Some(&self.original),
            Target::Found(event) => Some(event),
            Target::Gone => None,
        }
    }

    /// The link that led to it, if one did.
    pub(crate) fn as_link(&self) -> Option<&Arc<Recorded>> {
        match &self.target {
            Target::Itself => None,
            Target::Found(_) | Target::Gone => Some(&self.original),
        }
    }

    /// The data of a link that points at the event.
    pub(crate) fn link_data(&self) -> Vec<u8> {
        match self.event() {
            Some(event) => format!("{}@{}", event.revision, event.stream).into_bytes(),
            None => self.original.data.to_vec(),
        }
    }

    /// The stream that the event was written to first, as far as is known.
    pub(crate) fn source_stream(&self) -> &str {
        let event = self.event().unwrap_or(&self.original);
        if &*event.kind != LINK_KIND {
            return &event.stream;
        }
        names::link_target(&event.data).map_or(&event.stream, |(_, stream)| stream)
    }

    /// Bytes that it occupies, about.
    pub(crate) fn size(&self) -> usize {
        let size = |event: &Recorded| 256 + event.metadata.len() + event.data.len();
        let target = match &self.target {
            Target::Found(event) => size(event),
            Target::Itself | Target::Gone => 0,
        };
        size(&self.original) + target
    }
}

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Read at this place of the group's order.
    Read { sequence: u64 },
    /// Replayed from the group's parked messages.
    Replayed,
}

impl Origin {
    pub(crate) fn sequence(self) -> Option<u64> {
        match self {
            Self::Read { sequence } => Some(sequence),
            Self::Replayed => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) event: Resolved,
    pub(crate) origin: Origin,
    /// How often it was handed out in vain.
    pub(crate) retries: u32,
}
