//! The way in for readers: a pool of sessions that only read.
//!
//! The queries are in the modules named after what they read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};

use super::Error;
use super::waiting::Arrivals;
use crate::database;

/// How a reader uses the database.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Sessions at most; one more is used for waiting.
    pub max_connections: u32,
    /// How long a read waits for a session, connecting included, before it is
    /// [`Error::Unavailable`].
    pub acquire_timeout: Duration,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { max_connections: 16, acquire_timeout: Duration::from_secs(2) }
    }
}

/// Reads the live generation of every projection. Clones share their sessions.
#[derive(Clone)]
pub struct Reader {
    pub(super) pool: PgPool,
    pub(super) arrivals: Arc<Arrivals>,
}

impl Reader {
    /// A reader of the database at `database_url`, with the default [`ReadOptions`].
    ///
    /// Returns at once; the database need not be up. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`Error::BadAddress`].
    pub fn connect_lazy(database_url: &str) -> Result<Self, Error> {
        Self::connect_lazy_with(database_url, &ReadOptions::default())
    }

    /// The same with other options.
    ///
    /// # Errors
    /// [`Error::BadAddress`].
    pub fn connect_lazy_with(database_url: &str, options: &ReadOptions) -> Result<Self, Error> {
        let address = database::address(database_url).ok_or(Error::BadAddress)?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.saturating_add(1))
            .acquire_timeout(options.acquire_timeout)
            .after_connect(|connection, _| {
                Box::pin(async move { database::prepare_for_reading(connection).await })
            })
            .connect_lazy_with(address.application_name("orderstore reader"));
        Ok(Self { arrivals: Arc::new(Arrivals::new(pool.clone())), pool })
    }

    /// Asks the database for something cheap: an answer means that it can be read.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be reached, [`Error::NotReady`] before it has been
    /// migrated.
    pub async fn ready(&self) -> Result<(), Error> {
        self.freshness(super::ProjectionName::Orders).await.map(drop)
    }

    /// Closes all sessions. Reads that come later are [`Error::Unavailable`].
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("connections", &self.pool.size()).finish_non_exhaustive()
    }
}
