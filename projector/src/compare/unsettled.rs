//! Which streams cannot be compared right now, because the generations have not folded them to
//! the same event.
//!
//! They are listed in temporary tables of the session, however many there are.

use std::cmp::Ordering;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use journal::{Journal, Position};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, FromRow};

use super::explain::{READERS, event, stream_of_owner};
use super::layout::{Layout, Schemas};
use crate::bookkeeping::GenerationId;
use crate::failure::Failure;
use crate::projection::Projection;

/// Streams that cannot be compared.
pub(crate) const PENDING: &str = "pg_temp.compare_pending";
/// Streams that could not be compared before, and can be now.
pub(crate) const SETTLED: &str = "pg_temp.compare_settled";
const BEFORE: &str = "pg_temp.compare_before";

/// So many streams are looked up in the log at a time, to find out whether they are behind for good.
const AT_ONCE: i64 = 1_000;

/// How far a generation is, in one snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    pub(crate) version: i32,
    /// Everything up to here is in its rows.
    pub(crate) all: Position,
    /// Nothing after this is, unless somebody has intervened.
    pub(crate) any: Position,
}

impl Reach {
    /// Of a generation that is there.
    ///
    /// # Errors
    /// [`Failure::Lost`] when it is not.
    pub(crate) async fn of(
        connection: &mut PgConnection,
        generation: GenerationId,
    ) -> Result<Self, Failure> {
        const REACH: &str = "select p.version, c.commit_position, c.prepare_position \
             from orderstore.projections p join orderstore.checkpoints c \
             on c.projection = p.name and c.generation = p.generation \
             where p.name = $1 and p.generation = $2 and p.state not in ('retired', 'dropped')";
        let slices: Vec<(i32, i64, i64)> = sqlx::query_as(REACH)
            .bind(generation.projection.as_str())
            .bind(generation.number)
            .fetch_all(connection)
            .await?;
        let version = slices.first().ok_or(Failure::Lost)?.0;
        let positions = slices.into_iter().map(|(_, commit, prepare)| {
            Position::from_signed(commit, prepare).ok_or(Failure::Position)
        });
        let positions = positions.collect::<Result<Vec<_>, _>>()?;
        let all = positions.iter().min().copied().unwrap_or(Position::START);
        let any = positions.iter().max().copied().unwrap_or(Position::START);
        Ok(Self { version, all, any })
    }

    pub(crate) fn is_as_far_as(self, other: Self) -> bool {
        self.all >= other.any
    }
}

/// The main tables of two generations, and how far these are.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) main: &'a Layout,
    pub(crate) schemas: Schemas<'a>,
    pub(crate) blue: Reach,
    pub(crate) green: Reach,
}

#[derive(Debug, FromRow)]
struct Pending {
    owner: String,
    blue_revision: Option<i64>,
    green_revision: Option<i64>,
    blue_quarantined: Option<bool>,
    green_quarantined: Option<bool>,
}

