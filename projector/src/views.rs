//! The views that readers read: how they are pointed at the tables of another generation.
//!
//! A view is replaced where it stays what it is, so that other people's views may rest on it. Where
//! another version has other columns it is made anew, and whoever was allowed to read it still is.

use sqlx::postgres::{PgConnection, PgDatabaseError};
use sqlx::{AssertSqlSafe, Connection};

use crate::bookkeeping::GenerationId;
use crate::database::Trouble;
use crate::projections::Definition;

/// The views in `read_model` that read tables in the schema `$1`.
macro_rules! of_schema {
    ($what:literal) => {
        concat!(
            "select ",
            $what,
            " from pg_class c where c.relnamespace = 'read_model'::regnamespace \
             and c.relkind = 'v' and exists (select from information_schema.view_table_usage u \
             where u.view_schema = 'read_model' and u.view_name = c.relname \
             and u.table_schema = $1) order by c.relname"
        )
    };
}

/// The statements that create `views` so that nobody can read them before they are replaced: see
/// `orderstore.is_complete`. They have the columns that they will have, and may be granted.
pub(crate) fn closed(views: &str) -> String {
    let statements = views.split(';').map(str::trim).filter(|it| !it.is_empty());
    let closed = statements.map(|statement| match split_view(statement) {
        Some((name, query)) => format!(
            "create view {name} as select * from ({query}) unseen \
             where orderstore.is_complete('{name}')"
        ),
        None => statement.to_owned(),
    });
    closed.collect::<Vec<_>>().join(";\n")
}

/// The name of the view that a statement creates, and its query.
fn split_view(statement: &str) -> Option<(&str, &str)> {
    let (name, query) = statement.strip_prefix("create view ")?.split_once(" as ")?;
    Some((name.trim(), query.trim()))
}

/// The closed views of a first generation, and who may read them.
pub(crate) struct Closed {
    are_there: bool,
    grants: Vec<(String, String)>,
}

impl Closed {
    /// Those that rest on the tables of `generation`. Only that of a first one has any while it is
    /// being built.
    pub(crate) async fn of(
        transaction: &mut PgConnection,
        generation: GenerationId,
    ) -> sqlx::Result<Self> {
        const ANY: &str = of_schema!("c.relname::text");
        let views: Vec<String> =
            sqlx::query_scalar(ANY).bind(generation.schema()).fetch_all(&mut *transaction).await?;
        let grants = grants(transaction, generation).await?;
        Ok(Self { are_there: !views.is_empty(), grants })
    }

    /// Creates them again, on tables that are in the search path.
    pub(crate) async fn again(
        self,
        transaction: &mut PgConnection,
        views: &str,
    ) -> sqlx::Result<()> {
        if !self.are_there {
            return Ok(());
        }
        create(transaction, closed(views)).await?;
        grant(transaction, self.grants).await
    }
}

/// Points the views at `incoming`. The version that it was built with may have others than that of
/// `outgoing`.
pub(crate) async fn point(
    transaction: &mut PgConnection,
    outgoing: Option<GenerationId>,
    incoming: GenerationId,
) -> sqlx::Result<()> {
    const NEW: &str =
        "select views from orderstore.projections where name = $1 and generation = $2";
    if let Some(outgoing) = outgoing {
        keep(transaction, outgoing).await?;
    }
    let new: Option<String> = sqlx::query_scalar(NEW)
        .bind(incoming.projection.as_str())
        .bind(incoming.number)
        .fetch_one(&mut *transaction)
        .await?;
    let new = new.unwrap_or_else(|| Definition::of_name(incoming.projection).views.to_owned());
    sqlx::query("select set_config('search_path', $1, true)")
        .bind(incoming.schema())
        .execute(&mut *transaction)
        .await?;
    let replaced = replace(transaction, &new).await?;
    let Some(outgoing) = outgoing else {
        return if replaced { Ok(()) } else { create(transaction, new).await };
    };
    if replaced {
        // Those that only the other version has.
        return drop_views(transaction, outgoing).await;
    }
    let grants = grants(transaction, outgoing).await?;
    drop_views(transaction, outgoing).await?;
    create(transaction, new).await?;
    grant(transaction, grants).await
}

