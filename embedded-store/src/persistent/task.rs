//! The task behind a group: it reads for it, writes for it, sends what it hands out and tells it what
//! consumers answer. It begins when somebody asks for the group, sleeps until there is something to
//! do, and reads only while somebody is there to take what it reads.

mod parking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::parking::Replays;
use super::command::{Closing, Command, NewConsumer, Refused};
use super::config::Definition;
use super::consumers::ConsumerId;
use super::group::{Effect, Group, Parking};
use super::hub::{Hub, Listening};
use super::info::Info;
use super::ledger::{Ledger, Parked};
use super::message::Resolved;
use super::outbox::{Inbox, Outbox, Outgoing, outbox};
use super::report::Measured;
use super::settings::{Source, Start};
use super::source::{Cursor, Page, Passed, SourceError};
use crate::storage::{ReadError, Storage, WriteError};

/// Commands handled before anything else is done.
const COMMANDS: usize = 256;

/// How long to wait before what could not be written is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What a task is made of.
#[derive(Debug)]
pub(crate) struct Making {
    pub(crate) storage: Storage,
    pub(crate) hub: Arc<Hub>,
    pub(crate) stopping: CancellationToken,
    pub(crate) definition: Arc<Definition>,
    pub(crate) commands: mpsc::Receiver<Command>,
}

impl Making {
    /// Works until the group is closed or the server stops.
    pub(crate) async fn run(mut self) {
        let stopping = self.stopping.clone();
        loop {
            let first = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                command = self.commands.recv() => command,
            };
            let Some(first) = first else { return };
            let ledger = Ledger::new(
                self.storage.clone(),
                self.definition.source.clone(),
                &self.definition.group,
            );
            match load(&ledger).await {
                Ok((checkpoint, parked)) => {
                    let task = Task::new(self, ledger, checkpoint, parked);
                    // In a box, so that a group that nobody asks for is small.
                    return Box::pin(task.run(first)).await;
                }
                // Whoever asked hears of it because nobody answers.
                Err(ReadError::Stopping) => return,
                Err(error) => {
                    tracing::error!(%error, group = %self.definition.group, "a persistent subscription cannot be loaded");
                }
            }
        }
    }
}

async fn load(ledger: &Ledger) -> Result<(Option<u64>, Parked), ReadError> {
    Ok((ledger.checkpoint().await?, ledger.parked().await?))
}

/// Where a group without a checkpoint begins: after this position.
fn beginning(definition: &Definition) -> Option<u64> {
    match definition.settings.start {
        Start::Beginning => None,
        Start::At(position) => position.checked_sub(1),
        Start::End => definition.end_was.and_then(|end_was| end_was.position),
    }
}

type Running<T> = Option<BoxFuture<'static, T>>;
/// The revision of the last message parked.
type ParkResult = Result<Option<u64>, WriteError>;
type ReplayPage = Result<(Vec<Resolved>, u64), ReadError>;

/// Waits for what is running; for ever if nothing is.
async fn finished<T>(running: &mut Running<T>) -> T {
    let Some(future) = running else { return std::future::pending().await };
    let result = future.await;
    *running = None;
    result
}

pub(super) struct Task {
    pub(super) storage: Storage,
    hub: Arc<Hub>,
    stopping: CancellationToken,
    pub(super) definition: Arc<Definition>,
    commands: mpsc::Receiver<Command>,
    ledger: Ledger,
    pub(super) group: Group,
    cursor: Cursor,
    outboxes: BTreeMap<ConsumerId, Outbox>,
    next_consumer: ConsumerId,
    /// The group's stream was written to.
    written: Arc<Notify>,
    /// A consumer has left, or has room again.
    changed: Arc<Notify>,
    listening: Option<Listening>,
    /// There may be something to read.
    unread: bool,
    /// Why it can never go on.
    pub(super) fault: Option<Refused>,
    page: Running<Result<Page, SourceError>>,
    saving: Running<Result<(), WriteError>>,
    has_checkpoint: bool,
    to_park: Vec<Parking>,
    parking: Running<(Vec<Parking>, ParkResult)>,
    pub(super) replays: Replays,
    replaying: Running<ReplayPage>,
    truncating: Running<()>,
    pub(super) measured: Measured,
    closed: Option<(Closing, oneshot::Sender<()>)>,
}

enum Woken {
    Command(Option<Command>),
    Stopping,
    Page(Result<Page, SourceError>),
    Saved(Result<(), WriteError>),
    Parked((Vec<Parking>, ParkResult)),
    Replayed(ReplayPage),
    Written,
    Nothing,
}

