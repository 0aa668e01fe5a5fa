//! Subscriptions to the log of everything: they never end and never fail.
//!
//! A task of its own feeds each subscription through a bounded channel. It keeps its own place,
//! from events and checkpoints, and after any trouble subscribes again from exactly there.

use std::sync::Arc;
use std::time::Duration;

use eventstore::{SubscribeToAllOptions, SubscriptionEvent, SubscriptionFilter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::gateway::{Checked, Gateway, Setback, answer_within};
use crate::{Position, Recorded, endless, wire};

/// So many deliveries may wait for their receiver …
const WAITING: usize = 8192;
/// … and so many bytes of event data.
const WAITING_BYTES: u32 = 8 << 20;
/// A receiver that takes nothing for so long is left alone until it has caught up: what is on its
/// way to it would be in the way of others on the same connection.
const KEEPING_UP: Duration = Duration::from_millis(250);
/// The store looks through so many events that do not pass the filter before it says how far it is.
const CHECKPOINT_EVERY: u32 = 64;

/// Which streams a subscription or a scan sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    prefixes: Vec<String>,
}

impl Filter {
    /// All streams of `categories`.
    ///
    /// # Panics
    /// When there is none, or one is no category (empty, or with a `-` in it).
    pub fn categories(categories: &[&str]) -> Self {
        assert!(!categories.is_empty(), "a subscription to nothing");
        let prefix = |category: &&str| {
            let valid = !category.is_empty() && !category.contains('-');
            assert!(valid, "not a category: {category:?}");
            format!("{category}-")
        };
        Self { prefixes: categories.iter().map(prefix).collect() }
    }

    /// Whether events of `stream` pass.
    pub(crate) fn passes(&self, stream: &str) -> bool {
        self.prefixes.iter().any(|prefix| stream.starts_with(prefix.as_str()))
    }

    fn for_client(&self) -> SubscriptionFilter {
        let filter = SubscriptionFilter::on_stream_name().max(CHECKPOINT_EVERY);
        self.prefixes.iter().fold(filter, SubscriptionFilter::add_prefix)
    }
}

/// What a subscription has to say.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are events, and none waits for long")]
pub enum Delivery {
    /// The next event.
    Event(Recorded),
    /// Everything up to and including this position has been seen; nothing more in it was for us.
    Checkpoint(Position),
    /// What was there when the subscription (re)connected has been delivered. Comes again after
    /// every reconnection. Stores older than version 23.10 never say so.
    CaughtUp,
}

impl Delivery {
    /// The position up to which everything has been delivered, once this has.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Event(event) => Some(event.position),
            Self::Checkpoint(position) => Some(*position),
            Self::CaughtUp => None,
        }
    }

    fn bytes(&self) -> u32 {
        match self {
            // An event larger than the limit goes through alone.
            Self::Event(event) => {
                u32::try_from(event.data.len()).unwrap_or(u32::MAX).min(WAITING_BYTES)
            }
            Self::Checkpoint(_) | Self::CaughtUp => 0,
        }
    }
}

/// A delivery on its way, with its share of the bytes that may wait.
#[derive(Debug)]
struct Parcel {
    delivery: Delivery,
    _bytes: OwnedSemaphorePermit,
}

/// A running subscription. Every event once, in order, without gaps, whatever happens to the
/// store or the network meanwhile. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    parcels: mpsc::Receiver<Parcel>,
    /// Taken out of the channel, but not handed out yet.
    gathered: Vec<Parcel>,
    /// The bytes that may still wait.
    bytes: Arc<Semaphore>,
    connected: watch::Receiver<bool>,
    _feeder: AbortOnDropHandle<()>,
}

impl Subscription {
    pub(crate) fn start(gateway: Arc<Gateway>, filter: &Filter, from: Position) -> Self {
        let (sender, parcels) = mpsc::channel(WAITING);
        let (connection, connected) = watch::channel(false);
        let bytes = Arc::new(Semaphore::new(WAITING_BYTES as usize));
        let feeder = Feeder {
            gateway,
            filter: filter.for_client(),
            at: from,
            parcels: sender,
            bytes: Arc::clone(&bytes),
            connection,
        };
        let feeder = AbortOnDropHandle::new(tokio::spawn(feeder.run()));
        Self { parcels, gathered: vec![], bytes, connected, _feeder: feeder }
    }

