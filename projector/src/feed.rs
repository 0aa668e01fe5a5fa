//! What a worker folds: the log from where it is, without an end.
//!
//! Workers of a process that have a long way to go read the log together, in one [scan](Scan) for
//! all of them: what is read, sent and taken apart once is most of what catching up costs besides
//! writing rows. Whoever is slow holds the others up, but not for ever; and at the end of the log
//! everybody goes on with a subscription of its own.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::{Batch, Delivery, Filter, Journal, Position, Subscription};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// From so many events on it is a long way. Where positions are numbers of bytes, every way is; it
/// is then gone in no time.
const LONG: u64 = 5_000;
/// So long is waited for others who go the same way.
const BOARDING: Duration = Duration::from_millis(200);
/// So many batches of a scan the first may be ahead of the last.
const APART: usize = 32;
/// Who takes nothing for so long is left behind, and goes on alone.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of events that are handed out at once, about.
const AT_ONCE: usize = 8 << 20;

/// Those who set out together, until they do.
#[derive(Debug, Default)]
pub(crate) struct Boarding {
    travellers: Mutex<Vec<Traveller>>,
}

#[derive(Debug)]
struct Traveller {
    category: &'static str,
    from: Position,
    batches: mpsc::Sender<Arc<Batch>>,
}

impl Boarding {
    /// The log from `from` on, as far as it is of `category`, together with others who ask for
    /// theirs at about the same time.
    fn join(
        self: &Arc<Self>,
        journal: &Journal,
        stop: &CancellationToken,
        category: &'static str,
        from: Position,
    ) -> Passage {
        let (batches, scanned) = mpsc::channel(1);
        let (sender, receiver) = mpsc::channel(APART);
        let attending = attend(journal.clone(), category, from, scanned, sender);
        let attendant = AbortOnDropHandle::new(tokio::spawn(attending));
        let is_first = {
            let mut travellers = self.travellers.lock().unwrap_or_else(PoisonError::into_inner);
            travellers.push(Traveller { category, from, batches });
            travellers.len() == 1
        };
        if is_first {
            let (boarding, journal, stop) = (Arc::clone(self), journal.clone(), stop.clone());
            tokio::spawn(async move {
                sleep(BOARDING).await;
                let all = {
                    let mut travellers =
                        boarding.travellers.lock().unwrap_or_else(PoisonError::into_inner);
                    mem::take(&mut *travellers)
                };
                let _ = stop.run_until_cancelled(travel(&journal, all)).await;
            });
        }
        Passage { batches: receiver, at: from, waiting: VecDeque::new(), _attendant: attendant }
    }
}

/// Reads the log for all of them, to its end or until something is wrong.
async fn travel(journal: &Journal, mut travellers: Vec<Traveller>) {
    let Some(from) = travellers.iter().map(|it| it.from).min() else { return };
    let mut categories: Vec<_> = travellers.iter().map(|it| it.category).collect();
    categories.sort_unstable();
    categories.dedup();
    let mut scan = journal.scan(Filter::categories(&categories), from);
    loop {
        match scan.next().await {
            Ok(Some(batch)) => {
                let batch = Arc::new(batch);
                let mut with_us = Vec::with_capacity(travellers.len());
                for traveller in travellers {
                    let sent = timeout(PATIENCE, traveller.batches.send(Arc::clone(&batch))).await;
                    if matches!(sent, Ok(Ok(()))) {
                        with_us.push(traveller);
                    }
                }
                travellers = with_us;
                if travellers.is_empty() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a scan for several workers ends; they go on alone");
                return;
            }
        }
    }
}

