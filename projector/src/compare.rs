//! Compares two generations of a projection, row by row, while both go on moving.
//!
//! Two rows may only be compared when their stream was folded to the same event on both sides. So
//! streams are looked at in one snapshot after another, until each has been met in such a moment;
//! one that never was is reported as not compared.
//!
//! In reading order: what the tables have in common (`layout`), the statement that finds `rows` that
//! differ, the streams that are `unsettled`, tables that are `sums`, the events that `explain` rows,
//! and the `report`.

pub(crate) mod explain;
pub(crate) mod layout;
mod report;
pub(crate) mod rows;
pub(crate) mod sums;
pub(crate) mod unsettled;

use std::time::Duration;

use futures::future::BoxFuture;
use journal::Journal;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::time::sleep;

pub(crate) use report::as_text;
pub use report::{
    Comparison, Difference, Explanation, RowSample, Side, SumsComparison, TableComparison, Values,
};

use self::layout::{Layout, Schemas, derived_tables};
use self::rows::{Found, SAMPLES, Scope, Source};
use self::unsettled::{PENDING, Pair, Reach, SETTLED};
use crate::bookkeeping::GenerationId;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::lifecycle::unfinished_phase;
use crate::priority;
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::worker::Context;
use crate::{Error, Options, ProjectionName, calls, database, fleet, generation, promotion};

/// How often streams that could not be compared are looked at again.
const TRIES: u32 = 8;

/// How long the first of these tries is waited for; the others longer, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Compares the live generation of `name` with the one that is being built beside it, or, if none
/// is, with the one that it has replaced.
///
/// # Errors
/// [`Error::NothingToCompare`] when there is only one generation; [`Error::StillBuilding`] while the
/// other one is being filled.
pub async fn diff(
    database_url: &str,
    journal: Journal,
    name: ProjectionName,
) -> Result<Comparison, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let context = Context::new(address, journal, Options::default());
    let mut connection = database::connect(&context.address).await?;
    let all = generation::generations(&mut connection, name).await?;
    let (blue, green) = sides(&all).ok_or(Error::NothingToCompare { projection: name })?;
    let id = |number| GenerationId { projection: name, number };
    if let Some(phase) = unfinished_phase(&mut connection, id(green)).await? {
        return Err(Error::StillBuilding { projection: name, generation: green, phase });
    }
    connection.close().await?;
    Ok(compare(&context, name, id(blue), id(green), Sums::OfBoth).await?)
}

/// Numbers of the generations to compare: the older one of the log's tables first.
fn sides(all: &[Generation]) -> Option<(i64, i64)> {
    let of = |state: &str| {
        all.iter().find(|generation| generation.state == state).map(|found| found.number)
    };
    let live = of("live")?;
    let building = of("building").map(|building| (live, building));
    building.or_else(|| of("previous").map(|previous| (previous, live)))
}

/// Whose sums are added up again from their own rows, which takes about as long as comparing rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sums {
    OfBoth,
    /// Whoever decides whether readers may see green does not mind what is wrong with blue.
    OfGreen,
}

/// Compares `blue` with `green`, which must both be there and have their keys.
///
/// # Errors
/// [`Failure::Lost`] when one of them is not there.
pub(crate) async fn compare(
    context: &Context,
    name: ProjectionName,
    blue: GenerationId,
    green: GenerationId,
    sums: Sums,
) -> Result<Comparison, Failure> {
    with(name, Compare { context: context.clone(), blue, green, sums }).await
}

struct Compare {
    context: Context,
    blue: GenerationId,
    green: GenerationId,
    sums: Sums,
}

impl With for Compare {
    type Output = BoxFuture<'static, Result<Comparison, Failure>>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(async move {
            let mut connection = database::connect(&self.context.address).await?;
            // The planner cannot know that there are few buckets, and would sort millions of rows.
            // Compiling would take longer than most tables, and a sort that is needed looks dear.
            // Streams that were not settled have moved just now: their rows are in memory.
            let settings = "set work_mem = '64MB'; set enable_sort = off; set jit = off; \
                 set random_page_cost = 1";
            sqlx::raw_sql(settings).execute(&mut connection).await?;
            priority::lower_session(&self.context.address, &mut connection).await?;
            self.draw_near(&mut connection).await?;
            let names = (self.blue.schema(), self.green.schema());
            let schemas = Schemas { blue: &names.0, green: &names.1 };
            let mut comparing = Comparing::<P>::begin(self, schemas, &mut connection).await?;
            comparing.carry_out(&mut connection).await?;
            connection.close().await?;
            Ok(comparing.finish())
        })
    }
}