    /// The next delivery, whenever it comes. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Delivery {
        if !self.gathered.is_empty() {
            return self.gathered.remove(0).delivery;
        }
        match self.parcels.recv().await {
            Some(parcel) => parcel.delivery,
            // The feeder only ends together with the runtime.
            None => std::future::pending().await,
        }
    }

    /// Waits for one delivery and takes up to `max` that are already there with it, in order.
    /// Safe to cancel: nothing is lost.
    pub async fn next_batch(&mut self, max: usize) -> Vec<Delivery> {
        self.gather(max, Duration::ZERO).await
    }

    /// The same, but after the first delivery waits for more: until there are `max`, or so many
    /// bytes that no more may wait, or there is nothing more right now, or for `patience`. For
    /// whoever has a long way to go, and takes many at once more cheaply. Safe to cancel: nothing
    /// is lost.
    pub async fn gather(&mut self, max: usize, patience: Duration) -> Vec<Delivery> {
        let max = max.max(1);
        if self.gathered.len() < max {
            let room = max - self.gathered.len();
            if self.gathered.is_empty() {
                self.receive(room).await;
            } else {
                // Left behind by somebody who gave up waiting. What has come since goes with it.
                let _ = timeout(Duration::ZERO, self.receive(room)).await;
            }
            if !patience.is_zero() {
                // Whether there are enough or the time is over makes no difference.
                let _ = timeout(patience, self.gather_more(max)).await;
            }
        }
        let taken = max.min(self.gathered.len());
        self.gathered.drain(..taken).map(|parcel| parcel.delivery).collect()
    }

    /// Whether some were gathered by a call that was cancelled, and wait for the next one.
    pub fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    async fn gather_more(&mut self, max: usize) {
        while self.gathered.len() < max && self.may_wait() {
            self.receive(max - self.gathered.len()).await;
        }
    }

    /// Whether it is worth waiting for more than has been gathered.
    fn may_wait(&self) -> bool {
        let last = self.gathered.last().map(|parcel| &parcel.delivery);
        last != Some(&Delivery::CaughtUp)
            && self.bytes.available_permits() > WAITING_BYTES as usize / 4
    }

    /// Takes what is there, up to `room`, once there is something. Safe to cancel.
    async fn receive(&mut self, room: usize) {
        if self.parcels.recv_many(&mut self.gathered, room).await == 0 {
            // The feeder only ends together with the runtime.
            std::future::pending::<()>().await;
        }
    }

    /// Whether the subscription is connected right now.
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Follows whether the subscription is connected.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }
}

struct Feeder {
    gateway: Arc<Gateway>,
    filter: SubscriptionFilter,
    /// Everything up to and including this has been handed over.
    at: Position,
    parcels: mpsc::Sender<Parcel>,
    bytes: Arc<Semaphore>,
    connection: watch::Sender<bool>,
}

/// Why a feeder has to subscribe again.
enum Interruption {
    Trouble(String),
    /// The receiver is slow. Nothing is wrong.
    Stalled,
}

impl Feeder {
    async fn run(mut self) {
        let mut backoff = Backoff::reconnecting();
        let mut at_least = 0;
        loop {
            let Checked { client, check } = self.gateway.checked(at_least).await;
            let options = SubscribeToAllOptions::default()
                .position(wire::after(self.at))
                .filter(self.filter.clone());
            let events = client.subscribe_to_all(&options).await;
            let position = self.at;
            match self.feed(events, &mut backoff).await {
                Interruption::Stalled => {
                    tracing::debug!(%position, "a subscription waits for its receiver");
                    self.much_room().await;
                }
                Interruption::Trouble(reason) => {
                    self.connection.send_replace(false);
                    tracing::warn!(%position, reason, "a subscription is interrupted; it goes on");
                    self.gateway.doubt(check);
                    at_least = check + 1;
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    /// Hands over what comes, until something is wrong or the receiver does not keep up.
    async fn feed(
        &mut self,
        mut events: eventstore::Subscription,
        backoff: &mut Backoff,
    ) -> Interruption {
        let mut limit = self.gateway.deadline();
        loop {
            let next = endless::unless_ended(events.next_subscription_event());
            let event = match answer_within(limit, next).await {
                Ok(Some(event)) => event,
                Ok(None) => return Interruption::Trouble("the store ended it".to_owned()),
                Err(Setback::Trouble(reason)) => return Interruption::Trouble(reason),
                Err(Setback::Answer(error)) => return Interruption::Trouble(error.to_string()),
            };
            // From now on silence is normal. A dead connection is noticed by the client's pings.
            limit = Duration::MAX;
            backoff.reset();
            if !*self.connection.borrow() {
                self.connection.send_replace(true);
            }
            if let Some(delivery) = self.understand(event)
                && timeout(KEEPING_UP, self.hand_over(delivery)).await.is_err()
            {
                return Interruption::Stalled;
            }
        }
    }

    /// What there is to deliver, unless it has been delivered before.
    fn understand(&self, event: SubscriptionEvent) -> Option<Delivery> {
        let delivery = match event {
            SubscriptionEvent::EventAppeared(event) => match wire::received(event)? {
                Ok(event) => Delivery::Event(event),
                Err(other) => {
                    if other.position > self.at && !other.is_the_stores_own() {
                        self.gateway.count_skipped(&other.stream, other.position, &other.reason);
                    }
                    Delivery::Checkpoint(other.position)
                }
            },
            SubscriptionEvent::Checkpoint(position) => {
                Delivery::Checkpoint(wire::position(position))
            }
            SubscriptionEvent::CaughtUp => Delivery::CaughtUp,
            SubscriptionEvent::Confirmed(_)
            | SubscriptionEvent::FirstStreamPosition(_)
            | SubscriptionEvent::LastStreamPosition(_)
            | SubscriptionEvent::LastAllPosition(_)
            | SubscriptionEvent::FellBehind => return None,
        };
        delivery.position().is_none_or(|position| position > self.at).then_some(delivery)
    }

    /// Waits for room, and then hands `delivery` over and moves on. Given up before, it has not
    /// happened. (The semaphore is never closed, and without a receiver this task is gone.)
    async fn hand_over(&mut self, delivery: Delivery) {
        let bytes = Arc::clone(&self.bytes);
        let Ok(bytes) = bytes.acquire_many_owned(delivery.bytes()).await else { return };
        let Ok(room) = self.parcels.reserve().await else { return };
        self.at = delivery.position().unwrap_or(self.at);
        room.send(Parcel { delivery, _bytes: bytes });
    }

    /// Waits until half of what may wait has been taken.
    async fn much_room(&self) {
        let _ = self.bytes.acquire_many(WAITING_BYTES / 2).await;
        let _ = self.parcels.reserve_many(WAITING / 2).await;
    }
}
