//! The way back from events that were skipped.

use futures::future::BoxFuture;
use journal::Journal;
use schemas::StreamName;
use sqlx::Connection as _;
use sqlx::postgres::PgConnectOptions;

use super::intervention::{Stop, TRIES};
use super::places::{self, places};
use crate::heal::{self, RebuiltStream};
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::{Error, ProjectionName, another_log, bookkeeping, database};

/// Takes back that events of `stream` are skipped, and folds it from its beginning. What came of
/// that in each generation: it may be stuck again.
///
/// # Errors
/// [`Error::NotSkipped`]; [`Error::BeingBuilt`] while a generation is being filled, which skips the
/// events already; [`Error::PastElsewhere`] while there is one of another version that has skipped
/// them; when the database or the event store cannot be reached.
pub async fn unskip(
    database_url: &str,
    journal: &Journal,
    projection: ProjectionName,
    stream: &StreamName,
) -> Result<Vec<RebuiltStream>, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut connection = database::connect(&address).await?;
    another_log::refuse(&mut connection, journal, projection).await?;
    connection.close().await?;
    let mut tries = 1;
    loop {
        let unskip = Unskip { address: &address, journal, stream };
        match with(projection, unskip).await {
            Err(stop) if stop.is_passing() && tries < TRIES => tries += 1,
            other => return other.map_err(|stop| stop.into_error(projection)),
        }
    }
}

/// The way back from skipped events, in all generations of a projection at once.
struct Unskip<'a> {
    address: &'a PgConnectOptions,
    journal: &'a Journal,
    stream: &'a StreamName,
}

impl<'a> With for Unskip<'a> {
    type Output = BoxFuture<'a, Result<Vec<RebuiltStream>, Stop>>;

    fn with<P: Projection>(self) -> Self::Output {
        const FORGET: &str = "delete from orderstore.skipped where projection = $1 and stream = $2 \
             returning revision";
        Box::pin(async move {
            let projection = P::NAME;
            let mut connection = database::connect_for_writing(self.address, "pg_catalog").await?;
            let mut transaction = bookkeeping::durable(&mut connection).await?;
            bookkeeping::intervene(&mut transaction, projection).await?;
            if places::is_being_filled(&mut transaction, projection).await? {
                return Err(Stop::Refusal(Error::BeingBuilt { projection, paused: false }));
            }
            let forgotten: Vec<i64> = sqlx::query_scalar(FORGET)
                .bind(projection.as_str())
                .bind(self.stream.as_str())
                .fetch_all(&mut *transaction)
                .await?;
            let (journal, stream) = (self.journal, self.stream.clone());
            let Some(first) = forgotten.iter().min() else {
                return Err(Stop::Refusal(Error::NotSkipped { projection, stream }));
            };
            let places = places::<P>(&mut transaction, &stream).await?;
            let first = first.unsigned_abs();
            let elsewhere =
                places::past_elsewhere(&mut transaction, journal, &stream, first, &places).await?;
            if let Some(error) = elsewhere {
                return Err(Stop::Refusal(error));
            }
            let rebuilt = heal::heal_within::<P>(&mut transaction, self.journal, &[stream]).await?;
            transaction.commit().await?;
            connection.close().await?;
            Ok(rebuilt)
        })
    }
}
