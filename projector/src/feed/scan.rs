//! Reading the log together, from far behind to its end: one scan for all who set out at about the
//! same time. Whoever is slow holds the others up, but not for ever.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::{Batch, Delivery, Filter, Journal, Position};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::passage::{Entrance, Passage, passage};

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
    batches: mpsc::Sender<Arc<Batch>>,
}

impl Boarding {
    /// The log from `from` on, as far as it is of `category`, together with others who ask for
    /// theirs at about the same time.
    pub(super) fn join(
        self: &Arc<Self>,
        journal: &Journal,
        stop: &CancellationToken,
        category: &'static str,
        from: Position,
    ) -> Passage {
        let (batches, scanned) = mpsc::channel(1);
        let (entrance, passage) = passage(from, APART);
        let attending = attend(journal.clone(), category, from, scanned, entrance);
        let passage = passage.attended(AbortOnDropHandle::new(tokio::spawn(attending)));
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
    picked: Entrance,
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
        if !picked.send(picking).await {
            return;
        }
    }
}