/// Picks out of a scan what is for one worker, and understands it while that one writes.
async fn attend(
    journal: Journal,
    category: &'static str,
    from: Position,
    mut scanned: mpsc::Receiver<Arc<Batch>>,
    picked: mpsc::Sender<Vec<Delivery>>,
) {
    let is_ours =
        |stream: &str| stream.strip_prefix(category).is_some_and(|rest| rest.starts_with('-'));
    while let Some(batch) = scanned.recv().await {
        if batch.position <= from {
            continue;
        }
        let ours = batch.events.iter().filter(|it| it.position > from && is_ours(&it.stream));
        // What is in our streams and not one of our events is left out, as it is everywhere.
        let events = ours.filter_map(|it| journal.recorded(it)).map(Delivery::Event);
        let picking = events.chain([Delivery::Checkpoint(batch.position)]).collect();
        if picked.send(picking).await.is_err() {
            return;
        }
    }
}

/// The part of one worker in a common scan.
#[derive(Debug)]
struct Passage {
    batches: mpsc::Receiver<Vec<Delivery>>,
    /// Everything up to and including this has been handed out.
    at: Position,
    /// Taken over, but not handed out yet.
    waiting: VecDeque<Delivery>,
    _attendant: AbortOnDropHandle<()>,
}

impl Passage {
    /// Waits for the next batch; false if none comes any more. Safe to cancel.
    async fn take_over(&mut self) -> bool {
        let Some(batch) = self.batches.recv().await else { return false };
        self.waiting.extend(batch);
        true
    }

    /// Hands out up to `max` of what waits, and no more bytes than are folded at once.
    fn hand_out(&mut self, max: usize) -> Vec<Delivery> {
        let count = self.waiting.len().min(max.max(1));
        let mut bytes = 0;
        let fits = self.waiting.iter().take(count).take_while(|delivery| {
            let has_room = bytes < AT_ONCE;
            bytes += bytes_of(delivery);
            has_room
        });
        let count = fits.count();
        let out: Vec<_> = self.waiting.drain(..count).collect();
        self.at = out.iter().filter_map(Delivery::position).max().unwrap_or(self.at);
        out
    }

    fn has_enough(&self, max: usize) -> bool {
        self.waiting.len() >= max || self.waiting.iter().map(bytes_of).sum::<usize>() >= AT_ONCE
    }
}

fn bytes_of(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Event(event) => event.data.len(),
        Delivery::Checkpoint(_) | Delivery::CaughtUp => 0,
    }
}

/// Every event of a category once, in order, from a position on, whatever happens to the store
/// meanwhile.
#[derive(Debug)]
pub(crate) struct Feed {
    journal: Journal,
    category: &'static str,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Together(Passage),
    Alone(Subscription),
}

impl Feed {
    /// Everything of `category` after `from`.
    pub(crate) async fn after(
        journal: &Journal,
        boarding: &Arc<Boarding>,
        stop: &CancellationToken,
        category: &'static str,
        from: Position,
    ) -> Self {
        // When the store is away, nobody knows that the way is long; a subscription waits for it.
        let head = timeout(BOARDING, journal.head()).await;
        let is_long =
            matches!(head, Ok(Ok(head)) if head.commit.saturating_sub(from.commit) > LONG);
        let way = if is_long {
            Way::Together(boarding.join(journal, stop, category, from))
        } else {
            Way::alone(journal, category, from)
        };
        Self { journal: journal.clone(), category, way }
    }

    /// Waits for a delivery and takes up to `max` that are already there with it; with `patience`
    /// waits for more than that. Safe to cancel: nothing is lost.
    pub(crate) async fn gather(&mut self, max: usize, patience: Duration) -> Vec<Delivery> {
        loop {
            let passage = match &mut self.way {
                Way::Alone(subscription) => return subscription.gather(max, patience).await,
                Way::Together(passage) => passage,
            };
            if passage.waiting.is_empty() && !passage.take_over().await {
                self.way = Way::alone(&self.journal, self.category, passage.at);
                continue;
            }
            let until = Instant::now() + patience;
            while !passage.has_enough(max) {
                if !matches!(timeout_at(until, passage.take_over()).await, Ok(true)) {
                    break;
                }
            }
            return passage.hand_out(max);
        }
    }
}

impl Way {
    fn alone(journal: &Journal, category: &'static str, from: Position) -> Self {
        Self::Alone(journal.subscribe(Filter::categories(&[category]), from))
    }
}
