//! Events that were put aside by processes that died before they could remove them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::task::spawn_blocking;

use super::run;
use super::spill::{self, SpillError};
use crate::failure::Failure;

const PREFIX: &str = "orderstore-build-";

/// The database may be another one, or gone: the run cannot be asked about. If somebody goes on with
/// it after all, the log is read again.
const FORGOTTEN: Duration = Duration::from_hours(7 * 24);

/// Where the run `id` puts events aside. Together with when it began, in microseconds, the number of
/// a run is like no other, whatever databases share the disk.
pub(super) fn directory(spill_dir: &Path, id: i64, begun: i64) -> PathBuf {
    spill_dir.join(format!("{PREFIX}{id}-{begun}"))
}

fn parse(name: &str) -> Option<(i64, i64)> {
    let (id, begun) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some((id.parse().ok()?, begun.parse().ok()?))
}

/// Removes what runs of this database that have ended have left in `spill_dir`, and what nobody has
/// touched for long. What somebody uses stays.
pub(super) async fn clear(connection: &mut PgConnection, spill_dir: &Path) -> Result<(), Failure> {
    // Where there is no such folder, nothing is left in it.
    let Ok(entries) = fs::read_dir(spill_dir) else { return Ok(()) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let found: Vec<(i64, i64)> = names.filter_map(|name| parse(&name)).collect();
    if found.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = found.iter().map(|(id, _)| *id).collect();
    let ended = run::ended(connection, &ids).await?;
    let forgotten = found.into_iter().filter(|(id, begun)| {
        let directory = fs::metadata(directory(spill_dir, *id, *begun));
        let touched = directory.and_then(|it| it.modified()).ok();
        touched.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > FORGOTTEN)
    });
    for (id, begun) in ended.into_iter().chain(forgotten) {
        remove(directory(spill_dir, id, begun)).await;
    }
    Ok(())
}

/// Removes what was put aside in `directory`, if anything was. What cannot be removed stays.
pub(crate) async fn remove(directory: PathBuf) {
    if !directory.is_dir() {
        return;
    }
    let path = directory.clone();
    match spawn_blocking(move || spill::remove(&path)).await {
        Ok(Ok(())) => {
            tracing::info!(directory = %directory.display(), "removed events that were left over");
        }
        // Somebody who was given up has not noticed yet.
        Ok(Err(SpillError::InUse { .. })) | Err(_) => {}
        Ok(Err(error)) => {
            tracing::warn!(directory = %directory.display(), %error, "cannot remove left-over events");
        }
    }
}
