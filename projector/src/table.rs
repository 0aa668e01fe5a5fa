//! Tables of projections, and rows on their way into them.
//!
//! A table is described once, by [`table!`] around the struct of its rows. A row encodes itself
//! once; the same bytes go through `COPY` where there are many new ones, and as arguments of `unnest`
//! where there are few, or some that change.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgConnection, PgCopyIn, PgTypeInfo};
use sqlx::{AssertSqlSafe, Encode, Postgres, Type};

use crate::value::{ColumnType, Split, list_as_text, put_array_head};

/// A table of a projection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Its name, without the schema.
    pub(crate) name: &'static str,
    /// Its columns, in groups, in the order in which rows encode themselves. Generated columns are
    /// not among them.
    pub(crate) columns: &'static [&'static [Column]],
    /// So many of the first columns identify a row.
    pub(crate) key: usize,
    /// The column that says which stream a row comes from: it holds the key of the main table.
    pub(crate) owner: &'static str,
    /// Columns that never change once they are written.
    pub(crate) once: &'static [&'static str],
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) of: ColumnType,
}

/// Something that encodes itself as consecutive columns.
pub(crate) trait Fields {
    /// Those columns.
    const COLUMNS: &'static [Column];

    /// Appends its fields in that order.
    fn put(&self, bytes: &mut Vec<u8>);
}

/// A row of a table.
pub(crate) trait TableRow {
    /// The table that it is a row of.
    const TABLE: Table;

    /// Appends its fields, in the order of the table's columns.
    fn put(&self, bytes: &mut Vec<u8>);
}

/// The struct of a row, its columns, and, with `in`, the table that it is a row of.
///
/// The fields are the columns, in this order and with these names. `key n` says how many of the
/// first identify the row, `of column` which one names its stream, `once [columns]` which ones
/// never change.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $vis:vis struct $row:ident { $($fields:tt)* }
        in $table:ident, key $key:literal, of $owner:ident, once [$($once:ident),* $(,)?]
    ) => {
        $crate::table::table! {
            $(#[$meta])*
            $vis struct $row { $($fields)* }
        }

        impl $crate::table::TableRow for $row {
            const TABLE: $crate::table::Table = $crate::table::Table {
                name: stringify!($table),
                columns: &[<Self as $crate::table::Fields>::COLUMNS],
                key: $key,
                owner: stringify!($owner),
                once: &[$(stringify!($once)),*],
            };

            fn put(&self, bytes: &mut Vec<u8>) {
                $crate::table::Fields::put(self, bytes);
            }
        }
    };
    (
        $(#[$meta:meta])*
        $vis:vis struct $row:ident {
            $(#[$first_meta:meta])*
            pub $first:ident: $first_type:ty,
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
        $vis struct $row {
            $(#[$first_meta])*
            pub $first: $first_type,
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $row {
            /// The names of the columns, with commas between them.
            pub(crate) const NAMES: &'static str =
                concat!(stringify!($first) $(, ", ", stringify!($field))*);
        }

        impl $crate::table::Fields for $row {
            const COLUMNS: &'static [$crate::table::Column] = &[
                $crate::table::column::<$first_type>(stringify!($first)),
                $($crate::table::column::<$type>(stringify!($field)),)*
            ];

            fn put(&self, bytes: &mut Vec<u8>) {
                $crate::value::put_field(&self.$first, bytes);
                $($crate::value::put_field(&self.$field, bytes);)*
            }
        }
    };
}
pub(crate) use table;

/// A column that holds such values.
pub(crate) const fn column<T: crate::value::Value>(name: &'static str) -> Column {
    Column { name, of: T::TYPE }
}

impl Table {
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static Column> + Clone + use<> {
        self.columns.iter().copied().flatten()
    }

    /// Its columns by number, without those that never change.
    fn moving(&self) -> impl Iterator<Item = (usize, &'static Column)> + Clone {
        let (key, once) = (self.key, self.once);
        let numbered = self.columns().enumerate();
        numbered.filter(move |(number, column)| *number < key || !once.contains(&column.name))
    }

    /// The columns that identify a row.
    pub(crate) fn key_columns(&self) -> impl Iterator<Item = &'static Column> + Clone {
        self.columns().take(self.key)
    }

    /// The statement with which rows are copied into it, in binary format.
    fn copying(&self) -> String {
        let columns = names(self.columns());
        format!("copy {} ({columns}) from stdin (format binary)", self.name)
    }
}

fn names<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    columns.map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// What stands before all rows of a binary `COPY`: signature, flags, length of the extension.
const COPY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What stands behind them.
const COPY_END: &[u8] = &[0xff, 0xff];

/// So much is sent at once.
pub(crate) const CHUNK: usize = 1 << 20;

/// From so many rows on `COPY`, which takes a round trip more, is less work for the server than one
/// statement with all of them as its arguments.
const MANY: usize = 256;

/// Encoded rows of any tables.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    tables: Vec<TableRows>,
}

/// Encoded rows of one table.
#[derive(Debug)]
pub(crate) struct TableRows {
    pub(crate) table: Table,
    /// Row after row, each as `COPY` wants it: the number of fields, then the fields.
    bytes: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
}

impl Rows {
    /// Adds a row.
    pub(crate) fn put<R: TableRow>(&mut self, row: &R) {
        let rows = self.of(R::TABLE);
        put_row(&R::TABLE, &mut rows.bytes, |bytes| row.put(bytes));
        rows.ends.push(rows.bytes.len());
    }

    /// How many rows there are, and how many bytes they take.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sizes = self.tables.iter().map(|rows| (rows.ends.len(), rows.bytes.len()));
        sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    }

    /// The rows by their tables.
    pub(crate) fn into_tables(self) -> Vec<TableRows> {
        self.tables
    }

    fn of(&mut self, table: Table) -> &mut TableRows {
        let found = self.tables.iter().position(|rows| rows.table.name == table.name);
        let at = found.unwrap_or_else(|| {
            self.tables.push(TableRows { table, bytes: vec![], ends: vec![] });
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }

    /// Makes the tables, in which `self` is, hold `now` instead: new rows are inserted, others
    /// updated, those that are no more deleted, and all that are the same left alone.
    pub(crate) async fn replace_with(
        &self,
        now: &Self,
        connection: &mut PgConnection,
    ) -> sqlx::Result<()> {
        for rows in &now.tables {
            let before = self.tables.iter().find(|before| before.table.name == rows.table.name);
            if before.is_none() && rows.len() >= MANY {
                rows.copy(connection).await?;
                continue;
            }
            Difference::of(before, Some(rows)).write(&rows.table, connection).await?;
        }
        let gone = self
            .tables
            .iter()
            .filter(|before| !now.tables.iter().any(|rows| rows.table.name == before.table.name));
        for before in gone {
            Difference::of(Some(before), None).write(&before.table, connection).await?;
        }
        Ok(())
    }
}

impl TableRows {
    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Row after row, as `COPY` wants them.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds the rows to the table, none of which may be there.
    pub(crate) async fn copy(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        copy(&self.table, &self.bytes, connection).await
    }

    /// The fields of each row.
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start + 2..end])
    }
}

