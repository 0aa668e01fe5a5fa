//! What is on its way to one consumer. The group puts messages in; the call that serves the consumer
//! takes them out as fast as the connection takes them. A slow connection fills it, and then the
//! group sends no more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::{Notify, mpsc};

use super::group::Delivery;

/// Bytes that may be on their way to a consumer.
const BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) enum Outgoing {
    Message(Delivery),
    /// The group was deleted, changed or cannot go on. The last thing a consumer gets.
    Dropped,
    /// The group cannot go on because of its filter. As final.
    CostlyFilter,
}

impl Outgoing {
    fn size(&self) -> usize {
        match self {
            Self::Message(delivery) => delivery.event.size(),
            Self::Dropped | Self::CostlyFilter => 0,
        }
    }
}

/// The group's end.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: mpsc::UnboundedSender<Outgoing>,
    bytes: Arc<AtomicUsize>,
    presence: Weak<Presence>,
}

/// The consumer's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    receiver: mpsc::UnboundedReceiver<Outgoing>,
    bytes: Arc<AtomicUsize>,
    presence: Arc<Presence>,
}

/// A consumer that has not left, held by whatever serves it. It leaves when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Presence {
    changed: Arc<Notify>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

/// Both ends. `changed` is notified when there is room again, and when the consumer has left.
pub(crate) fn outbox(changed: Arc<Notify>) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let bytes = Arc::new(AtomicUsize::new(0));
    let presence = Arc::new(Presence { changed });
    let outbox = Outbox { sender, bytes: Arc::clone(&bytes), presence: Arc::downgrade(&presence) };
    (outbox, Inbox { receiver, bytes, presence })
}

impl Outbox {
    pub(crate) fn send(&self, outgoing: Outgoing) {
        self.bytes.fetch_add(outgoing.size(), Ordering::Relaxed);
        // An error means that the consumer is leaving, which the group notices.
        let _ = self.sender.send(outgoing);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= BYTES
    }

    pub(crate) fn has_left(&self) -> bool {
        self.presence.strong_count() == 0
    }
}

impl Inbox {
    /// For what else serves the consumer.
    pub(crate) fn presence(&self) -> Arc<Presence> {
        Arc::clone(&self.presence)
    }

    /// The next message; `None` if the group is gone.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        let outgoing = self.receiver.recv().await?;
        let size = outgoing.size();
        let before = self.bytes.fetch_sub(size, Ordering::Relaxed);
        if before >= BYTES && before - size < BYTES {
            self.presence.changed.notify_one();
        }
        Some(outgoing)
    }
}
