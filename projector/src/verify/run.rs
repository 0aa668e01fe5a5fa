//! Verifies one generation.

use std::collections::{BTreeMap, HashSet};
use std::marker::PhantomData;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use schemas::{Aggregate, StreamName};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, FromRow};
use tokio::time::sleep;

use super::candidates::{BATCH, Missing, Pages, Reached};
use super::refold::{Refold, Until};
use super::scratch::{self, Scratch};
use super::{Drift, Sample, Verification, VerifyOptions, VerifyProgress};
use crate::bookkeeping::GenerationId;
use crate::compare::explain::{READERS, stream_of_owner};
use crate::compare::layout::{Layout, Owner, Schemas};
use crate::compare::rows::{self, SAMPLES, Scope};
use crate::compare::{TableComparison, explained, snapshot, sums};
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::heal::{StreamOutcome, heal};
use crate::projection::{Projection, Unfoldable};
use crate::quarantine::Exceptions;
use crate::worker::Context;

/// So many streams that have drifted are named.
const NAMED: usize = 100;

/// What is wrong with rows whose key makes no name of a stream.
const NO_STREAM: &str = "no stream can have this name: delete the rows by hand, or rebuild";

/// So many streams are folded again in one transaction: live work waits so long.
const HEALED_AT_ONCE: usize = 50;

/// A verification under way.
pub(super) struct Run<P: Projection> {
    context: Context,
    options: VerifyOptions,
    generation: GenerationId,
    schema: String,
    /// A session with temporary tables.
    connection: PgConnection,
    layouts: Vec<Layout>,
    /// Streams that have been looked at without having a row in the main table.
    orphans: HashSet<String>,
    of: u64,
    result: Verification,
    _of: PhantomData<P>,
}

/// A stream that is being folded again, and the owner of its rows.
type Folding<'a, P> = BoxFuture<'a, Result<(String, Refold<P>), Failure>>;

/// What is kept of a stream.
#[derive(Debug, FromRow)]
struct Kept {
    owner: String,
    revision: Option<i64>,
    quarantined: Option<i64>,
}

impl<P: Projection> Run<P> {
    pub(super) async fn begin(
        context: Context,
        options: VerifyOptions,
        generation: GenerationId,
    ) -> Result<Self, Failure> {
        let schema = generation.schema();
        let mut connection = database::connect(&context.address).await?;
        // Pages are looked for from a place on: only a plan made for that place uses the index.
        sqlx::raw_sql("set plan_cache_mode = force_custom_plan").execute(&mut connection).await?;
        Scratch::<P>::create(&mut connection, &schema).await?;
        let schemas = Schemas { blue: &schema, green: scratch::SCHEMA };
        let (mut layouts, mut tables) = (vec![], vec![]);
        for table in P::ROWS {
            let layout = Layout::of_rows(&mut connection, schemas, table).await?;
            layouts.extend(layout);
            let table = table.name.to_owned();
            tables.push(TableComparison { table, ..TableComparison::default() });
        }
        let of = expected(&mut connection, &schema, P::ROWS[0].name, &options).await?;
        let result = Verification {
            projection: P::NAME,
            generation: generation.number,
            version: P::VERSION,
            streams: 0,
            unverifiable: 0,
            drifted: 0,
            healed: 0,
            drifts: vec![],
            drifts_left_out: 0,
            tables,
            sums: vec![],
            sums_healed: false,
            not_healed: None,
        };
        let orphans = HashSet::new();
        Ok(Self {
            context,
            options,
            generation,
            schema,
            connection,
            layouts,
            orphans,
            of,
            result,
            _of: PhantomData,
        })
    }

    pub(super) async fn carry_out(mut self) -> Result<Verification, Failure> {
        let looked = self.look().await;
        // What was found is known, whatever came between.
        if looked.is_ok() || !self.result.is_clean() {
            let whole = looked.is_ok() && self.is_whole();
            let noted = self.note(whole).await;
            looked.and(noted)?;
        } else {
            looked?;
        }
        self.connection.close().await?;
        Ok(self.result)
    }

