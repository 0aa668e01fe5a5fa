//! Folds the write-ahead log into the database while the writer goes on: what commits have added to
//! the log is brought to its pages a moment later, a few hundred pages at a time.
//!
//! `SQLite` would do all of it within a commit, once the log is long, and whoever appends then would
//! wait for thousands of pages. It still does that (`wal_autocheckpoint`), because the log begins
//! anew only where somebody finds it folded to its end, and beside a writer this thread rarely does; but
//! there is next to nothing left to fold then.
//!
//! Folding fails like a commit: a full disk is tried again, and after anything else nobody can say
//! what is on the disk. It may even have been the fsync of a commit that failed here, and not every system
//! tells both who asked for it. So the writer looks here before it answers.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use super::{recovery, sql};

/// So long commits are gathered. Each time costs two fsyncs beside those of the writer.
const APART: Duration = Duration::from_millis(200);

/// The thread that folds, until this is dropped: then its connection is closed.
pub(super) struct Folding {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while the log is folded, by whoever does it.
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    committed: bool,
    ended: bool,
    failure: Option<rusqlite::Error>,
}

impl Folding {
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("event-store-folder".to_owned())
                .spawn(move || shared.run(&connection))?
        };
        Ok(Self { shared, thread: Some(thread) })
    }

    /// There is something to fold.
    pub(super) fn committed(&self) {
        let mut state = locked(&self.shared.state);
        if !std::mem::replace(&mut state.committed, true) {
            self.shared.changed.notify_one();
        }
    }

    /// Why the thread has ended by itself, if it has; told once.
    pub(super) fn failure(&self) -> Option<rusqlite::Error> {
        locked(&self.shared.state).failure.take()
    }

    /// Keeps the thread from folding: two who fold would be in each other's way.
    pub(super) fn keep_off(&self) -> MutexGuard<'_, ()> {
        locked(&self.shared.turn)
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        locked(&self.shared.state).ended = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did, its connection would be closed as well.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, connection: &Connection) {
        let mut full = false;
        while self.wait_for_commits() {
            let _turn = locked(&self.turn);
            match sql::fold_write_ahead_log(connection) {
                Ok(()) => full = false,
                Err(error) if recovery::is_full(&error) => {
                    if !std::mem::replace(&mut full, true) {
                        tracing::warn!(%error, "the write-ahead log cannot be folded for now");
                    }
                }
                Err(error) => {
                    locked(&self.state).failure = Some(error);
                    return;
                }
            }
        }
    }

    /// False when it has been told to end.
    fn wait_for_commits(&self) -> bool {
        let state = locked(&self.state);
        let waited = self.changed.wait_while(state, |state| !state.committed && !state.ended);
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, APART, |state| !state.ended);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.committed = false;
        !state.ended
    }
}

/// What is behind these locks is right after every step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
