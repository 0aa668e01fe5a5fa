//! Rules that hold for every server of this protocol, whoever wrote it. They run against a server
//! of our own, and against any other one when `EVENTSTORE_TEST_URL` has its connection string:
//!
//! ```text
//! EVENTSTORE_TEST_URL='esdb://localhost:2113?tls=false' cargo test -p embedded-store conformance
//! ```
//!
//! So nothing in here knows which one it talks to. All tests share one server, which may be full of
//! other events: names are new in each test (`Store::name`), `$all` is only looked at from a
//! position on and through one's own names, and positions are compared but never computed.

mod appending;
mod deleting;
mod following;
mod metadata;
mod persistent;
mod reading;
mod wire;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use embedded_store::Options;
use eventstore::{
    Client, EventData, ExpectedRevision, Position, ReadAllOptions, ReadStreamOptions,
    RecordedEvent, StreamPosition, WriteResult,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::harness;

/// The server under test, with a client of its own for each test.
pub(crate) struct Store {
    pub(crate) client: Client,
    url: String,
    /// Ours runs while somebody uses it.
    _ours: Option<Arc<Ours>>,
}

pub(crate) async fn store() -> Store {
    let (url, ours) = match std::env::var_os("EVENTSTORE_TEST_URL") {
        Some(url) if !url.is_empty() => (url.into_string().unwrap(), None),
        Some(_) | None => {
            let ours = tokio::task::spawn_blocking(Ours::shared).await.unwrap();
            (ours.url.clone(), Some(ours))
        }
    };
    Store { client: connect(&url), url, _ours: ours }
}

fn connect(url: &str) -> Client {
    Client::new(url.parse().unwrap()).unwrap()
}

impl Store {
    /// One more client.
    pub(crate) fn connect(&self) -> Client {
        connect(&self.url)
    }

    /// A name that nobody has used for a stream, a group or an event type.
    #[expect(clippy::unused_self, reason = "names belong to the server that they are used on")]
    #[expect(clippy::disallowed_methods, reason = "what must never have been there before")]
    pub(crate) fn name(&self, kind: &str) -> String {
        format!("{kind}-{}", Uuid::new_v4().simple())
    }

    pub(crate) async fn append(
        &self,
        stream: &str,
        expected: ExpectedRevision,
        events: Vec<EventData>,
    ) -> eventstore::Result<WriteResult> {
        harness::append(&self.client, stream, expected, events).await
    }

    /// Appends what must be accepted.
    pub(crate) async fn add(&self, stream: &str, events: Vec<EventData>) -> WriteResult {
        self.append(stream, ExpectedRevision::Any, events).await.unwrap()
    }

    pub(crate) async fn numbers(&self, stream: &str) -> Vec<u32> {
        let options = ReadStreamOptions::default();
        let events = harness::read(&self.client, stream, &options).await.unwrap();
        events.iter().map(harness::number).collect()
    }

    /// The newest position of the log: what the test writes comes after it.
    pub(crate) async fn end(&self) -> Position {
        let newest = ReadAllOptions::default().position(StreamPosition::End).backwards();
        let newest = harness::read_all(&self.client, &newest.max_count(1)).await;
        newest.first().map_or(Position::start(), |event| event.position)
    }

    /// What the log holds from `position` on in streams of which the name holds `name`.
    pub(crate) async fn log_since(&self, position: Position, name: &str) -> Vec<RecordedEvent> {
        let options = ReadAllOptions::default().position(StreamPosition::Position(position));
        let mut events = harness::read_all(&self.client, &options).await;
        events.retain(|event| event.stream_id.contains(name));
        events
    }
}

/// Our own server, on a runtime of its own because each test has one that ends with it.
struct Ours {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

static SHARED: Mutex<Weak<Ours>> = Mutex::new(Weak::new());

impl Ours {
    fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ours) = shared.upgrade() {
            return ours;
        }
        let ours = Arc::new(Self::start());
        *shared = Arc::downgrade(&ours);
        ours
    }

    fn start() -> Self {
        let (stop, stopped) = oneshot::channel();
        let (started, url) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let stop_grace = Duration::from_millis(20);
                let server = harness::start(Options { stop_grace, ..Options::temporary() }).await;
                started.send(server.connection_string()).unwrap();
                // It ends either way.
                let _ = stopped.await;
                server.stop().await;
            });
        });
        Self { url: url.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It reports its own panic.
            let _ = thread.join();
        }
    }
}
