//! Reading the log once, from a position to its end, as fast as the store sends it.
//!
//! One read without a limit is under way for as long as nothing happens to it: a read in pages
//! spends a quarter of the time between pages, and a filtered subscription is not faster and has
//! no end that every store would tell. A task of its own takes what comes, drops what does not
//! pass the filter before anything is made of it, and keeps the rest ready in batches. It knows
//! its place, and after any trouble reads on from exactly there.

use std::sync::Arc;
use std::time::Duration;

use eventstore::{Client, ReadAllOptions, ReadEvent, ReadStream, ResolvedEvent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::gateway::{Asked, Gateway};
use crate::journal::head_by;
use crate::{Error, Filter, Position, Raw, wire};

/// A batch looks at so many events …
const BATCH: usize = 1024;
/// … or ends after the event with which it reaches so many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// So many batches may wait for whoever scans …
const WAITING: usize = 15;
/// … and so many bytes.
const WAITING_BYTES: u32 = 16 << 20;
/// When nothing is taken for so long, the read is given up until there is much room again: what is
/// on its way to one that does not take it is in the way of others on the same connection.
const KEEPING_UP: Duration = Duration::from_millis(250);
/// So many reads in a row may find nothing before the end of the log.
const READS_IN_VAIN: u32 = 3;

/// The events of some streams between two places of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In order. There may be none, when all that was looked at was for others.
    pub events: Vec<Raw>,
    /// Everything up to and including this has been looked at: what to begin after another time.
    pub position: Position,
    /// How many events were looked at, those for others included.
    pub examined: usize,
}

/// The log from a position to its end. Every event that passes the filter once, in order, without
/// gaps, whatever happens to the store or the network meanwhile. Dropping it ends it.
#[derive(Debug)]
pub struct Scan {
    gateway: Arc<Gateway>,
    filter: Filter,
    at: Position,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Fed { parcels: mpsc::Receiver<Parcel>, bytes: Arc<Semaphore>, _feeder: AbortOnDropHandle<()> },
    Ended,
}

/// What a feeder has to hand over.
#[derive(Debug)]
enum Parcel {
    /// With its share of the bytes that may wait.
    Batch(Batch, OwnedSemaphorePermit),
    /// The feeder could not go on.
    Failure(Error),
    End,
}

impl Scan {
    pub(crate) fn new(gateway: Arc<Gateway>, filter: Filter, after: Position) -> Self {
        Self { gateway, filter, at: after, state: State::Idle }
    }

    /// The next batch, `None` when there is none: the log has been read up to what was its end at
    /// the beginning, and usually somewhat further. Safe to cancel: nothing is lost.
    ///
    /// # Errors
    /// An error ends nothing: asked again, the scan goes on from where it was.
    /// [`Error::Unavailable`] after each deadline at which the store was away.
    pub async fn next(&mut self) -> Result<Option<Batch>, Error> {
        if let State::Idle = self.state {
            self.state = Feeder::start(Arc::clone(&self.gateway), self.filter.clone(), self.at);
        }
        let State::Fed { parcels, .. } = &mut self.state else { return Ok(None) };
        match parcels.recv().await {
            Some(Parcel::Batch(batch, _bytes)) => {
                self.at = batch.position;
                Ok(Some(batch))
            }
            Some(Parcel::Failure(error)) => {
                self.state = State::Idle;
                Err(error)
            }
            Some(Parcel::End) => {
                self.state = State::Ended;
                Ok(None)
            }
            // It ends with the runtime, or by a defect. This is not the end of the log.
            None => {
                self.state = State::Idle;
                Err(Error::Refused { reason: "a scan of the log was cut short".to_owned() })
            }
        }
    }

    /// Everything up to and including this has been handed out, or was for others: where another
    /// scan would go on.
    pub fn position(&self) -> Position {
        self.at
    }

    /// How many bytes have been read and wait to be taken. Near the limit of 16 MiB the store is
    /// faster than whoever takes, near none slower.
    pub fn waiting_bytes(&self) -> usize {
        match &self.state {
            State::Fed { bytes, .. } => WAITING_BYTES as usize - bytes.available_permits(),
            State::Idle | State::Ended => 0,
        }
    }
}

/// Reads ahead, until it meets the end or cannot go on.
struct Feeder {
    gateway: Arc<Gateway>,
    filter: Filter,
    /// Everything up to and including this has been read.
    at: Position,
    /// The read that is under way.
    reading: Option<ReadStream>,
    parcels: mpsc::Sender<Parcel>,
    bytes: Arc<Semaphore>,
}

impl Feeder {
    fn start(gateway: Arc<Gateway>, filter: Filter, after: Position) -> State {
        let (sender, parcels) = mpsc::channel(WAITING);
        let bytes = Arc::new(Semaphore::new(WAITING_BYTES as usize));
        let feeder = Self {
            gateway,
            filter,
            at: after,
            reading: None,
            parcels: sender,
            bytes: Arc::clone(&bytes),
        };
        let feeder = AbortOnDropHandle::new(tokio::spawn(feeder.run()));
        State::Fed { parcels, bytes, _feeder: feeder }
    }

