//! A store with people whose data are sealed in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use domain::ids::SubjectId;
use domain::personal::{Contact, Sealed};
use embedded_store::{Server, serve};
use futures::TryStreamExt;
use journal::{Context, Journal, ManualClock, Position, Recorded, ids};
use keyring::{Error, Keyring, MasterKeys, Opened, Place};
use schemas::StreamName;
use tempfile::TempDir;
use tokio::net::TcpListener;
use uuid::Uuid;

/// Long enough for a busy machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const FIELD: &str = "contact";
pub(crate) const EVENT_TYPE: &str = "order-placed";

pub(crate) struct Store {
    server: Server,
    pub(crate) masters: MasterKeys,
    /// Stands still, so that what is remembered is remembered until a test says otherwise.
    pub(crate) clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Store {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = embedded_store::Options {
            durable: false,
            ..embedded_store::Options::at(folder.path().join("events"))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = serve(listener, options).await.unwrap();
        let clock = Arc::new(ManualClock::at(DateTime::from_timestamp(1_700_000_000, 0).unwrap()));
        Self { server, masters: MasterKeys::random(), clock, folder }
    }

    pub(crate) fn journal(&self) -> Journal {
        let address = self.server.connection_string().parse().unwrap();
        let options = journal::Options::new(address).with_deadline(PATIENCE);
        Journal::connect(options, self.clock.clone()).unwrap()
    }

    /// A keyring of another node.
    pub(crate) fn keyring(&self) -> Keyring {
        self.keyring_with(self.masters.clone())
    }

    pub(crate) fn keyring_with(&self, masters: MasterKeys) -> Keyring {
        Keyring::new(self.journal(), masters)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("events")
    }

    /// Everything that was ever recorded about keys and erasures, as far as it is left.
    pub(crate) async fn log(&self) -> Vec<Recorded> {
        self.journal().read_all(Position::START).try_collect().await.unwrap()
    }

    /// The types of those events, in order.
    pub(crate) async fn recorded(&self) -> Vec<String> {
        self.log().await.into_iter().map(|event| event.event_type).collect()
    }
}

pub(crate) fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|file| {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

pub(crate) fn jane() -> SubjectId {
    SubjectId(Uuid::from_u128(0x1a4e))
}

pub(crate) fn contact() -> Contact {
    Contact {
        name: Some("Jane Quillfeather".to_owned()),
        email: Some("jane@quillfeather.example".to_owned()),
        phone: None,
        locale: None,
    }
}

pub(crate) fn stream() -> StreamName {
    "order-00000000-0000-0000-0000-00000000000a".parse().unwrap()
}

pub(crate) fn context() -> Context {
    let command_id = ids::new_id();
    Context {
        command_id,
        correlation_id: command_id,
        causation_id: command_id,
        actor: "client:test".to_owned(),
        traceparent: None,
    }
}

pub(crate) async fn seal(keyring: &Keyring) -> Sealed {
    let place = Place { stream: &stream(), event_type: EVENT_TYPE, field: FIELD };
    keyring.seal(jane(), &place, &contact()).await.unwrap()
}

pub(crate) async fn open(keyring: &Keyring, sealed: &Sealed) -> Result<Opened<Contact>, Error> {
    keyring.open(&Place::of(sealed, &stream(), FIELD), sealed).await
}
