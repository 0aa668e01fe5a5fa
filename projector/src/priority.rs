//! Letting everybody else go first: the priority of our threads and of our sessions in Postgres.
//!
//! None of it is needed, so whatever does not work is left undone.

use std::fs;

use rustix::process::{Pid, getpriority_process, setpriority_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// The lowest that Linux knows: about a seventieth of the time of what wants to run at the same time.
const LOW: i32 = 19;

/// Lets all other processes of this machine go first, from now on. For processes that do nothing
/// but work that nobody waits for: it cannot be taken back. Does nothing but on Linux.
pub fn let_others_go_first() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    let numbers = threads.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
    for thread in numbers.filter_map(Pid::from_raw) {
        lower(Some(thread));
    }
}

/// Lowers the priority of the thread that calls, for good.
pub(crate) fn lower_this_thread() {
    // (Where priorities are those of processes, not of threads, nothing may be done.)
    if cfg!(target_os = "linux") {
        lower(None);
    }
}

/// Lowers the priority of the server process of this session, for good, if it is on this machine and
/// may be touched: it runs as the same user, or we are root.
pub(crate) async fn lower_session(
    address: &PgConnectOptions,
    connection: &mut PgConnection,
) -> sqlx::Result<()> {
    if address.get_socket().is_none() && !address.get_host().starts_with('/') {
        return Ok(());
    }
    let number: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await?;
    // A socket may come from a container with numbers of its own.
    let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
    if name.trim() == "postgres"
        && let Some(pid) = Pid::from_raw(number)
    {
        lower(Some(pid));
        lower_group(number);
    }
    Ok(())
}

/// Lowers the priority of a thread or process, ours if none is named; never raises it, as root could.
fn lower(pid: Option<Pid>) {
    if getpriority_process(pid).is_ok_and(|now| now < LOW) {
        let _ = setpriority_process(pid, LOW);
    }
}

/// Lowers the priority of the group of `process` as well, if Linux has made one for it alone. Groups
/// get equal shares (sched(7), "The autogroup feature"), and every process of Postgres has its
/// own: what its priority is in there makes no difference.
fn lower_group(process: i32) {
    // Such as "/autogroup-7 nice 0".
    let group = |of: &str| {
        let told = fs::read_to_string(format!("/proc/{of}/autogroup")).ok()?;
        let (name, nice) = told.trim_end().split_once(" nice ")?;
        Some((name.to_owned(), nice.parse::<i32>().ok()?))
    };
    let Some((its, nice)) = group(&process.to_string()) else { return };
    let is_ours = group("self").is_some_and(|(ours, _)| ours == its);
    // Number 0 is of processes that have none.
    if nice < LOW && its != "/autogroup-0" && !is_ours {
        let _ = fs::write(format!("/proc/{process}/autogroup"), LOW.to_string());
    }
}
