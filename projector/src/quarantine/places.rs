//! Where a stream is kept: the generations of a projection, and how each stands to the stream.

use futures::TryStreamExt;
use journal::{Journal, Recorded};
use schemas::StreamName;
use sqlx::postgres::PgConnection;

use crate::bookkeeping::{self, GenerationId, Lock};
use crate::failure::Failure;
use crate::heal;
use crate::projection::{Projection, State as _, id_of};
use crate::slice::slice_of;
use crate::{Error, ProjectionName};

/// A generation that is there, and where the stream is stuck in it, if it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) generation: GenerationId,
    /// Whether readers see it.
    pub(super) live: bool,
    /// Whether its tables are complete, and as this build has them.
    pub(super) writable: bool,
    pub(super) stuck: Option<i64>,
}

impl Place {
    /// Whether the stream is stuck here with the event of this revision or one before it.
    fn is_stuck_by(&self, revision: u64) -> bool {
        self.stuck.is_some_and(|stuck| stuck.unsigned_abs() <= revision)
    }
}

/// All generations of a projection.
pub(super) async fn places<P: Projection>(
    connection: &mut PgConnection,
    stream: &StreamName,
) -> sqlx::Result<Vec<Place>> {
    const PLACES: &str = "select p.generation, p.state = 'live', q.revision \
         from orderstore.projections p left join orderstore.quarantine q \
         on q.projection = p.name and q.generation = p.generation and q.stream = $2 \
         where p.name = $1 and p.state not in ('retired', 'dropped') order by p.generation";
    let writable = heal::writable::<P>(&mut *connection).await?;
    let rows: Vec<(i64, bool, Option<i64>)> = sqlx::query_as(PLACES)
        .bind(P::NAME.as_str())
        .bind(stream.as_str())
        .fetch_all(connection)
        .await?;
    let place = |(number, live, stuck)| {
        let generation = GenerationId { projection: P::NAME, number };
        Place { generation, live, writable: writable.contains(&generation), stuck }
    };
    Ok(rows.into_iter().map(place).collect())
}

/// Whether a generation is being filled, by somebody who knows what was skipped when it began.
pub(super) async fn is_being_filled(
    connection: &mut PgConnection,
    projection: ProjectionName,
) -> sqlx::Result<bool> {
    const BEING_FILLED: &str = "select exists (select from orderstore.build_generations b \
         join orderstore.projections p on p.name = b.projection and p.generation = b.generation \
         where b.projection = $1 and not b.filled and p.state = 'building')";
    sqlx::query_scalar(BEING_FILLED).bind(projection.as_str()).fetch_one(connection).await
}

/// Those of `places` that this build can write and whose rows have the event of this revision in
/// them.
pub(super) async fn with_event<P: Projection>(
    connection: &mut PgConnection,
    stream: &StreamName,
    revision: u64,
    places: &[Place],
) -> sqlx::Result<Vec<Place>> {
    let Ok(id) = id_of::<P>(stream) else { return Ok(vec![]) };
    let mut with_event = vec![];
    for &place in places {
        if !place.writable || place.is_stuck_by(revision) {
            continue;
        }
        sqlx::query("select set_config('search_path', $1, true)")
            .bind(place.generation.schema())
            .execute(&mut *connection)
            .await?;
        let states = P::load(&mut *connection, &[P::key(&id)]).await?;
        if states.iter().any(|state| state.revision().unsigned_abs() >= revision) {
            with_event.push(place);
        }
    }
    Ok(with_event)
}

/// One of `places` that this build cannot write and that has gone past the event of this revision,
/// as an error that says so. How its tables look is not known here, but how far it is.
pub(super) async fn past_elsewhere(
    connection: &mut PgConnection,
    journal: &Journal,
    stream: &StreamName,
    revision: u64,
    places: &[Place],
) -> Result<Option<Error>, Failure> {
    let others = places.iter().filter(|place| !place.writable && !place.is_stuck_by(revision));
    let others: Vec<GenerationId> = others.map(|place| place.generation).collect();
    if others.is_empty() {
        return Ok(None);
    }
    let Some(event) = readable_from(journal, stream, revision).await? else { return Ok(None) };
    for other in others {
        let slices = bookkeeping::positions(connection, other, Lock::None).await?;
        let count = u16::try_from(slices.len()).unwrap_or(u16::MAX);
        if count == 0 {
            continue;
        }
        let slice = slice_of(stream.as_str(), count);
        if slices[usize::from(slice)].position >= event.position {
            let GenerationId { projection, number: generation } = other;
            let stream = stream.clone();
            return Ok(Some(Error::PastElsewhere { projection, generation, stream, revision }));
        }
    }
    Ok(None)
}

/// The first event of `stream` from `revision` on that can be read. As long as there is none,
/// those before it are in nobody's way: whoever follows the log leaves them out.
pub(crate) async fn readable_from(
    journal: &Journal,
    stream: &StreamName,
    revision: u64,
) -> Result<Option<Recorded>, Failure> {
    let mut from = revision;
    loop {
        match journal.read(stream, from).try_next().await {
            Ok(event) => return Ok(event),
            Err(journal::Error::Foreign { revision, .. }) => from = revision + 1,
            Err(error) => return Err(error.into()),
        }
    }
}
