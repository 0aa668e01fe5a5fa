//! `orderstore up`: everything in one process, on embedded defaults.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use api::auth::DevelopmentIssuer;
use api::{Deps, Scenarios};
use journal::{Clock as _, Journal, SystemClock};
use keyring::Keyring;
use partner_simulator::Simulator;
use private_postgres::{Binaries, Cluster};
use process_managers::ProcessManager;
use projector::Projector;
use projector::read_model::Reader;
use tokio_util::sync::CancellationToken;

use super::roles::{alive, death_of, listen, with_books};
use crate::client::Client;
use crate::data_dir::{self, DataDir, Running};
use crate::store_security::StoreSecurity;
use crate::{lifecycle, scenarios};

/// Starts everything in one process: event store, Postgres, simulated partners and all roles.
///
/// Everything it keeps lies in `--data-dir`. It prints where things are and a token, and stops on
/// Ctrl-C. Other commands find it by the same `--data-dir`.
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    #[command(flatten)]
    data_dir: data_dir::Location,
    #[command(flatten)]
    http: api::Options,
    /// Port of the embedded event store; 0 for any free one
    #[arg(long, value_name = "PORT", env = "ORDERSTORE_EVENT_STORE_PORT", default_value_t = 2113)]
    event_store_port: u16,
    /// Use this event store instead of the embedded one
    #[arg(long, value_name = "URL", env = "ORDERSTORE_EVENT_STORE", hide_env_values = true)]
    event_store: Option<journal::Address>,
    #[command(flatten)]
    event_store_security: StoreSecurity,
    /// Use this Postgres database instead of a private one
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Folder of the PostgreSQL programs, where they are not found by themselves
    #[arg(long, value_name = "FOLDER", env = "PG_BINDIR")]
    postgres_bin: Option<PathBuf>,
    #[command(flatten)]
    personal_data: keyring::Options,
    #[command(flatten)]
    processes: process_managers::Options,
    #[command(flatten)]
    projections: projector::Options,
    #[command(flatten)]
    simulator: partner_simulator::Options,
}

impl Up {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let stop = lifecycle::stop_on_signal()?;
        let data_dir = self.data_dir.resolve()?;
        data_dir.create()?;
        let stores = Stores::start(&self, &data_dir).await?;
        let outcome = self.serve(&data_dir, &stores, stop).await;
        data_dir.withdraw();
        stores.stop().await;
        outcome
    }

    /// Runs the roles until told to stop, or until something they need has died.
    async fn serve(
        self,
        data_dir: &DataDir,
        stores: &Stores,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let journal = stores.journal()?;
        let masters = self.personal_data.master_keys_or_in(&data_dir.master_key_file())?;
        let keyring = Keyring::new(journal.clone(), masters);
        let database = &stores.database;
        projector::migrate(database).await.context("cannot prepare the database")?;
        let mut options = self.projections;
        // The system's temporary folder may be memory.
        options.spill_dir.get_or_insert_with(|| data_dir.path().to_owned());
        let projector = Projector::start(database, journal.clone(), options)?;
        let options = process_managers::Options {
            payment_gateway: self.processes.payment_gateway.or_else(|| stores.partners_url()),
            carrier: self.processes.carrier.or_else(|| stores.partners_url()),
            ..self.processes
        };
        let managers = ProcessManager::start(journal.clone(), keyring.clone(), &options)?;

        let issuer = DevelopmentIssuer::open(data_dir.path())?;
        let (audience, iss) = (&self.http.jwt_audience, self.http.jwt_issuer.as_deref());
        let token = issuer.token(audience, iss, SystemClock.now())?;
        let verifier = issuer.verifier(audience, iss)?;
        let listener = listen((self.http.http_host, self.http.http_port)).await?;
        let api_url = format!("http://{}", listener.local_addr()?);
        let deps = Deps {
            journal,
            keyring,
            reader: Reader::connect_lazy(database)?,
            verifier,
            options: self.http,
            scenarios: Some(demonstrations(Client::new(&api_url, token.clone())?)),
            checks: vec![
                alive("process managers", managers.death()),
                alive("projector", projector.death()),
            ],
        };
        let shutdown = CancellationToken::new();
        let server = api::serve(listener, deps, shutdown.clone())?;
        let running = Running {
            api: api_url,
            event_store: stores.embedded.as_ref().map(embedded_store::Server::connection_string),
            partners: stores.partners_url(),
        };
        data_dir.announce(&running, &token)?;
        let events = stores.embedded.as_ref().map(embedded_store::Server::web_page);
        print_welcome(&running, (&stores.event_store, events), data_dir, &token);

        let failure = tokio::select! {
            () = stop.cancelled() => None,
            failure = stores.failed() => Some(failure),
            death = death_of("process managers", managers.death()) => Some(death),
            death = death_of("projector", projector.death()) => Some(death),
        };
        shutdown.cancel();
        server.stopped().await?;
        managers.stop().await;
        projector.stop().await;
        failure.map_or(Ok(()), Err)
    }
}

/// What the roles stand on. Stopped last.
struct Stores {
    embedded: Option<embedded_store::Server>,
    event_store: String,
    address: journal::Address,
    snapshots: PathBuf,
    postgres: Option<Cluster>,
    database: String,
    partners: Option<Simulator>,
}

