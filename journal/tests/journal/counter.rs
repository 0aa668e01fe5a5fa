//! The smallest aggregate there is: a counter that is opened with a limit and then counts up to it.

use bytes::Bytes;
use domain::Decider;
use journal::{Context, ExecuteError, Journal, Proposed, Repository, ids};
use schemas::{Aggregate, Encoded, Metadata, StateFormat, StoredEvent, StreamName, Undecodable};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

#[derive(Debug)]
pub(crate) struct Counter;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) limit: Option<u64>,
    pub(crate) count: u64,
    pub(crate) tags: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// In effect when opened with the same limit.
    Open { limit: u64 },
    /// Count one up, under a name; in effect when that name was counted.
    Count { tag: String },
    /// A decision that panics.
    Stumble,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Event {
    Opened { limit: u64 },
    Counted { tag: String },
}

#[derive(Debug, Clone, PartialEq, Error)]
pub(crate) enum Rejection {
    #[error("not open")]
    NotOpen,
    #[error("open with another limit, {0}")]
    OtherLimit(u64),
    #[error("the limit of {0} is reached")]
    Full(u64),
}

impl Decider for Counter {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn initial() -> State {
        State::default()
    }

    fn evolve(mut state: State, event: &Event) -> State {
        match event {
            Event::Opened { limit } => state.limit = Some(*limit),
            Event::Counted { tag } => {
                state.count += 1;
                state.tags.push(tag.clone());
            }
        }
        state
    }

    fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Rejection> {
        match (command, state.limit) {
            (Command::Open { limit }, None) => Ok(vec![Event::Opened { limit: *limit }]),
            (Command::Open { limit }, Some(before)) if *limit == before => Ok(vec![]),
            (Command::Open { .. }, Some(before)) => Err(Rejection::OtherLimit(before)),
            (Command::Count { .. }, None) => Err(Rejection::NotOpen),
            (Command::Count { tag }, Some(_)) if state.tags.contains(tag) => Ok(vec![]),
            (Command::Count { .. }, Some(limit)) if state.count >= limit => {
                Err(Rejection::Full(limit))
            }
            (Command::Count { tag }, Some(_)) => Ok(vec![Event::Counted { tag: tag.clone() }]),
            (Command::Stumble, _) => panic!("this command always panics"),
        }
    }

    fn opens_stream(command: &Command) -> bool {
        matches!(command, Command::Open { .. })
    }
}

impl StoredEvent for Event {
    fn encode(&self) -> Encoded {
        let event_type = match self {
            Self::Opened { .. } => "counter-opened",
            Self::Counted { .. } => "counter-counted",
        };
        Encoded { event_type, version: 1, data: serde_json::to_vec(self).unwrap().into() }
    }

    fn decode(event_type: &str, version: u32, data: &[u8]) -> Result<Self, Undecodable> {
        serde_json::from_slice(data).map_err(|error| Undecodable::Malformed {
            event_type: event_type.to_owned(),
            version,
            reason: error.to_string(),
        })
    }
}

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Id = String;
    const STATES: Option<StateFormat<State>> = Some(StateFormat::version(1));
}

pub(crate) type Counters = Repository<Counter>;
pub(crate) type Refused = ExecuteError<Rejection>;

pub(crate) fn counters(journal: &Journal) -> Counters {
    Repository::new(journal.clone(), 100)
}

pub(crate) fn stream(id: &str) -> StreamName {
    StreamName::new("counter", id)
}

pub(crate) fn open(limit: u64) -> Command {
    Command::Open { limit }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
pub(crate) fn count(tag: impl ToString) -> Command {
    Command::Count { tag: tag.to_string() }
}

/// A new command of somebody.
pub(crate) fn context() -> Context {
    let command_id = ids::new_id();
    Context {
        command_id,
        correlation_id: command_id,
        causation_id: command_id,
        actor: "user:test".to_owned(),
        traceparent: None,
    }
}

/// An event to append by hand.
#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
pub(crate) fn counted(tag: impl ToString) -> Proposed {
    proposed(&Event::Counted { tag: tag.to_string() })
}

pub(crate) fn proposed(event: &Event) -> Proposed {
    let encoded = event.encode();
    let command_id = ids::new_id();
    Proposed { event_id: ids::new_id(), metadata: metadata(command_id, encoded.version), encoded }
}

pub(crate) fn metadata(command_id: Uuid, schema_version: u32) -> Metadata {
    Metadata {
        command_id,
        correlation_id: command_id,
        causation_id: command_id,
        actor: "user:test".to_owned(),
        schema_version,
        recorded_at: chrono::DateTime::UNIX_EPOCH,
        traceparent: None,
    }
}

/// An event of `bytes` bytes of data.
pub(crate) fn large(bytes: usize) -> Proposed {
    let mut event = counted("");
    event.encoded.data =
        Bytes::from(format!("{{\"Counted\":{{\"tag\":\"{}\"}}}}", "x".repeat(bytes)));
    event
}
