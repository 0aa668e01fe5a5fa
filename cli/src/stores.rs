//! How commands reach the stores: by an address that was given, or those of the store on embedded
//! defaults that runs on this machine.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use journal::{Journal, SystemClock};

use crate::client::Client;
use crate::data_dir;

/// Default address of an API.
const API: &str = "http://127.0.0.1:4000";
/// Default address of an event store.
const EVENT_STORE: &str = "esdb://127.0.0.1:2113?tls=false";

/// The event store of a command.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct EventStore {
    /// Address of the event store. Default: that of the store running on `--data-dir`, else
    /// `esdb://127.0.0.1:2113?tls=false`
    #[arg(long, value_name = "URL", env = "ORDERSTORE_EVENT_STORE", hide_env_values = true)]
    event_store: Option<journal::Address>,
    #[command(flatten)]
    data_dir: data_dir::Location,
}

impl EventStore {
    pub(crate) fn connect(&self) -> anyhow::Result<Journal> {
        let address = match &self.event_store {
            Some(address) => address.clone(),
            None => self.default_address()?,
        };
        Ok(Journal::connect(journal::Options::new(address), Arc::new(SystemClock))?)
    }

    /// The data directory that the store is looked for in.
    pub(crate) fn data_dir(&self) -> anyhow::Result<data_dir::DataDir> {
        self.data_dir.resolve()
    }

    fn default_address(&self) -> anyhow::Result<journal::Address> {
        let data_dir = self.data_dir.resolve()?;
        let Some(running) = data_dir.running() else { return Ok(EVENT_STORE.parse()?) };
        let address = running.event_store.with_context(|| {
            let folder = data_dir.path().display();
            format!(
                "the store that runs in {folder} was started with --event-store; give the same here"
            )
        })?;
        Ok(address.parse()?)
    }
}

/// The API of a command.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Api {
    /// Address of the API. Default: that of the store running on `--data-dir`, else
    /// `http://127.0.0.1:4000`
    #[arg(long = "api", value_name = "URL", env = "ORDERSTORE_API")]
    url: Option<String>,
    /// Bearer token for the API. Default: the development token in `--data-dir`
    #[arg(long, value_name = "JWT", env = "ORDERSTORE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    data_dir: data_dir::Location,
}

impl Api {
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let data_dir = self.data_dir.resolve()?;
        let running = data_dir.running().map(|it| it.api);
        let api = self.url.clone().or_else(|| running.clone()).unwrap_or_else(|| API.to_owned());
        // The token in the data directory is for the store that runs there, and for nobody else.
        let is_local =
            self.url.is_none() || running.is_some_and(|it| it == api.trim_end_matches('/'));
        let folder = data_dir.path().display();
        let token = match &self.token {
            Some(token) => token.clone(),
            None if is_local => data_dir.token().with_context(|| {
                format!(
                    "there is no token in {folder}; start `orderstore up` first, or give --token"
                )
            })?,
            None => bail!(
                "{api} is not the store that runs in {folder}, so the token there is not sent to it; \
                 give one with --token or ORDERSTORE_TOKEN"
            ),
        };
        Client::new(&api, token)
    }
}
