//! Appends over a call that stays open (`BatchAppend`), instead of a call each.
//!
//! A call of its own costs an append three times as much on both ends: headers, flow control, a
//! task for each (decision 9). What cannot be had is a refusal: the client ends the whole call at
//! the first append that is refused, for everybody on it, and does not say what the stream was
//! like. So the only answer that counts here is "appended". After any other the append is made
//! again by a call of its own ([`Journal::append`](crate::Journal::append)); the store recognises
//! the ids of its events if it had happened already.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use eventstore::{BatchAppendClient, BatchAppendOptions, Client, EventData, ExpectedRevision};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use crate::gateway::Checked;
use crate::{Appended, ids, wire};

/// After a refusal everything is appended by calls of its own for so long, and longer while
/// refusals follow each other: most of what an open call is given would have to be sent twice.
const AFTER_A_REFUSAL: Rest =
    Rest { least: Duration::from_millis(100), most: Duration::from_secs(5) };
/// And after a call that did not answer: what is in between may not let such calls through, and
/// finding out takes half of an append's time.
const AFTER_SILENCE: Rest = Rest { least: Duration::from_mins(1), most: Duration::from_mins(30) };
/// A call that was of use for so many times the rest before it has been worth it.
const WORTH_IT: u32 = 10;

/// So many calls are opened on a connection to a store that may not end them. It lets a hundred be
/// open at once, reads and other appends included, and makes whoever wants more wait.
const MOST_CALLS: u32 = 32;

/// Appends of more data, or more events, have a call of their own: they would be in everybody's way.
pub(crate) const MOST_BYTES: usize = 64 * 1024;
pub(crate) const MOST_EVENTS: usize = 64;
/// And those that have less time for an answer: what does not come within that says nothing about
/// the call.
pub(crate) const LEAST_TIME: Duration = Duration::from_millis(500);
/// An append whose call was ended by another's refusal is sent again after so long. It may be
/// written already; `EventStoreDB` recognises what it has indexed, which takes it a moment, and lets
/// whoever comes sooner wait for two seconds.
pub(crate) const BEFORE_REPEATING: Duration = Duration::from_millis(30);

/// How long the end of a call is waited for. It matters to nobody but the store.
const PARTING: Duration = Duration::from_mins(10);

/// The open call of a connection, if there is one.
pub(crate) struct OpenCalls {
    /// Whether the store ends a call in which something was refused.
    are_ended: bool,
    latest: Mutex<Option<Latest>>,
}

struct Latest {
    call: Arc<OpenCall>,
    /// So many have been opened by this client.
    opened: u32,
    /// How long none was, before this one.
    rested: Duration,
}

struct Rest {
    least: Duration,
    most: Duration,
}

pub(crate) struct OpenCall {
    client: Arc<Client>,
    /// The number of the check that the client has passed.
    check: u64,
    since: Instant,
    /// `None` if the store knows no such call.
    batches: OnceCell<Option<BatchAppendClient>>,
    given_up: OnceLock<(Instant, Why)>,
}

/// Why a call is not used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Refused,
    Silent,
    /// There is another client.
    Replaced,
}

/// What came of an append.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Appended(Appended),
    /// Something is wrong with it, or with the call. It may have happened.
    Refused,
    /// The call was ended by somebody else's. It may have happened.
    Ended,
}

impl OpenCalls {
    /// `are_ended` says whether the store ends a call in which something was refused.
    pub(crate) fn new(are_ended: bool) -> Self {
        Self { are_ended, latest: Mutex::default() }
    }

    /// The call over which the client of `checked` appends, if it is to use one now.
    pub(crate) fn of(&self, checked: &Checked) -> Option<Arc<OpenCall>> {
        let Checked { client, check } = checked;
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut opened, mut rested) = (0, Duration::ZERO);
        if let Some(Latest { call, opened: so_far, rested: before }) = &*latest {
            let is_ours = Arc::ptr_eq(&call.client, client);
            if !is_ours && *check < call.check {
                return None;
            }
            if let Some((ended, why)) = call.given_up.get() {
                rested = why.rest(*ended - call.since, *before);
                if ended.elapsed() < rested {
                    return None;
                }
            } else if is_ours {
                return Some(Arc::clone(call));
            }
            call.give_up(Why::Replaced);
            opened = if is_ours { *so_far } else { 0 };
        }
        if opened == MOST_CALLS && !self.are_ended {
            return None;
        }
        let call = Arc::new(OpenCall {
            client: Arc::clone(client),
            check: *check,
            since: Instant::now(),
            batches: OnceCell::new(),
            given_up: OnceLock::new(),
        });
        *latest = Some(Latest { call: Arc::clone(&call), opened: opened + 1, rested });
        Some(call)
    }
}

