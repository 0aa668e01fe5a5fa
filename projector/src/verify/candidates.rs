//! Which streams are looked at.

use std::collections::HashSet;

use journal::{Filter, Journal, Position, Scan};
use schemas::{Aggregate, StreamName};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::Sample;
use crate::bookkeeping::{self, GenerationId, Lock};
use crate::compare::layout::Owner;
use crate::failure::Failure;
use crate::projection::{Projection, id_of};
use crate::slice::slice_of;
use crate::table::Table;

/// So many streams are folded again at a time.
pub(super) const BATCH: usize = 500;

/// Shares are counted in so many parts.
const PARTS: f64 = 1_048_576.0;

/// The owners of the rows of a table, page by page, in the order of their keys.
pub(super) struct Pages {
    statement: String,
    after: Option<String>,
}

impl Pages {
    /// Of a sample of the main table: which ones depends on nothing but their keys and the seed.
    pub(super) fn of_sample<P: Projection>(schema: &str, sample: Sample, seed: i64) -> Self {
        let condition = match sample {
            Sample::All => "true".to_owned(),
            Sample::Share(_) => {
                let parts = (sample.share() * PARTS).round();
                let key = P::ROWS[0].owner;
                format!("(hashtextextended(t.{key}::text, {seed}) & 1048575) < {parts}")
            }
        };
        Self::of(&P::ROWS[0], schema, &condition)
    }

    /// Of the rows of another table that have no row in the main table.
    pub(super) fn of_orphans<P: Projection>(table: &Table, schema: &str) -> Self {
        let Table { name: main, owner: key, .. } = P::ROWS[0];
        let condition =
            format!("not exists (select from {schema}.{main} m where m.{key} = t.{})", table.owner);
        Self::of(table, schema, &condition)
    }

    fn of(table: &Table, schema: &str, condition: &str) -> Self {
        let Owner { column, of } = Owner::of(table);
        let statement = format!(
            "select o.owner::text from (select distinct t.{column} as owner \
             from {schema}.{} t where {condition} and (not $2 or t.{column} > $1::text::{of}) \
             order by t.{column} limit {BATCH}) o",
            table.name
        );
        Self { statement, after: None }
    }

    /// The next ones; none at the end.
    pub(super) async fn next(
        &mut self,
        connection: &mut PgConnection,
    ) -> sqlx::Result<Vec<String>> {
        let owners: Vec<String> = sqlx::query_scalar(AssertSqlSafe(self.statement.clone()))
            .bind(self.after.as_deref())
            .bind(self.after.is_some())
            .fetch_all(connection)
            .await?;
        self.after = owners.last().cloned().or(self.after.take());
        Ok(owners)
    }
}

/// Streams of the log that have no row, although they should have.
pub(super) struct Missing<P: Projection> {
    scan: Scan,
    /// First events that have been met.
    met: Vec<(StreamName, Position)>,
    _of: std::marker::PhantomData<P>,
}

impl<P: Projection> Missing<P> {
    pub(super) fn begin(journal: &Journal) -> Self {
        let scan = journal.scan(Filter::categories(&[P::Source::CATEGORY]), Position::START);
        Self { scan, met: vec![], _of: std::marker::PhantomData }
    }

    /// Some more of them; `None` at the end.
    pub(super) async fn next(
        &mut self,
        connection: &mut PgConnection,
        generation: GenerationId,
    ) -> Result<Option<Vec<String>>, Failure> {
        let mut more = true;
        while more && self.met.len() < BATCH {
            match self.scan.next().await? {
                Some(batch) => {
                    let first = batch.events.into_iter().filter(|event| event.revision == 0);
                    let named = first
                        .filter_map(|event| Some((event.stream.parse().ok()?, event.position)));
                    self.met.extend(named.filter(|(stream, _)| id_of::<P>(stream).is_ok()));
                }
                None => more = false,
            }
        }
        if self.met.is_empty() {
            return Ok(more.then(Vec::new));
        }
        let met = std::mem::take(&mut self.met);
        without_row::<P>(connection, generation, met).await.map(Some)
    }
}

async fn without_row<P: Projection>(
    connection: &mut PgConnection,
    generation: GenerationId,
    met: Vec<(StreamName, Position)>,
) -> Result<Vec<String>, Failure> {
    let Owner { column, of } = Owner::of(&P::ROWS[0]);
    let statement = AssertSqlSafe(format!(
        "select n.owner from unnest($1::text[]) as n (owner) \
         where not exists (select from {}.{} m where m.{column} = n.owner::{of})",
        generation.schema(),
        P::ROWS[0].name
    ));
    // Before the rows are looked at: what was folded by now has its rows.
    let reached = Reached::of(connection, generation).await?;
    let due = met.into_iter().filter(|(stream, position)| *position <= reached.at(stream));
    let owners: HashSet<String> = due.map(|(stream, _)| stream.id().to_owned()).collect();
    let owners: Vec<String> = owners.into_iter().collect();
    Ok(sqlx::query_scalar(statement).bind(owners).fetch_all(connection).await?)
}

/// How far each slice of a generation is.
pub(super) struct Reached(Vec<Position>);

impl Reached {
    pub(super) async fn of(
        connection: &mut PgConnection,
        generation: GenerationId,
    ) -> Result<Self, Failure> {
        let slices = bookkeeping::positions(connection, generation, Lock::None).await?;
        if slices.is_empty() {
            return Err(Failure::Lost);
        }
        Ok(Self(slices.into_iter().map(|slice| slice.position).collect()))
    }

    /// Everything of `stream` up to here is in its rows.
    pub(super) fn at(&self, stream: &StreamName) -> Position {
        let slices = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        self.0[usize::from(slice_of(stream.as_str(), slices))]
    }
}
