//! How far a run is, as its own process knows it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use journal::Position;
use tokio::time::Instant;

use super::run::{Figures, Phase};
use crate::ProjectionName;

/// How far a rebuild is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Number of the run, as it is kept in the database.
    pub run: i64,
    /// What it is at.
    pub phase: Phase,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// Which share of its time it works; less than 1 when it leaves time to live projections.
    pub duty: f64,
    /// Where it is in the log.
    pub position: Position,
    /// Where the log ends.
    pub head: Position,
    /// Events read from the log.
    pub events_scanned: u64,
    /// Events folded into rows.
    pub events_folded: u64,
    /// Bytes of the events read.
    pub event_bytes: u64,
    /// Bytes of events that went to the disk, because they were too many for the memory.
    pub spilled_bytes: u64,
    /// Into how many partitions the streams are dealt out.
    pub partitions: u64,
    /// How many of them are in the tables.
    pub partitions_done: u64,
    /// Rows copied into the tables.
    pub rows: u64,
    /// Bytes of these rows.
    pub row_bytes: u64,
    /// How long each phase took, or has taken so far.
    pub phases: Vec<(Phase, Duration)>,
    /// How long it has been carried out, by whichever processes.
    pub elapsed: Duration,
    /// How long it will take until the end, as far as can be told.
    pub left: Option<Duration>,
    /// The most memory that the process has had.
    pub peak_rss_bytes: u64,
    /// What is wrong right now, if anything is; it is tried again.
    pub last_error: Option<String>,
    /// What of it is about which projection.
    pub projections: Vec<BuildProgress>,
}

/// How far the rebuild of one projection is.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildProgress {
    /// Which projection.
    pub projection: ProjectionName,
    /// Number of the new generation.
    pub generation: i64,
    /// Events folded so far.
    pub events: u64,
    /// Rows copied so far.
    pub rows: u64,
    /// Streams that cannot be followed.
    pub quarantined: u64,
    /// Gaps found in streams, and filled. Must stay 0.
    pub gaps_healed: u64,
    /// Whether all of its rows, keys and indexes are there.
    pub filled: bool,
    /// Whether the new generation has been promoted.
    pub promoted: bool,
    /// How it differs from the live generation, if they were compared.
    pub compared: Option<Compared>,
    /// Why it has not been promoted, and what to do about it.
    pub refusal: Option<String>,
}

/// What a comparison with the live generation came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many rows there are, on the side that has more.
    pub rows: u64,
    /// How many of them differ.
    pub differing: u64,
    /// How many streams could not be compared.
    pub not_compared: u64,
}

impl Progress {
    /// How much is done, from 0 to 1, by time.
    pub fn done(&self) -> f64 {
        if self.phase == Phase::Done || self.phase == Phase::Ready {
            return 1.0;
        }
        let spent = self.phases.iter().map(|(_, took)| *took).sum::<Duration>().as_secs_f64();
        match self.left {
            Some(left) => (spent / (spent + left.as_secs_f64()).max(0.001)).min(0.99),
            // It takes longer than it did before, but all else is done.
            None if self.phase == Phase::CatchUp => 0.99,
            None => 0.0,
        }
    }

    /// Events per second from the first to the last, the way into the tables included.
    #[expect(clippy::cast_precision_loss, reason = "a rate for a screen")]
    pub fn rate(&self) -> f64 {
        let events = self.events_folded.max(self.events_scanned);
        events as f64 / self.elapsed.as_secs_f64().max(0.001)
    }
}

/// What is counted while a run is carried out.
#[derive(Debug)]
pub(crate) struct Board {
    begun: Instant,
    pub(crate) run: AtomicU64,
    pub(crate) paused: AtomicBool,
    pub(crate) events_scanned: AtomicU64,
    pub(crate) event_bytes: AtomicU64,
    pub(crate) spilled_bytes: AtomicU64,
    pub(crate) events_folded: AtomicU64,
    pub(crate) partitions: AtomicU64,
    pub(crate) partitions_done: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) row_bytes: AtomicU64,
    notes: Mutex<Notes>,
}

#[derive(Debug)]
struct Notes {
    phase: Phase,
    since: Instant,
    /// What phases took in earlier attempts or processes.
    took: [Duration; 4],
    position: Position,
    head: Position,
    duty: f64,
    last_error: Option<String>,
    projections: BTreeMap<ProjectionName, BuildProgress>,
    /// Where the scan began, and with how many events.
    scanned_from: (Position, u64),
    /// How many partitions were done when folding them began here.
    folded_from: u64,
    pace: Pace,
}

/// How long things took in earlier runs; what is left is estimated by it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Seconds of folding per second of scanning.
    pub(crate) fold_per_scan: f64,
    /// Seconds of finishing per second of folding.
    pub(crate) finish_per_fold: f64,
    /// Seconds of catching up, comparing and making indexes per second of folding.
    pub(crate) catch_up_per_fold: f64,
}

