//! Given, when, then for projections: on a real Postgres and a real event store.
//!
//! A [`Story`] says what happened before, what happens now, and what the tables have to say then. It
//! is told in every [way](Telling) in which events can reach a projection: all at once, one by one,
//! twice, late, in the wrong order, with a crash at every point where a worker can die, and through a
//! build in bulk. All of them have to end in the same tables.

use std::marker::PhantomData;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use futures::TryStreamExt;
use journal::{ExpectedRevision, Journal, Position, Proposed, Recorded, ids};
use schemas::{Aggregate, Encoded, Metadata, StoredEvent, StreamName};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use uuid::Uuid;

use crate::bookkeeping::GenerationId;
use crate::database;
use crate::generation;
use crate::projection::Projection;
use crate::projections::Definition;
use crate::slice::Slice;
use crate::testbed;
use crate::writer::Writer;
use crate::{Options, ProjectionName, Rebuild, RebuildOptions};

/// What happened, what happens, and what comes of it.
pub(crate) struct Story<P> {
    given: Vec<(StreamName, Vec<Encoded>)>,
    when: Vec<(StreamName, Vec<Encoded>)>,
    projection: PhantomData<P>,
}

/// How the events of a story reach the projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// In one batch.
    Together,
    /// A batch for each.
    OneByOne,
    /// A batch for each, and each batch twice.
    Twice,
    /// The first one comes after all others.
    Late,
    /// The last one first: what comes before it is missing until it has come.
    Backwards,
    /// A worker dies at every point of every batch, and another one begins again.
    Interrupted,
    /// Out of the log, by the engine that builds generations.
    InBulk,
}

impl Telling {
    const ALL: [Self; 7] = [
        Self::Together,
        Self::OneByOne,
        Self::Twice,
        Self::Late,
        Self::Backwards,
        Self::Interrupted,
        Self::InBulk,
    ];
}

impl<P: Projection> Story<P> {
    pub(crate) const fn new() -> Self {
        Self { given: vec![], when: vec![], projection: PhantomData }
    }

    /// `events` came next in `stream`, and are in the tables.
    pub(crate) fn given<E: StoredEvent>(mut self, stream: &StreamName, events: &[E]) -> Self {
        self.given.push((stream.clone(), events.iter().map(StoredEvent::encode).collect()));
        self
    }

    /// `events` come next in `stream`.
    pub(crate) fn when<E: StoredEvent>(mut self, stream: &StreamName, events: &[E]) -> Self {
        self.when.push((stream.clone(), events.iter().map(StoredEvent::encode).collect()));
        self
    }

    /// What has to be true afterwards, however the story is told. Unqualified names are the tables of
    /// the projection.
    pub(crate) async fn then(self, is_told: impl AsyncFn(&mut PgConnection)) {
        let world = World::open().await;
        let given = world.append(&self.given).await;
        let when = world.append(&self.when).await;
        let given = world.events::<P>(Position::START, given).await;
        let when = world.events::<P>(given.last().map_or(Position::START, at), when).await;
        let mut first = None;
        for telling in Telling::ALL {
            // Builds know what is in the list of all projections. The one of the how-to is not.
            if telling == Telling::InBulk && !ProjectionName::ALL.contains(&P::NAME) {
                continue;
            }
            let generation = world.tell::<P>(&given, &when, telling).await;
            let mut connection = world.inside(generation).await;
            is_told(&mut connection).await;
            let tables = dump(&mut connection, &generation.schema()).await;
            let first = first.get_or_insert_with(|| tables.clone());
            assert_eq!(&tables, first, "told {telling:?}, on the left, it ends otherwise");
        }
    }
}

fn at(event: &Recorded) -> Position {
    event.position
}

/// A database and an event store.
struct World {
    journal: Journal,
    url: String,
    address: PgConnectOptions,
    _store: embedded_store::Server,
}

impl World {
    async fn open() -> Self {
        let (url, address) = testbed::read_models().await;
        let (store, journal) = testbed::event_store().await;
        Self { journal, url, address, _store: store }
    }

    /// Appends what happens; where the log ends then.
    async fn append(&self, happenings: &[(StreamName, Vec<Encoded>)]) -> Position {
        for (stream, events) in happenings {
            let last = self.journal.read_last(stream, 1).await.unwrap();
            let last = last.last().map(|event| event.revision);
            let first = last.map_or(0, |revision| revision + 1);
            let proposed = (first..).zip(events).map(|(revision, encoded)| Proposed {
                event_id: ids::new_id(),
                metadata: metadata(encoded.version, revision),
                encoded: encoded.clone(),
            });
            let expected = ExpectedRevision::after(last);
            self.journal.append(stream, expected, proposed.collect()).await.unwrap();
        }
        self.journal.head().await.unwrap()
    }

    /// The events of the projection's category after `from`, up to `to`.
    async fn events<P: Projection>(&self, from: Position, to: Position) -> Vec<Recorded> {
        let all: Vec<Recorded> = self.journal.read_all(from).try_collect().await.unwrap();
        let ours = |event: &Recorded| {
            event.stream.category() == P::Source::CATEGORY && event.position <= to
        };
        all.into_iter().filter(ours).collect()
    }

