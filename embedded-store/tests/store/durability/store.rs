//! A store on a disk that fails, with everything that was sent to it, through one life and start
//! after the other.

use std::sync::Arc;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use super::disk::Disk;
use super::ledger::{Ids, Ledger, Manner, Sent, Writer, share_out, verify};
use super::victim::Victim;
use crate::harness::soon;

/// A store on a bad disk.
pub(super) struct Store {
    pub(super) disk: Disk,
    pub(super) random: StdRng,
    manners: Vec<Manner>,
    ids: Ids,
    ledger: Ledger,
    pub(super) sent: Vec<Sent>,
}

impl Store {
    pub(super) fn new(disk: Disk, random: StdRng, manners: &[Manner]) -> Self {
        let (ids, ledger, sent) = (Ids::default(), Ledger::default(), Vec::new());
        Self { disk, random, manners: manners.to_vec(), ids, ledger, sent }
    }

    /// Lets every writer write until it is refused or has sent so many requests.
    pub(super) async fn write(&mut self, victim: &Victim, requests: usize) {
        let doubtful = self.sent.extract_if(.., |sent| sent.is_doubtful()).collect();
        let client = victim.client();
        let mut writers = Vec::new();
        for manner in &mut self.manners {
            if let Manner::Own(number, last) = manner {
                let stream = format!("own-{number}");
                let written = self.sent.iter().filter(|sent| sent.stream == stream);
                let newest = written.filter_map(Sent::revision).max();
                *last = newest.max(self.ledger.last_revision(&stream));
            }
        }
        for (manner, doubtful) in self.manners.iter().zip(share_out(doubtful, &self.manners)) {
            let writer = Writer {
                client: client.clone(),
                manner: *manner,
                random: StdRng::seed_from_u64(self.random.random()),
                ids: self.ids.clone(),
                clock: Arc::new(|| 0),
                answered: watch::Sender::new(0),
                doubtful,
                requests,
            };
            writers.push(tokio::spawn(writer.run()));
        }
        for writer in soon(join_all(writers)).await {
            self.sent.extend(writer.unwrap());
        }
    }

    /// A start on a disk that is well again: everything is there, and what was in doubt is sent
    /// again.
    pub(super) async fn check(&mut self) {
        let victim = Victim::on(&self.disk).await.unwrap_or_else(|reason| panic!("{reason:?}"));
        let client = victim.client();
        self.ledger.check_new(&client, &mut self.sent, u64::MAX).await;
        self.sent.retain(Sent::is_doubtful);
        self.write(&victim, 0).await;
        assert!(self.sent.iter().all(|sent| sent.answered.is_some()), "{:?}", self.sent);
        self.ledger.check_new(&client, &mut self.sent, u64::MAX).await;
        self.sent.clear();
        if self.random.random_bool(0.1) {
            self.ledger.check_all(&client).await;
        }
        if self.random.random_bool(0.5) {
            victim.stop().await;
        } else {
            victim.kill().await;
        }
        if self.random.random_bool(0.1) {
            verify(self.disk.data());
        }
    }
}
