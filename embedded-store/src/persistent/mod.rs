//! Persistent subscriptions: groups of consumers that share the events of a stream or of the whole
//! log, and whose progress the server keeps.
//!
//! In reading order: `settings` is what a group was created with and `config` how that is kept;
//! `message`, `progress`, `consumers` and `dispatch` are the parts of `group`, which is the engine,
//! pure; `source` reads and `ledger` writes for it; `outbox` leads to a consumer; `task` drives one
//! group as `command`s ask, woken by `hub`; `info` and `report` tell how it does. This file knows all
//! groups, `changing` creates, changes and deletes them.
//!
//! What holds: a message that is neither acknowledged, parked nor skipped is delivered again, also
//! after a crash; a checkpoint never passes one. Groups cost memory for what is in flight, and those
//! without consumers for little more than their names.

mod changing;
mod command;
pub(crate) mod config;
mod consumers;
mod dispatch;
mod group;
mod hub;
pub(crate) mod info;
mod ledger;
mod message;
mod outbox;
mod progress;
mod report;
mod settings;
mod source;
mod task;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::command::Refused;
pub(crate) use self::command::{Command, NewConsumer};
use self::config::{Config, Definition};
pub(crate) use self::consumers::{ConsumerId, Identity};
pub(crate) use self::group::{Action, Delivery};
use self::hub::Hub;
pub(crate) use self::info::{ConnectionInfo, Info};
pub(crate) use self::outbox::{Inbox, Outgoing, Presence};
pub(crate) use self::settings::{
    ALL, FilterChoice, InvalidSettings, Settings, Source, Start, Strategy,
};
use self::task::Making;
use crate::storage::{
    Direction, From, ReadError, Storage, StreamPage, StreamQuery, WriteError, ticks_now,
};

/// Commands that may wait for a group; who comes after waits for a place.
const COMMANDS: usize = 64;

/// Why a request about groups was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscriptionError {
    #[error("there is no such group")]
    DoesNotExist,
    #[error("there is such a group already")]
    Exists,
    #[error(transparent)]
    Invalid(#[from] InvalidSettings),
    #[error("the group has as many consumers as it may have")]
    TooManyConsumers,
    #[error("the group cannot go on")]
    Dropped,
    #[error(
        "the filter's regular expression takes too long. Delete the group and create it with another"
    )]
    CostlyFilter,
    /// What `$persistentSubscriptionConfig` says cannot be understood.
    #[error("{0}")]
    Misconfigured(String),
    #[error("the server is stopping")]
    Stopping,
    #[error("the log cannot be read")]
    Unreadable(#[source] ReadError),
    #[error("the change was not written")]
    NotWritten(#[source] WriteError),
}

impl std::convert::From<ReadError> for SubscriptionError {
    fn from(error: ReadError) -> Self {
        if matches!(error, ReadError::Stopping) { Self::Stopping } else { Self::Unreadable(error) }
    }
}

/// The name of a group: of what it reads, and its own.
type Key = (Arc<str>, Arc<str>);

/// All groups.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    storage: Storage,
    stopping: CancellationToken,
    hub: Arc<Hub>,
    tasks: TaskTracker,
    groups: RwLock<Groups>,
    /// Held while something about groups changes. What cannot be understood is not overwritten.
    config: Mutex<Result<Config, String>>,
}

#[derive(Debug, Default)]
struct Groups {
    by_name: BTreeMap<Key, Handle>,
    /// What groups were ever on, since the start.
    sources: BTreeSet<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Handle {
    definition: Arc<Definition>,
    commands: mpsc::Sender<Command>,
}

/// A consumer that was let in.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) inbox: Inbox,
    /// Who it is in its answers.
    pub(crate) consumer: ConsumerId,
    /// Where it answers.
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Subscriptions {
    /// Knows the groups that the log says there are.
    pub(crate) async fn start(storage: Storage, stopping: CancellationToken) -> Arc<Self> {
        let hub = Arc::new(Hub::default());
        tokio::spawn(Arc::clone(&hub).run(storage.clone(), stopping.clone()));
        let subscriptions = Self {
            storage,
            stopping,
            hub,
            tasks: TaskTracker::new(),
            groups: RwLock::default(),
            config: Mutex::new(Ok(Config::default())),
        };
        subscriptions.load(&mut *subscriptions.config.lock().await).await;
        Arc::new(subscriptions)
    }

    /// Waits until the groups have ended, after the server was told to stop.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) async fn connect(
        &self,
        source: &str,
        group: &str,
        consumer: NewConsumer,
    ) -> Result<Connected, SubscriptionError> {
        let commands = self.handle(source, group)?.commands;
        let connect = |reply| Command::Connect(consumer, reply);
        match ask(&commands, connect).await.ok_or_else(|| self.gone())? {
            Ok((consumer, inbox)) => Ok(Connected { inbox, consumer, commands }),
            Err(Refused::TooManyConsumers) => Err(SubscriptionError::TooManyConsumers),
            Err(Refused::Dropped) => Err(SubscriptionError::Dropped),
            Err(Refused::CostlyFilter) => Err(SubscriptionError::CostlyFilter),
        }
    }

