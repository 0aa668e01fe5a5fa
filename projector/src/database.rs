//! Sessions with Postgres, and what its errors mean for us.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// What Postgres says, or the way to it, in one sentence. The driver's errors repeat themselves as
/// their own cause, and name a line of the server's source as if it were one of a statement.
#[derive(Debug)]
pub struct DatabaseError(sqlx::Error);

pub(crate) fn said(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |it| it.message().to_owned())
}

impl DatabaseError {
    pub(crate) fn by(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl Display for DatabaseError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&said(&self.0))
    }
}

impl std::error::Error for DatabaseError {}

/// What kind of trouble an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The server is not there, is going, or has no place for us. It may be back later.
    Unreachable,
    /// A table, a column or a schema is missing.
    NoSuchTable,
    /// A value does not fit into its column, or breaks a constraint.
    Data,
    /// Somebody else holds a lock that we need, for longer than we wait.
    Locked,
    /// Anything else.
    Other,
}

impl Trouble {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the driver's errors, not ours")]
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            // What the driver says when a connection ends in the middle of a message.
            | sqlx::Error::Protocol(_) => Self::Unreachable,
            // Postgres cannot keep a zero byte in a text; the driver refuses what it can know.
            sqlx::Error::Encode(_) => Self::Data,
            sqlx::Error::Database(error) => {
                error.code().map_or(Self::Other, |code| Self::of_state(&code))
            }
            _ => Self::Other,
        }
    }

    /// By SQLSTATE (PostgreSQL documentation, appendix A).
    fn of_state(state: &str) -> Self {
        match state {
            // undefined_table, undefined_column, invalid_schema_name
            "42P01" | "42703" | "3F000" => Self::NoSuchTable,
            // too_many_connections, cannot_connect_now, admin_shutdown, crash_shutdown,
            // database_dropped, invalid_catalog_name (no such database), read_only_sql_transaction (a
            // fail-over is under way)
            "53300" | "57P03" | "57P01" | "57P02" | "57P04" | "3D000" | "25006" => {
                Self::Unreachable
            }
            // lock_not_available, deadlock_detected, serialization_failure
            "55P03" | "40P01" | "40001" => Self::Locked,
            // connection_exception
            _ if state.starts_with("08") => Self::Unreachable,
            // data_exception, integrity_constraint_violation, program_limit_exceeded
            _ if ["22", "23", "54"].iter().any(|class| state.starts_with(class)) => Self::Data,
            _ => Self::Other,
        }
    }
}

/// Where the database is, with the password in it; `None` if the address makes no sense.
pub(crate) fn address(database_url: &str) -> Option<PgConnectOptions> {
    // The driver itself takes any scheme.
    let scheme = database_url.split_once("://")?.0;
    if !matches!(scheme, "postgres" | "postgresql") {
        return None;
    }
    // Statements are logged nowhere: their arguments are customers' data.
    PgConnectOptions::from_str(database_url).ok().map(ConnectOptions::disable_statement_logging)
}

/// Settings of a session that reads.
pub(crate) async fn prepare_for_reading(connection: &mut PgConnection) -> sqlx::Result<()> {
    // Filters are `$1 is null or …`: only a plan made for the actual arguments can use the index
    // that fits those which are not null. Making one takes a tenth of a millisecond.
    sqlx::query(
        "select set_config('plan_cache_mode', 'force_custom_plan', false), \
         set_config('default_transaction_read_only', 'on', false), \
         set_config('statement_timeout', '30s', false)",
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A session that writes the tables of one generation, which unqualified names stand for.
pub(crate) async fn connect_for_writing(
    address: &PgConnectOptions,
    schema: &str,
) -> sqlx::Result<PgConnection> {
    let mut connection = address.clone().application_name("orderstore projector").connect().await?;
    // Rows and checkpoint are in one transaction: a crash of the server that loses the last of
    // them loses both, and the events are folded again. So nobody has to wait for the disk. Where
    // it matters (epochs, promotions) the transaction says otherwise.
    // The time-outs are for a session whose other end has silently gone: its locks must go, too.
    sqlx::query(
        "select set_config('search_path', $1, false), \
         set_config('synchronous_commit', 'off', false), \
         set_config('lock_timeout', '5s', false), \
         set_config('idle_in_transaction_session_timeout', '60s', false), \
         set_config('tcp_keepalives_idle', '10', false), \
         set_config('tcp_keepalives_interval', '5', false), \
         set_config('tcp_keepalives_count', '3', false), \
         set_config('tcp_user_timeout', '30s', false)",
    )
    .bind(schema)
    .execute(&mut connection)
    .await?;
    // A tenth of the server's work is compressing documents in its own old way. Not every build of
    // it has another.
    sqlx::query(
        "select set_config(name, 'lz4', false) from pg_settings \
         where name = 'default_toast_compression' and 'lz4' = any(enumvals)",
    )
    .execute(&mut connection)
    .await?;
    Ok(connection)
}

/// A session for bookkeeping.
pub(crate) async fn connect(address: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    address.clone().application_name("orderstore projector").connect().await
}

/// How long a session waits for locks of others before it gives up, to try again another time.
const PATIENCE: &str = "set lock_timeout = '15s'";

/// Waits until nobody else has done this with `number`, a number of ours, and keeps others from it
/// until the session ends, however that happens. The session does not wait for any lock for ever.
pub(crate) async fn exclude_others(connection: &mut PgConnection, number: i64) -> sqlx::Result<()> {
    sqlx::query(PATIENCE).execute(&mut *connection).await?;
    let locking = sqlx::query("select pg_advisory_lock($1)").bind(number);
    locking.execute(connection).await.map(drop)
}
