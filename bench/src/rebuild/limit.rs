//! The least that the rows of all read models could cost: they are there already, encoded, and are
//! copied into empty tables of the same definition; then these get the same keys and indexes.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::postgres::{PgConnection, PgPoolCopyExt as _};
use sqlx::{AssertSqlSafe, Connection as _, PgPool};

/// Statements that run at the same time, as in a rebuild on two processors.
const AT_ONCE: usize = 2;
/// Pages of a table that are copied at once.
const PAGES: i64 = 8192;
const CHUNK: usize = 1 << 20;
/// As in a rebuild.
const INDEX_MEMORY: &str = "set maintenance_work_mem = '96MB'";

/// The rows of all live generations, in files, and empty tables for them.
pub(super) struct Limit {
    parts: Vec<Part>,
    /// The statements that make keys and indexes, by schema.
    indexes: Vec<Vec<String>>,
    pub(super) bytes: u64,
}

/// Some rows of a table.
struct Part {
    copy: String,
    file: PathBuf,
}

/// Has Postgres write what it has put off writing.
pub(super) async fn checkpoint(database: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database).await?;
    sqlx::raw_sql("checkpoint").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

struct Table {
    schema: String,
    name: String,
    columns: String,
    pages: i64,
}

impl Limit {
    /// Takes the rows of all live generations into files in `folder`, makes empty tables like
    /// theirs, and drops them.
    pub(super) async fn prepare(database: &str, folder: &Path) -> anyhow::Result<Self> {
        const LIVE: &str = "select name || '_g' || generation from orderstore.projections \
             where state = 'live' order by name";
        const DROP: &str = "select name || '_g' || generation from orderstore.projections \
             where state <> 'dropped'";
        let pool = PgPool::connect(database).await?;
        let live: Vec<String> = sqlx::query_scalar(LIVE).fetch_all(&pool).await?;
        let mut limit = Self { parts: vec![], indexes: vec![], bytes: 0 };
        for schema in &live {
            limit.take(&pool, schema, folder).await?;
        }
        let gone: Vec<String> = sqlx::query_scalar(DROP).fetch_all(&pool).await?;
        for schema in gone {
            execute(&pool, format!("drop schema if exists {schema} cascade")).await?;
        }
        pool.close().await;
        Ok(limit)
    }

    async fn take(&mut self, pool: &PgPool, schema: &str, folder: &Path) -> anyhow::Result<()> {
        execute(pool, format!("create schema {}", twin(schema))).await?;
        for table in tables(pool, schema).await? {
            let Table { schema, name, columns, pages } = table;
            let twin = twin(&schema);
            execute(
                pool,
                format!("create table {twin}.{name} (like {schema}.{name} including all excluding indexes)"),
            )
            .await?;
            for from in (0..pages.max(1)).step_by(usize::try_from(PAGES)?) {
                let file = folder.join(format!("{schema}-{name}-{from}"));
                let rows = format!(
                    "copy (select {columns} from {schema}.{name} where ctid >= '({from},0)' \
                     and ctid < '({},0)') to stdout (format binary)",
                    from + PAGES
                );
                self.bytes += save(pool, &rows, &file).await?;
                let copy = format!("copy {twin}.{name} ({columns}) from stdin (format binary)");
                self.parts.push(Part { copy, file });
            }
        }
        self.indexes.push(indexes(pool, schema).await?);
        Ok(())
    }

    /// Copies all rows. How many there are.
    pub(super) async fn copy(&self, database: &str) -> anyhow::Result<u64> {
        let pool = PgPool::connect(database).await?;
        let pool = &pool;
        let copied: Vec<u64> = stream::iter(&self.parts)
            .map(|part| async move { part.copy(pool).await })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(copied.into_iter().sum())
    }

    /// Makes all keys and indexes.
    pub(super) async fn index(&self, database: &str) -> anyhow::Result<()> {
        stream::iter(&self.indexes)
            .map(|statements| async move {
                let mut connection = PgConnection::connect(database).await?;
                sqlx::raw_sql(INDEX_MEMORY).execute(&mut connection).await?;
                let all = AssertSqlSafe(statements.join(";"));
                sqlx::raw_sql(all).execute(&mut connection).await?;
                connection.close().await
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(())
    }
}

impl Part {
    async fn copy(&self, pool: &PgPool) -> anyhow::Result<u64> {
        let mut connection = pool.acquire().await?;
        sqlx::raw_sql("set synchronous_commit = off").execute(&mut *connection).await?;
        let mut copy = connection.copy_in_raw(&self.copy).await?;
        let mut file = File::open(&self.file)?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = file.read(&mut chunk)?;
            if length == 0 {
                return Ok(copy.finish().await?);
            }
            copy.send(&chunk[..length]).await?;
        }
    }
}

fn twin(schema: &str) -> String {
    format!("limit_{schema}")
}

// (The names come from our own tables.)
async fn execute(pool: &PgPool, statement: String) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await?;
    Ok(())
}

async fn tables(pool: &PgPool, schema: &str) -> anyhow::Result<Vec<Table>> {
    const TABLES: &str = "select c.relname::text, pg_relation_size(c.oid) / 8192, \
         string_agg(quote_ident(a.attname), ', ' order by a.attnum) \
         from pg_class c join pg_attribute a on a.attrelid = c.oid \
         where c.relnamespace = $1::text::regnamespace and c.relkind = 'r' \
         and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' \
         group by c.oid order by 2 desc";
    let tables: Vec<(String, i64, String)> =
        sqlx::query_as(TABLES).bind(schema).fetch_all(pool).await?;
    let table = |(name, pages, columns)| Table { schema: schema.to_owned(), name, columns, pages };
    Ok(tables.into_iter().map(table).collect())
}

/// The statements that give the twins of the tables in `schema` the same keys and indexes.
async fn indexes(pool: &PgPool, schema: &str) -> anyhow::Result<Vec<String>> {
    const INDEXES: &str = "select pg_get_indexdef(i.indexrelid) from pg_index i \
         join pg_class c on c.oid = i.indrelid \
         where c.relnamespace = $1::text::regnamespace order by i.indexrelid";
    let all: Vec<String> = sqlx::query_scalar(INDEXES).bind(schema).fetch_all(pool).await?;
    let of_twin = format!(" ON {}.", twin(schema));
    Ok(all.iter().map(|index| index.replace(&format!(" ON {schema}."), &of_twin)).collect())
}

/// What `copy` gives, in a file: its size.
async fn save(pool: &PgPool, copy: &str, file: &Path) -> anyhow::Result<u64> {
    let mut out = File::create(file)?;
    let mut bytes = pool.copy_out_raw(copy).await?;
    let mut size = 0;
    while let Some(chunk) = bytes.try_next().await? {
        out.write_all(&chunk)?;
        size += chunk.len() as u64;
    }
    Ok(size)
}