impl Pair<'_> {
    /// Creates the temporary tables.
    pub(crate) async fn prepare(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let (Schemas { blue, .. }, table, key) = (self.schemas, &self.main.table, self.key());
        let create = format!(
            "create temp table compare_pending as select {key} as owner, \
             revision as blue_revision, revision as green_revision, \
             quarantined as blue_quarantined, quarantined as green_quarantined \
             from {blue}.{table} limit 0; \
             create temp table compare_before as select owner from {PENDING}; \
             create temp table compare_settled as select owner from {PENDING}"
        );
        sqlx::raw_sql(AssertSqlSafe(create)).execute(connection).await.map(drop)
    }

    /// Lists all streams that cannot be compared. How many of them only green has.
    pub(crate) async fn begin(self, connection: &mut PgConnection) -> sqlx::Result<u64> {
        const GREEN_ONLY: &str =
            "select count(*) from pg_temp.compare_pending where blue_revision is null";
        let Schemas { blue, green } = self.schemas;
        let (table, key) = (&self.main.table, self.key());
        let fill = format!(
            "insert into {PENDING} select coalesce(b.{key}, g.{key}), b.revision, g.revision, \
             b.quarantined, g.quarantined from {blue}.{table} b \
             full join {green}.{table} g using ({key}) where {}",
            self.unsettled()
        );
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut *connection).await?;
        analyze(connection).await?;
        let count: i64 = sqlx::query_scalar(GREEN_ONLY).fetch_one(&mut *connection).await?;
        Ok(count.unsigned_abs())
    }

    /// Looks at those again that could not be compared before: [`SETTLED`] is those that can be
    /// now, [`PENDING`] the rest.
    pub(crate) async fn again(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let Schemas { blue, green } = self.schemas;
        let (table, key) = (&self.main.table, self.key());
        let again = format!(
            "truncate {BEFORE}; insert into {BEFORE} select owner from {PENDING}; \
             truncate {PENDING}; insert into {PENDING} \
             select w.owner, b.revision, g.revision, b.quarantined, g.quarantined \
             from {BEFORE} w left join {blue}.{table} b on b.{key} = w.owner \
             left join {green}.{table} g on g.{key} = w.owner \
             where (b.{key} is not null or g.{key} is not null) and {}; \
             truncate {SETTLED}; insert into {SETTLED} select w.owner from {BEFORE} w \
             where not exists (select from {PENDING} p where p.owner = w.owner)",
            self.unsettled()
        );
        sqlx::raw_sql(AssertSqlSafe(again)).execute(&mut *connection).await?;
        analyze(connection).await
    }

    /// Of those that cannot be compared, the ones that one of the two should have folded further,
    /// or quarantined: the log says that it is past their next event. They are [`SETTLED`] then.
    pub(crate) async fn behind<P: Projection>(
        self,
        connection: &mut PgConnection,
        journal: &Journal,
    ) -> Result<(), Failure> {
        const PAGE: &str = "select owner::text, blue_revision, green_revision, blue_quarantined, \
             green_quarantined from pg_temp.compare_pending \
             where $1::text is null or owner::text collate \"C\" > $1 \
             order by owner::text collate \"C\" limit $2";
        const SETTLE: &str = "with behind as (delete from pg_temp.compare_pending \
             where owner::text = any($1) returning owner) \
             insert into pg_temp.compare_settled select owner from behind";
        self.quarantined_by_one(connection).await?;
        let mut after: Option<String> = None;
        loop {
            let page: Vec<Pending> =
                sqlx::query_as(PAGE).bind(&after).bind(AT_ONCE).fetch_all(&mut *connection).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.owner.clone());
            let looking: Vec<BoxFuture<'_, Result<Option<String>, Failure>>> =
                page.into_iter().map(|one| self.if_behind::<P>(one, journal).boxed()).collect();
            let looked: Vec<_> =
                stream::iter(looking).buffer_unordered(READERS).try_collect().await?;
            let owners: Vec<String> = looked.into_iter().flatten().collect();
            sqlx::query(SETTLE).bind(&owners).execute(&mut *connection).await?;
        }
        analyze(connection).await?;
        Ok(())
    }

    /// Begins [`SETTLED`] with the streams that are at the same event on both sides, but are
    /// quarantined on one only, which the other would be, too: no event of the log can settle that.
    async fn quarantined_by_one(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let settle = format!(
            "truncate {SETTLED}; with alone as (delete from {PENDING} \
             where blue_revision = green_revision and blue_quarantined <> green_quarantined \
             and case when blue_quarantined then {} else {} end returning owner) \
             insert into {SETTLED} select owner from alone",
            self.green.is_as_far_as(self.blue),
            self.blue.is_as_far_as(self.green),
        );
        sqlx::raw_sql(AssertSqlSafe(settle)).execute(connection).await.map(drop)
    }

    async fn if_behind<P: Projection>(
        self,
        stream: Pending,
        journal: &Journal,
    ) -> Result<Option<String>, Failure> {
        let behind = self.is_behind::<P>(&stream, journal).await?;
        Ok(behind.then_some(stream.owner))
    }

    async fn is_behind<P: Projection>(
        self,
        stream: &Pending,
        journal: &Journal,
    ) -> Result<bool, Failure> {
        let Some(name) = stream_of_owner::<P>(&stream.owner) else { return Ok(true) };
        let next = |revision: Option<i64>| revision.map_or(0, |revision| revision + 1);
        let (blue, green) = (next(stream.blue_revision), next(stream.green_revision));
        // Where revisions are the same, the one that is not quarantined has yet to meet the event
        // that stopped the other.
        let reach = match blue.cmp(&green) {
            Ordering::Greater => self.green,
            Ordering::Equal if stream.blue_quarantined == Some(true) => self.green,
            Ordering::Less | Ordering::Equal => self.blue,
        };
        let quarantined = stream.blue_quarantined != stream.green_quarantined;
        let missing = event(journal, &name, blue.min(green).unsigned_abs()).await?;
        Ok(match missing {
            Some(missing) => missing.position <= reach.all,
            // There is nothing more to come that could make them the same.
            None => blue != green || quarantined,
        })
    }

    /// How many streams are listed as not to be compared, and some of their names.
    pub(crate) async fn left<P: Projection>(
        connection: &mut PgConnection,
    ) -> sqlx::Result<(u64, Vec<String>)> {
        const COUNT: &str = "select count(*) from pg_temp.compare_pending";
        const SOME: &str =
            "select owner::text from pg_temp.compare_pending order by owner limit 10";
        let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *connection).await?;
        let owners: Vec<String> = sqlx::query_scalar(SOME).fetch_all(connection).await?;
        let names = owners.iter().filter_map(|owner| stream_of_owner::<P>(owner));
        Ok((count.unsigned_abs(), names.map(|name| name.to_string()).collect()))
    }

    fn key(&self) -> &str {
        &self.main.key[0]
    }

    /// Whether `b` and `g`, rows of the main tables, are of different moments.
    fn unsettled(&self) -> String {
        let key = self.key();
        let (blue, green) = (self.blue, self.green);
        format!(
            "case when g.{key} is null then {} when b.{key} is null then {} \
             else b.revision <> g.revision or b.quarantined <> g.quarantined end",
            !green.is_as_far_as(blue),
            !blue.is_as_far_as(green),
        )
    }
}

/// The planner would think them large.
async fn analyze(connection: &mut PgConnection) -> sqlx::Result<()> {
    let analyze = AssertSqlSafe(format!("analyze {PENDING}, {SETTLED}"));
    sqlx::raw_sql(analyze).execute(connection).await.map(drop)
}
