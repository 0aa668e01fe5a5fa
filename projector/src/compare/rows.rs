//! Finds the rows of a table that differ between two schemas, in one statement.
//!
//! Both sides are summed up first, digest by digest, in many buckets. Those that are not the same
//! are narrowed down to keys and digests, and joined; only the rows whose digests differ are looked
//! at column by column. Counts and a few samples come back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow};

use super::layout::{Layout, Schemas};
use super::report::{Difference, RowSample, TableComparison, Values};

/// So many samples are kept of each table.
pub(crate) const SAMPLES: usize = 10;

/// Which rows are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    All,
    /// Not those of the streams that a temporary table lists.
    Except(&'static str),
    /// Those of the streams that a temporary table lists.
    Only(&'static str),
    /// Those of these streams.
    These(&'a [String]),
}

/// What was found in a table.
pub(crate) struct Found {
    pub(crate) comparison: TableComparison,
    /// The owners of the rows that differ, if these were asked for by name.
    pub(crate) owners: Vec<String>,
    /// Which event each sample goes back to: the owner and the revision.
    pub(crate) sources: Vec<Option<Source>>,
}

/// The event that a row goes back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) owner: String,
    pub(crate) revision: Option<i64>,
}

#[derive(FromRow)]
struct Answer {
    added: i64,
    removed: i64,
    changed: i64,
    columns: Vec<i64>,
    owners: Vec<String>,
    samples: Json<Vec<Sample>>,
}

#[derive(Deserialize)]
struct Sample {
    owner: Option<String>,
    key: BTreeMap<String, Value>,
    blue: Option<BTreeMap<String, Value>>,
    green: Option<BTreeMap<String, Value>>,
    revision: Option<i64>,
}

/// Compares a table, whose main table is `main`.
pub(crate) async fn find(
    connection: &mut PgConnection,
    layout: &Layout,
    main: Option<&Layout>,
    schemas: Schemas<'_>,
    scope: Scope<'_>,
) -> sqlx::Result<Found> {
    // Made of names of tables and columns, which are ours.
    let query = sqlx::query_as(AssertSqlSafe(statement(layout, main, schemas, scope)));
    let answer: Answer = match scope {
        Scope::These(owners) => query.bind(owners).fetch_one(connection).await?,
        Scope::All | Scope::Except(_) | Scope::Only(_) => query.fetch_one(connection).await?,
    };
    Ok(answer.understood(layout))
}

/// How many rows a table has.
pub(crate) async fn count(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
) -> sqlx::Result<u64> {
    let count = AssertSqlSafe(format!("select count(*) from {schema}.{table}"));
    let count: i64 = sqlx::query_scalar(count).fetch_one(connection).await?;
    Ok(count.unsigned_abs())
}

impl Answer {
    fn understood(self, layout: &Layout) -> Found {
        let counted = layout.columns.iter().cloned().zip(self.columns);
        let columns = counted.filter(|(_, rows)| *rows > 0);
        let (mut samples, mut sources) = (vec![], vec![]);
        for sample in self.samples.0 {
            let revision = sample.revision;
            sources.push(sample.owner.clone().map(|owner| Source { owner, revision }));
            samples.push(sample.understood());
        }
        let comparison = TableComparison {
            table: layout.table.clone(),
            added: self.added.unsigned_abs(),
            removed: self.removed.unsigned_abs(),
            changed: self.changed.unsigned_abs(),
            columns: columns.map(|(column, rows)| (column, rows.unsigned_abs())).collect(),
            new_columns: layout.new.clone(),
            dropped_columns: layout.dropped.clone(),
            samples,
            ..TableComparison::default()
        };
        Found { comparison, owners: self.owners, sources }
    }
}

impl Sample {
    fn understood(self) -> RowSample {
        let (difference, columns) = match (self.blue, self.green) {
            (Some(mut blue), Some(green)) => {
                let values = green.into_iter().filter_map(|(column, green)| {
                    let blue = blue.remove(&column).filter(|blue| *blue != green)?;
                    Some((column, Values { blue, green }))
                });
                (Difference::Changed, values.collect())
            }
            (None, _) => (Difference::Added, BTreeMap::new()),
            (Some(_), None) => (Difference::Removed, BTreeMap::new()),
        };
        RowSample { key: self.key, difference, columns, stream: None, event: None }
    }
}

fn statement(
    layout: &Layout,
    main: Option<&Layout>,
    schemas: Schemas<'_>,
    scope: Scope<'_>,
) -> String {
    let Schemas { blue, green } = schemas;
    let Layout { table, key, columns, .. } = layout;
    let keys = key.join(", ");
    let digests = |schema| digests(layout, schema, scope);
    let counts = columns
        .iter()
        .map(|column| format!("count(*) filter (where b.{column} is distinct from g.{column})"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let counts = if counts.is_empty() {
        "'{}'::bigint[]".to_owned()
    } else {
        format!(
            "(select array[{counts}]::bigint[] from d join {blue}.{table} b using ({keys}) \
             join {green}.{table} g using ({keys}) where in_blue and in_green)"
        )
    };
    let owners = match scope {
        Scope::These(_) => "array(select distinct owner_::text from d where owner_ is not null)",
        Scope::All | Scope::Except(_) | Scope::Only(_) => "'{}'::text[]",
    };
    let samples = samples(layout, main, schemas);
    let unlike = match scope {
        Scope::All | Scope::Except(_) => {
            format!("{} as materialized ({}), ", BUCKETS, buckets(layout, schemas, scope))
        }
        Scope::Only(_) | Scope::These(_) => String::new(),
    };
    format!(
        "with {unlike}d as materialized (select {keys}, coalesce(b.owner_, g.owner_) as owner_, \
         b.digest_ is not null as in_blue, g.digest_ is not null as in_green \
         from ({}) b full join ({}) g using ({keys}) \
         where b.digest_ is distinct from g.digest_) \
         select (select count(*) from d where not in_blue) as added, \
         (select count(*) from d where not in_green) as removed, \
         (select count(*) from d where in_blue and in_green) as changed, \
         {counts} as columns, {owners} as owners, {samples} as samples",
        digests(blue),
        digests(green),
    )
}

/// Parts of a table in which something differs.
const BUCKETS: &str = "unlike";

/// Before rows are joined, their digests are summed up in so many buckets: what is the same on both
/// sides, which is nearly everything, never has to be kept for a join.
const MOST_BUCKETS: u32 = 16_384;

/// The number of the bucket of a row.
fn bucket(layout: &Layout) -> String {
    format!("(hash_record_extended(row(t.{}), 1) & {})", layout.key[0], MOST_BUCKETS - 1)
}

/// The buckets that are not the same on both sides.
fn buckets(layout: &Layout, schemas: Schemas<'_>, scope: Scope<'_>) -> String {
    let Layout { table, key, columns, .. } = layout;
    let all = key.iter().chain(columns).map(|name| format!("t.{name}"));
    let all = all.collect::<Vec<_>>().join(", ");
    let (bucket, condition) = (bucket(layout), condition(layout, scope));
    let side = |schema: &str| {
        format!(
            "select {bucket} as bucket_, bit_xor(hash_record_extended(row({all}), 0)) as sum_, \
             count(*) as rows_ from {schema}.{table} t where {condition} group by 1"
        )
    };
    format!(
        "select bucket_ from ({}) b full join ({}) g using (bucket_) \
         where b.sum_ is distinct from g.sum_ or b.rows_ is distinct from g.rows_",
        side(schemas.blue),
        side(schemas.green),
    )
}

/// Keys and digests of one side.
fn digests(layout: &Layout, schema: &str, scope: Scope<'_>) -> String {
    let Layout { table, key, columns, owner, .. } = layout;
    let keys = key.join(", ");
    let digest = if columns.is_empty() {
        "0::bigint".to_owned()
    } else {
        format!("hash_record_extended(row({}), 0)", columns.join(", "))
    };
    let named = owner.map_or("null::text".to_owned(), |owner| owner.column.to_owned());
    let mut condition = condition(layout, scope);
    if matches!(scope, Scope::All | Scope::Except(_)) {
        let bucket = bucket(layout);
        condition = format!("{condition} and {bucket} in (select bucket_ from {BUCKETS})");
    }
    format!(
        "select {keys}, {named} as owner_, {digest} as digest_ from {schema}.{table} t \
         where {condition}"
    )
}

/// Which rows of a side are meant.
fn condition(layout: &Layout, scope: Scope<'_>) -> String {
    match (scope, layout.owner) {
        (Scope::All, _) | (_, None) => "true".to_owned(),
        (Scope::Except(streams), Some(owner)) => {
            format!("not exists (select from {streams} s where s.owner = t.{})", owner.column)
        }
        (Scope::Only(streams), Some(owner)) => {
            format!("t.{} in (select s.owner from {streams} s)", owner.column)
        }
        (Scope::These(_), Some(owner)) => {
            format!("t.{} = any($1::text[]::{}[])", owner.column, owner.of)
        }
    }
}

/// A few rows that differ, whole.
fn samples(layout: &Layout, main: Option<&Layout>, schemas: Schemas<'_>) -> String {
    let Layout { table, key, columns, .. } = layout;
    let keys = key.join(", ");
    let same = key.iter().map(|name| format!("t.{name} = s.{name}"));
    let same = same.collect::<Vec<_>>().join(" and ");
    let all = key.iter().chain(columns).map(|name| format!("t.{name}"));
    let all = all.collect::<Vec<_>>().join(", ");
    let whole = |schema: &str, there: &str| {
        format!(
            "case when s.{there} then (select to_jsonb(w) from \
             (select {all} from {schema}.{table} t where {same} limit 1) w) end"
        )
    };
    let picked = key.iter().map(|name| format!("s.{name}")).collect::<Vec<_>>().join(", ");
    let revision = |schema: &str| match main {
        _ if layout.has("revision") => {
            format!("(select max(t.revision) from {schema}.{table} t where {same})")
        }
        Some(Layout { table: main, key, .. }) if layout.owner.is_some() => {
            let key = key.join(", ");
            format!("(select max(m.revision) from {schema}.{main} m where m.{key} = s.owner_)")
        }
        _ => "null::bigint".to_owned(),
    };
    format!(
        "(select coalesce(jsonb_agg(jsonb_build_object('owner', s.owner_::text, \
         'key', (select to_jsonb(k) from (select {picked}) k), 'blue', {}, 'green', {}, \
         'revision', greatest({}, {}))), '[]') \
         from (select * from d order by {keys} limit {SAMPLES}) s)",
        whole(schemas.blue, "in_blue"),
        whole(schemas.green, "in_green"),
        revision(schemas.blue),
        revision(schemas.green),
    )
}
