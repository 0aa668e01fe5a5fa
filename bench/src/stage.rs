//! What is measured: a durable event store, a Postgres and an API, all over real connections.

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
    folder: std::path::PathBuf,
}

impl Stage {
    pub(crate) async fn build() -> anyhow::Result<Self> {
        let name = format!("orderstore-bench-{}", journal::ids::new_id().simple());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        let options = embedded_store::Options::at(folder.join("event-store"));
        let event_store = embedded_store::serve(free_port().await?, options).await?;
        let options = journal::Options::new(event_store.connection_string().parse()?);
        let journal = Journal::connect(options, Arc::new(SystemClock))?;
        let binaries = Binaries::find(None)?;
        let options = private_postgres::Options::new(folder.join("postgres"), binaries);
        let postgres = Cluster::start(options).await?;
        projector::migrate(&postgres.url()).await?;
        let options = api::Options::default();
        let issuer = DevelopmentIssuer::open(&folder)?;
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

    pub(crate) async fn clear(self) -> anyhow::Result<()> {
        self.event_store.stop().await;
        self.postgres.stop().await?;
        Ok(std::fs::remove_dir_all(self.folder)?)
    }
}

pub(crate) async fn free_port() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}