impl Stores {
    async fn start(up: &Up, data_dir: &DataDir) -> anyhow::Result<Self> {
        let (embedded, postgres, partners) = tokio::join!(
            start_event_store(up, data_dir),
            start_postgres(up, data_dir),
            start_partners(up, data_dir),
        );
        let (embedded, postgres, partners) = (embedded?, postgres?, partners?);
        let (event_store, address) = match (&embedded, &up.event_store) {
            (Some(server), _) => {
                let url = server.connection_string();
                let address = up.event_store_security.own_address(&url)?.parse()?;
                (url, address)
            }
            (None, Some(address)) => (address.to_string(), address.clone()),
            (None, None) => anyhow::bail!("there is no event store"),
        };
        let database = postgres.as_ref().map(Cluster::url).or_else(|| up.database_url.clone());
        let database = database.context("there is no database")?;
        let snapshots = data_dir.snapshots();
        Ok(Self { embedded, event_store, address, snapshots, postgres, database, partners })
    }

    fn journal(&self) -> anyhow::Result<Journal> {
        let options = journal::Options {
            refused_calls_end: self.embedded.is_some(),
            ..journal::Options::new(self.address.clone()).with_snapshots(&self.snapshots)
        };
        Ok(Journal::connect(options, Arc::new(SystemClock))?)
    }

    fn partners_url(&self) -> Option<String> {
        self.partners.as_ref().map(Simulator::base_url)
    }

    /// Completes when something that runs in this process has died.
    async fn failed(&self) -> anyhow::Error {
        let event_store = async {
            match &self.embedded {
                Some(server) => match server.stopped().await {
                    Ok(()) => anyhow::anyhow!("the event store has stopped"),
                    Err(error) => anyhow::anyhow!(error).context("the event store has failed"),
                },
                None => std::future::pending().await,
            }
        };
        let postgres = async {
            match &self.postgres {
                Some(cluster) => {
                    let status = cluster.exited().await;
                    anyhow::anyhow!(
                        "Postgres has ended with {status}; see postgres.log in the data directory"
                    )
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = event_store => error,
            error = postgres => error,
        }
    }

    async fn stop(self) {
        if let Some(partners) = self.partners {
            partners.stop().await;
        }
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
        if let Some(postgres) = self.postgres
            && let Err(error) = postgres.stop().await
        {
            tracing::warn!(%error, "Postgres did not stop as it should");
        }
    }
}

async fn start_event_store(
    up: &Up,
    data_dir: &DataDir,
) -> anyhow::Result<Option<embedded_store::Server>> {
    if up.event_store.is_some() {
        return Ok(None);
    }
    let listener = listen(([127, 0, 0, 1].into(), up.event_store_port)).await?;
    let options = embedded_store::Options::at(data_dir.event_store());
    let options = up.event_store_security.apply(options)?;
    let server = embedded_store::serve(listener, options).await;
    Ok(Some(server.map_err(StoreSecurity::explain)?))
}

async fn start_postgres(up: &Up, data_dir: &DataDir) -> anyhow::Result<Option<Cluster>> {
    if up.database_url.is_some() {
        return Ok(None);
    }
    let binaries = Binaries::find(up.postgres_bin.clone())?;
    let options = private_postgres::Options::new(data_dir.postgres(), binaries);
    Ok(Some(Cluster::start(options).await?))
}

async fn start_partners(up: &Up, data_dir: &DataDir) -> anyhow::Result<Option<Simulator>> {
    let Up { processes, simulator, .. } = up;
    if processes.payment_gateway.is_some() && processes.carrier.is_some() {
        return Ok(None);
    }
    let listener = listen(([127, 0, 0, 1].into(), 0)).await?;
    let options = with_books(simulator.clone(), data_dir.partners());
    Ok(Some(partner_simulator::serve(listener, options)?))
}

/// The scenarios, told through the API that serves them.
fn demonstrations(client: Client) -> Scenarios {
    Scenarios {
        titles: scenarios::titles(),
        run: Arc::new(move |number| {
            scenarios::find(number).map(|scenario| scenarios::tell(scenario, client.clone()))
        }),
    }
}

/// The event store is named by its connection string and, if it is ours, its web page.
fn print_welcome(
    running: &Running,
    (event_store, events): (&str, Option<String>),
    data_dir: &DataDir,
    token: &str,
) {
    let Running { api, partners, .. } = running;
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("orderstore"));
    let program = program.display();
    println!("orderstore is up.\n");
    println!("  GraphQL      {api}/graphql");
    println!("  explorer     {api}/explorer");
    println!("  scenario     {api}/scenario/1");
    println!("  health       {api}/health/ready");
    println!("  event store  {event_store}");
    if let Some(events) = events {
        println!("  events       {events}");
    }
    if let Some(partners) = partners {
        println!("  partners     {partners} (simulated)");
    }
    println!("  data         {}", data_dir.path().display());
    println!("  token        {token}\n");
    println!("In another terminal: {program} scenario 1{}", data_dir.as_argument());
    println!("Ctrl-C stops it; starting again goes on where it was.");
}