impl Drop for OpenCalls {
    fn drop(&mut self) {
        let latest = self.latest.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Latest { call, .. }) = latest {
            call.give_up(Why::Replaced);
        }
    }
}

impl Why {
    /// How long no call is opened after one that was of use for `lived`, if none was for `before`
    /// ahead of it.
    fn rest(self, lived: Duration, before: Duration) -> Duration {
        let Rest { least, most } = match self {
            Self::Refused => AFTER_A_REFUSAL,
            Self::Silent => AFTER_SILENCE,
            Self::Replaced => return Duration::ZERO,
        };
        let longer = if lived < before * WORTH_IT { before * 2 } else { least };
        longer.clamp(least, most)
    }
}

impl OpenCall {
    pub(crate) async fn append(
        &self,
        stream: &str,
        expected: ExpectedRevision,
        events: Vec<EventData>,
    ) -> Answer {
        let opening = async || self.client.batch_append(&BatchAppendOptions::default()).await.ok();
        // The client's futures are very large; boxed, they do not make ours so.
        let batches = self.batches.get_or_init(|| Box::pin(opening())).await;
        let Some(batches) = batches else { return Answer::Refused };
        match batches.append_to_stream(stream, expected, events).await {
            Ok(written) => match (written.current_revision(), written.current_position()) {
                (Some(revision), Some(position)) => {
                    Answer::Appended(Appended { revision, position: wire::position(position) })
                }
                _ => Answer::Refused,
            },
            Err(eventstore::Error::ServerError(_)) => Answer::Ended,
            Err(_) => Answer::Refused,
        }
    }

    /// Uses the call no more, and has the store end it.
    ///
    /// The client ends a call only when an append on it is refused. So the last thing that is sent
    /// is an append that must be, whatever the stream is like. A call that has ended already takes
    /// no notice.
    pub(crate) fn give_up(self: &Arc<Self>, why: Why) {
        if self.given_up.set((Instant::now(), why)).is_err() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let call = Arc::clone(self);
        runtime.spawn(async move {
            let Some(Some(batches)) = call.batches.get() else { return };
            let farewell = EventData::binary("farewell", Bytes::new()).id(ids::new_id());
            let never = ExpectedRevision::Exact(u64::MAX / 2);
            let refused = batches.append_to_stream("farewell", never, vec![farewell]);
            let _ = timeout(PARTING, refused).await;
        });
    }
}

impl std::fmt::Debug for OpenCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the client: it contains the credentials.
        f.debug_struct("OpenCalls").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn no_more_calls_are_opened_than_a_connection_bears() {
        let checked = |check| {
            let client = Client::new("esdb://127.0.0.1:1?tls=false".parse().unwrap()).unwrap();
            Checked { client: Arc::new(client), check }
        };
        let opened = |calls: &OpenCalls, checked: &Checked| {
            let call = || calls.of(checked).inspect(|call| call.give_up(Why::Replaced));
            (0..200).filter_map(|_| call()).count()
        };
        let (first, second) = (checked(1), checked(2));
        let calls = OpenCalls::new(false);
        assert_eq!(opened(&calls, &first), 32);
        assert_eq!(opened(&calls, &second), 32, "another connection");
        assert_eq!(opened(&calls, &first), 0, "somebody who has not heard of it");
        assert_eq!(opened(&OpenCalls::new(true), &first), 200);
    }

    #[test]
    fn calls_that_are_refused_one_after_the_other_are_opened_less_and_less_often() {
        let mut rest = Duration::ZERO;
        let rests: Vec<_> = (0..8)
            .map(|_| {
                rest = Why::Refused.rest(5 * MILLISECOND, rest);
                rest.as_millis()
            })
            .collect();
        assert_eq!(rests, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    }

    #[test]
    fn a_call_that_was_of_use_for_long_begins_anew() {
        let (long, rested) = (Duration::from_mins(1), Duration::from_secs(5));
        assert_eq!(Why::Refused.rest(long, rested), 100 * MILLISECOND);
        assert_eq!(Why::Silent.rest(long, rested), Duration::from_mins(1));
        assert_eq!(Why::Replaced.rest(Duration::ZERO, rested), Duration::ZERO);
    }
}
