//! States of long streams in files, so that a process that starts does not read them from their
//! beginning.
//!
//! A file is never trusted more than the log. It names the event it was written after, and counts only
//! if that very event is still at that revision of its stream; one that is damaged, of another version
//! or of another log is passed over, and the stream read from its start as if there had been none. So
//! nothing has to be backed up, and the folder may be emptied at any time.
//!
//! One line of JSON says what a file is, the rest of it is the state.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemas::{StateFormat, StreamName};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use twox_hash::XxHash3_64;
use uuid::Uuid;

use crate::Error;

/// Up to so many events are read in no time.
const FEW: u64 = 4_096;
/// Of a longer stream an eighth is left to be read, so that what a process writes of it over the years
/// is some eight times the size of the last file.
const PARTS: u64 = 8;
/// So many files are read or written at the same time: each has its state in memory twice.
const AT_ONCE: usize = 2;
/// What a killed process was writing, and nobody else can be writing any more.
const LEFT_OVER: Duration = Duration::from_hours(1);
const UNFINISHED: &str = ".unfinished-";

/// A folder of states.
#[derive(Debug)]
pub(crate) struct Snapshots {
    folder: PathBuf,
    turns: Semaphore,
}

/// A state and the event it was reached with.
pub(crate) struct Snapshot<S> {
    pub(crate) state: S,
    pub(crate) revision: u64,
    pub(crate) event_id: Uuid,
}

#[derive(Serialize, Deserialize)]
struct Head {
    stream: String,
    version: u32,
    revision: u64,
    event_id: Uuid,
    /// XXH3 of the state, in hexadecimal.
    checksum: String,
}

/// Whether a stream that has come to `revision` is worth another file after the one of `last`.
pub(crate) fn is_due(last: Option<u64>, revision: u64) -> bool {
    let since = revision.saturating_sub(last.unwrap_or(0));
    since >= FEW.max(revision / PARTS)
}

impl Snapshots {
    /// The folder, which is made if need be.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let unusable = |error: io::Error| Error::SnapshotFolder {
            folder: folder.display().to_string(),
            reason: error.to_string(),
        };
        fs::create_dir_all(folder).map_err(unusable)?;
        remove_left_overs(folder).map_err(unusable)?;
        Ok(Self { folder: folder.to_owned(), turns: Semaphore::new(AT_ONCE) })
    }

    /// The state that was last written of `stream`, if there is one that this build reads.
    pub(crate) async fn read<S: Send + 'static>(
        this: &Arc<Self>,
        stream: StreamName,
        format: &'static StateFormat<S>,
    ) -> Option<Snapshot<S>> {
        let this = Arc::clone(this);
        let turn = this.turns.acquire().await;
        let reading = {
            let this = Arc::clone(&this);
            spawn_blocking(move || this.read_now(&stream, format))
        };
        let snapshot = reading.await.ok().flatten();
        drop(turn);
        snapshot
    }

    /// Writes the state that `stream` had after its event `revision`, whose id was `event_id`, soon. That
    /// it failed is only logged.
    pub(crate) fn write<S: Send + Sync + 'static>(
        this: &Arc<Self>,
        stream: StreamName,
        format: &'static StateFormat<S>,
        last: (u64, Uuid),
        state: Arc<S>,
    ) {
        let this = Arc::clone(this);
        tokio::spawn(async move {
            let turn = this.turns.acquire().await;
            let writing = {
                let this = Arc::clone(&this);
                spawn_blocking(move || this.write_now(&stream, format, last, &state))
            };
            // It panics if the state cannot be encoded, and says so itself.
            let _ = writing.await;
            drop(turn);
        });
    }

    fn read_now<S>(&self, stream: &StreamName, format: &StateFormat<S>) -> Option<Snapshot<S>> {
        let path = self.path(stream);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%stream, path = %path.display(), %error, "a snapshot cannot be read");
                return None;
            }
        };
        let snapshot = understood(&bytes, stream, format);
        if let Err(reason) = &snapshot {
            tracing::info!(%stream, reason, "a snapshot is passed over");
        }
        snapshot.ok()
    }

    /// Waits for the disk, but not until it is there to stay: a file that is torn is passed over.
    fn write_now<S>(
        &self,
        stream: &StreamName,
        format: &StateFormat<S>,
        (revision, event_id): (u64, Uuid),
        state: &S,
    ) {
        let path = self.path(stream);
        let written = format.write(state).map_err(io::Error::other).and_then(|bytes| {
            let head = Head {
                stream: stream.to_string(),
                version: format.number(),
                revision,
                event_id,
                checksum: checksum(&bytes),
            };
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
            serde_json::to_writer(&mut file, &head)?;
            file.write_all(b"\n")?;
            file.write_all(&bytes)?;
            file.persist(&path)?;
            Ok(())
        });
        if let Err(error) = written {
            tracing::warn!(%stream, path = %path.display(), %error, "a snapshot cannot be written");
        }
    }

    fn path(&self, stream: &StreamName) -> PathBuf {
        // A stream's id may be no name of a file.
        let name = XxHash3_64::oneshot(stream.as_str().as_bytes());
        self.folder.join(format!("{}-{name:016x}.snapshot", stream.category()))
    }
}

fn understood<S>(
    bytes: &[u8],
    stream: &StreamName,
    format: &StateFormat<S>,
) -> Result<Snapshot<S>, String> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or("it has no head")?;
    let (head, state) = (&bytes[..end], &bytes[end + 1..]);
    let head: Head = serde_json::from_slice(head).map_err(|error| error.to_string())?;
    if head.stream != stream.as_str() {
        return Err(format!("it is one of {}", head.stream));
    }
    if head.version != format.number() {
        return Err(format!("its version is {}, not {}", head.version, format.number()));
    }
    if head.checksum != checksum(state) {
        return Err("it is damaged".to_owned());
    }
    let state = format.read(state).map_err(|error| error.to_string())?;
    Ok(Snapshot { state, revision: head.revision, event_id: head.event_id })
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(bytes))
}

fn remove_left_overs(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        let is_old = || {
            let age = entry.metadata().and_then(|it| it.modified()).map(|it| it.elapsed());
            matches!(age, Ok(Ok(age)) if age > LEFT_OVER)
        };
        // Another process may be faster; a file that stays is in nobody's way.
        if is_ours && is_old() {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_rarely_and_leaves_little_to_be_read() {
        assert!(!is_due(None, FEW - 1));
        assert!(is_due(None, FEW));
        let (mut last, mut files, mut most_left) = (None, 0_u64, 0);
        for revision in 0..4_000_000 {
            let left = revision - last.unwrap_or(0);
            most_left = most_left.max(left);
            if is_due(last, revision) {
                last = Some(revision);
                files += 1;
            }
        }
        assert!(files < 60, "{files} files");
        assert!(most_left <= 4_000_000 / PARTS, "{most_left} events");
    }
}