    /// Whether nothing is left out.
    fn is_whole(&self) -> bool {
        self.options.sample == Sample::All && !self.is_enough()
    }

    async fn look(&mut self) -> Result<(), Failure> {
        let VerifyOptions { sample, seed, .. } = self.options;
        self.pages(Pages::of_sample::<P>(&self.schema, sample, seed), false).await?;
        if sample == Sample::All && !self.is_enough() {
            for table in &P::ROWS[1..] {
                self.pages(Pages::of_orphans::<P>(table, &self.schema), true).await?;
            }
            self.missing().await?;
            self.sums().await?;
        }
        Ok(())
    }

    fn is_enough(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.result.streams >= limit)
    }

    async fn pages(&mut self, mut pages: Pages, orphans: bool) -> Result<(), Failure> {
        while !self.is_enough() {
            let owners = pages.next(&mut self.connection).await?;
            if owners.is_empty() {
                break;
            }
            self.verify(owners, orphans).await?;
        }
        Ok(())
    }

    /// Streams of the log that have no row.
    async fn missing(&mut self) -> Result<(), Failure> {
        let mut missing = Missing::<P>::begin(&self.context.journal);
        while let Some(owners) = missing.next(&mut self.connection, self.generation).await? {
            for owners in owners.chunks(BATCH) {
                self.verify(owners.to_vec(), true).await?;
            }
        }
        Ok(())
    }

    async fn verify(&mut self, mut owners: Vec<String>, orphans: bool) -> Result<(), Failure> {
        if let Some(limit) = self.options.limit {
            let left = limit.saturating_sub(self.result.streams);
            owners.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if orphans {
            owners.retain(|owner| self.orphans.insert(owner.clone()));
        }
        if owners.is_empty() {
            return Ok(());
        }
        let drifts = self.compare(&owners).await?;
        self.result.streams += owners.len() as u64;
        self.result.drifted += drifts.len() as u64;
        if self.options.heal {
            self.heal(&drifts).await?;
        }
        let room = NAMED.saturating_sub(self.result.drifts.len());
        self.result.drifts_left_out += drifts.len().saturating_sub(room) as u64;
        self.result.drifts.extend(drifts.into_iter().take(room));
        self.tell();
        sleep(self.options.rest).await;
        Ok(())
    }

    fn tell(&self) {
        let Some(progress) = &self.options.progress else { return };
        let Verification { streams, drifted, .. } = self.result;
        let of = self.of.max(streams);
        progress.send_replace(VerifyProgress { projection: Some(P::NAME), streams, of, drifted });
    }

    /// Compares the rows of `owners` with what they should be. Those that differ.
    async fn compare(&mut self, owners: &[String]) -> Result<Vec<Drift>, Failure> {
        // Where a row that should be cannot even be written, it is found by halves.
        let (mut left, mut drifts) = (vec![owners], vec![]);
        while let Some(owners) = left.pop() {
            match self.compare_together(owners).await {
                Ok(found) => drifts.extend(found),
                Err(Failure::Database(error)) if Trouble::of(&error) == Trouble::Data => {
                    if let [owner] = owners {
                        let reason = Unfoldable::Refused { reason: error.to_string() };
                        drifts.push(drift_of::<P>(owner, vec![], Some(reason.to_string())));
                    } else {
                        let (first, second) = owners.split_at(owners.len() / 2);
                        left.extend([second, first]);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(drifts)
    }

    async fn compare_together(&mut self, owners: &[String]) -> Result<Vec<Drift>, Failure> {
        let Self { context, generation, connection, layouts, .. } = self;
        let mut snapshot = snapshot(connection).await?;
        let exceptions = Exceptions::at_the_beginning(&mut snapshot, P::NAME).await?;
        let reached = Reached::of(&mut snapshot, *generation).await?;
        let kept = kept::<P>(&mut snapshot, *generation, owners).await?;
        let mut scratch = Scratch::<P>::new();
        let mut reasons: BTreeMap<String, String> = BTreeMap::new();
        let mut unknowable = vec![];
        let folding: Vec<Folding<'_, P>> = kept
            .into_iter()
            .filter_map(|kept| {
                let stream = stream_of_owner::<P>(&kept.owner)?;
                let until = kept.until(&stream, &reached);
                let refold = Refold::<P>::begin(&context.journal, stream, until);
                Some(begin(kept.owner, refold, &exceptions).boxed())
            })
            .collect();
        let mut folding = stream::iter(folding).buffer_unordered(READERS);
        while let Some((owner, mut refold)) = folding.try_next().await? {
            scratch.take(&mut snapshot, &mut refold, &exceptions).await?;
            match refold.stuck {
                Some(Unfoldable::Gone { .. }) if refold.state.is_none() => unknowable.push(owner),
                Some(error) => drop(reasons.insert(owner, error.to_string())),
                None => {}
            }
        }
        scratch.flush(&mut snapshot).await?;
        let known: Vec<String> =
            owners.iter().filter(|owner| !unknowable.contains(owner)).cloned().collect();
        let mut tables: BTreeMap<String, Vec<String>> =
            reasons.keys().map(|owner| (owner.clone(), vec![])).collect();
        let schemas = Schemas { blue: &self.schema, green: scratch::SCHEMA };
        for layout in layouts.iter() {
            let (main, scope) = (layouts.first(), Scope::These(&known));
            let mut found = rows::find(&mut snapshot, layout, main, schemas, scope).await?;
            for owner in std::mem::take(&mut found.owners) {
                tables.entry(owner).or_default().push(layout.table.clone());
            }
            let comparison = explained::<P>(&context.journal, found).await?;
            let result = &mut self.result.tables;
            if let Some(result) = result.iter_mut().find(|table| table.table == layout.table) {
                result.extend(comparison, SAMPLES);
            }
        }
        drop(folding);
        snapshot.commit().await?;
        self.result.unverifiable += unknowable.len() as u64;
        let drifts = tables.into_iter().map(|(owner, tables)| {
            let reason = reasons.remove(&owner);
            drift_of::<P>(&owner, tables, reason)
        });
        Ok(drifts.collect())
    }

    async fn heal(&mut self, drifts: &[Drift]) -> Result<(), Failure> {
        let streams: Vec<StreamName> =
            drifts.iter().filter_map(|drift| drift.stream.parse().ok()).collect();
        for streams in streams.chunks(HEALED_AT_ONCE) {
            let healed = match heal::<P>(&self.context, streams).await {
                Ok(healed) => healed,
                Err(failure) => {
                    self.not_healed(failure)?;
                    continue;
                }
            };
            let healed = healed.iter().filter(|rebuilt| {
                let well = match rebuilt.outcome {
                    StreamOutcome::Rebuilt { .. } | StreamOutcome::Gone => true,
                    StreamOutcome::Quarantined { .. } => false,
                };
                well && rebuilt.generation == self.generation.number
            });
            self.result.healed += healed.count() as u64;
        }
        Ok(())
    }

    /// Who holds a lock for long keeps nobody from looking at the rest.
    fn not_healed(&mut self, failure: Failure) -> Result<(), Failure> {
        if failure.trouble() != Some(Trouble::Locked) {
            return Err(failure);
        }
        self.result.not_healed = Some(failure.story());
        Ok(())
    }

    /// Checks the tables that sum up over streams.
    async fn sums(&mut self) -> Result<(), Failure> {
        // A session of its own: here unqualified names must mean the generation's tables.
        let mut connection = database::connect(&self.context.address).await?;
        let mut snapshot = snapshot(&mut connection).await?;
        self.result.sums = sums::check::<P>(&mut snapshot, &self.schema).await?;
        snapshot.rollback().await?;
        connection.close().await?;
        if self.options.heal && self.result.sums_differing() > 0 {
            match heal::<P>(&self.context, &[]).await {
                Ok(_) => self.result.sums_healed = true,
                Err(failure) => self.not_healed(failure)?,
            }
        }
        Ok(())
    }

    /// Keeps the result. A sample says nothing of the streams that are not in it: what others have
    /// found stays, until everything was looked at or a sample has healed what it found.
    async fn note(&mut self, whole: bool) -> Result<(), Failure> {
        const NOTE: &str = "with settled as (delete from orderstore.verifications \
             where projection = $1 and $8 and not whole) \
             insert into orderstore.verifications as v \
             (projection, generation, share, streams, drifted, healed, sums_differing, whole) \
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (projection, whole) do update \
             set generation = excluded.generation, at = excluded.at, share = excluded.share, \
             streams = excluded.streams, healed = excluded.healed, \
             sums_differing = excluded.sums_differing, \
             drifted = case when v.whole or excluded.healed > 0 \
                 or v.generation <> excluded.generation then excluded.drifted \
                 else greatest(excluded.drifted, v.drifted - v.healed) end";
        let Verification { generation, streams, drifted, healed, sums_healed, .. } = self.result;
        let differing = if sums_healed { 0 } else { self.result.sums_differing() };
        let sums = whole.then_some(differing);
        sqlx::query(NOTE)
            .bind(P::NAME.as_str())
            .bind(generation)
            .bind(self.options.sample.share())
            .bind(streams.cast_signed())
            .bind(drifted.cast_signed())
            .bind(healed.cast_signed())
            .bind(sums.map(u64::cast_signed))
            .bind(whole)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

impl Kept {
    fn until(&self, stream: &StreamName, reached: &Reached) -> Until {
        Until {
            quarantined: self.quarantined.map(i64::unsigned_abs),
            revision: self.revision.and_then(|revision| revision.try_into().ok()),
            reached: reached.at(stream),
        }
    }
}

/// What the main table and the quarantine say about streams.
async fn kept<P: Projection>(
    connection: &mut PgConnection,
    generation: GenerationId,
    owners: &[String],
) -> sqlx::Result<Vec<Kept>> {
    let Owner { column, of } = Owner::of(&P::ROWS[0]);
    let statement = AssertSqlSafe(format!(
        "select n.owner, m.revision, q.revision as quarantined \
         from unnest($1::text[]) as n (owner) \
         left join {}.{} m on m.{column} = n.owner::{of} \
         left join orderstore.quarantine q on q.projection = $2 and q.generation = $3 \
         and q.stream = $4 || '-' || n.owner",
        generation.schema(),
        P::ROWS[0].name
    ));
    sqlx::query_as(statement)
        .bind(owners)
        .bind(P::NAME.as_str())
        .bind(generation.number)
        .bind(P::Source::CATEGORY)
        .fetch_all(connection)
        .await
}

async fn begin<P: Projection>(
    owner: String,
    mut refold: Refold<P>,
    exceptions: &Exceptions,
) -> Result<(String, Refold<P>), Failure> {
    refold.go_on(scratch::AT_ONCE, exceptions).await?;
    Ok((owner, refold))
}

fn drift_of<P: Projection>(owner: &str, tables: Vec<String>, reason: Option<String>) -> Drift {
    let (stream, reason) = match stream_of_owner::<P>(owner) {
        Some(stream) => (stream.to_string(), reason),
        // Nobody can fold such a stream, or heal it.
        None => (format!("{}-{owner}", P::Source::CATEGORY), Some(NO_STREAM.to_owned())),
    };
    Drift { stream, tables, reason }
}

/// About how many streams will be looked at.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
async fn expected(
    connection: &mut PgConnection,
    schema: &str,
    main: &str,
    options: &VerifyOptions,
) -> sqlx::Result<u64> {
    const ROWS: &str = "select greatest(reltuples, 0)::float8 from pg_class \
         where oid = to_regclass($1)";
    let main = format!("{schema}.{main}");
    let rows: f64 = sqlx::query_scalar(ROWS).bind(main).fetch_one(connection).await?;
    let share = (rows * options.sample.share()) as u64;
    Ok(options.limit.map_or(share, |limit| limit.min(share)))
}
