//! The database and the event store of these commands.

use std::path::PathBuf;

use anyhow::Context as _;
use journal::Journal;
use private_postgres::Cluster;
use projector::RebuildOptions;

use crate::stores::EventStore;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Stores {
    /// Address of the Postgres database for read models. Default: the private one of the store
    /// running on `--data-dir`
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    #[command(flatten)]
    event_store: EventStore,
}

impl Stores {
    /// The address of the database, and the event store.
    pub(super) fn open(&self) -> anyhow::Result<(String, Journal)> {
        Ok((self.database()?, self.event_store.connect()?))
    }

    /// Where a rebuild puts events aside: where it is `wanted`, else in the data directory if a
    /// store runs there.
    pub(super) fn spill_dir(&self, wanted: Option<PathBuf>) -> anyhow::Result<PathBuf> {
        if let Some(wanted) = wanted {
            return Ok(wanted);
        }
        let data_dir = self.event_store.data_dir()?;
        Ok(match data_dir.running() {
            Some(_) => data_dir.path().to_owned(),
            None => RebuildOptions::default().spill_dir,
        })
    }

    /// The address of the database.
    pub(super) fn database(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        let data_dir = self.event_store.data_dir()?;
        Cluster::url_of_running(&data_dir.postgres()).with_context(|| {
            let folder = data_dir.path().display();
            format!(
                "no Postgres runs in {folder}; start `orderstore up` first, or give --database-url"
            )
        })
    }
}