/// What distinguishes the rows of a table before and after something.
#[derive(Debug, Default, PartialEq)]
struct Difference<'a> {
    new: Vec<&'a [u8]>,
    changed: Vec<&'a [u8]>,
    gone: Vec<&'a [u8]>,
}

impl<'a> Difference<'a> {
    fn of(before: Option<&'a TableRows>, now: Option<&'a TableRows>) -> Self {
        let mut difference = Self::default();
        let mut known: HashMap<&[u8], &[u8]> = HashMap::new();
        if let Some(before) = before {
            known = before.iter().map(|row| (key(row, before.table.key), row)).collect();
        }
        if let Some(now) = now {
            for row in now.iter() {
                match known.remove(key(row, now.table.key)) {
                    None => difference.new.push(row),
                    Some(same) if same == row => {}
                    Some(_) => difference.changed.push(row),
                }
            }
        }
        difference.gone = known.into_values().collect();
        // Locks are taken in the same order by everybody.
        difference.gone.sort_unstable();
        difference
    }

    async fn write(&self, table: &Table, connection: &mut PgConnection) -> sqlx::Result<()> {
        if !self.gone.is_empty() {
            let columns: Vec<_> = table.key_columns().enumerate().collect();
            let statement = format!(
                "delete from {} t using {} where {}",
                table.name,
                unnest(&columns),
                same_key(table)
            );
            execute(statement, &columns, &self.gone, connection).await?;
        }
        if !self.changed.is_empty() {
            let columns: Vec<_> = table.moving().collect();
            let set = columns
                .iter()
                .skip(table.key)
                .map(|(_, column)| format!("{} = {}", column.name, value_of(column)));
            let statement = format!(
                "update {} t set {} from {} where {}",
                table.name,
                set.collect::<Vec<_>>().join(", "),
                unnest(&columns),
                same_key(table)
            );
            execute(statement, &columns, &self.changed, connection).await?;
        }
        if self.new.len() >= MANY {
            let mut bytes = Vec::with_capacity(self.new.iter().map(|row| row.len() + 2).sum());
            for row in &self.new {
                put_row(table, &mut bytes, |bytes| bytes.extend_from_slice(row));
            }
            copy(table, &bytes, connection).await?;
        } else if !self.new.is_empty() {
            let columns: Vec<_> = table.columns().enumerate().collect();
            let values: Vec<_> = table.columns().map(value_of).collect();
            let statement = format!(
                "insert into {} ({}) select {} from {}",
                table.name,
                names(table.columns()),
                values.join(", "),
                unnest(&columns)
            );
            execute(statement, &columns, &self.new, connection).await?;
        }
        Ok(())
    }
}

