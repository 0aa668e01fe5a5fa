//! A group, pure: the messages it has read, who holds which, what is delivered again, parked or
//! done, and up to where everything is done. It is told what happens and says what has to be done;
//! reading, writing and sending are the business of `task`.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::consumers::{Consumer, ConsumerId, Identity};
use super::dispatch::{Choice, Consumers, Dispatcher};
use super::message::{Message, Origin, Resolved};
use super::progress::{Progress, Reached};
use super::settings::Settings;

/// Bytes of events that a group reads ahead and hands out before it waits for answers.
const HELD_BYTES: usize = 16 * 1024 * 1024;

/// How often messages that were held too long are taken back. As on EventStoreDB, and clients count
/// on it: some gather their answers for longer than their messages' timeout.
const EXPIRY: Duration = Duration::from_secs(1);

/// What a consumer wants done with messages that it did not process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Park,
    /// Deliver it again, to whomever.
    Retry,
    /// Done with.
    Skip,
}

/// What has to be done outside.
#[derive(Debug)]
pub(crate) enum Effect {
    Send(ConsumerId, Delivery),
    Park(Parking),
}

#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) event: Resolved,
    pub(crate) retries: u32,
}

/// A message that is on its way to the parked ones; the group hears of it when it is there.
#[derive(Debug, Clone)]
pub(crate) struct Parking {
    pub(crate) event: Resolved,
    pub(crate) reason: Arc<str>,
    origin: Origin,
    retries: u32,
}

/// A record that was read and is for the group.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) position: u64,
    pub(crate) event: Resolved,
}

/// A message that a consumer holds.
#[derive(Debug)]
struct Outstanding {
    message: Message,
    consumer: ConsumerId,
    bucket: Option<usize>,
    sent_at: Instant,
    due: Option<Instant>,
}

/// When a checkpoint has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// There is too little to save, or a checkpoint is being written.
    Never,
    Now,
    At(Instant),
}

/// A delivery, of all that a group ever made.
type Number = u64;

#[derive(Debug)]
pub(crate) struct Group {
    began: Instant,
    settings: Arc<Settings>,
    consumers: Consumers,
    dispatcher: Dispatcher,
    /// To be delivered again, in order of reading; what was replayed stands at the end.
    retry: VecDeque<Message>,
    /// Read and never handed out, in order.
    fresh: VecDeque<Message>,
    outstanding: HashMap<Number, Outstanding>,
    by_id: HashMap<Uuid, VecDeque<Number>>,
    due: BTreeSet<(Instant, Number)>,
    progress: Progress,
    deliveries: Number,
    /// One more than the largest number of a message that was ever handed out.
    handed_out: u64,
    /// Bytes of all messages that are not done.
    held: usize,
    replayed: usize,
    effects: Vec<Effect>,
    saved: Reached,
    /// What the checkpoint that is being written says.
    saving: Option<Reached>,
    saved_at: Option<Instant>,
}

impl Group {
    /// A group that goes on after `position`, which is its checkpoint or where it starts.
    pub(crate) fn new(settings: Arc<Settings>, position: Option<u64>, now: Instant) -> Self {
        Self {
            began: now,
            dispatcher: Dispatcher::new(settings.strategy),
            settings,
            consumers: Consumers::new(),
            retry: VecDeque::new(),
            fresh: VecDeque::new(),
            outstanding: HashMap::new(),
            by_id: HashMap::new(),
            due: BTreeSet::new(),
            progress: Progress::after(position),
            deliveries: 0,
            handed_out: 0,
            held: 0,
            replayed: 0,
            effects: Vec::new(),
            saved: Reached { count: 0, position },
            saving: None,
            saved_at: None,
        }
    }

    /// There is no checkpoint to show.
    pub(crate) fn has_no_checkpoint(&mut self) {
        self.saved.position = None;
    }

    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn consumers_mut(&mut self) -> &mut Consumers {
        &mut self.consumers
    }

