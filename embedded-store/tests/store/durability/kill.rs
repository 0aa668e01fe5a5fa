//! `kill -9` at any moment, thousands of times: between two system calls, in the middle of a write,
//! during the start, the first creation and the repair after the kill before.

use std::sync::Arc;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::sync::watch;

use super::disk::{Action, Disk, Fault, file, op};
use super::ledger::{Ids, Ledger, Manner, Sent, Writer, share_out, verify};
use super::victim::{NotStarted, Victim};
use super::{random, rounds};
use crate::harness::soon;

const WRITERS: u32 = 6;

/// A data directory through many lives of its server.
struct Arena {
    random: StdRng,
    /// `None` where there is no disk that obeys: kills then come from outside only.
    disk: Option<Disk>,
    directory: TempDir,
    ids: Ids,
    ledger: Ledger,
    /// Everything that was sent in the last round.
    sent: Vec<Sent>,
    /// Whether the last life wrote, and was killed.
    unclean: bool,
    answered: u64,
    killed_at_start: u32,
}

impl Arena {
    fn new(random: StdRng) -> Self {
        Self {
            random,
            disk: Disk::new(),
            directory: TempDir::new().unwrap(),
            ids: Ids::default(),
            ledger: Ledger::default(),
            sent: Vec::new(),
            unclean: false,
            answered: 0,
            killed_at_start: 0,
        }
    }

    async fn start(&self) -> Result<Victim, NotStarted> {
        match &self.disk {
            Some(disk) => Victim::on(disk).await,
            None => Victim::start(self.directory.path()).await,
        }
    }

    /// A life: from the start, through the check of what the life before left, to the kill.
    async fn round(&mut self) {
        let own_end = self.choose_end();
        let victim = match self.start().await {
            Ok(victim) => victim,
            Err(NotStarted::Killed) if own_end => {
                self.killed_at_start += 1;
                return;
            }
            Err(reason) => panic!("{reason:?}"),
        };
        let said = victim.recovery();
        assert!(!self.unclean || said.contains("clean: false"), "{said}");
        let client = victim.client();
        self.ledger.check_new(&client, &mut self.sent, u64::MAX).await;
        let answered = watch::Sender::new(0);
        let doubtful = self.sent.extract_if(.., |sent| sent.is_doubtful()).collect();
        self.sent.clear();
        let manners: Vec<_> = (0..WRITERS)
            .map(|number| match number % 3 {
                0 => Manner::Shared,
                1 => Manner::Own(number, self.ledger.last_revision(&format!("own-{number}"))),
                _ => Manner::Doomed,
            })
            .collect();
        let mut writers = Vec::new();
        for (manner, doubtful) in manners.iter().zip(share_out(doubtful, &manners)) {
            writers.push(Writer {
                client: client.clone(),
                manner: *manner,
                random: StdRng::seed_from_u64(self.random.random()),
                ids: self.ids.clone(),
                clock: Arc::new(|| 0),
                answered: answered.clone(),
                doubtful,
                requests: usize::MAX,
            });
        }
        let writers: Vec<_> =
            writers.into_iter().map(|writer| tokio::spawn(writer.run())).collect();
        if own_end {
            victim.killed().await;
        } else {
            let moment = self.random.random_range(0..20);
            soon(answered.subscribe().wait_for(|answered| *answered >= moment)).await.unwrap();
            victim.kill().await;
        }
        for writer in soon(join_all(writers)).await {
            self.sent.extend(writer.unwrap());
        }
        let answered = *answered.borrow();
        self.unclean |= answered > 0;
        self.answered += answered;
    }

    /// Half of the kills come from outside after so many answers, half from the disk, right before,
    /// within or right after some operation, counted from the start of the process.
    fn choose_end(&mut self) -> bool {
        let Some(disk) = &self.disk else { return false };
        disk.heal();
        if self.random.random_bool(0.5) {
            return false;
        }
        let actions = [Action::DieBefore, Action::DieWithin, Action::DieAfter];
        let action = actions[self.random.random_range(0..3)];
        let skip = self.random.random_range(0..100);
        let (operations, files) = (op::CHANGES, file::ANY);
        disk.set_fault(Fault { action, operations, files, skip, count: 1, error: 0 });
        true
    }

    /// Compares everything, after a last start that nothing disturbs.
    async fn check_all(&mut self) {
        if let Some(disk) = &self.disk {
            disk.heal();
        }
        let victim = self.start().await.unwrap_or_else(|reason| panic!("{reason:?}"));
        let client = victim.client();
        self.ledger.check_new(&client, &mut self.sent, u64::MAX).await;
        self.sent.clear();
        self.ledger.check_all(&client).await;
        drop(client);
        victim.stop().await;
        self.unclean = false;
        let own = self.directory.path();
        verify(self.disk.as_ref().map_or(own, Disk::data));
    }
}

/// One directory that grows over all rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_over_a_thousand_kills_of_one_store() {
    let mut arena = Arena::new(random("one store"));
    let rounds = rounds(1_000);
    for round in 1..=rounds {
        arena.round().await;
        if round % 250 == 0 {
            arena.check_all().await;
        }
    }
    arena.check_all().await;
    println!(
        "{rounds} kills, {} during the start, {} answers",
        arena.killed_at_start, arena.answered
    );
    assert!(arena.answered > u64::from(rounds) * 4);
}

/// Many directories, each from its creation on: that may be interrupted as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_over_a_thousand_kills_of_new_stores() {
    let mut random = random("new stores");
    let (mut answered, mut at_start) = (0, 0);
    let stores = rounds(100);
    for _ in 0..stores {
        let mut arena = Arena::new(StdRng::seed_from_u64(random.random()));
        for _ in 0..10 {
            arena.round().await;
        }
        arena.check_all().await;
        answered += arena.answered;
        at_start += arena.killed_at_start;
    }
    println!("{} kills, {at_start} during the start, {answered} answers", stores * 10);
    assert!(answered > u64::from(stores) * 40);
}
