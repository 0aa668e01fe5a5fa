//! Orders that are placed by many clients at once, at a fixed rate or as many as go through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use journal::Position;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::buyer::Buyer;

pub(crate) const CLIENTS: usize = 64;
pub(crate) const SKUS: usize = 200;

/// What clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many orders a second, whatever happens. A client that comes late because the one before
    /// was slow counts from when it should have come.
    Fixed(u32),
    /// Each places the next order when it has its answer.
    Largest,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Load {
    begun: Instant,
    took: Duration,
    pub(crate) placed: Vec<Placed>,
}

/// One order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    /// From when it was to be placed to the answer.
    pub(crate) latency: Duration,
    pub(crate) answered: Instant,
    pub(crate) position: Position,
}

impl Load {
    /// Places orders until `stop`.
    pub(crate) async fn until(
        stop: &CancellationToken,
        buyer: &Buyer,
        pace: Pace,
    ) -> anyhow::Result<Self> {
        let (start, next) = (Instant::now(), Arc::new(AtomicU32::new(0)));
        let clients = (0..CLIENTS).map(|number| {
            let client = Client { number, buyer: buyer.clone(), next: Arc::clone(&next), start };
            tokio::spawn(client.run(pace, stop.clone()))
        });
        let mut placed = vec![];
        for client in try_join_all(clients).await? {
            placed.extend(client?);
        }
        Ok(Self { begun: start, took: start.elapsed(), placed })
    }

    /// Places orders for so long.
    pub(crate) async fn last(time: Duration, buyer: &Buyer, pace: Pace) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let end = async {
            tokio::time::sleep(time).await;
            stop.cancel();
        };
        let (load, ()) = tokio::join!(Self::until(&stop, buyer, pace), end);
        load
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(crate) fn rate(&self) -> f64 {
        self.placed.len() as f64 / self.took.as_secs_f64()
    }

    /// What was answered between two moments, in seconds since it began.
    pub(crate) fn between(&self, from: f64, to: f64) -> Self {
        let when = |placed: &&Placed| (placed.answered - self.begun).as_secs_f64();
        let placed = self.placed.iter().filter(|it| (from..to).contains(&when(it))).copied();
        let took = Duration::from_secs_f64(to - from);
        Self { begun: self.begun, took, placed: placed.collect() }
    }

    pub(crate) fn latencies(&self) -> Quantiles {
        Quantiles::of(self.placed.iter().map(|placed| placed.latency).collect())
    }
}

struct Client {
    number: usize,
    buyer: Buyer,
    next: Arc<AtomicU32>,
    start: Instant,
}

impl Client {
    async fn run(self, pace: Pace, stop: CancellationToken) -> anyhow::Result<Vec<Placed>> {
        let mut placed = vec![];
        let mut number = self.number;
        while !stop.is_cancelled() {
            let begun = match pace {
                Pace::Fixed(rate) => {
                    let turn = self.next.fetch_add(1, Ordering::Relaxed);
                    let due = self.start + Duration::from_secs(1) * turn / rate;
                    tokio::select! {
                        () = sleep_until(due.into()) => {}
                        () = stop.cancelled() => break,
                    }
                    due
                }
                Pace::Largest => Instant::now(),
            };
            number += 7;
            let position = self.buyer.place(number % SKUS).await?;
            let answered = Instant::now();
            placed.push(Placed { latency: answered - begun, answered, position });
        }
        Ok(placed)
    }
}

/// How long things took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantiles {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
}

impl Quantiles {
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |share: usize| all.get(all.len() * share / 100).copied().unwrap_or_default();
        Self { p50: at(50), p99: at(99), longest: all.last().copied().unwrap_or_default() }
    }
}