    pub(crate) fn is_full(&self) -> bool {
        self.settings.max_subscribers().is_some_and(|most| self.consumers.len() >= most)
    }

    pub(crate) fn add_consumer(&mut self, id: ConsumerId, identity: Identity, capacity: usize) {
        let consumer = Consumer::new(identity, capacity, self.settings.extra_statistics);
        self.consumers.insert(id, consumer);
        self.dispatcher.added(id, &self.consumers);
    }

    /// What it held goes to the others at once, as delivered once more; even what was delivered too
    /// often already, for nobody refused it.
    pub(crate) fn remove_consumer(&mut self, id: ConsumerId, now: Instant) {
        let mut theirs: Vec<Number> = self
            .outstanding
            .iter()
            .filter(|(_, outstanding)| outstanding.consumer == id)
            .map(|(number, _)| *number)
            .collect();
        theirs.sort_unstable();
        for number in theirs {
            if let Some(message) = self.release(number, now) {
                self.deliver_again(message);
            }
        }
        self.consumers.remove(&id);
        self.dispatcher.removed(id);
        if self.consumers.is_empty() {
            self.forget_unread();
        }
    }

    /// Nobody is there to take what was read ahead: it is read again when somebody comes. Only what
    /// comes after everything that was ever handed out, so that nothing done is read again.
    fn forget_unread(&mut self) {
        let handed_out = self.handed_out;
        let is_new = |message: &Message| {
            message.origin.sequence().is_some_and(|sequence| sequence >= handed_out)
        };
        let Some(first) = self.fresh.iter().position(is_new) else { return };
        let forgotten = self.fresh.split_off(first);
        if let Some(sequence) = forgotten.front().and_then(|message| message.origin.sequence()) {
            self.progress.rewind(sequence);
        }
        self.held -= forgotten.iter().map(|message| message.event.size()).sum::<usize>();
    }

    /// Where reading goes on: after this position.
    pub(crate) fn examined(&self) -> Option<u64> {
        self.progress.examined()
    }

    /// How many records the next page may have, if one may be read: as many as there is room for, and
    /// none before that is more than a batch. With small pages the buffer could run dry while
    /// consumers wait, and what comes next would go before messages that are refused meanwhile.
    pub(crate) fn wanted(&self) -> Option<usize> {
        let buffered = self.retry.len() + self.fresh.len();
        let room = self.settings.buffer().saturating_sub(buffered);
        let wants =
            !self.consumers.is_empty() && room > self.settings.batch() && self.held < HELD_BYTES;
        wants.then_some(room)
    }

    pub(crate) fn read(&mut self, read: Read) {
        let sequence = self.progress.begin(read.position);
        self.held += read.event.size();
        let origin = Origin::Read { sequence };
        self.fresh.push_back(Message { event: read.event, origin, retries: 0 });
    }

    /// Nothing up to this position of the log was for the group, but for what was read; so many
    /// records count nevertheless.
    pub(crate) fn pass(&mut self, position: u64, foreign: u64) {
        self.progress.pass(position, foreign);
    }

    /// A parked message is delivered anew, before anything that was not handed out yet.
    pub(crate) fn replay(&mut self, event: Resolved) {
        self.held += event.size();
        self.replayed += 1;
        self.retry.push_back(Message { event, origin: Origin::Replayed, retries: 0 });
    }

    /// Replayed messages that are not done.
    pub(crate) fn replayed(&self) -> usize {
        self.replayed
    }

    pub(crate) fn ack(&mut self, from: ConsumerId, ids: &[Uuid], now: Instant) {
        for id in ids {
            if let Some(message) = self.release_by_id(from, *id, now) {
                self.done(&message.event, message.origin);
            }
        }
    }

    pub(crate) fn nack(
        &mut self,
        from: ConsumerId,
        ids: &[Uuid],
        (action, reason): (Action, &str),
        now: Instant,
    ) {
        // One for all of them, however many there are.
        let reason: Arc<str> = format!("Client explicitly NAK'ed message.\n{reason}").into();
        for id in ids {
            let Some(message) = self.release_by_id(from, *id, now) else { continue };
            match action {
                Action::Skip => self.done(&message.event, message.origin),
                Action::Retry => self.retry_or_park(message),
                Action::Park => self.park(message, Arc::clone(&reason)),
            }
        }
    }