impl Task {
    fn new(making: Making, ledger: Ledger, checkpoint: Option<u64>, parked: Parked) -> Self {
        let Making { storage, hub, stopping, definition, commands } = making;
        let after = checkpoint.or_else(|| beginning(&definition));
        let mut group = Group::new(Arc::clone(&definition.settings), after, Instant::now());
        if checkpoint.is_none() {
            group.has_no_checkpoint();
        }
        Self {
            cursor: Cursor::after(&definition.source, after),
            group,
            storage,
            hub,
            stopping,
            definition,
            commands,
            ledger,
            outboxes: BTreeMap::new(),
            next_consumer: 0,
            written: Arc::default(),
            changed: Arc::default(),
            listening: None,
            unread: true,
            fault: None,
            page: None,
            saving: None,
            has_checkpoint: checkpoint.is_some(),
            to_park: Vec::new(),
            parking: None,
            replays: Replays::new(parked),
            replaying: None,
            truncating: None,
            measured: Measured::new(Instant::now()),
            closed: None,
        }
    }

    async fn run(mut self, first: Command) {
        self.handle(first).await;
        while self.closed.is_none() {
            self.advance();
            match self.woken().await {
                Woken::Stopping | Woken::Command(None) => return self.save_the_last().await,
                Woken::Command(Some(command)) => {
                    self.handle(command).await;
                    for _ in 0..COMMANDS {
                        let Ok(command) = self.commands.try_recv() else { break };
                        self.handle(command).await;
                    }
                }
                Woken::Page(page) => self.read(page),
                Woken::Saved(saved) => self.note_saved(saved.is_ok()),
                Woken::Parked((messages, parked)) => self.note_parked(messages, parked),
                Woken::Replayed(page) => self.replay_page(page),
                Woken::Written => self.unread = true,
                Woken::Nothing => {}
            }
        }
        self.drop_consumers(&|| Outgoing::Dropped);
        if let Some((closing, reply)) = self.closed.take() {
            if closing == Closing::Save {
                self.save_the_last().await;
            }
            // Whoever wanted it closed may have gone.
            let _ = reply.send(());
        }
    }