impl Compare {
    /// Has the generation that readers do not see come to where the other one is, if anybody works on
    /// it: what it has not folded yet could not be compared.
    async fn draw_near(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let patience = self.context.options.take_over_after;
        for generation in [self.blue, self.green] {
            if fleet::is_fed(connection, generation, patience).await? {
                promotion::approach(connection, generation).await?;
            }
        }
        Ok(())
    }
}

/// A comparison under way.
struct Comparing<'a, P: Projection> {
    of: Compare,
    schemas: Schemas<'a>,
    /// The tables that both generations have, the main one first.
    layouts: Vec<Layout>,
    result: Comparison,
    _projection: std::marker::PhantomData<P>,
}

impl<'a, P: Projection> Comparing<'a, P> {
    async fn begin(
        of: Compare,
        schemas: Schemas<'a>,
        connection: &mut PgConnection,
    ) -> Result<Self, Failure> {
        let (mut layouts, mut left_out) = (vec![], vec![]);
        for table in P::ROWS {
            match Layout::of_rows(connection, schemas, table).await? {
                Some(layout) => layouts.push(layout),
                None => left_out.push(table.name.to_owned()),
            }
        }
        let (blue, green) =
            (Reach::of(connection, of.blue).await?, Reach::of(connection, of.green).await?);
        let side = |generation: GenerationId, reach: Reach| Side {
            generation: generation.number,
            version: reach.version,
            position: reach.all,
        };
        let result = Comparison {
            projection: P::NAME,
            blue: side(of.blue, blue),
            green: side(of.green, green),
            streams: 0,
            not_compared: 0,
            not_compared_samples: vec![],
            tables: vec![],
            tables_left_out: left_out,
            sums_compared: false,
            sums: vec![],
        };
        Ok(Self { of, schemas, layouts, result, _projection: std::marker::PhantomData })
    }

    /// The main table, if both generations have one.
    fn main(&self) -> Option<&Layout> {
        let main = self.layouts.iter().find(|layout| layout.table == P::ROWS[0].name)?;
        let comparable = ["revision", "quarantined"].iter().all(|column| main.has(column));
        comparable.then_some(main)
    }

