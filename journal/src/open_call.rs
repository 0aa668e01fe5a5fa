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

use eventstore::{BatchAppendClient, BatchAppendOptions, Client, EventData, ExpectedRevision};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use crate::{Appended, ids, wire};

/// After a refusal everything is appended by calls of its own for so long: where others write to
/// the same streams all the time, most of what an open call is given would have to be sent twice.
pub(crate) const AFTER_A_REFUSAL: Duration = Duration::from_millis(100);
/// And after a call that did not answer: what is in between may not let such calls through, and
/// finding out takes half of an append's time.
pub(crate) const AFTER_SILENCE: Duration = Duration::from_mins(1);
/// Events with more data than this go by a call of their own: they would be in everybody's way.
pub(crate) const LARGE: usize = 64 * 1024;
/// How long the end of a call is waited for. It matters to nobody but the store.
const PARTING: Duration = Duration::from_hours(1);

/// The open call of a connection, if there is one.
#[derive(Default)]
pub(crate) struct OpenCalls {
    latest: Mutex<Option<Arc<OpenCall>>>,
}

pub(crate) struct OpenCall {
    client: Arc<Client>,
    /// `None` if the store knows no such call.
    batches: OnceCell<Option<BatchAppendClient>>,
    /// Set when it was given up: when there may be another.
    next: OnceLock<Instant>,
}

impl OpenCalls {
    /// The call over which `client` appends; `None` while it rests.
    pub(crate) fn of(&self, client: &Arc<Client>) -> Option<Arc<OpenCall>> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = &*latest {
            match call.next.get() {
                Some(next) if Instant::now() < *next => return None,
                None if Arc::ptr_eq(&call.client, client) => return Some(Arc::clone(call)),
                Some(_) => {}
                None => call.end(Duration::ZERO),
            }
        }
        let (client, batches, next) = (Arc::clone(client), OnceCell::new(), OnceLock::new());
        let call = Arc::new(OpenCall { client, batches, next });
        Some(Arc::clone(latest.insert(call)))
    }
}

impl Drop for OpenCalls {
    fn drop(&mut self) {
        let latest = self.latest.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = latest {
            call.end(Duration::ZERO);
        }
    }
}

impl OpenCall {
    /// Appends `events`. `None` says nothing about whether it happened.
    pub(crate) async fn append(
        &self,
        stream: &str,
        expected: ExpectedRevision,
        events: Vec<EventData>,
    ) -> Option<Appended> {
        let opening = async || self.client.batch_append(&BatchAppendOptions::default()).await.ok();
        // The client's futures are very large; boxed, they do not make ours so.
        let batches = self.batches.get_or_init(|| Box::pin(opening())).await.as_ref()?;
        let written = batches.append_to_stream(stream, expected, events).await.ok()?;
        let position = wire::position(written.current_position()?);
        Some(Appended { revision: written.current_revision()?, position })
    }

    /// Uses the call no more, nor another before `rest` is over, and has the store end it.
    ///
    /// The client ends a call only when an append on it is refused, and a connection may have only
    /// so many calls open. So the last thing that is sent is an append that must be refused,
    /// whatever the stream is like. A call that has ended already takes no notice.
    pub(crate) fn end(self: &Arc<Self>, rest: Duration) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.next.set(Instant::now() + rest).is_err() {
            return;
        }
        let call = Arc::clone(self);
        runtime.spawn(async move {
            let Some(Some(batches)) = call.batches.get() else { return };
            let farewell = EventData::binary("farewell", bytes::Bytes::new()).id(ids::new_id());
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
