//! Letting everybody else go first: the priority of our threads and of our sessions in Postgres.
//!
//! None of it is needed, so whatever does not work is left undone.

use rustix::process::{Pid, setpriority_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// On Linux: about a tenth of the time of what wants to run at the same time.
const LOW: i32 = 10;

/// Lowers the priority of the thread that calls, for good.
pub(super) fn lower_this_thread() {
    // (Where priorities are those of processes, not of threads, nothing may be done.)
    if cfg!(target_os = "linux") {
        let _ = setpriority_process(None, LOW);
    }
}

/// Lowers the priority of the server process of this session, if it is on this machine and may be
/// touched: it runs as the same user, or we are root.
pub(super) async fn lower_session(
    address: &PgConnectOptions,
    connection: &mut PgConnection,
) -> sqlx::Result<()> {
    if address.get_socket().is_none() && !address.get_host().starts_with('/') {
        return Ok(());
    }
    let number: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await?;
    // A socket may come from a container with numbers of its own.
    let name = std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
    if name.trim() == "postgres"
        && let Some(pid) = Pid::from_raw(number)
    {
        let _ = setpriority_process(Some(pid), LOW);
    }
    Ok(())
}