    /// Delivers parked messages anew, those before this revision of their stream.
    pub(crate) async fn replay_parked(
        &self,
        source: &str,
        group: &str,
        stop_at: Option<u64>,
    ) -> Result<(), SubscriptionError> {
        let commands = self.handle(source, group)?.commands;
        let replay = |reply| Command::Replay(stop_at, reply);
        ask(&commands, replay).await.ok_or_else(|| self.gone())
    }

    pub(crate) async fn info(&self, source: &str, group: &str) -> Result<Info, SubscriptionError> {
        let commands = self.handle(source, group)?.commands;
        ask(&commands, Command::Info).await.ok_or_else(|| self.gone())
    }

    /// All groups, or those on one stream or on the whole log, by name. A stream that no group was
    /// ever on is not known.
    pub(crate) async fn list(&self, source: Option<&str>) -> Result<Vec<Info>, SubscriptionError> {
        let commands: Vec<_> = {
            let groups = self.groups();
            if source.is_some_and(|source| !groups.sources.contains(source)) {
                return Err(SubscriptionError::DoesNotExist);
            }
            groups
                .by_name
                .iter()
                .filter(|((on, _), _)| source.is_none_or(|source| **on == *source))
                .map(|(_, handle)| handle.commands.clone())
                .collect()
        };
        let infos = commands.iter().map(|commands| ask(commands, Command::Info));
        // One that does not answer was removed in between.
        Ok(futures::future::join_all(infos).await.into_iter().flatten().collect())
    }

    /// Makes a group known, in place of one of its name.
    fn put(&self, definition: Definition) {
        let definition = Arc::new(definition);
        let (sender, commands) = mpsc::channel(COMMANDS);
        let making = Making {
            storage: self.storage.clone(),
            hub: Arc::clone(&self.hub),
            stopping: self.stopping.clone(),
            definition: Arc::clone(&definition),
            commands,
        };
        self.tasks.spawn(making.run());
        let source: Arc<str> = definition.source.name().into();
        let mut groups = self.groups_mut();
        groups.sources.insert(Arc::clone(&source));
        let key = (source, Arc::clone(&definition.group));
        groups.by_name.insert(key, Handle { definition, commands: sender });
    }

    fn handle(&self, source: &str, group: &str) -> Result<Handle, SubscriptionError> {
        let key = (source.into(), group.into());
        self.groups().by_name.get(&key).cloned().ok_or(SubscriptionError::DoesNotExist)
    }

    /// Whether there is such a group, or one whose streams would have the same names: the separator
    /// in them may be part of a name.
    fn is_taken(&self, source: &str, group: &str) -> bool {
        let joined = |source: &str, group: &str| format!("{source}::{group}");
        if self.handle(source, group).is_ok() {
            return true;
        }
        let wanted = joined(source, group);
        (source.contains("::") || group.contains("::"))
            && self.groups().by_name.keys().any(|(source, group)| joined(source, group) == wanted)
    }

    /// Why a group does not answer: it was just changed or deleted, or the server stops.
    fn gone(&self) -> SubscriptionError {
        if self.stopping.is_cancelled() {
            SubscriptionError::Stopping
        } else {
            SubscriptionError::Dropped
        }
    }

    fn groups(&self) -> RwLockReadGuard<'_, Groups> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn groups_mut(&self) -> RwLockWriteGuard<'_, Groups> {
        self.groups.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The revision of the newest event of a stream, if it has any.
async fn newest_revision(storage: &Storage, stream: &Arc<str>) -> Result<Option<u64>, ReadError> {
    let query = StreamQuery {
        stream: Arc::clone(stream),
        from: From::End,
        direction: Direction::Forwards,
        limit: 1,
        now: ticks_now(),
    };
    Ok(match storage.read_stream(query).await? {
        StreamPage::Events(page) => Some(page.last),
        StreamPage::NotFound | StreamPage::Tombstoned => None,
    })
}

/// Asks a group; nothing if it has ended.
async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    commands.send(command(reply)).await.ok()?;
    answer.await.ok()
}
