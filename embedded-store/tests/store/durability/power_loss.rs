//! Loss of power at any moment: a recording of what a server did to its files, over several lives
//! with kills and clean stops between them, is played up to a random operation, and the rest is what
//! a disk may make of it. A server then starts on what is there.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use embedded_store::Options;
use futures::FutureExt;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::sync::watch;

use super::disk::{Disk, EIO, Fault, file, op};
use super::ledger::{Clock, Ids, Ledger, Manner, Sent, Writer, share_out};
use super::simulation::{Machine, Recording};
use super::victim::{NotStarted, Victim};
use super::{random, rounds};
use crate::harness::{event, soon, store_with};

/// A server's lives on a disk that records.
struct Lives {
    disk: Disk,
    random: StdRng,
    ids: Ids,
    ledger: Ledger,
    manners: &'static [fn(u32, &Ledger) -> Manner],
    /// Everything that was sent in earlier lives, and in the last one.
    sent: Vec<Sent>,
    fresh: Vec<Sent>,
}

fn shared(_: u32, _: &Ledger) -> Manner {
    Manner::Shared
}

fn own(number: u32, ledger: &Ledger) -> Manner {
    Manner::Own(number, ledger.last_revision(&format!("own-{number}")))
}

fn doomed(_: u32, _: &Ledger) -> Manner {
    Manner::Doomed
}

fn large(_: u32, _: &Ledger) -> Manner {
    Manner::Large
}

impl Lives {
    fn new(random: StdRng, manners: &'static [fn(u32, &Ledger) -> Manner]) -> Option<Self> {
        let (ids, ledger) = (Ids::default(), Ledger::default());
        let (sent, fresh) = (Vec::new(), Vec::new());
        Some(Self { disk: Disk::new()?, random, ids, ledger, manners, sent, fresh })
    }

    /// A life of so many answers, or until nothing is answered any more.
    async fn live(&mut self, answers: u64, clean_end: bool) {
        let victim = match Victim::recorded_on(&self.disk).await {
            Ok(victim) => victim,
            Err(NotStarted::Refused(_)) if !self.disk.is_well() => return,
            Err(reason) => panic!("{reason:?}"),
        };
        let client = victim.client();
        self.ledger.check_new(&client, &mut self.fresh, u64::MAX).await;
        let doubtful = self.fresh.extract_if(.., |sent| sent.is_doubtful()).collect();
        self.sent.append(&mut self.fresh);
        let manners: Vec<_> =
            (0..).zip(self.manners).map(|(number, manner)| manner(number, &self.ledger)).collect();
        let answered = watch::Sender::new(0);
        let record = self.disk.record();
        let clock: Clock = Arc::new(move || std::fs::metadata(&record).unwrap().len());
        let mut writers = Vec::new();
        for (manner, doubtful) in manners.iter().zip(share_out(doubtful, &manners)) {
            let writer = Writer {
                client: client.clone(),
                manner: *manner,
                random: StdRng::seed_from_u64(self.random.random()),
                ids: self.ids.clone(),
                clock: Arc::clone(&clock),
                answered: answered.clone(),
                doubtful,
                requests: usize::try_from(answers).unwrap() / self.manners.len(),
            };
            writers.push(tokio::spawn(writer.run()));
        }
        if clean_end {
            self.end(writers).await;
            victim.stop().await;
        } else {
            // On a disk that fails, the writers end before.
            let mut seen = answered.subscribe();
            drop(answered);
            let _ = soon(seen.wait_for(|answered| *answered >= answers / 2)).await;
            self.disk.hold_still().await;
            victim.kill().await;
            self.disk.go_on();
            self.end(writers).await;
        }
    }

    async fn end(&mut self, writers: Vec<tokio::task::JoinHandle<Vec<Sent>>>) {
        for writer in soon(join_all(writers)).await {
            self.fresh.extend(writer.unwrap());
        }
    }