/// Appends a row of `table` as `COPY` wants it: how many fields it has, then the `fields`.
fn put_row(table: &Table, bytes: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    let count = u16::try_from(table.columns().count()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&count.to_be_bytes());
    fields(bytes);
}

/// Copies rows, without what stands before and behind all rows, into `table`.
async fn copy(table: &Table, rows: &[u8], connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut copy = Copy::into(table, connection).await?;
    for chunk in rows.chunks(CHUNK) {
        copy.send(chunk).await?;
    }
    copy.finish().await
}

/// Rows on their way into a table, none of which may be there. Dropped before it is finished, it
/// leaves nothing.
pub(crate) struct Copy<'a>(PgCopyIn<&'a mut PgConnection>);

impl<'a> Copy<'a> {
    pub(crate) async fn into(
        table: &Table,
        connection: &'a mut PgConnection,
    ) -> sqlx::Result<Self> {
        let mut copy = connection.copy_in_raw(&table.copying()).await?;
        copy.send(COPY_HEAD).await?;
        Ok(Self(copy))
    }

    /// Sends rows, or parts of them, as [`TableRows::bytes`] has them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> sqlx::Result<()> {
        self.0.send(bytes).await.map(drop)
    }

    pub(crate) async fn finish(mut self) -> sqlx::Result<()> {
        self.0.send(COPY_END).await?;
        self.0.finish().await.map(drop)
    }
}

/// The fields that identify a row.
fn key(row: &[u8], columns: usize) -> &[u8] {
    let length = Split(row).take(columns).map(<[u8]>::len).sum();
    &row[..length]
}

fn same_key(table: &Table) -> String {
    let same = table.key_columns().map(|column| format!("t.{0} = n.{0}", column.name));
    same.collect::<Vec<_>>().join(" and ")
}

/// A column of what [`unnest`] gives, as the table takes it.
fn value_of(column: &Column) -> String {
    if column.of.is_list {
        format!("n.{}::{}", column.name, column.of.sql)
    } else {
        format!("n.{}", column.name)
    }
}

fn unnest(columns: &[(usize, &Column)]) -> String {
    let arguments = (1..).zip(columns).map(|(number, (_, column))| {
        let of = if column.of.is_list { "text" } else { column.of.sql };
        format!("${number}::{of}[]")
    });
    let arguments = arguments.collect::<Vec<_>>().join(", ");
    format!("unnest({arguments}) as n ({})", names(columns.iter().map(|(_, column)| *column)))
}

async fn execute(
    statement: String,
    columns: &[(usize, &Column)],
    rows: &[&[u8]],
    connection: &mut PgConnection,
) -> sqlx::Result<()> {
    // Built of names in our own code, not of anybody's data.
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for array in arrays(columns, rows) {
        query = query.bind(array);
    }
    query.execute(connection).await.map(drop)
}

/// One array for each of `columns`, with its value in each of `rows`.
fn arrays(columns: &[(usize, &Column)], rows: &[&[u8]]) -> Vec<Array> {
    let mut arrays: Vec<Array> =
        columns.iter().map(|(_, column)| Array::new(&column.of, rows.len())).collect();
    for row in rows {
        let mut wanted = columns.iter().zip(&mut arrays).peekable();
        for (number, field) in Split(row).enumerate() {
            let Some(((_, column), array)) = wanted.next_if(|((at, _), _)| *at == number) else {
                continue;
            };
            if column.of.is_list && field.len() > 4 {
                array.bytes.extend_from_slice(&list_as_text(field));
            } else {
                array.bytes.extend_from_slice(field);
            }
        }
    }
    arrays
}

/// An array argument that is encoded already.
struct Array {
    of: PgTypeInfo,
    bytes: Vec<u8>,
}

impl Array {
    fn new(of: &ColumnType, length: usize) -> Self {
        let element = if of.is_list { crate::value::CODE.oid } else { of.oid };
        let mut bytes = vec![];
        put_array_head(length, element, &mut bytes);
        Self { of: (of.array)(), bytes }
    }
}

impl Type<Postgres> for Array {
    fn type_info() -> PgTypeInfo {
        // Each says for itself what it holds.
        <Vec<String> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.of.clone())
    }
}
