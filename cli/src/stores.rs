//! How commands reach the stores: by an address that was given, or those of the store on embedded
//! defaults that runs on this machine.

use std::sync::Arc;

use anyhow::Context as _;
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
        let running = self.data_dir.resolve()?.running();
        let address = running.map_or_else(|| EVENT_STORE.to_owned(), |it| it.event_store);
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
        let is_local = self.url.is_none() || running.as_ref() == Some(&api);
        let local = if is_local { data_dir.token() } else { None };
        let token = self.token.clone().or(local).with_context(|| {
            let folder = data_dir.path().display();
            format!("there is no token for {api} in {folder}; start `orderstore up` first, or give --token")
        })?;
        Client::new(&api, token)
    }
}