    /// Lets the power go at so many moments, and checks what is left each time.
    async fn lose_power(mut self, times: u32) {
        let recording = Recording::read(&self.disk.record());
        let mut moments: Vec<_> =
            (0..times).map(|_| self.random.random_range(0..=recording.len())).collect();
        moments.sort_unstable();
        self.sent.append(&mut self.fresh);
        self.sent.iter_mut().for_each(Sent::forget_where_it_was_found);
        let sent = Arc::new(self.sent);
        println!("{} operations, {} requests, {times} losses", recording.len(), sent.len());
        let mut machine = Machine::new(&recording);
        for moments in moments.chunks(2) {
            let mut checks = Vec::new();
            for moment in moments {
                let time = machine.advance(*moment);
                let directory = TempDir::new().unwrap();
                let story = machine.lose_power(directory.path(), &mut self.random);
                let sent = Arc::clone(&sent);
                checks.push(tokio::spawn(check(directory, story, sent, time)));
            }
            for check in soon(join_all(checks)).await {
                if let Err(story) = check.unwrap() {
                    let kept = self.disk.keep();
                    panic!("{story}; the recording is in {}", kept.display());
                }
            }
        }
    }
}

/// Starts a server on what is left; an error tells how it came about.
async fn check(
    directory: TempDir,
    story: String,
    sent: Arc<Vec<Sent>>,
    time: u64,
) -> Result<(), String> {
    let mut sent = sent.to_vec();
    let checked = AssertUnwindSafe(async {
        // What a loss of power leaves of this start is not asked.
        let options = Options { durable: false, ..Options::at(directory.path()) };
        let restarted = store_with(options).await;
        let mut ledger = Ledger::default();
        ledger.check_new(&restarted.client, &mut sent, time).await;
        restarted.add("afterwards", vec![event(1)]).await;
        assert_eq!(restarted.numbers("afterwards").await, [1]);
    });
    let checked = checked.catch_unwind().await;
    if checked.is_err() {
        return Err(format!("{story}; the files are in {}", directory.keep().display()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_when_the_power_goes() {
    for _ in 0..rounds(3) {
        let manners: &[_] = &[shared, own, doomed, shared, own, doomed];
        let Some(mut lives) = Lives::new(random("power loss"), manners) else { return };
        for (answers, clean_end) in [(60, false), (60, true), (40, false), (60, false), (30, true)]
        {
            lives.live(answers, clean_end).await;
        }
        lives.lose_power(300).await;
    }
}

/// Large events, so that the write-ahead log is folded into the database and begun anew while
/// others are written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_when_the_power_goes_while_the_log_is_folded() {
    let manners: &[_] = &[large, shared, own, large];
    let Some(mut lives) = Lives::new(random("folding"), manners) else { return };
    lives.live(120, false).await;
    lives.live(40, true).await;
    lives.lose_power(rounds(30)).await;
}

/// What a failed fsync was to bring to the disk can still be read afterwards, also by the next
/// server, though it is on no disk. Whatever that server answers has to be there all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_when_the_power_goes_after_a_failed_fsync() {
    let mut random = random("failed fsync");
    for _ in 0..rounds(6) {
        let manners: &[_] = &[shared, own, doomed, shared, own];
        let random_of_lives = StdRng::seed_from_u64(random.random());
        let Some(mut lives) = Lives::new(random_of_lives, manners) else { return };
        let skip = random.random_range(0..40);
        lives.disk.set_fault(Fault::fail(op::SYNC, file::ANY, EIO).after(skip).once());
        lives.live(400, false).await;
        assert_eq!(lives.disk.hit(), 1, "the fault came too late");
        lives.disk.heal();
        lives.live(40, false).await;
        lives.live(20, true).await;
        lives.lose_power(40).await;
    }
}

/// A write-ahead log without a name on the disk is no help when the power goes while it is folded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_the_power_left_half_made_after_a_failed_fsync_of_its_names_starts() {
    let mut random = random("names");
    for nth in 0..4 {
        let random_of_lives = StdRng::seed_from_u64(random.random());
        let Some(mut lives) = Lives::new(random_of_lives, &[shared]) else { return };
        lives.disk.set_fault(Fault::fail(op::SYNC, file::DIRECTORY, EIO).after(nth).once());
        lives.live(2, false).await;
        assert_eq!(lives.disk.hit(), 1, "names are not brought to the disk so often");
        lives.lose_power(rounds(150)).await;
    }
}
