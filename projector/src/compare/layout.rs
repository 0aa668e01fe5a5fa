//! What the tables of two schemas have in common.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;

use crate::projection::Projection;
use crate::table::Table;

/// A table that two schemas have, as far as it is the same in both.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) table: String,
    /// The columns that identify a row.
    pub(crate) key: Vec<String>,
    /// The column that names the stream, unless rows are of many streams.
    pub(crate) owner: Option<Owner>,
    /// The other columns.
    pub(crate) columns: Vec<String>,
    /// Columns of green only.
    pub(crate) new: Vec<String>,
    /// Columns of blue only.
    pub(crate) dropped: Vec<String>,
}

/// A column that says which stream a row comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) column: &'static str,
    /// Its type in SQL.
    pub(crate) of: &'static str,
}

impl Owner {
    pub(crate) fn of(table: &Table) -> Self {
        let column = table.columns().find(|column| column.name == table.owner);
        Self { column: table.owner, of: column.map_or("text", |column| column.of.sql) }
    }
}

/// The schemas on the two sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schemas<'a> {
    pub(crate) blue: &'a str,
    pub(crate) green: &'a str,
}

impl Layout {
    /// Of a table that is filled stream by stream. `None` if one side lacks the table or what
    /// identifies its rows.
    pub(crate) async fn of_rows(
        connection: &mut PgConnection,
        schemas: Schemas<'_>,
        table: &Table,
    ) -> sqlx::Result<Option<Self>> {
        let key = table.key_columns().map(|column| column.name.to_owned()).collect();
        let layout = Self::between(connection, schemas, table.name, key).await?;
        let Some(mut layout) = layout else { return Ok(None) };
        let knows = |name: &str| layout.key.iter().chain(&layout.columns).any(|one| one == name);
        if !knows(table.owner) {
            return Ok(None);
        }
        layout.owner = Some(Owner::of(table));
        Ok(Some(layout))
    }

    /// Of a table that sums up over streams, and has the key that it has in blue.
    pub(crate) async fn of_sums(
        connection: &mut PgConnection,
        schemas: Schemas<'_>,
        table: &str,
    ) -> sqlx::Result<Option<Self>> {
        let key = primary_key(connection, &format!("{}.{table}", schemas.blue)).await?;
        if key.is_empty() {
            return Ok(None);
        }
        Self::between(connection, schemas, table, key).await
    }

    async fn between(
        connection: &mut PgConnection,
        Schemas { blue, green }: Schemas<'_>,
        table: &str,
        key: Vec<String>,
    ) -> sqlx::Result<Option<Self>> {
        let blue = columns(connection, &format!("{blue}.{table}")).await?;
        let green = columns(connection, &format!("{green}.{table}")).await?;
        let types: HashMap<_, _> = blue.iter().map(|(name, of)| (name, of)).collect();
        let both = |name: &str| {
            green
                .iter()
                .any(|(other, of)| other == name && blue.contains(&(other.clone(), of.clone())))
        };
        if !key.iter().all(|name| both(name)) {
            return Ok(None);
        }
        let is_same = |(name, of): &&(String, String)| types.get(name) == Some(&of);
        let names = |(name, _): &(String, String)| name.clone();
        let new = green.iter().filter(|column| !is_same(column)).map(names).collect();
        let same: Vec<String> = green.iter().filter(is_same).map(names).collect();
        let dropped = blue.iter().map(names).filter(|name| !same.contains(name)).collect();
        let columns = same.into_iter().filter(|name| !key.contains(name)).collect();
        Ok(Some(Self { table: table.to_owned(), key, owner: None, columns, new, dropped }))
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        self.key.iter().chain(&self.columns).any(|name| name == column)
    }
}

/// The names and types of the columns of a table, without those that follow from others; none if
/// there is no such table.
async fn columns(
    connection: &mut PgConnection,
    table: &str,
) -> sqlx::Result<Vec<(String, String)>> {
    const COLUMNS: &str = "select attname::text, format_type(atttypid, atttypmod) \
         from pg_attribute where attrelid = to_regclass($1) and attnum > 0 \
         and not attisdropped and attgenerated = '' order by attnum";
    sqlx::query_as(COLUMNS).bind(table).fetch_all(connection).await
}

/// The columns of the primary key of a table; none while it has none.
pub(crate) async fn primary_key(
    connection: &mut PgConnection,
    table: &str,
) -> sqlx::Result<Vec<String>> {
    const KEY: &str = "select a.attname::text from pg_index i \
         cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, at) \
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum \
         where i.indrelid = to_regclass($1) and i.indisprimary order by k.at";
    sqlx::query_scalar(KEY).bind(table).fetch_all(connection).await
}

/// The tables of a schema that [`Projection::DERIVED`] fills.
pub(crate) async fn derived_tables<P: Projection>(
    connection: &mut PgConnection,
    schema: &str,
) -> sqlx::Result<Vec<String>> {
    const TABLES: &str = "select relname::text from pg_class \
         where relnamespace = to_regnamespace($1) and relkind = 'r' order by relname";
    if P::DERIVED.is_empty() {
        return Ok(vec![]);
    }
    let mut tables: Vec<String> =
        sqlx::query_scalar(TABLES).bind(schema).fetch_all(connection).await?;
    let words: Vec<&str> = P::DERIVED
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|w| !w.is_empty())
        .collect();
    let filled = |table: &String| {
        words.windows(3).any(|w| w[0] == "insert" && w[1] == "into" && w[2] == table)
    };
    tables.retain(filled);
    Ok(tables)
}