impl Default for Pace {
    /// A guess, for as long as no run has come to its end.
    fn default() -> Self {
        Self { fold_per_scan: 1.5, finish_per_fold: 0.6, catch_up_per_fold: 0.8 }
    }
}

const PHASES: [Phase; 4] = [Phase::Scan, Phase::Fold, Phase::Finish, Phase::CatchUp];

fn number(phase: Phase) -> Option<usize> {
    PHASES.iter().position(|known| *known == phase)
}

impl Board {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            run: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            events_scanned: AtomicU64::new(0),
            event_bytes: AtomicU64::new(0),
            spilled_bytes: AtomicU64::new(0),
            events_folded: AtomicU64::new(0),
            partitions: AtomicU64::new(0),
            partitions_done: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            row_bytes: AtomicU64::new(0),
            notes: Mutex::new(Notes {
                phase: Phase::Scan,
                since: now,
                took: [Duration::ZERO; 4],
                position: Position::START,
                head: Position::START,
                duty: 1.0,
                last_error: None,
                projections: BTreeMap::new(),
                scanned_from: (Position::START, 0),
                folded_from: 0,
                pace: Pace::default(),
            }),
        }
    }

    /// Other processes have come so far.
    pub(crate) fn go_on_from(&self, before: &Figures) {
        self.events_scanned.store(before.events, Ordering::Relaxed);
        self.event_bytes.store(before.event_bytes, Ordering::Relaxed);
        self.spilled_bytes.store(before.spilled_bytes, Ordering::Relaxed);
        self.rows.store(before.rows, Ordering::Relaxed);
        self.row_bytes.store(before.row_bytes, Ordering::Relaxed);
        self.with(|notes| (notes.position, notes.took) = (before.scanned, before.took));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Notes) -> T) -> T {
        change(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.with(|notes| {
            if let Some(before) = number(notes.phase) {
                notes.took[before] += notes.since.elapsed();
            }
            notes.phase = phase;
            notes.since = Instant::now();
            notes.last_error = None;
        });
    }

    /// A scan begins after `from`.
    pub(crate) fn scan_from(&self, from: Position) {
        let events = self.events_scanned.load(Ordering::Relaxed);
        self.with(|notes| {
            notes.scanned_from = (from, events);
            notes.position = from;
        });
    }

    pub(crate) fn fold_from(&self, done: u64, of: u64) {
        self.partitions.store(of, Ordering::Relaxed);
        self.partitions_done.store(done, Ordering::Relaxed);
        self.with(|notes| notes.folded_from = done);
    }

    pub(crate) fn scanned(&self, position: Position) {
        self.with(|notes| notes.position = position);
    }

    pub(crate) fn ends_at(&self, head: Position) {
        self.with(|notes| notes.head = head);
    }

    pub(crate) fn works_for(&self, duty: f64) {
        self.with(|notes| notes.duty = duty);
    }

    pub(crate) fn keep_pace(&self, pace: Pace) {
        self.with(|notes| notes.pace = pace);
    }

    pub(crate) fn failed(&self, error: String) {
        self.with(|notes| notes.last_error = Some(error));
    }

    pub(crate) fn went_on(&self) {
        self.with(|notes| notes.last_error = None);
    }

    pub(crate) fn of(&self, name: ProjectionName, change: impl FnOnce(&mut BuildProgress)) {
        self.with(|notes| {
            change(notes.projections.entry(name).or_insert(BuildProgress {
                projection: name,
                generation: 0,
                events: 0,
                rows: 0,
                quarantined: 0,
                gaps_healed: 0,
                filled: false,
                promoted: false,
                compared: None,
                refusal: None,
            }));
        });
    }

    /// What is kept of it in the database.
    pub(crate) fn figures(&self) -> Figures {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (scanned, took, rows) =
            self.with(|notes| (notes.position, notes.took(), notes.sum(|it| it.rows)));
        Figures {
            scanned,
            events: load(&self.events_scanned),
            event_bytes: load(&self.event_bytes),
            spilled_bytes: load(&self.spilled_bytes),
            // Partitions that another process had filled are only known once all are.
            rows: load(&self.rows).max(rows),
            row_bytes: load(&self.row_bytes),
            took,
            peak_rss_bytes: peak_rss_bytes(),
        }
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.with(|notes| notes.last_error.clone())
    }

    pub(crate) fn progress(&self) -> Progress {
        let figures = self.figures();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (done, of) = (load(&self.partitions_done), load(&self.partitions));
        let run = i64::try_from(load(&self.run)).unwrap_or(i64::MAX);
        self.with(|notes| Progress {
            run,
            phase: notes.phase,
            paused: self.paused.load(Ordering::Relaxed),
            duty: notes.duty,
            position: notes.position,
            head: notes.head.max(notes.position),
            events_scanned: figures.events,
            events_folded: load(&self.events_folded).max(notes.sum(|it| it.events)),
            event_bytes: figures.event_bytes,
            spilled_bytes: figures.spilled_bytes,
            partitions: of,
            partitions_done: done,
            rows: figures.rows,
            row_bytes: figures.row_bytes,
            phases: PHASES.into_iter().zip(figures.took).collect(),
            elapsed: self.begun.elapsed().max(figures.took.iter().sum()),
            left: notes.left(done, of),
            peak_rss_bytes: figures.peak_rss_bytes,
            last_error: notes.last_error.clone(),
            projections: notes.projections.values().cloned().collect(),
        })
    }
}

