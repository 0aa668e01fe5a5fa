//! One shared look at what is happening, for everybody who waits for orders to change. Runs only
//! while somebody does.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use journal::{Delivery, Filter, Journal, Position};
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Categories of the streams that tell about orders.
pub(crate) const ORDER_CATEGORIES: &[&str] =
    &["order", "stock", "payment", "shipment", "fulfilment"];
/// So many happenings may wait for the slowest; who is slower only misses intermediate ones.
const WAITING: usize = 4_096;
/// Pause before the event store is asked again where it stands.
const PAUSE: Duration = Duration::from_millis(200);
/// Most deliveries that are taken at once.
const BATCH: usize = 512;

/// Something happened that belongs to `correlation_id`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happening {
    pub(crate) correlation_id: Uuid,
    pub(crate) position: Position,
}

/// Hands out looks at what is happening.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    journal: Journal,
    feed: Arc<Mutex<Weak<Feed>>>,
}

/// The one feed, alive as long as somebody follows it.
#[derive(Debug)]
struct Feed {
    happenings: broadcast::Sender<Happening>,
    started: watch::Receiver<bool>,
    _task: AbortOnDropHandle<()>,
}

/// One follower of the feed.
#[derive(Debug)]
pub(crate) struct Following {
    happenings: broadcast::Receiver<Happening>,
    _feed: Arc<Feed>,
}

impl Live {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, feed: Arc::default() }
    }

    /// Follows everything that happens from now on. Waits until that is certain.
    pub(crate) async fn follow(&self) -> Following {
        let feed = self.feed();
        let happenings = feed.happenings.subscribe();
        let mut started = feed.started.clone();
        // Fails only when the feed's task is gone, which lives as long as `feed`.
        let _ = started.wait_for(|started| *started).await;
        Following { happenings, _feed: feed }
    }

    fn feed(&self) -> Arc<Feed> {
        let mut running = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = running.upgrade() {
            return feed;
        }
        let (happenings, _) = broadcast::channel(WAITING);
        let (tell_started, started) = watch::channel(false);
        let task = tokio::spawn(pass_on(self.journal.clone(), happenings.clone(), tell_started));
        let feed = Arc::new(Feed { happenings, started, _task: AbortOnDropHandle::new(task) });
        *running = Arc::downgrade(&feed);
        feed
    }
}

impl Following {
    /// Waits until something has happened that belongs to `correlation_id`; says how far one has
    /// to read to see it. `None` means: something may have.
    pub(crate) async fn next(&mut self, correlation_id: Uuid) -> Option<Position> {
        let mut last = loop {
            match self.happenings.recv().await {
                Ok(happening) if happening.correlation_id == correlation_id => {
                    break happening.position;
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return None,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        };
        // What is there already is one change to whoever looks at the result.
        while let Ok(happening) = self.happenings.try_recv() {
            if happening.correlation_id == correlation_id {
                last = happening.position;
            }
        }
        Some(last)
    }
}

async fn pass_on(
    journal: Journal,
    happenings: broadcast::Sender<Happening>,
    started: watch::Sender<bool>,
) {
    let head = loop {
        match journal.head().await {
            Ok(head) => break head,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot follow events yet"
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let mut subscription = journal.subscribe(Filter::categories(ORDER_CATEGORIES), head);
    started.send_replace(true);
    loop {
        for delivery in subscription.next_batch(BATCH).await {
            if let Delivery::Event(event) = delivery {
                let correlation_id = event.metadata.correlation_id;
                // Nobody may be listening right now; that is no reason to stop.
                let _ = happenings.send(Happening { correlation_id, position: event.position });
            }
        }
    }
}