/// Keeps how the views of `generation` are made, where whoever created it did not.
async fn keep(transaction: &mut PgConnection, generation: GenerationId) -> sqlx::Result<()> {
    const UNKNOWN: &str = "select views is null from orderstore.projections \
         where name = $1 and generation = $2";
    const MADE: &str =
        of_schema!("format('create view read_model.%I as %s', c.relname, pg_get_viewdef(c.oid))");
    const KEEP: &str =
        "update orderstore.projections set views = $3 where name = $1 and generation = $2";
    let name = generation.projection.as_str();
    let unknown: bool = sqlx::query_scalar(UNKNOWN)
        .bind(name)
        .bind(generation.number)
        .fetch_one(&mut *transaction)
        .await?;
    if !unknown {
        return Ok(());
    }
    let made: Vec<String> =
        sqlx::query_scalar(MADE).bind(generation.schema()).fetch_all(&mut *transaction).await?;
    if made.is_empty() {
        return Ok(());
    }
    let keeping = sqlx::query(KEEP).bind(name).bind(generation.number).bind(made.join("\n"));
    keeping.execute(transaction).await.map(drop)
}

/// Makes the views anew without dropping any; false if they are too different for that.
async fn replace(transaction: &mut PgConnection, views: &str) -> sqlx::Result<bool> {
    let statements = views.split(';').map(str::trim).filter(|it| it.starts_with("create view"));
    let replacing: Vec<String> =
        statements.map(|it| it.replacen("create view", "create or replace view", 1)).collect();
    let mut savepoint = transaction.begin().await?;
    match create(&mut savepoint, replacing.join(";\n")).await {
        Ok(()) => savepoint.commit().await.map(|()| true),
        Err(error) if Trouble::of(&error) == Trouble::Other => {
            savepoint.rollback().await.map(|()| false)
        }
        Err(error) => Err(error),
    }
}

/// Carries out what a build of ours wrote there when it created the generation.
async fn create(transaction: &mut PgConnection, views: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(views)).execute(transaction).await.map(drop)
}

async fn drop_views(transaction: &mut PgConnection, of: GenerationId) -> sqlx::Result<()> {
    const DROP: &str = of_schema!("format('drop view read_model.%I', c.relname)");
    let old: Vec<String> =
        sqlx::query_scalar(DROP).bind(of.schema()).fetch_all(&mut *transaction).await?;
    for statement in old {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Who may do what with which view, as statements.
async fn grants(
    transaction: &mut PgConnection,
    of: GenerationId,
) -> sqlx::Result<Vec<(String, String)>> {
    const GRANTS: &str = of_schema!(
        "c.relname::text, (select string_agg(format('grant %s on read_model.%I to %s%s', \
         a.privilege_type, c.relname, \
         case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end, \
         case when a.is_grantable then ' with grant option' else '' end), '; ') \
         from aclexplode(c.relacl) a where a.grantee <> c.relowner)"
    );
    let all: Vec<(String, Option<String>)> =
        sqlx::query_as(GRANTS).bind(of.schema()).fetch_all(transaction).await?;
    Ok(all.into_iter().filter_map(|(view, grants)| Some((view, grants?))).collect())
}

async fn grant(transaction: &mut PgConnection, grants: Vec<(String, String)>) -> sqlx::Result<()> {
    const EXISTS: &str = "select exists (select from pg_class where relname = $1 \
         and relnamespace = 'read_model'::regnamespace)";
    for (view, statements) in grants {
        let exists = sqlx::query_scalar(EXISTS).bind(view).fetch_one(&mut *transaction).await?;
        if exists {
            sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *transaction).await?;
        }
    }
    Ok(())
}

/// What rests on a view that would have to be dropped, in the words of Postgres, if this is why it
/// cannot be.
pub(crate) fn dependent(error: &sqlx::Error) -> Option<String> {
    // dependent_objects_still_exist
    let error = error.as_database_error().filter(|it| it.code().as_deref() == Some("2BP01"))?;
    let detail = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::detail);
    Some(detail.unwrap_or(error.message()).to_owned())
}
