//! Creating, changing, deleting and restarting groups. One change at a time; each is first written and
//! then done, and goes on to its end even if the client that asked for it has gone.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::command::{Closing, Command};
use super::config::{Config, Definition, EndWas, Entry};
use super::ledger::Ledger;
use super::settings::{InvalidSettings, Settings, Source, Start};
use super::{Handle, SubscriptionError, Subscriptions, ask, newest_revision};

type Changed = Result<(), SubscriptionError>;

/// Lets a change come to its end whether or not somebody waits for it.
async fn in_any_case(change: impl Future<Output = Changed> + Send + 'static) -> Changed {
    // It does not panic, so an error means that the runtime ends.
    tokio::spawn(change).await.unwrap_or(Err(SubscriptionError::Stopping))
}

impl Subscriptions {
    pub(crate) async fn create(
        self: &Arc<Self>,
        source: Source,
        group: &str,
        settings: Settings,
        user: &str,
    ) -> Changed {
        let (this, group, user) = (Arc::clone(self), group.to_owned(), user.to_owned());
        in_any_case(async move { this.create_now(source, &group, settings, &user).await }).await
    }

    /// Changes what a group was created with, except its filter. Its consumers are dropped.
    pub(crate) async fn update(
        self: &Arc<Self>,
        source: &str,
        group: &str,
        settings: Settings,
        user: &str,
    ) -> Changed {
        let (this, user) = (Arc::clone(self), user.to_owned());
        let (source, group) = (source.to_owned(), group.to_owned());
        in_any_case(async move { this.update_now(&source, &group, settings, &user).await }).await
    }

    pub(crate) async fn delete(self: &Arc<Self>, source: &str, group: &str, user: &str) -> Changed {
        let (this, user) = (Arc::clone(self), user.to_owned());
        let (source, group) = (source.to_owned(), group.to_owned());
        in_any_case(async move { this.delete_now(&source, &group, &user).await }).await
    }

    /// Drops all consumers and loads all groups anew.
    pub(crate) async fn restart(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let restarted = in_any_case(async move {
            this.restart_now().await;
            Ok(())
        });
        // What cannot be loaded is in the log of the process.
        let _ = restarted.await;
    }

    async fn create_now(
        &self,
        source: Source,
        group: &str,
        settings: Settings,
        user: &str,
    ) -> Changed {
        let mut config = self.config.lock().await;
        self.validate_start(&source, settings.start)?;
        if self.is_taken(source.name(), group) {
            return Err(SubscriptionError::Exists);
        }
        settings.validate()?;
        let end_was = self.end_of(&source, settings.start).await?;
        let definition =
            Definition { source, group: group.into(), settings: Arc::new(settings), end_was };
        // What a group of this name has left behind, if the process died while it was deleted.
        self.forget_progress(&definition).await?;
        self.change(&mut config, user, |config| config.put(Entry::new(&definition))).await?;
        self.put(definition);
        Ok(())
    }

    async fn update_now(
        &self,
        source: &str,
        group: &str,
        settings: Settings,
        user: &str,
    ) -> Changed {
        let mut config = self.config.lock().await;
        let Handle { definition, commands } = self.handle(source, group)?;
        self.validate_start(&definition.source, settings.start)?;
        settings.validate()?;
        let end_was = if settings.start == definition.settings.start {
            definition.end_was
        } else {
            self.end_of(&definition.source, settings.start).await?
        };
        let definition = Definition {
            source: definition.source.clone(),
            group: Arc::clone(&definition.group),
            settings: Arc::new(settings),
            end_was,
        };
        self.change(&mut config, user, |config| config.put(Entry::new(&definition))).await?;
        close(&commands, Closing::Forget).await;
        self.put(definition);
        Ok(())
    }

    async fn delete_now(&self, source: &str, group: &str, user: &str) -> Changed {
        let mut config = self.config.lock().await;
        let Handle { definition, commands } = self.handle(source, group)?;
        self.change(&mut config, user, |config| config.remove(source, group)).await?;
        self.groups_mut().by_name.remove(&(source.into(), group.into()));
        close(&commands, Closing::Forget).await;
        self.forget_progress(&definition).await
    }

    async fn forget_progress(&self, Definition { source, group, .. }: &Definition) -> Changed {
        let ledger = Ledger::new(self.storage.clone(), source.clone(), group);
        ledger.delete().await.map_err(SubscriptionError::NotWritten)
    }

    async fn restart_now(&self) {
        let mut config = self.config.lock().await;
        let groups = std::mem::take(&mut self.groups_mut().by_name);
        for handle in groups.into_values() {
            close(&handle.commands, Closing::Save).await;
        }
        self.load(&mut config).await;
    }

    /// Knows the groups that the log says there are.
    pub(super) async fn load(&self, config: &mut Result<Config, String>) {
        *config = Config::load(&self.storage).await.map_err(|error| error.to_string());
        let loaded = match config {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!(%error, "persistent subscriptions cannot be loaded");
                return;
            }
        };
        for entry in &loaded.entries {
            match entry.definition() {
                Ok(definition) => self.put(definition),
                Err(error) => {
                    tracing::error!(%error, stream = entry.stream, group = entry.group, "a persistent subscription is ignored");
                }
            }
        }
    }

    /// Writes what a change makes of the configuration, and only then believes it.
    async fn change(
        &self,
        config: &mut Result<Config, String>,
        user: &str,
        change: impl FnOnce(&mut Config),
    ) -> Changed {
        let known =
            config.as_mut().map_err(|error| SubscriptionError::Misconfigured(error.clone()))?;
        let mut changed = known.clone();
        change(&mut changed);
        changed.save(&self.storage, user).await.map_err(SubscriptionError::NotWritten)?;
        *known = changed;
        Ok(())
    }

    fn validate_start(&self, source: &Source, start: Start) -> Result<(), InvalidSettings> {
        match (source, start) {
            (Source::All(_), Start::At(position))
                if position > *self.storage.committed().borrow() =>
            {
                Err(InvalidSettings::StartBeyondEnd)
            }
            (Source::All(_) | Source::Stream(_), Start::At(_) | Start::Beginning | Start::End) => {
                Ok(())
            }
        }
    }

    /// What the end is at this moment, for a group that starts there.
    async fn end_of(
        &self,
        source: &Source,
        start: Start,
    ) -> Result<Option<EndWas>, SubscriptionError> {
        let position = match (start, source) {
            (Start::Beginning | Start::At(_), _) => return Ok(None),
            (Start::End, Source::All(_)) => Some(*self.storage.committed().borrow()),
            (Start::End, Source::Stream(stream)) => newest_revision(&self.storage, stream).await?,
        };
        Ok(Some(EndWas { position }))
    }
}

/// Ends a group and waits until it has ended.
async fn close(commands: &mpsc::Sender<Command>, closing: Closing) {
    // No answer means that it has ended already.
    let _ = ask(commands, |reply| Command::Close(closing, reply)).await;
}
