//! An event store, a Postgres and two projectors, each of which can be killed, and a log that grows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal::{ExpectedRevision, Journal, Position, Proposed, ids};
use schemas::{Encoded, Metadata, StoredEvent, StreamName};
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use crate::errand::Errand;
use crate::history::at;
use crate::process::{Postgres, Process};
use crate::role;

/// No healthy machine takes so long for anything here.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);

/// What everybody knows of a world.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) journal: Journal,
    pub(crate) address: SocketAddr,
    pub(crate) folder: Arc<PathBuf>,
    log: Arc<Mutex<Log>>,
    /// How many events have been appended …
    appended: watch::Sender<u64>,
    /// … and how many may be.
    allowed: watch::Sender<u64>,
}

#[derive(Default)]
struct Log {
    /// The last revision of every stream.
    ends: BTreeMap<StreamName, u64>,
    stuck: Vec<u32>,
    placed: u32,
}

impl World {
    pub(crate) fn open(seed: u32) -> Self {
        let name = format!("orderstore-chaos-{}-{seed}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        for folder in [folder.clone(), folder.join("temporary")] {
            std::fs::create_dir(&folder).unwrap();
            // The user who runs the database must be able to enter.
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        // Free a moment ago, and the same for the whole life of the world.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self {
            journal: role::journal_at(address),
            address,
            folder: Arc::new(folder),
            log: Arc::default(),
            appended: watch::Sender::new(0),
            allowed: watch::Sender::new(0),
        }
    }

    /// Removes what it has on the disk.
    pub(crate) fn end(&self) {
        std::fs::remove_dir_all(&*self.folder).unwrap();
    }

    /// Where processes put what is not to stay.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.join("temporary")
    }

    pub(crate) fn postgres_folder(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) async fn start_store(&self) -> Process {
        let settings =
            [(role::FOLDER, text(&self.file("events"))), (role::ADDRESS, self.address.to_string())];
        Process::start("store", self.file("store.log"), &settings).await
    }

    pub(crate) async fn start_projector(&self, name: &str, postgres: &Postgres) -> Process {
        let settings = self.settings(postgres, (role::NAME, name.to_owned()));
        let log = self.file(&format!("projector-{name}.log"));
        Process::start("projector", log, &settings).await
    }

    pub(crate) async fn start_errand(&self, errand: Errand, postgres: &Postgres) -> Process {
        let settings = self.settings(postgres, (role::ERRAND, errand.to_string()));
        Process::start("errand", self.file("errands.log"), &settings).await
    }

    fn settings(
        &self,
        postgres: &Postgres,
        more: (&'static str, String),
    ) -> [(&'static str, String); 4] {
        [
            (role::DATABASE, postgres.url.clone()),
            (role::ADDRESS, self.address.to_string()),
            ("TMPDIR", text(&self.temporary())),
            more,
        ]
    }

    /// Lets `count` more events happen: so many there are then.
    pub(crate) fn allow(&self, count: u64) -> u64 {
        let then = self.appended() + count;
        self.allowed.send_modify(|allowed| *allowed = then.max(*allowed));
        then
    }

    pub(crate) fn appended(&self) -> u64 {
        *self.appended.borrow()
    }

    /// Waits until `count` events have happened.
    pub(crate) async fn happened(&self, count: u64) {
        let mut appended = self.appended.subscribe();
        let happened = timeout(DEADLINE, appended.wait_for(|it| *it >= count)).await;
        assert!(happened.is_ok(), "trade does not go on");
    }

    /// Waits until nothing happens any more, until more is allowed.
    pub(crate) async fn quiet(&self) {
        self.happened(*self.allowed.borrow()).await;
    }

    /// Orders with an event that cannot be folded.
    pub(crate) fn stuck(&self) -> Vec<u32> {
        self.log.lock().unwrap().stuck.clone()
    }

    pub(crate) fn got_stuck(&self, number: u32) {
        self.log.lock().unwrap().stuck.push(number);
    }

    /// How many orders have been placed.
    pub(crate) fn orders(&self) -> u32 {
        self.log.lock().unwrap().placed
    }

    pub(crate) fn placed(&self, orders: u32) {
        self.log.lock().unwrap().placed = orders;
    }

    /// Appends `events` to `stream`, at its end.
    pub(crate) async fn append<E: StoredEvent>(
        &self,
        stream: &StreamName,
        events: &[E],
    ) -> Position {
        self.append_encoded(stream, events.iter().map(StoredEvent::encode).collect()).await
    }

    /// The same, however long the store is dead.
    pub(crate) async fn append_encoded(
        &self,
        stream: &StreamName,
        events: Vec<Encoded>,
    ) -> Position {
        let mut allowed = self.allowed.subscribe();
        let appended = *self.appended.borrow();
        allowed.wait_for(|allowed| appended < *allowed).await.unwrap();
        let count = events.len() as u64;
        let end = self.log.lock().unwrap().ends.get(stream).copied();
        let first = end.map_or(0, |end| end + 1);
        let proposed = (first..).zip(events).map(|(revision, encoded)| Proposed {
            event_id: ids::new_id(),
            metadata: metadata(encoded.version, revision),
            encoded,
        });
        let (expected, proposed) = (ExpectedRevision::after(end), proposed.collect::<Vec<_>>());
        let done = loop {
            match self.journal.append(stream, expected, proposed.clone()).await {
                Ok(done) => break done,
                // Whether it happened or not: the store knows the same events again.
                Err(journal::Error::Unavailable { .. }) => {}
                Err(error) => panic!("{stream}: {error}"),
            }
        };
        assert_eq!(done.revision, first + count - 1, "{stream}");
        self.log.lock().unwrap().ends.insert(stream.clone(), done.revision);
        self.appended.send_modify(|appended| *appended += count);
        done.position
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// The same at every replay.
fn metadata(schema_version: u32, revision: u64) -> Metadata {
    Metadata {
        command_id: Uuid::from_u128(1),
        correlation_id: Uuid::from_u128(2),
        causation_id: Uuid::from_u128(3),
        actor: "test:chaos".to_owned(),
        schema_version,
        recorded_at: at(i64::try_from(revision).unwrap()),
        traceparent: None,
    }
}