impl Notes {
    fn sum(&self, of: impl Fn(&BuildProgress) -> u64) -> u64 {
        self.projections.values().map(of).sum()
    }

    fn took(&self) -> [Duration; 4] {
        let mut took = self.took;
        if let Some(now) = number(self.phase) {
            took[now] += self.since.elapsed();
        }
        took
    }

    /// From what this phase has done and what is left of it, and what the later ones take in
    /// proportion to it.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn left(&self, done: u64, of: u64) -> Option<Duration> {
        let [scan, fold, finish, catch_up] = self.took().map(|took| took.as_secs_f64());
        let Pace { fold_per_scan, finish_per_fold, catch_up_per_fold } = self.pace;
        let after_fold = finish_per_fold + catch_up_per_fold;
        let here = self.since.elapsed().as_secs_f64();
        let seconds = match self.phase {
            Phase::Scan => {
                let from = self.scanned_from.0.commit;
                let came = self.position.commit.saturating_sub(from) as f64;
                if came < 1.0 {
                    return None;
                }
                let left = self.head.commit.saturating_sub(self.position.commit) as f64;
                let left = here * left / came;
                let fold = (scan + left) * fold_per_scan;
                left + fold + fold * after_fold
            }
            Phase::Fold => {
                let came = done.saturating_sub(self.folded_from) as f64;
                if came < 1.0 {
                    return (scan > 0.0).then(|| {
                        Duration::from_secs_f64(scan * fold_per_scan * (1.0 + after_fold))
                    });
                }
                let left = here * of.saturating_sub(done) as f64 / came;
                left + (fold + left) * after_fold
            }
            Phase::Finish => (fold * finish_per_fold - finish).max(0.0) + fold * catch_up_per_fold,
            // How much comes meanwhile cannot be told, nor for what the server lets it wait.
            Phase::CatchUp if catch_up >= fold * catch_up_per_fold => return None,
            Phase::CatchUp => fold * catch_up_per_fold - catch_up,
            Phase::Ready | Phase::Done | Phase::GivenUp => 0.0,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// The most memory that this process has had, where the system tells.
pub(crate) fn peak_rss_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    kilobytes.and_then(|number| number.trim().parse::<u64>().ok()).map_or(0, |number| number << 10)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_told_by_how_long_it_took_before() {
        let board = Board::new();
        let pace = Pace { fold_per_scan: 1.0, finish_per_fold: 0.5, catch_up_per_fold: 2.0 };
        board.keep_pace(pace);
        board.enter(Phase::Fold);
        board.fold_from(0, 4);
        board.partitions_done.store(1, Ordering::Relaxed);
        advance(Duration::from_secs(10)).await;
        let left = |seconds| Some(Duration::from_secs(seconds));
        // 30 s of folding, 20 s of finishing, and 80 s until it is live.
        assert_eq!(board.progress().left, left(130));
        advance(Duration::from_secs(30)).await;
        board.enter(Phase::Finish);
        advance(Duration::from_secs(15)).await;
        assert_eq!(board.progress().left, left(85));
        board.enter(Phase::CatchUp);
        advance(Duration::from_mins(1)).await;
        assert_eq!(board.progress().left, left(20));
        // Nobody knows how much longer than usual.
        advance(Duration::from_secs(30)).await;
        assert_eq!((board.progress().left, board.progress().done()), (None, 0.99));
    }

    #[test]
    fn what_other_processes_did_counts_when_a_run_has_gone_on() {
        let board = Board::new();
        let took = [10, 20, 30, 0].map(Duration::from_secs);
        // Killed between two signs of life: more partitions were filled than it had told of.
        let told = Figures { events: 1_000, rows: 300, took, ..board.figures() };
        board.go_on_from(&told);
        assert_eq!((board.progress().events_scanned, board.progress().rows), (1_000, 300));
        board.enter(Phase::Finish);
        // Now all partitions are counted, whoever has filled them.
        board.of(ProjectionName::Orders, |it| (it.events, it.rows) = (700, 400));
        board.of(ProjectionName::Payments, |it| (it.events, it.rows) = (300, 100));

        let progress = board.progress();

        assert_eq!((progress.events_folded, progress.rows), (1_000, 500));
        assert_eq!(board.figures().rows, 500);
        assert!(progress.elapsed >= Duration::from_mins(1), "{:?}", progress.elapsed);
        assert!(progress.rate() < 17.0, "{}", progress.rate());
    }
}
