//! The roles, each as a process of its own, and the small commands around them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use api::auth::{DevelopmentIssuer, Verifier};
use api::{Check, Deps};
use journal::{Clock, Journal, SystemClock};
use keyring::Keyring;
use process_managers::ProcessManager;
use projector::read_model::Reader;
use tokio::net::TcpListener;

use crate::{data_dir, lifecycle};

/// Where the read models are.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Database {
    /// Address of the Postgres database for read models: `postgres://user:password@host/database`
    #[arg(long = "database-url", value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    url: String,
}

pub(crate) fn connect(options: journal::Options) -> anyhow::Result<Journal> {
    Ok(Journal::connect(options, Arc::new(SystemClock))?)
}

/// A check that is red, with a reason, once `is_dead` says so.
pub(crate) fn alive(
    name: &str,
    is_dead: impl Fn() -> bool + Send + Sync + Clone + 'static,
) -> Check {
    Check::new(name, move || {
        let is_dead = is_dead.clone();
        async move { if is_dead() { Err("it has died; restart the process") } else { Ok(()) } }
    })
}

/// Completes when `is_dead` says so, as an error about `what`.
pub(crate) async fn death_of(what: &str, is_dead: impl Fn() -> bool) -> anyhow::Error {
    // Dying is a defect and rare; a second more or less does not matter.
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
    while !is_dead() {
        tick.tick().await;
    }
    anyhow::anyhow!("the {what} died; the log says why")
}

/// Serves GraphQL. Needs tokens to be verified with a secret or a public key.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Api {
    #[command(flatten)]
    http: api::Options,
    #[command(flatten)]
    journal: journal::Options,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    personal_data: keyring::Options,
    /// Let in whoever has the development token that is written into `--data-dir`; never in production
    #[arg(long, conflicts_with_all = ["jwt_secret_file", "jwt_public_key_file"])]
    development: bool,
    #[command(flatten)]
    data_dir: data_dir::Location,
}

impl Api {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let stop = lifecycle::stop_on_signal()?;
        let verifier = if self.development {
            let data_dir = self.data_dir.resolve()?;
            let issuer = DevelopmentIssuer::open(data_dir.path())?;
            let (audience, iss) = (&self.http.jwt_audience, self.http.jwt_issuer.as_deref());
            data_dir.write_token(&issuer.token(audience, iss, SystemClock.now())?)?;
            issuer.verifier(audience, iss)?
        } else {
            Verifier::from_options(&self.http)?
        };
        let address = (self.http.http_host, self.http.http_port);
        let masters = self.personal_data.master_keys()?;
        let journal = connect(self.journal)?;
        let deps = Deps {
            keyring: Keyring::new(journal.clone(), masters),
            journal,
            reader: Reader::connect_lazy(&self.database.url)?,
            verifier,
            options: self.http,
            scenarios: None,
            checks: vec![],
        };
        let server = api::serve(listen(address).await?, deps, stop)?;
        println!("GraphQL on http://{}/graphql", server.address());
        Ok(server.stopped().await?)
    }
}

/// Keeps the read models in Postgres up to date.
#[derive(Debug, clap::Args)]
pub(crate) struct Projector {
    #[command(flatten)]
    journal: journal::Options,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    options: projector::Options,
}

impl Projector {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let stop = lifecycle::stop_on_signal()?;
        let journal = connect(self.journal)?;
        let projector = projector::Projector::start(&self.database.url, journal, self.options)?;
        println!("Projecting into Postgres.");
        tokio::select! {
            () = stop.cancelled() => {}
            death = death_of("projector", projector.death()) => return Err(death),
        }
        projector.stop().await;
        Ok(())
    }
}

/// Drives stock, payment and shipping. Needs no Postgres.
#[derive(Debug, clap::Args)]
pub(crate) struct ProcessManagers {
    #[command(flatten)]
    journal: journal::Options,
    #[command(flatten)]
    personal_data: keyring::Options,
    #[command(flatten)]
    options: process_managers::Options,
}

impl ProcessManagers {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let stop = lifecycle::stop_on_signal()?;
        let masters = self.personal_data.master_keys()?;
        let journal = connect(self.journal)?;
        let keyring = Keyring::new(journal.clone(), masters);
        let managers = ProcessManager::start(journal, keyring, &self.options)?;
        println!("Driving processes.");
        tokio::select! {
            () = stop.cancelled() => {}
            death = death_of("process managers", managers.death()) => return Err(death),
        }
        managers.stop().await;
        Ok(())
    }
}

/// A payment gateway and a carrier, simulated as real HTTP services.
#[derive(Debug, clap::Args)]
pub(crate) struct Partners {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on
    #[arg(long, value_name = "PORT", default_value_t = 4010)]
    port: u16,
    #[command(flatten)]
    options: partner_simulator::Options,
}

impl Partners {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let stop = lifecycle::stop_on_signal()?;
        let simulator =
            partner_simulator::serve(listen((self.host, self.port)).await?, self.options)?;
        println!("Simulated partners on {}", simulator.base_url());
        stop.cancelled().await;
        simulator.stop().await;
        Ok(())
    }
}

/// Prepares a Postgres database for the read models. Harmless when it is prepared.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    database: Database,
}

impl Migrate {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        projector::migrate(&self.database.url).await?;
        println!("The database is prepared.");
        Ok(())
    }
}

/// Prints the GraphQL schema in the schema definition language.
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn print() {
        print!("{}", api::sdl());
    }
}

pub(crate) async fn listen(address: (IpAddr, u16)) -> anyhow::Result<TcpListener> {
    let (host, port) = address;
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {host}:{port}; is another store running? choose another port")
    })
}

/// A folder for the simulated partners' books.
pub(crate) fn with_books(
    options: partner_simulator::Options,
    folder: PathBuf,
) -> partner_simulator::Options {
    let data_dir = options.data_dir.or(Some(folder));
    partner_simulator::Options { data_dir, ..options }
}
