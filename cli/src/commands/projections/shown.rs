//! How far a rebuild is, as it goes: a bar on a terminal, lines elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use projector::{Phase, Progress};
use serde_json::json;

use super::rebuild::phases;
use crate::output::{bar, say};

/// How often a line is printed where there is no bar.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

pub(super) struct Shown {
    bar: ProgressBar,
    manner: Manner,
    /// The largest share so far: an estimate may fall, a bar that goes back helps nobody.
    done: f64,
    last: Option<(Phase, Instant)>,
    /// What was complained about last.
    complaint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Bar,
    Json,
    /// Neither: only what somebody who reads the log later wants to know.
    Sparse,
}

impl Shown {
    pub(super) fn new(as_json: bool) -> Self {
        let manner = match (as_json, std::io::stderr().is_terminal()) {
            (true, _) => Manner::Json,
            (false, true) => Manner::Bar,
            (false, false) => Manner::Sparse,
        };
        let bar = bar(manner == Manner::Bar);
        bar.set_length(1_000);
        Self { bar, manner, done: 0.0, last: None, complaint: None }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        self.done = self.done.max(progress.done());
        self.complain(progress.last_error.as_ref());
        match self.manner {
            Manner::Bar => self.draw(progress),
            Manner::Json | Manner::Sparse => self.tell(progress),
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Above the bar, not hidden by it; once, not ten times a second.
    fn complain(&mut self, error: Option<&String>) {
        if error == self.complaint.as_ref() {
            return;
        }
        self.complaint = error.cloned();
        if let Some(error) = error {
            self.bar.suspend(|| eprintln!("{error}; it is tried again"));
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share for a bar on a screen"
    )]
    fn draw(&self, progress: &Progress) {
        self.bar.set_position((self.done * 1_000.0) as u64);
        self.bar.set_message(in_words(progress));
    }

    fn tell(&mut self, progress: &Progress) {
        let is_new = self.last.is_none_or(|(phase, _)| phase != progress.phase);
        let is_due = self.last.is_none_or(|(_, at)| at.elapsed() >= BETWEEN_LINES);
        match self.manner {
            Manner::Json if is_new || is_due => say(line(progress, self.done)),
            Manner::Sparse if is_new => eprintln!("{}", in_words(progress)),
            Manner::Json | Manner::Sparse | Manner::Bar => return,
        }
        self.last = Some((progress.phase, Instant::now()));
    }
}

/// Something that is counted up to an end, on a terminal only.
pub(super) struct Counted {
    bar: ProgressBar,
}

impl Counted {
    pub(super) fn new(as_json: bool) -> Self {
        Self { bar: bar(!as_json && std::io::stderr().is_terminal()) }
    }

    pub(super) fn show(&self, done: u64, of: u64, words: String) {
        self.bar.set_length(of.max(done).max(1));
        self.bar.set_position(done);
        self.bar.set_message(words);
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn in_words(progress: &Progress) -> String {
    let what = match progress.phase {
        Phase::Scan => "reading the log",
        Phase::Fold => "folding",
        Phase::Finish => "keys and indexes",
        Phase::CatchUp => "catching up",
        Phase::Ready => "ready",
        Phase::Done => "done",
        Phase::GivenUp => "given up",
    };
    let mut words = vec![what.to_owned()];
    // First, so that a narrow terminal has it.
    if let Some(left) = progress.left {
        words.push(format!("{} left", duration(left)));
    }
    words.push(format!("{} events, {:.0}/s", events(progress), progress.rate()));
    if progress.partitions > 0 && progress.phase == Phase::Fold {
        words.push(format!("{} of {} parts", progress.partitions_done, progress.partitions));
    }
    if progress.paused {
        words.push("paused".to_owned());
    } else if progress.duty < 0.99 {
        let duty = progress.duty * 100.0;
        words.push(format!("slowed down to {duty:.0} % for live projections"));
    }
    words.join(", ")
}

/// Events read, and then events folded.
fn events(progress: &Progress) -> u64 {
    match progress.phase {
        Phase::Scan => progress.events_scanned,
        Phase::Fold
        | Phase::Finish
        | Phase::CatchUp
        | Phase::Ready
        | Phase::Done
        | Phase::GivenUp => progress.events_folded,
    }
}

fn line(progress: &Progress, done: f64) -> serde_json::Value {
    json!({
        "phase": progress.phase.as_str(),
        "done": done,
        "paused": progress.paused,
        "duty": progress.duty,
        "events": events(progress),
        "events_per_second": progress.rate(),
        "rows": progress.rows,
        "seconds": progress.elapsed.as_secs_f64(),
        "seconds_left": progress.left.map(|left| left.as_secs_f64()),
        "spilled_bytes": progress.spilled_bytes,
        "peak_rss_bytes": progress.peak_rss_bytes,
        "phases": phases(progress),
        "error": progress.last_error,
    })
}

/// As people say it, such as `1 h 5 min` or `40 s`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        let said = [0, 59, 61, 3_600, 7_385].map(|it| duration(Duration::from_secs(it)));
        assert_eq!(said, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "2 h 3 min"]);
    }
}