    /// An empty generation.
    async fn begin<P: Projection>(&self) -> GenerationId {
        let mut connection = database::connect(&self.address).await.unwrap();
        let definition = Definition::of::<P>();
        generation::begin_rebuild(&mut connection, &definition, &Options::default()).await.unwrap()
    }

    async fn inside(&self, generation: GenerationId) -> PgConnection {
        database::connect_for_writing(&self.address, &generation.schema()).await.unwrap()
    }

    async fn writer<P: Projection>(&self, generation: GenerationId) -> Writer<P> {
        let (journal, holder) = (self.journal.clone(), ids::new_id());
        // Whoever wrote before is dead.
        let patience = Duration::ZERO;
        let writer =
            Writer::acquire(&self.address, journal, generation, Slice::WHOLE, holder, patience);
        writer.await.unwrap().unwrap()
    }

    /// Tells the story; the generation whose tables it ends in.
    async fn tell<P: Projection>(
        &self,
        given: &[Recorded],
        when: &[Recorded],
        telling: Telling,
    ) -> GenerationId {
        if telling == Telling::InBulk {
            return self.build(P::NAME).await;
        }
        let generation = self.begin::<P>().await;
        let mut writer = self.writer::<P>(generation).await;
        write::<P>(&mut writer, given).await;
        let one_by_one = when.chunks(1);
        match telling {
            Telling::Together => write::<P>(&mut writer, when).await,
            Telling::OneByOne => {
                for event in one_by_one {
                    write::<P>(&mut writer, event).await;
                }
            }
            Telling::Twice => {
                for event in one_by_one {
                    write::<P>(&mut writer, event).await;
                    write::<P>(&mut writer, event).await;
                }
            }
            Telling::Late => {
                let (first, others) = when.split_at(when.len().min(1));
                for event in others.chunks(1).chain([first]) {
                    write::<P>(&mut writer, event).await;
                }
            }
            Telling::Backwards => {
                for event in one_by_one.rev() {
                    write::<P>(&mut writer, event).await;
                }
            }
            Telling::Interrupted => {
                for event in one_by_one {
                    self.write_with_crashes::<P>(generation, event).await;
                }
            }
            Telling::InBulk => {}
        }
        generation
    }

    /// Dies after the first step of the way, then after the second, and so on until it is done.
    async fn write_with_crashes<P: Projection>(
        &self,
        generation: GenerationId,
        event: &[Recorded],
    ) {
        for steps in 0.. {
            let mut writer = self.writer::<P>(generation).await;
            if event.last().is_none_or(|event| writer.hold.position >= event.position) {
                return;
            }
            let written = write::<P>(&mut writer, event);
            let _ = only(steps, written).await;
        }
    }

    /// A generation that is built out of the log and not promoted.
    async fn build(&self, projection: ProjectionName) -> GenerationId {
        let options = RebuildOptions { promote: false, gentle: false, ..RebuildOptions::default() };
        let mut connection = database::connect(&self.address).await.unwrap();
        generation::give_up(&mut connection, projection).await.unwrap();
        let names = [projection];
        let rebuild = Rebuild::start(&self.url, self.journal.clone(), &names, options);
        let built = rebuild.await.unwrap().finish().await.unwrap();
        let number = built.projections[0].generation;
        GenerationId { projection, number }
    }
}

async fn write<P: Projection>(writer: &mut Writer<P>, events: &[Recorded]) {
    let Some(to) = events.iter().map(at).max() else { return };
    let to = to.max(writer.hold.position);
    let tally = writer.write(events, to, false).await.unwrap();
    assert_eq!(tally.quarantined, 0, "an event of the story cannot be folded");
}

/// What comes of `work`, unless it takes more steps than that: then it is dropped where it is.
async fn only<F: Future>(mut steps: u32, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if steps == 0 => Poll::Ready(None),
        Poll::Pending => {
            steps -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Every row of every table of a schema.
async fn dump(connection: &mut PgConnection, schema: &str) -> Vec<String> {
    const TABLES: &str = "select table_name::text from information_schema.tables \
         where table_schema = $1 order by table_name";
    let tables: Vec<String> =
        sqlx::query_scalar(TABLES).bind(schema).fetch_all(&mut *connection).await.unwrap();
    let mut dump = vec![];
    for table in tables {
        let rows = format!("select '{table} ' || t::text from {table} t order by 1");
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut *connection).await.unwrap();
        dump.extend(rows);
    }
    dump
}

/// The same at every telling.
fn metadata(schema_version: u32, revision: u64) -> Metadata {
    let seconds = TimeDelta::seconds(i64::try_from(revision).unwrap());
    Metadata {
        command_id: Uuid::from_u128(1),
        correlation_id: Uuid::from_u128(2),
        causation_id: Uuid::from_u128(3),
        actor: "test:story".to_owned(),
        schema_version,
        recorded_at: DateTime::UNIX_EPOCH + seconds,
        traceparent: None,
    }
}
