//! What the tables that sum up over streams should hold, worked out again in one snapshot.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::layout::{Layout, Schemas, derived_tables};
use super::report::TableComparison;
use super::rows::{self, Scope};
use crate::projection::Projection;

/// Fills temporary tables, called like the tables that sum up, from the other tables of `schema`,
/// inside a transaction. They go at its end. Which ones.
pub(crate) async fn work_out<P: Projection>(
    transaction: &mut PgConnection,
    schema: &str,
) -> sqlx::Result<Vec<String>> {
    let tables = derived_tables::<P>(transaction, schema).await?;
    if tables.is_empty() {
        return Ok(tables);
    }
    for table in &tables {
        let create = format!(
            "create temp table {table} (like {schema}.{table} including defaults \
             including generated) on commit drop"
        );
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *transaction).await?;
    }
    // Unqualified names mean temporary tables first, and what is summed up is in the schema.
    sqlx::query("select set_config('search_path', $1, true)")
        .bind(schema)
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql(P::DERIVED).execute(&mut *transaction).await?;
    Ok(tables)
}

/// What `schema` keeps as sums, as blue, against what its other tables add up to, as green.
pub(crate) async fn check<P: Projection>(
    transaction: &mut PgConnection,
    schema: &str,
) -> sqlx::Result<Vec<TableComparison>> {
    let mut all = vec![];
    let schemas = Schemas { blue: schema, green: "pg_temp" };
    for table in work_out::<P>(transaction, schema).await? {
        let layout = Layout::of_sums(transaction, schemas, &table).await?;
        let Some(layout) = layout else { continue };
        let found = rows::find(transaction, &layout, None, schemas, Scope::All).await?;
        let mut comparison = found.comparison;
        comparison.rows_blue = rows::count(transaction, schema, &table).await?;
        comparison.rows_green = rows::count(transaction, "pg_temp", &table).await?;
        all.push(comparison);
    }
    Ok(all)
}

/// Makes the sums of `schema` what its other tables add up to. How many rows were wrong.
pub(crate) async fn repair<P: Projection>(
    transaction: &mut PgConnection,
    schema: &str,
) -> sqlx::Result<u64> {
    let mut repaired = 0;
    let schemas = Schemas { blue: schema, green: "pg_temp" };
    for table in work_out::<P>(transaction, schema).await? {
        let layout = Layout::of_sums(transaction, schemas, &table).await?;
        let Some(Layout { key, columns, .. }) = layout else { continue };
        let all: Vec<_> = key.iter().chain(&columns).cloned().collect();
        let same = key.iter().map(|name| format!("t.{name} = n.{name}"));
        let same = same.collect::<Vec<_>>().join(" and ");
        let list = |alias: &str| {
            let names = all.iter().map(|name| format!("{alias}.{name}"));
            names.collect::<Vec<_>>().join(", ")
        };
        let names = all.join(", ");
        let delete = format!(
            "delete from {schema}.{table} t where not exists (select from pg_temp.{table} n \
             where {same} and row({}) is not distinct from row({}))",
            list("t"),
            list("n"),
        );
        let insert = format!(
            "insert into {schema}.{table} ({names}) select {names} from pg_temp.{table} n \
             where not exists (select from {schema}.{table} t where {same})"
        );
        for statement in [delete, insert] {
            let statement = sqlx::query(AssertSqlSafe(statement));
            repaired += statement.execute(&mut *transaction).await?.rows_affected();
        }
        // Whatever comes next means the real one.
        let drop = AssertSqlSafe(format!("drop table pg_temp.{table}"));
        sqlx::raw_sql(drop).execute(&mut *transaction).await?;
    }
    Ok(repaired)
}