    async fn run(mut self) {
        let last = match self.feed().await {
            Ok(()) => Parcel::End,
            Err(error) => Parcel::Failure(error),
        };
        // Nobody takes it when the scan is being dropped.
        let _ = self.parcels.send(last).await;
    }

    async fn feed(&mut self) -> Result<(), Error> {
        let gateway = Arc::clone(&self.gateway);
        let mut end = head_by(&gateway, gateway.effort()).await?;
        let mut in_vain = 0;
        loop {
            let (batch, over) = self.batch().await?;
            let progressed = batch.examined > 0;
            if progressed {
                in_vain = 0;
                self.hand_over(batch).await;
            }
            if over && self.at >= end {
                return Ok(());
            }
            if over && !progressed {
                in_vain += 1;
                end = end_again(&gateway, self.at, in_vain).await?;
            }
        }
    }

    /// Reads the next batch, and says whether the read came to its end with it. Nothing is in it
    /// only then.
    async fn batch(&mut self) -> Result<(Batch, bool), Error> {
        let gateway = Arc::clone(&self.gateway);
        let mut effort = gateway.effort();
        loop {
            let checked = effort.client().await?;
            let mut batch = Gathered::default();
            // The client's futures are very large; boxed, they do not make ours so.
            let filling = Box::pin(self.fill(&checked.client, &mut batch));
            let asked = effort.ask(checked.check, filling).await;
            if !matches!(asked, Ok(Asked::Answer(false))) {
                self.reading = None;
            }
            match asked {
                Ok(Asked::Answer(over)) => return Ok((batch.finish(self.at), over)),
                // What has come is to be taken first; the rest gets an effort of its own.
                Ok(_) | Err(_) if batch.examined > 0 => return Ok((batch.finish(self.at), false)),
                Ok(Asked::Again) => {}
                Ok(Asked::No(error)) => return Err(gateway.refusal(&error)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads into `batch`, where it stays even if this is given up half-way. Whether the read
    /// came to its end.
    async fn fill(&mut self, client: &Client, batch: &mut Gathered) -> eventstore::Result<bool> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            none => {
                let options = ReadAllOptions::default().forwards().position(wire::after(self.at));
                none.insert(client.read_all(&options).await?)
            }
        };
        while !batch.is_full() {
            match reading.next_read_event().await? {
                Some(ReadEvent::Event(event)) => batch.take(event, &self.filter, &mut self.at),
                Some(_position) => {}
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Waits for room, however long that takes.
    async fn hand_over(&mut self, batch: Batch) {
        let bytes: usize = batch.events.iter().map(Raw::bytes).sum();
        // An event larger than the limit goes through alone.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(WAITING_BYTES);
        let Self { parcels, bytes: waiting, reading, at, .. } = self;
        let room = match timeout(KEEPING_UP, room(parcels, waiting, bytes)).await {
            Ok(room) => room,
            Err(_elapsed) => {
                tracing::debug!(position = %at, "a scan waits for whoever takes");
                *reading = None;
                let _ = waiting.acquire_many(WAITING_BYTES / 2).await;
                let _ = parcels.reserve_many(WAITING / 2).await;
                room(parcels, waiting, bytes).await
            }
        };
        // (The semaphore is never closed, and without a receiver this task is gone.)
        if let Some((slot, bytes)) = room {
            slot.send(Parcel::Batch(batch, bytes));
        }
    }
}

async fn room<'a>(
    parcels: &'a mpsc::Sender<Parcel>,
    waiting: &Arc<Semaphore>,
    bytes: u32,
) -> Option<(mpsc::Permit<'a, Parcel>, OwnedSemaphorePermit)> {
    let bytes = Arc::clone(waiting).acquire_many_owned(bytes).await.ok()?;
    Some((parcels.reserve().await.ok()?, bytes))
}

/// Where the log ends, after a read has found nothing between `at` and its end. What was the last
/// event may be gone meanwhile; or the store is being stopped, and ends reads in good order.
async fn end_again(gateway: &Gateway, at: Position, in_vain: u32) -> Result<Position, Error> {
    let end = head_by(gateway, gateway.effort()).await?;
    if in_vain < READS_IN_VAIN || at >= end {
        return Ok(end);
    }
    let reason = format!("nothing comes after {at}, although the last event is at {end}");
    Err(Error::Refused { reason })
}

/// A batch that is being read.
#[derive(Default)]
struct Gathered {
    events: Vec<Raw>,
    examined: usize,
    bytes: usize,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.examined >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// Moves `at` past `event`, and keeps it if it is one to give.
    fn take(&mut self, event: ResolvedEvent, filter: &Filter, at: &mut Position) {
        let Some(event) = event.link.or(event.event) else { return };
        let position = wire::position(event.position);
        // A read begins *at* a position, so the event at it comes once more.
        if position <= *at {
            return;
        }
        *at = position;
        self.examined += 1;
        if filter.passes(&event.stream_id) {
            let event = wire::raw(event);
            self.bytes += event.bytes();
            self.events.push(event);
        }
    }

    fn finish(self, position: Position) -> Batch {
        Batch { events: self.events, position, examined: self.examined }
    }
}
