//! What is remembered of generations that were to become live: how they compared with the one that
//! readers saw, and why one is not live although it is built.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use crate::bookkeeping::GenerationId;
use crate::build::Compared;
use crate::database::Trouble;
use crate::{Comparison, ProjectionName};

/// What is known about whether readers may see a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How it compared the last time it was to become live; none if it was not compared.
    pub compared: Option<LastComparison>,
    /// Why it is not live although it is built; none if nothing has kept it from that.
    pub refusal: Option<Refusal>,
}

/// How a generation compared with the one that was live then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastComparison {
    /// Number of the one that was live.
    pub with: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What came of it.
    pub found: Compared,
}

/// Why a generation is not live yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Since when.
    pub at: DateTime<Utc>,
    /// In words, with what to do about it.
    pub why: String,
}

/// Keeps how a generation compared. What was in its way before is settled by that, or comes again.
pub(crate) async fn note_comparison(connection: &mut PgConnection, comparison: &Comparison) {
    const NOTE: &str = "insert into orderstore.verdicts \
         (projection, generation, compared_with, compared_at, rows, differing, not_compared) \
         values ($1, $2, $3, clock_timestamp(), $4, $5, $6) \
         on conflict (projection, generation) do update set \
         compared_with = excluded.compared_with, compared_at = excluded.compared_at, \
         rows = excluded.rows, differing = excluded.differing, \
         not_compared = excluded.not_compared, refusal = null, refused_at = null";
    let noted = sqlx::query(NOTE)
        .bind(comparison.projection.as_str())
        .bind(comparison.green.generation)
        .bind(comparison.blue.generation)
        .bind(comparison.rows().cast_signed())
        .bind(comparison.differing().cast_signed())
        .bind(comparison.not_compared.cast_signed())
        .execute(connection)
        .await;
    complain(comparison.projection, noted.map(drop));
}

/// Keeps why a generation is not live.
pub(crate) async fn note_refusal(connection: &mut PgConnection, of: GenerationId, why: &str) {
    const NOTE: &str = "insert into orderstore.verdicts \
         (projection, generation, refusal, refused_at) values ($1, $2, $3, clock_timestamp()) \
         on conflict (projection, generation) do update set \
         refusal = excluded.refusal, refused_at = excluded.refused_at";
    let noted = sqlx::query(NOTE)
        .bind(of.projection.as_str())
        .bind(of.number)
        .bind(why)
        .execute(connection)
        .await;
    complain(of.projection, noted.map(drop));
}

/// Readers get a generation whether this is remembered or not.
fn complain(projection: ProjectionName, noted: sqlx::Result<()>) {
    if let Err(error) = noted {
        tracing::warn!(%projection, %error, "how a new generation compared could not be kept");
    }
}

/// The verdict on one generation.
#[derive(Debug, FromRow)]
pub(crate) struct Noted {
    projection: String,
    generation: i64,
    building: bool,
    compared_with: Option<i64>,
    compared_at: Option<DateTime<Utc>>,
    rows: Option<i64>,
    differing: Option<i64>,
    not_compared: Option<i64>,
    refusal: Option<String>,
    refused_at: Option<DateTime<Utc>>,
}

/// All that is known, of generations that are there. Nothing where a newer build has not yet set the
/// bookkeeping up.
pub(crate) async fn verdicts<'c>(
    connection: impl sqlx::PgExecutor<'c>,
) -> sqlx::Result<Vec<Noted>> {
    const VERDICTS: &str = "select v.projection, v.generation, p.state = 'building' as building, \
         v.compared_with, v.compared_at, v.rows, v.differing, v.not_compared, \
         v.refusal, v.refused_at \
         from orderstore.verdicts v join orderstore.projections p \
         on p.name = v.projection and p.generation = v.generation and p.state <> 'dropped'";
    match sqlx::query_as(VERDICTS).fetch_all(connection).await {
        Err(error) if Trouble::of(&error) == Trouble::NoSuchTable => Ok(vec![]),
        other => other,
    }
}

impl Noted {
    /// Which generation it is about; none if only a newer build knows its projection.
    pub(crate) fn generation(&self) -> Option<(ProjectionName, i64)> {
        Some((self.projection.parse().ok()?, self.generation))
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let number = |number: Option<i64>| number.unwrap_or(0).unsigned_abs();
        let compared = self.compared_with.zip(self.compared_at).map(|(with, at)| LastComparison {
            with,
            at,
            found: Compared {
                rows: number(self.rows),
                differing: number(self.differing),
                not_compared: number(self.not_compared),
            },
        });
        // Somebody may have had readers see it all the same.
        let refusal = self.refusal.clone().filter(|_| self.building);
        let refusal = refusal.zip(self.refused_at).map(|(why, at)| Refusal { at, why });
        Verdict { compared, refusal }
    }
}
