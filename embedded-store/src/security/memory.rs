//! What the guard looked up and remembers: verified passwords and access lists. None of it is ever
//! older than the newest event: before it is used, the events that were committed since are looked
//! at, and whatever they change is forgotten.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use tokio::sync::watch;

use super::access_list::{Settings, StreamAccess};
use super::caller::Caller;
use super::passwords::Print;
use super::users::login_of;
use crate::semantics::names;
use crate::storage::Storage;

/// Streams whose access list is remembered, most of them having none.
const LISTS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// Users whose password is remembered, and as many logins with a wrong one.
const USERS: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();

/// Records looked at together when catching up.
pub(super) const PAGE: usize = 512;

/// The stream that holds the default access lists.
pub(super) const SETTINGS: &str = "$settings";

/// What a stream's metadata say about access, if anything.
pub(super) type Access = Option<Arc<StreamAccess>>;

/// What was looked up, as of a position in the log.
#[derive(Debug)]
pub(super) struct Memory {
    storage: Storage,
    committed: watch::Receiver<u64>,
    examined: u64,
    /// Counts the changes of what can be remembered.
    pub(super) era: u64,
    pub(super) lists: LruCache<Box<str>, Access>,
    pub(super) settings: Option<Arc<Settings>>,
    pub(super) users: LruCache<Box<str>, (Print, Arc<Caller>)>,
    /// The last wrong password for a login, there being a user or not: a client that goes on trying
    /// the same costs nothing.
    pub(super) refused: LruCache<Box<str>, Print>,
}

impl Memory {
    pub(super) fn new(storage: Storage) -> Self {
        let committed = storage.committed();
        let examined = *committed.borrow();
        Self {
            storage,
            committed,
            examined,
            era: 0,
            lists: LruCache::new(LISTS),
            settings: None,
            users: LruCache::new(USERS),
            refused: LruCache::new(USERS),
        }
    }

    /// Forgets what has changed since the last time. Every event is looked at once.
    pub(super) fn caught_up(&mut self) -> &mut Self {
        let committed = *self.committed.borrow();
        while self.examined < committed {
            let events = self.storage.recent_after(self.examined, PAGE).unwrap_or_default();
            if events.is_empty() {
                // Too many, or none of them is in memory any more.
                self.forget_everything();
                self.examined = committed;
            }
            for event in &events {
                if event.position != self.examined + 1 {
                    // What stood there was removed from the log, whatever it changed.
                    self.forget_everything();
                }
                self.examined = event.position;
                self.forget(&event.stream);
            }
        }
        self
    }

    /// Keeps what was looked up in an era, unless something changed since.
    pub(super) fn remember(&mut self, era: u64, keep: impl FnOnce(&mut Self)) {
        if self.caught_up().era == era {
            keep(self);
        }
    }

    /// An event was appended to this stream.
    fn forget(&mut self, stream: &str) {
        if !stream.starts_with('$') {
            return;
        }
        let (original, login) = (names::original_of(stream), login_of(stream));
        if let Some(original) = original {
            self.lists.pop(original);
        }
        if let Some(login) = login {
            self.users.pop(login);
            self.refused.pop(login);
        }
        if stream == SETTINGS || original == Some(SETTINGS) {
            self.settings = None;
        }
        if original.is_some() || login.is_some() || stream == SETTINGS {
            self.era += 1;
        }
    }

    fn forget_everything(&mut self) {
        self.lists.clear();
        self.users.clear();
        self.refused.clear();
        self.settings = None;
        self.era += 1;
    }
}
