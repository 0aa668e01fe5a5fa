//! What a group was created with: what it reads, from where, and how it hands on. The numbers are
//! kept as clients sent them, because that is how they are told again.

use std::sync::Arc;
use std::time::Duration;

use crate::semantics::filter::{Filter, Subject};

/// The name of the whole log where a stream's name could stand.
pub(crate) const ALL: &str = "$all";

/// Events in one page when a client does not choose.
const DEFAULT_BATCH: usize = 20;

/// Events in one page at most.
const LARGEST_BATCH: usize = 500;

/// What a group reads.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Stream(Arc<str>),
    All(Option<FilterChoice>),
}

impl Source {
    /// The name that clients know it by.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Stream(stream) => stream,
            Self::All(_) => ALL,
        }
    }

    /// A position in it, as clients read it: a revision, or a position of the log.
    pub(crate) fn position_text(&self, position: u64) -> String {
        match self {
            Self::Stream(_) => position.to_string(),
            Self::All(_) => format!("C:{position}/P:{position}"),
        }
    }

    /// Reads what [`Self::position_text`] wrote.
    pub(crate) fn parse_position(&self, text: &str) -> Option<u64> {
        match self {
            Self::Stream(_) => text.parse().ok(),
            Self::All(_) => {
                let (commit, _prepare) = text.strip_prefix("C:")?.split_once("/P:")?;
                commit.parse().ok()
            }
        }
    }
}

/// A filter as it was asked for, and ready for use.
#[derive(Debug, Clone)]
pub(crate) struct FilterChoice {
    pub(crate) subject: Subject,
    /// Empty if a pattern was given.
    pub(crate) prefixes: Vec<String>,
    pub(crate) pattern: String,
    pub(crate) filter: Filter,
}

impl FilterChoice {
    /// As on EventStoreDB, a pattern goes before prefixes if both are given.
    pub(crate) fn new(
        subject: Subject,
        prefixes: Vec<String>,
        pattern: String,
    ) -> Result<Self, InvalidSettings> {
        let prefixes = if pattern.is_empty() { prefixes } else { Vec::new() };
        if pattern.is_empty() && prefixes.is_empty() {
            return Err(InvalidSettings::EmptyFilter);
        }
        let filter = Filter::new(subject, prefixes.clone(), &pattern)
            .map_err(|_broken| InvalidSettings::Pattern)?;
        Ok(Self { subject, prefixes, pattern, filter })
    }
}

/// Where a group without a checkpoint begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Beginning,
    /// With what is written after the group was created.
    End,
    /// With this revision or position.
    At(u64),
}

impl Start {
    /// As clients read it.
    pub(crate) fn text(self, source: &Source) -> String {
        match (self, source) {
            (Self::Beginning, source) => source.position_text(0),
            (Self::At(position), source) => source.position_text(position),
            (Self::End, Source::Stream(_)) => "-1".to_owned(),
            (Self::End, Source::All(_)) => "C:-1/P:-1".to_owned(),
        }
    }

    pub(crate) fn parse(source: &Source, text: &str) -> Option<Self> {
        if matches!(text, "-1" | "C:-1/P:-1") {
            return Some(Self::End);
        }
        match source.parse_position(text)? {
            0 => Some(Self::Beginning),
            position => Some(Self::At(position)),
        }
    }
}

/// Who gets the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// One consumer, until it is full.
    DispatchToSingle,
    /// Everyone in turn.
    RoundRobin,
    /// The same consumer for the same stream.
    Pinned,
    /// The same consumer for the same correlation id.
    PinnedByCorrelation,
}

impl Strategy {
    const ALL: [Self; 4] =
        [Self::DispatchToSingle, Self::RoundRobin, Self::Pinned, Self::PinnedByCorrelation];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DispatchToSingle => "DispatchToSingle",
            Self::RoundRobin => "RoundRobin",
            Self::Pinned => "Pinned",
            Self::PinnedByCorrelation => "PinnedByCorrelation",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, InvalidSettings> {
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.name() == name)
            .ok_or_else(|| InvalidSettings::Strategy(name.to_owned()))
    }
}