    async fn woken(&mut self) -> Woken {
        let deadline = self.group.deadline();
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        // What was read is handed out before more answers are heard, and answers are heard before
        // more is read: what they refuse goes first then.
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Woken::Stopping,
            page = finished(&mut self.page) => Woken::Page(page),
            saved = finished(&mut self.saving) => Woken::Saved(saved),
            parked = finished(&mut self.parking) => Woken::Parked(parked),
            page = finished(&mut self.replaying) => Woken::Replayed(page),
            () = finished(&mut self.truncating) => Woken::Nothing,
            command = self.commands.recv() => Woken::Command(command),
            () = self.written.notified() => Woken::Written,
            () = self.changed.notified() => Woken::Nothing,
            () = due => Woken::Nothing,
        }
    }

    async fn handle(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            // An error means that whoever asked has gone; a consumer that has is noticed as such.
            Command::Connect(consumer, reply) => drop(reply.send(self.connect(consumer))),
            Command::Info(reply) => drop(reply.send(self.info(now).await)),
            Command::Ack(from, ids) => {
                self.group.ack(from, &ids, now);
                self.hand_out(now);
            }
            Command::Nack(from, ids, action, reason) => {
                self.group.nack(from, &ids, (action, &reason), now);
                self.hand_out(now);
            }
            Command::Replay(stop_at, reply) => {
                self.replays.begin(stop_at);
                let _ = reply.send(());
            }
            Command::Close(closing, reply) => self.closed = Some((closing, reply)),
        }
    }

    fn connect(&mut self, consumer: NewConsumer) -> Result<(ConsumerId, Inbox), Refused> {
        self.let_go();
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.group.is_full() {
            return Err(Refused::TooManyConsumers);
        }
        let id = self.next_consumer;
        self.next_consumer += 1;
        let (outbox, inbox) = outbox(Arc::clone(&self.changed));
        self.outboxes.insert(id, outbox);
        self.group.add_consumer(id, consumer.identity, consumer.capacity);
        if self.listening.is_none() {
            let written = Arc::clone(&self.written);
            self.listening = Some(self.hub.listen(&self.definition.source, written));
            self.unread = true;
        }
        Ok((id, inbox))
    }

    /// Does everything that can be done now and starts what takes time.
    fn advance(&mut self) {
        let now = Instant::now();
        self.let_go();
        self.group.expire(now);
        self.hand_out(now);
        if self.saving.is_none()
            && let Some(position) = self.group.checkpoint(now)
        {
            self.save(position);
        }
        self.read_on();
        self.park();
        self.replay_on();
        self.truncate();
    }

    /// Sends what can be sent now. After each answer: a message that is refused takes the place that
    /// it held, so what is new never overtakes one that its consumer refuses before looking at that.
    fn hand_out(&mut self, now: Instant) {
        for (id, consumer) in self.group.consumers_mut() {
            consumer.blocked = self.outboxes.get(id).is_none_or(Outbox::is_full);
        }
        self.group.push(now);
        for effect in self.group.effects() {
            match effect {
                Effect::Send(consumer, delivery) => {
                    if let Some(outbox) = self.outboxes.get(&consumer) {
                        outbox.send(Outgoing::Message(delivery));
                    }
                }
                Effect::Park(parking) => self.to_park.push(parking),
            }
        }
    }

    /// Forgets the consumers that have left.
    fn let_go(&mut self) {
        let left: Vec<ConsumerId> = self
            .outboxes
            .iter()
            .filter(|(_, outbox)| outbox.has_left())
            .map(|(id, _)| *id)
            .collect();
        for id in left {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: ConsumerId) {
        self.outboxes.remove(&id);
        self.group.remove_consumer(id, Instant::now());
        if self.outboxes.is_empty() {
            self.listening = None;
            self.page = None;
            self.cursor = Cursor::after(&self.definition.source, self.group.examined());
            self.unread = true;
        }
    }

    fn drop_consumers(&mut self, why: &dyn Fn() -> Outgoing) {
        for outbox in self.outboxes.values() {
            outbox.send(why());
        }
        let consumers: Vec<ConsumerId> = self.outboxes.keys().copied().collect();
        for id in consumers {
            self.remove(id);
        }
    }

    fn read_on(&mut self) {
        if self.unread
            && self.fault.is_none()
            && self.page.is_none()
            && let Some(limit) = self.group.wanted()
        {
            self.unread = false;
            let resolve_links = self.definition.settings.resolve_links;
            let (cursor, storage) = (self.cursor.clone(), self.storage.clone());
            self.page = Some(Box::pin(cursor.read(storage, limit, resolve_links)));
        }
    }

    fn read(&mut self, page: Result<Page, SourceError>) {
        let page = match page {
            Ok(page) => page,
            Err(SourceError::Unreadable(ReadError::Stopping)) => return,
            Err(error) => {
                tracing::error!(%error, group = %self.definition.group, "a persistent subscription cannot read on: its consumers are dropped");
                self.fault = match error {
                    SourceError::Tombstoned => Some(Refused::Dropped),
                    SourceError::CostlyFilter => Some(Refused::CostlyFilter),
                    SourceError::Unreadable(_) => None,
                };
                let is_costly = self.fault == Some(Refused::CostlyFilter);
                let why = || if is_costly { Outgoing::CostlyFilter } else { Outgoing::Dropped };
                return self.drop_consumers(&why);
            }
        };
        self.cursor = page.cursor;
        self.unread |= !page.end;
        self.measured.read(&page.records, page.end && !self.unread);
        for record in page.records {
            if page.passed.is_some() {
                self.group.pass(record.position - 1, 0);
            }
            self.group.read(record);
        }
        if let Some(Passed { position, foreign }) = page.passed {
            self.group.pass(position, foreign);
        }
    }

    fn save(&mut self, position: u64) {
        let (ledger, is_first) = (self.ledger.clone(), !self.has_checkpoint);
        self.saving = Some(Box::pin(async move {
            let saved = ledger.save(position, is_first).await;
            if let Err(error) = &saved {
                tracing::warn!(%error, "a checkpoint of a persistent subscription was not written");
                tokio::time::sleep(PAUSE).await;
            }
            saved
        }));
    }

    fn note_saved(&mut self, saved: bool) {
        self.has_checkpoint |= saved;
        self.group.checkpoint_written(saved);
    }

    /// What is done and not saved, if storage still takes it. Without it more is delivered again
    /// after the next start, and nothing is lost.
    async fn save_the_last(&mut self) {
        if let Some(saving) = self.saving.take() {
            self.note_saved(saving.await.is_ok());
        }
        if let Some(position) = self.group.last_checkpoint(Instant::now()) {
            let _ = self.ledger.save(position, !self.has_checkpoint).await;
        }
    }

    async fn info(&mut self, now: Instant) -> Info {
        let newest = if self.outboxes.is_empty() {
            newest(&self.storage, &self.definition.source).await
        } else {
            None
        };
        let newest = newest.filter(|newest| Some(*newest) > self.group.examined());
        self.report(now, newest, self.replays.is_under_way())
    }
}

/// The newest position of what a group reads, for one that does not read at the moment.
async fn newest(storage: &Storage, source: &Source) -> Option<u64> {
    match source {
        Source::All(_) => Some(*storage.committed().borrow()),
        Source::Stream(stream) => super::newest_revision(storage, stream).await.ok().flatten(),
    }
}
