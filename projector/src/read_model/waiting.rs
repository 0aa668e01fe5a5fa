//! Waiting until a projection has got somewhere, and how far it has got.
//!
//! One session per reader listens for everybody who waits. Notifications can be missed, so whoever
//! waits also looks for itself now and then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use journal::Position;
use sqlx::FromRow;
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::{Error, ProjectionName, Reader};
use crate::bookkeeping::CHANNEL;
use crate::calls::WANTED;
use crate::slice::Slice;

/// How often those who wait look for themselves, in case a notification was missed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How far a projection had got when waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The position, or further: reads now see everything up to it.
    Yes(Position),
    /// Not there when the time was over: reads are stale.
    NotYet(Position),
}

impl Reached {
    /// Whether reads see everything up to the position that was waited for.
    pub const fn is_there(self) -> bool {
        matches!(self, Self::Yes(_))
    }

    /// How far the projection is.
    pub const fn position(self) -> Position {
        match self {
            Self::Yes(position) | Self::NotYet(position) => position,
        }
    }
}

/// How far the live generation of a projection is, in all its slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Everything up to here is in its rows.
    pub position: Position,
    /// When the worker that has been silent for the longest time was last seen alive, by the
    /// database's clock: rows are at most as old as this, plus what workers have not come to yet.
    pub updated_at: DateTime<Utc>,
    /// Whether all its workers had nothing left to do when they were last seen.
    pub caught_up: bool,
}

const FRESHNESS: &str = "select c.commit_position, c.prepare_position, \
     min(c.updated_at) over () as updated_at, bool_and(c.caught_up) over () as caught_up \
     from orderstore.checkpoints c \
     join orderstore.projections p on p.name = c.projection and p.generation = c.generation \
     where p.name = $1 and p.state = 'live' and p.opened \
     order by c.commit_position, c.prepare_position limit 1";

#[derive(FromRow)]
struct Checkpoint {
    commit_position: i64,
    prepare_position: i64,
    updated_at: DateTime<Utc>,
    caught_up: bool,
}

impl Reader {
    /// How far the live generation of `projection` is.
    ///
    /// # Errors
    /// [`Error::NotReady`] when there is none yet.
    pub async fn freshness(&self, projection: ProjectionName) -> Result<Freshness, Error> {
        let row: Option<Checkpoint> =
            sqlx::query_as(FRESHNESS).bind(projection.as_str()).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Err(Error::NotReady(sqlx::Error::RowNotFound)) };
        let position = Position::from_signed(row.commit_position, row.prepare_position)
            .unwrap_or(Position::START);
        Ok(Freshness { position, updated_at: row.updated_at, caught_up: row.caught_up })
    }

    /// Waits until the live generation of `projection` has got to `position`, for `limit` at most.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::NotReady`] at once: waiting for a database that is not
    /// there helps nobody.
    pub async fn wait_for(
        &self,
        projection: ProjectionName,
        position: Position,
        limit: Duration,
    ) -> Result<Reached, Error> {
        let end = Instant::now() + limit;
        let mut heard = self.arrivals.listen();
        loop {
            if let Some(known) = known(&heard.borrow_and_update(), projection, position) {
                return Ok(Reached::Yes(known));
            }
            let is = self.freshness(projection).await?.position;
            if is >= position {
                return Ok(Reached::Yes(is));
            }
            self.ask_for(projection).await;
            let look_again = end.min(Instant::now() + LOOK_AGAIN);
            let told = heard.wait_for(|all| known(all, projection, position).is_some());
            // Both ends lead to another look, and a listener that is gone makes no difference.
            let _ = timeout_at(look_again, told).await;
            if Instant::now() >= end {
                return Ok(Reached::NotYet(is));
            }
        }
    }

    /// Has the worker look at once how far the log is: an event that is not for its projection does
    /// not come to it by itself.
    async fn ask_for(&self, projection: ProjectionName) {
        let asking = sqlx::query("select pg_notify($1, $2)").bind(WANTED).bind(projection.as_str());
        // A replica cannot ask. Then it takes until the worker's next heartbeat.
        if let Err(error) = asking.execute(&self.pool).await {
            tracing::debug!(%error, "could not ask a projector to hurry");
        }
    }
}

