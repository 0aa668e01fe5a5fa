//! Reading the log together, from far behind to its end: one scan for all who set out at about the
//! same time. Whoever is slow holds the others up, but not for ever.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::{Batch, Delivery, Filter, Journal, Position, Raw};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::passage::{Entrance, Passage, passage};
use crate::slice::Slice;

/// So long is waited for others who go the same way.
pub(super) const BOARDING: Duration = Duration::from_millis(200);
/// So many batches of a scan the first may be ahead of the last.
const APART: usize = 32;
/// Who takes nothing for so long is left behind, and goes on alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Those who set out together, until they do.
#[derive(Debug, Default)]
pub(super) struct Boarding {
    travellers: Mutex<Vec<Traveller>>,
}

#[derive(Debug)]
struct Traveller {
    category: &'static str,
    from: Position,
    slice: Slice,
    shares: mpsc::Sender<Share>,
}

/// What a batch of a scan has for one of them, and how far it goes.
type Share = (Vec<Raw>, Position);

impl Traveller {
    fn wants(&self, event: &Raw) -> bool {
        let rest = event.stream.strip_prefix(self.category);
        let is_of_category = rest.is_some_and(|rest| rest.starts_with('-'));
        is_of_category && event.position > self.from && self.slice.has_name(&event.stream)
    }
}

impl Boarding {
    /// The log from `from` on, as far as it is of `category` and `slice`, together with others who ask
    /// for theirs at about the same time.
    pub(super) fn join(
        self: &Arc<Self>,
        journal: &Journal,
        stop: &CancellationToken,
        category: &'static str,
        slice: Slice,
        from: Position,
    ) -> Passage {
        let (shares, scanned) = mpsc::channel(1);
        let (entrance, passage) = passage(from, APART);
        let attending = attend(journal.clone(), scanned, entrance);
        let passage = passage.attended(AbortOnDropHandle::new(tokio::spawn(attending)));
        let is_first = {
            let mut travellers = self.travellers.lock().unwrap_or_else(PoisonError::into_inner);
            travellers.push(Traveller { category, from, slice, shares });
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
        passage
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
                let at = batch.position;
                let shares = share_out(batch, &travellers);
                let mut with_us = Vec::with_capacity(travellers.len());
                for (traveller, share) in travellers.into_iter().zip(shares) {
                    let is_new = at > traveller.from;
                    let sent =
                        async { !is_new || traveller.shares.send((share, at)).await.is_ok() };
                    if matches!(timeout(PATIENCE, sent).await, Ok(true)) {
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

/// What each of them wants of a batch.
fn share_out(batch: Batch, travellers: &[Traveller]) -> Vec<Vec<Raw>> {
    let mut shares = vec![vec![]; travellers.len()];
    for event in batch.events {
        let mut last: Option<&mut Vec<Raw>> = None;
        for (traveller, share) in travellers.iter().zip(&mut shares) {
            if traveller.wants(&event)
                && let Some(another) = last.replace(share)
            {
                // Several generations of a projection may set out together.
                another.push(event.clone());
            }
        }
        if let Some(last) = last {
            last.push(event);
        }
    }
    shares
}

/// Understands what is for one worker while that one writes.
async fn attend(journal: Journal, mut shares: mpsc::Receiver<Share>, understood: Entrance) {
    while let Some((events, position)) = shares.recv().await {
        // What is in our streams and not one of our events is left out, as it is everywhere.
        let events = events.into_iter().filter_map(|event| journal.recorded(event));
        let checkpoint = Delivery::Checkpoint(position);
        let deliveries = events.map(Delivery::Event).chain([checkpoint]).collect();
        if !understood.send(deliveries).await {
            return;
        }
    }
}