    async fn carry_out(&mut self, connection: &mut PgConnection) -> Result<(), Failure> {
        if self.main().is_none() {
            // Streams cannot be told to be at the same event.
            self.result.tables_left_out.extend(self.layouts.drain(..).map(|layout| layout.table));
            return Ok(());
        }
        let mut wait = FIRST_WAIT;
        for number in 0..=TRIES {
            if self.look(connection, number).await? == 0 {
                break;
            }
            // What readers do not see is some way behind otherwise, and meets the other less often.
            calls::hurry(connection, P::NAME).await?;
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        let (left, some) = Pair::left::<P>(connection).await?;
        self.result.streams = self.result.streams.saturating_sub(left);
        self.result.not_compared = left;
        self.result.not_compared_samples = some;
        self.check_sums(connection).await
    }

    /// Looks at all that has not been compared, in one snapshot. How many streams are left.
    async fn look(&mut self, connection: &mut PgConnection, number: u32) -> Result<u64, Failure> {
        let mut snapshot = snapshot(connection).await?;
        let blue = Reach::of(&mut snapshot, self.of.blue).await?;
        let green = Reach::of(&mut snapshot, self.of.green).await?;
        let Some(main) = self.main().cloned() else { return Ok(0) };
        let pair = Pair { main: &main, schemas: self.schemas, blue, green };
        if number == 0 {
            pair.prepare(&mut snapshot).await?;
            let green_only = pair.begin(&mut snapshot).await?;
            self.result.blue.position = blue.all;
            self.result.green.position = green.all;
            self.compare_all(&mut snapshot).await?;
            let TableComparison { rows_blue, added, .. } = self.result.tables[0];
            self.result.streams = rows_blue + added + green_only;
            if blue.is_as_far_as(green) && green.is_as_far_as(blue) {
                self.compare_sums(&mut snapshot).await?;
            }
        } else {
            pair.again(&mut snapshot).await?;
            self.compare_rows(&mut snapshot, Scope::Only(SETTLED)).await?;
        }
        if number == TRIES {
            pair.behind::<P>(&mut snapshot, &self.of.context.journal).await?;
            self.compare_rows(&mut snapshot, Scope::Only(SETTLED)).await?;
        }
        let (left, _) = Pair::left::<P>(&mut snapshot).await?;
        snapshot.commit().await?;
        Ok(left)
    }

    async fn compare_all(&mut self, snapshot: &mut PgConnection) -> Result<(), Failure> {
        for layout in &self.layouts {
            let Layout { table, new, dropped, .. } = layout;
            self.result.tables.push(TableComparison {
                table: table.clone(),
                rows_blue: rows::count(snapshot, self.schemas.blue, table).await?,
                rows_green: rows::count(snapshot, self.schemas.green, table).await?,
                new_columns: new.clone(),
                dropped_columns: dropped.clone(),
                ..TableComparison::default()
            });
        }
        self.compare_rows(snapshot, Scope::Except(PENDING)).await
    }

    async fn compare_rows(
        &mut self,
        snapshot: &mut PgConnection,
        scope: Scope<'_>,
    ) -> Result<(), Failure> {
        let main = self.main().cloned();
        for (layout, result) in self.layouts.iter().zip(&mut self.result.tables) {
            let found = rows::find(snapshot, layout, main.as_ref(), self.schemas, scope).await?;
            let explained = explained::<P>(&self.of.context.journal, found).await?;
            result.extend(explained, SAMPLES);
        }
        Ok(())
    }

    /// Compares the sums with each other: both sides are at the same place of the log.
    async fn compare_sums(&mut self, snapshot: &mut PgConnection) -> Result<(), Failure> {
        for table in derived_tables::<P>(snapshot, self.schemas.green).await? {
            let layout = Layout::of_sums(snapshot, self.schemas, &table).await?;
            let Some(layout) = layout else {
                self.result.tables_left_out.push(table);
                continue;
            };
            let found = rows::find(snapshot, &layout, None, self.schemas, Scope::All).await?;
            let mut comparison = found.comparison;
            comparison.rows_blue = rows::count(snapshot, self.schemas.blue, &table).await?;
            comparison.rows_green = rows::count(snapshot, self.schemas.green, &table).await?;
            self.result.tables.push(comparison);
        }
        self.result.sums_compared = true;
        Ok(())
    }

    /// Compares the sums of a side with its own rows.
    async fn check_sums(&mut self, connection: &mut PgConnection) -> Result<(), Failure> {
        let (blue, green) =
            ((self.of.blue, &self.result.blue), (self.of.green, &self.result.green));
        let sides = match self.of.sums {
            Sums::OfBoth => vec![blue, green],
            Sums::OfGreen => vec![green],
        };
        for (generation, side) in sides {
            // Only the build that made them knows how they add up.
            if side.version != P::VERSION {
                continue;
            }
            let mut snapshot = snapshot(connection).await?;
            let tables = sums::check::<P>(&mut snapshot, &generation.schema()).await?;
            snapshot.rollback().await?;
            if !tables.is_empty() {
                self.result.sums.push(SumsComparison { generation: generation.number, tables });
            }
        }
        Ok(())
    }

    fn finish(self) -> Comparison {
        self.result
    }
}

/// A transaction that sees one moment only.
pub(crate) async fn snapshot(
    connection: &mut PgConnection,
) -> sqlx::Result<sqlx::Transaction<'_, sqlx::Postgres>> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql("set transaction isolation level repeatable read")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// What was found, with the events that samples go back to.
pub(crate) async fn explained<P: Projection>(
    journal: &Journal,
    found: Found,
) -> Result<TableComparison, Failure> {
    let Found { mut comparison, sources, .. } = found;
    let sources: Vec<Option<Source>> = sources;
    explain::explain::<P>(journal, &mut comparison.samples, &sources).await?;
    Ok(comparison)
}