    /// Takes back what was held too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((due, number)) = self.due.first().copied()
            && due <= now
        {
            match self.release(number, now) {
                Some(message) => self.retry_or_park(message),
                None => drop(self.due.pop_first()),
            }
        }
    }

    /// A message stands among the parked ones.
    pub(crate) fn parked(&mut self, parking: &Parking) {
        self.done(&parking.event, parking.origin);
    }

    /// A message could not be parked: it is delivered again.
    pub(crate) fn not_parked(&mut self, parking: Parking) {
        let Parking { event, reason: _, origin, retries } = parking;
        self.deliver_again(Message { event, origin, retries });
    }

    /// Hands out what can be handed out.
    pub(crate) fn push(&mut self, now: Instant) {
        let mut waiting = std::mem::take(&mut self.retry);
        let full = self.push_from(&mut waiting, now);
        self.retry = waiting;
        if !full {
            let mut waiting = std::mem::take(&mut self.fresh);
            self.push_from(&mut waiting, now);
            self.fresh = waiting;
        }
    }

    /// Whether nobody can take any more.
    fn push_from(&mut self, waiting: &mut VecDeque<Message>, now: Instant) -> bool {
        let mut index = 0;
        while let Some(message) = waiting.get(index) {
            match self.dispatcher.choose(&self.consumers, &message.event) {
                Choice::Full => return true,
                Choice::Busy => index += 1,
                Choice::To(consumer, bucket) => {
                    if let Some(message) = waiting.remove(index) {
                        self.send(consumer, bucket, message, now);
                    }
                }
            }
        }
        false
    }

    fn send(&mut self, id: ConsumerId, bucket: Option<usize>, message: Message, now: Instant) {
        let number = self.deliveries;
        self.deliveries += 1;
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.in_flight += 1;
            consumer.total += 1;
        }
        self.dispatcher.sent(bucket);
        if let Some(sequence) = message.origin.sequence() {
            self.handed_out = self.handed_out.max(sequence + 1);
        }
        let delivery = Delivery { event: message.event.clone(), retries: message.retries };
        self.effects.push(Effect::Send(id, delivery));
        let due = self.settings.message_timeout().map(|timeout| self.next_expiry(now + timeout));
        self.due.extend(due.map(|due| (due, number)));
        self.by_id.entry(message.event.original.id).or_default().push_back(number);
        let outstanding = Outstanding { message, consumer: id, bucket, sent_at: now, due };
        self.outstanding.insert(number, outstanding);
    }

    /// The first time from `due` on at which messages are taken back.
    fn next_expiry(&self, due: Instant) -> Instant {
        let elapsed = due.saturating_duration_since(self.began).as_millis();
        let times = u32::try_from(elapsed.div_ceil(EXPIRY.as_millis())).unwrap_or(u32::MAX);
        self.began + EXPIRY * times
    }

    /// Events may share an id: then the message is meant that this consumer holds. A late answer
    /// is for whoever holds it by now.
    fn release_by_id(&mut self, from: ConsumerId, id: Uuid, now: Instant) -> Option<Message> {
        let numbers = self.by_id.get(&id)?;
        let is_theirs = |number: &&Number| {
            self.outstanding.get(*number).is_some_and(|outstanding| outstanding.consumer == from)
        };
        let number = numbers.iter().find(is_theirs).or_else(|| numbers.front()).copied()?;
        self.release(number, now)
    }

    /// Takes a message from the consumer that holds it.
    fn release(&mut self, number: Number, now: Instant) -> Option<Message> {
        let Outstanding { message, consumer, bucket, sent_at, due } =
            self.outstanding.remove(&number)?;
        let id = message.event.original.id;
        if let Some(numbers) = self.by_id.get_mut(&id) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_id.remove(&id);
            }
        }
        if let Some(due) = due {
            self.due.remove(&(due, number));
        }
        self.dispatcher.released(consumer, bucket);
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.released(sent_at, now);
        }
        Some(message)
    }

    fn retry_or_park(&mut self, message: Message) {
        let most = self.settings.max_retries();
        if message.retries < most {
            self.deliver_again(message);
        } else {
            self.park(message, format!("Reached retry count of {most}").into());
        }
    }

    fn deliver_again(&mut self, message: Message) {
        let message = Message { retries: message.retries + 1, ..message };
        let before = message.origin.sequence().and_then(|sequence| {
            self.retry
                .iter()
                .position(|other| other.origin.sequence().is_some_and(|other| other > sequence))
        });
        self.retry.insert(before.unwrap_or(self.retry.len()), message);
    }

    fn park(&mut self, message: Message, reason: Arc<str>) {
        let Message { event, origin, retries } = message;
        self.effects.push(Effect::Park(Parking { event, reason, origin, retries }));
    }

    fn done(&mut self, event: &Resolved, origin: Origin) {
        self.held = self.held.saturating_sub(event.size());
        match origin {
            Origin::Read { sequence } => self.progress.done(sequence),
            Origin::Replayed => self.replayed = self.replayed.saturating_sub(1),
        }
    }

    /// The position that has to be written as a checkpoint now, if one is due and none is being
    /// written.
    pub(crate) fn checkpoint(&mut self, now: Instant) -> Option<u64> {
        match self.checkpoint_due() {
            Due::Never => None,
            Due::At(due) if due > now => None,
            Due::Now | Due::At(_) => self.save(now),
        }
    }

    /// The position of everything that is done, if it is not saved.
    pub(crate) fn last_checkpoint(&mut self, now: Instant) -> Option<u64> {
        (self.unsaved() > 0).then(|| self.save(now)).flatten()
    }

    fn save(&mut self, now: Instant) -> Option<u64> {
        let reached = self.progress.reached();
        self.saving = Some(reached);
        self.saved_at = Some(now);
        reached.position
    }

    pub(crate) fn checkpoint_written(&mut self, written: bool) {
        if let Some(saving) = self.saving.take()
            && written
        {
            self.saved = saving;
        }
    }

    fn unsaved(&self) -> u64 {
        let reached = self.progress.reached();
        if reached.position.is_none() { 0 } else { reached.count - self.saved.count }
    }

    fn checkpoint_due(&self) -> Due {
        let unsaved = self.unsaved();
        if self.saving.is_some() || unsaved == 0 {
            return Due::Never;
        }
        if unsaved >= self.settings.max_checkpoint() {
            return Due::Now;
        }
        match (self.settings.checkpoint_after(), self.saved_at) {
            (None, _) => Due::Never,
            (Some(_), _) if unsaved < self.settings.min_checkpoint() => Due::Never,
            (Some(after), Some(saved_at)) => Due::At(saved_at + after),
            (Some(_), None) => Due::Now,
        }
    }

    /// When something has to be done although nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let expiry = self.due.first().map(|(due, _)| *due);
        let checkpoint = match self.checkpoint_due() {
            Due::At(due) => Some(due),
            Due::Now | Due::Never => None,
        };
        expiry.into_iter().chain(checkpoint).min()
    }

    /// The position of the newest checkpoint.
    pub(crate) fn saved(&self) -> Option<u64> {
        self.saved.position
    }

    /// Messages read and never handed out.
    pub(crate) fn fresh_count(&self) -> usize {
        self.fresh.len()
    }

    /// Messages that wait to be delivered again.
    pub(crate) fn retry_count(&self) -> usize {
        self.retry.len()
    }

    /// Messages that consumers hold.
    pub(crate) fn outstanding_count(&self) -> usize {
        self.outstanding.len()
    }

    #[cfg(test)]
    pub(crate) fn is_outstanding(&self, id: Uuid) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Deliveries ever made.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries
    }
}