/// Why a group cannot be created or changed like this.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSettings {
    #[error("Consumer strategy {0} does not exist.")]
    Strategy(String),
    #[error(
        "the read batch size ({read_batch_size}) must be smaller than the history buffer size ({history_buffer_size})"
    )]
    BatchTooLarge { read_batch_size: i32, history_buffer_size: i32 },
    #[error("{0} must not be negative")]
    Negative(&'static str),
    #[error("the filter's regular expression is not valid")]
    Pattern,
    #[error("the filter names neither a prefix nor a regular expression")]
    EmptyFilter,
    #[error("Invalid Start From position: it is beyond the end of the log")]
    StartBeyondEnd,
    #[error("Invalid Start From position: the prepare position is larger than the commit position")]
    StartInconsistent,
    #[error("the group needs a name")]
    NoGroupName,
    #[error("Bad stream name.")]
    BadStreamName,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) start: Start,
    pub(crate) strategy: Strategy,
    pub(crate) resolve_links: bool,
    pub(crate) extra_statistics: bool,
    pub(crate) message_timeout_ms: i32,
    pub(crate) max_retry_count: i32,
    pub(crate) checkpoint_after_ms: i32,
    pub(crate) min_checkpoint_count: i32,
    pub(crate) max_checkpoint_count: i32,
    pub(crate) max_subscriber_count: i32,
    pub(crate) live_buffer_size: i32,
    pub(crate) read_batch_size: i32,
    pub(crate) history_buffer_size: i32,
}

impl Settings {
    pub(crate) fn validate(&self) -> Result<(), InvalidSettings> {
        for (name, number) in [
            ("the live buffer size", self.live_buffer_size),
            ("the message timeout", self.message_timeout_ms),
            ("the time between checkpoints", self.checkpoint_after_ms),
            ("the number of subscribers", self.max_subscriber_count),
        ] {
            if number < 0 {
                return Err(InvalidSettings::Negative(name));
            }
        }
        let (read_batch_size, history_buffer_size) =
            (self.read_batch_size, self.history_buffer_size);
        if read_batch_size >= history_buffer_size {
            return Err(InvalidSettings::BatchTooLarge { read_batch_size, history_buffer_size });
        }
        Ok(())
    }

    /// How long a consumer may keep a message; for ever if `None`.
    pub(crate) fn message_timeout(&self) -> Option<Duration> {
        millis(self.message_timeout_ms)
    }

    /// How long a checkpoint waits for the next one; for ever if `None`.
    pub(crate) fn checkpoint_after(&self) -> Option<Duration> {
        millis(self.checkpoint_after_ms)
    }

    /// Deliveries again before a message is parked.
    pub(crate) fn max_retries(&self) -> u32 {
        u32::try_from(self.max_retry_count).unwrap_or(0)
    }

    /// Messages after which a checkpoint may wait no longer for its time.
    pub(crate) fn min_checkpoint(&self) -> u64 {
        u64::try_from(self.min_checkpoint_count).unwrap_or(0).max(1)
    }

    /// Messages after which a checkpoint may wait no longer at all.
    pub(crate) fn max_checkpoint(&self) -> u64 {
        u64::try_from(self.max_checkpoint_count).unwrap_or(0).max(1)
    }

    /// Consumers at most; any number if `None`.
    pub(crate) fn max_subscribers(&self) -> Option<usize> {
        usize::try_from(self.max_subscriber_count).ok().filter(|count| *count > 0)
    }

    pub(crate) fn batch(&self) -> usize {
        match usize::try_from(self.read_batch_size) {
            Ok(0) | Err(_) => DEFAULT_BATCH,
            Ok(size) => size.min(LARGEST_BATCH),
        }
    }

    /// Messages that are read ahead at most.
    pub(crate) fn buffer(&self) -> usize {
        usize::try_from(self.history_buffer_size).unwrap_or(1)
    }
}

fn millis(number: i32) -> Option<Duration> {
    u64::try_from(number).ok().filter(|millis| *millis > 0).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Source {
        Source::All(None)
    }

    #[test]
    fn positions_are_read_as_they_are_written() {
        let stream = Source::Stream("s".into());
        for start in [Start::Beginning, Start::End, Start::At(7)] {
            assert_eq!(Start::parse(&stream, &start.text(&stream)), Some(start));
            assert_eq!(Start::parse(&all(), &start.text(&all())), Some(start));
        }
        assert_eq!(Start::End.text(&stream), "-1");
        assert_eq!(Start::At(7).text(&all()), "C:7/P:7");
        assert_eq!(Start::parse(&all(), "7"), None);
    }

    #[test]
    fn a_strategy_that_nobody_knows_is_refused() {
        assert_eq!(Strategy::parse("Pinned"), Ok(Strategy::Pinned));
        assert!(Strategy::parse("Favourite").is_err());
    }

    #[test]
    fn a_filter_needs_a_condition_that_can_be_read() {
        let filter = |prefixes, pattern: &str| {
            FilterChoice::new(Subject::EventType, prefixes, pattern.to_owned()).map(|_| ())
        };
        assert_eq!(filter(Vec::new(), ""), Err(InvalidSettings::EmptyFilter));
        assert_eq!(filter(Vec::new(), "("), Err(InvalidSettings::Pattern));
        assert_eq!(filter(vec!["a".to_owned()], ""), Ok(()));
        assert_eq!(filter(Vec::new(), "^a"), Ok(()));
    }
}