type Heard = HashMap<ProjectionName, Live>;

/// What has been heard of the live generation of a projection.
#[derive(Debug, Clone, Default, PartialEq)]
struct Live {
    generation: i64,
    /// How far each slice is, once something was heard of it.
    slices: Vec<Option<Position>>,
}

impl Live {
    fn hear(&mut self, news: &News) {
        let slices = usize::from(news.slice.of);
        if self.generation != news.generation || self.slices.len() != slices {
            // Another generation: it may even be behind the one before.
            *self = Self { generation: news.generation, slices: vec![None; slices] };
        }
        if let Some(position) = self.slices.get_mut(usize::from(news.slice.number)) {
            *position = Some(news.position);
        }
    }

    /// How far all slices are, if all have been heard of.
    fn position(&self) -> Option<Position> {
        self.slices.iter().copied().min().flatten()
    }
}

fn known(all: &Heard, projection: ProjectionName, wanted: Position) -> Option<Position> {
    all.get(&projection)?.position().filter(|position| *position >= wanted)
}

/// The one listening session of a reader, started when somebody first waits.
pub(super) struct Arrivals {
    pool: PgPool,
    listener: Mutex<Option<(watch::Receiver<Heard>, AbortOnDropHandle<()>)>>,
}

impl Arrivals {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool, listener: Mutex::new(None) }
    }

    fn listen(&self) -> watch::Receiver<Heard> {
        let mut listener = self.listener.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (positions, _task) = listener.get_or_insert_with(|| {
            let (tell, positions) = watch::channel(Heard::new());
            let task = tokio::spawn(listen(self.pool.clone(), tell));
            (positions, AbortOnDropHandle::new(task))
        });
        positions.clone()
    }
}

async fn listen(pool: PgPool, tell: watch::Sender<Heard>) {
    while !pool.is_closed() {
        if let Err(error) = hear(&pool, &tell).await {
            tracing::debug!(%error, "listening for checkpoints was interrupted");
        }
        // What was heard before an interruption may not be true afterwards: the database may be
        // another one, or have lost its last moments.
        tell.send_replace(Heard::new());
        sleep(LOOK_AGAIN).await;
    }
}

/// Listens until the session breaks.
async fn hear(pool: &PgPool, tell: &watch::Sender<Heard>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    while let Some(notification) = listener.try_recv().await? {
        let Some(news) = parse(notification.payload()) else { continue };
        tell.send_modify(|all| all.entry(news.projection).or_default().hear(&news));
    }
    Ok(())
}

/// That a slice has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct News {
    projection: ProjectionName,
    generation: i64,
    slice: Slice,
    position: Position,
}

fn parse(payload: &str) -> Option<News> {
    let mut words = payload.split(' ');
    let mut next = || words.next();
    let (projection, generation) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let (number, of) = next()?.split_once('/')?;
    let slice = Slice { number: number.parse().ok()?, of: of.parse().ok()? };
    Some(News { projection, generation, slice, position: next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bookkeeping::{GenerationId, payload};

    const FULFILMENTS: ProjectionName = ProjectionName::Fulfilments;

    fn news(generation: i64, number: u16, at: u64) -> News {
        let (slice, position) = (Slice { number, of: 2 }, Position { commit: at, prepare: at });
        News { projection: FULFILMENTS, generation, slice, position }
    }

    #[test]
    fn what_is_sent_is_understood() {
        let news = news(7, 1, 12);
        let id = GenerationId { projection: FULFILMENTS, number: 7 };
        assert_eq!(parse(&payload(id, news.slice, news.position)), Some(news));
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn a_generation_is_as_far_as_the_slice_that_is_behind_the_others() {
        let mut heard = Heard::new();
        let mut hear = |news: News| {
            heard.entry(news.projection).or_default().hear(&news);
            heard[&FULFILMENTS].position().map(|position| position.commit)
        };
        assert_eq!(hear(news(1, 0, 10)), None, "nothing was heard of the other one");
        assert_eq!(hear(news(1, 1, 5)), Some(5));
        assert_eq!(hear(news(1, 1, 12)), Some(10));
        assert_eq!(hear(news(2, 1, 3)), None, "another generation");
        assert_eq!(hear(news(2, 0, 3)), Some(3));
    }
}
