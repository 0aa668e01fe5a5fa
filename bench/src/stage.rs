//! What is measured: a durable event store, a Postgres and an API, all over real connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::Deps;
use api::auth::DevelopmentIssuer;
use journal::{Clock as _, Journal, SystemClock};
use keyring::{Keyring, MasterKeys};
use private_postgres::{Binaries, Cluster};
use projector::read_model::Reader;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Everything, with its data in a folder that is removed in the end.
pub(crate) struct Stage {
    pub(crate) graphql: String,
    pub(crate) token: String,
    pub(crate) event_store: embedded_store::Server,
    pub(crate) journal: Journal,
    pub(crate) keyring: Keyring,
    postgres: Cluster,
    folder: Folder,
}

/// A folder for one run, removed in the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let name = format!("orderstore-bench-{}", journal::ids::new_id().simple());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the system's temporary folder, which is cleared anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    pub(crate) async fn build() -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let event_store = folder.path().join("event-store");
        Self::with(folder, event_store).await
    }

    /// With the event store in a folder that stays.
    pub(crate) async fn over(event_store: PathBuf) -> anyhow::Result<Self> {
        Self::with(Folder::new()?, event_store).await
    }

    async fn with(folder: Folder, event_store: PathBuf) -> anyhow::Result<Self> {
        let options = embedded_store::Options::at(event_store);
        let event_store = embedded_store::serve(free_port().await?, options).await?;
        let options = journal::Options {
            refused_calls_end: true,
            ..journal::Options::new(event_store.connection_string().parse()?)
        };
        let journal = Journal::connect(options, Arc::new(SystemClock))?;
        let binaries = Binaries::find(None)?;
        let options = private_postgres::Options::new(folder.path().join("postgres"), binaries);
        let postgres = Cluster::start(options).await?;
        projector::migrate(&postgres.url()).await?;
        let options = api::Options::default();
        let issuer = DevelopmentIssuer::open(folder.path())?;
        let token = issuer.token(&options.jwt_audience, None, SystemClock.now())?;
        let keyring = Keyring::new(journal.clone(), MasterKeys::random());
        let deps = Deps {
            journal: journal.clone(),
            keyring: keyring.clone(),
            reader: Reader::connect_lazy(&postgres.url())?,
            verifier: issuer.verifier(&options.jwt_audience, None)?,
            options,
            scenarios: None,
            checks: vec![],
        };
        let server = api::serve(free_port().await?, deps, CancellationToken::new())?;
        let graphql = format!("http://{}/graphql", server.address());
        Ok(Self { graphql, token, event_store, journal, keyring, postgres, folder })
    }

    /// Where the database is, with the password in it.
    pub(crate) fn database(&self) -> String {
        self.postgres.url()
    }

    pub(crate) async fn clear(self) -> anyhow::Result<()> {
        self.event_store.stop().await;
        self.postgres.stop().await?;
        drop(self.folder);
        Ok(())
    }
}

pub(crate) async fn free_port() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}
