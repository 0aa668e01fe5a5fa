//! Tests of who may write: workers that take a slice from each other, and people who intervene.

use std::time::Duration;

use chrono::DateTime;
use domain::ids::{LocationCode, ReceiptId, Sku};
use domain::quantity::Quantity;
use domain::stock::{Stock, StockEvent, StockReceived};
use futures::TryStreamExt;
use journal::{ExpectedRevision, Journal, Position, Proposed, Recorded, ids};
use schemas::{Metadata, StoredEvent, StreamName, stream_of};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use uuid::Uuid;

use crate::bookkeeping::{self, GenerationId};
use crate::failure::Failure;
use crate::projections::stock_levels::StockLevels;
use crate::slice::Slice;
use crate::writer::Writer;
use crate::{ProjectionName, database, generation, testbed};

const STOCK: GenerationId = GenerationId { projection: ProjectionName::StockLevels, number: 1 };
const STREAMS: u32 = 40;
const EVENTS_EACH: u32 = 100;

/// A log, and databases to fold it into.
struct World {
    journal: Journal,
    log: Vec<Recorded>,
    _store: embedded_store::Server,
}

impl World {
    async fn open() -> Self {
        let (store, journal) = testbed::event_store().await;
        // Events of different streams take turns.
        for round in 0..4 {
            for stream in 0..STREAMS {
                let first = round * EVENTS_EACH / 4;
                append(&journal, stream, first..first + EVENTS_EACH / 4).await;
            }
        }
        let log = journal.read_all(Position::START).try_collect().await.unwrap();
        Self { journal, log, _store: store }
    }

    async fn writer(&self, address: &PgConnectOptions) -> Writer<StockLevels> {
        let (journal, holder) = (self.journal.clone(), ids::new_id());
        let none = Duration::ZERO;
        let writer = Writer::acquire(address, journal, STOCK, Slice::WHOLE, holder, none);
        writer.await.unwrap().unwrap()
    }

    /// How many events are before where `writer` is.
    fn done(&self, writer: &Writer<StockLevels>) -> usize {
        self.log.partition_point(|event| event.position <= writer.hold.position)
    }

    /// The next `count` events after that.
    fn next(&self, writer: &Writer<StockLevels>, count: usize) -> &[Recorded] {
        let from = self.done(writer);
        &self.log[from..self.log.len().min(from + count)]
    }

    async fn write(&self, writer: &mut Writer<StockLevels>, count: usize) -> Result<(), Failure> {
        let events = self.next(writer, count);
        let Some(last) = events.last() else {
            return writer.advance(writer.hold.position, false).await;
        };
        writer.write(events, last.position, false).await.map(drop)
    }
}

fn stream(number: u32) -> StreamName {
    stream_of::<Stock>(&Sku::new(format!("SKU-{number}")).unwrap())
}

async fn append(journal: &Journal, number: u32, revisions: std::ops::Range<u32>) {
    let expected = ExpectedRevision::after(revisions.start.checked_sub(1).map(u64::from));
    let proposed = revisions.map(|revision| {
        let received = StockReceived {
            receipt: ReceiptId(Uuid::from_u128(u128::from(number) << 32 | u128::from(revision))),
            location: LocationCode::default(),
            quantity: Quantity::new(i64::from(revision % 7) + 1).unwrap(),
        };
        let encoded = StockEvent::Received(received).encode();
        let seconds = 1_291_190_760 + i64::from(revision);
        let metadata = Metadata {
            command_id: Uuid::from_u128(1),
            correlation_id: Uuid::from_u128(2),
            causation_id: Uuid::from_u128(3),
            actor: "test:fencing".to_owned(),
            schema_version: encoded.version,
            recorded_at: DateTime::from_timestamp(seconds, 0).unwrap(),
            traceparent: None,
        };
        Proposed { event_id: ids::new_id(), metadata, encoded }
    });
    journal.append(&stream(number), expected, proposed.collect()).await.unwrap();
}

/// Every row of every table.
async fn dump(address: &PgConnectOptions) -> Vec<String> {
    const TABLES: &str = "select table_name::text from information_schema.tables \
         where table_schema = $1 order by 1";
    let schema = STOCK.schema();
    let mut connection = database::connect(address).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar(TABLES).bind(&schema).fetch_all(&mut connection).await.unwrap();
    let mut dump = vec![];
    for table in tables {
        let rows = format!("select '{table} ' || t::text from {schema}.{table} t order by t::text");
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut connection).await.unwrap();
        dump.extend(rows);
    }
    dump
}

/// What happened to a worker that takes the slice, again and again.
#[derive(Debug, Default, PartialEq)]
struct Luck {
    written: u32,
    lost: u32,
}

async fn insist(world: &World, mut writer: Writer<StockLevels>, rounds: u32) -> Luck {
    let (mut luck, holder) = (Luck::default(), ids::new_id());
    for round in 0..rounds {
        writer.take_over(holder).await.unwrap();
        // As much as it gets done until the other one has taken over. The log is to last until
        // the end.
        for count in [1, 2] {
            let due = world.log.len() * (round as usize + 1) / rounds as usize;
            let count = count.min(due.saturating_sub(world.done(&writer)));
            match world.write(&mut writer, count).await {
                Ok(()) => luck.written += 1,
                Err(Failure::Lost) => {
                    luck.lost += 1;
                    break;
                }
                Err(failure) => panic!("{failure:?}"),
            }
        }
    }
    luck
}

#[tokio::test]
async fn two_workers_forced_on_one_slice_ten_thousand_times_write_what_one_would() {
    let world = World::open().await;
    let (_, forced) = testbed::read_models().await;
    let (one, other) = (world.writer(&forced).await, world.writer(&forced).await);
    let (one, other) = tokio::join!(insist(&world, one, 5_000), insist(&world, other, 5_000));
    assert!(one.lost > 100 && other.lost > 100, "{one:?} {other:?}");
    assert!(one.written > 100 && other.written > 100, "{one:?} {other:?}");
    let mut last = world.writer(&forced).await;
    while !world.next(&last, 500).is_empty() {
        world.write(&mut last, 500).await.unwrap();
    }
    last.release().await;

    let (_, alone) = testbed::read_models().await;
    let mut writer = world.writer(&alone).await;
    while !world.next(&writer, 500).is_empty() {
        world.write(&mut writer, 500).await.unwrap();
    }
    writer.release().await;
    let (forced, alone) = (dump(&forced).await, dump(&alone).await);
    assert!(alone.len() > STREAMS as usize);
    assert_eq!(forced, alone);
}

#[tokio::test]
async fn what_somebody_does_between_two_batches_is_neither_lost_nor_overwritten() {
    const MARK: &str = "update stock_levels set quarantined = true where sku = 'SKU-0'";
    const NOTE: &str = "insert into orderstore.quarantine \
         (projection, generation, stream, revision, error) \
         values ('stock_levels', 1, $1, 25, 'looked at by hand')";
    const SEEN: &str = "select revision, quarantined from stock_levels where sku = 'SKU-0'";
    let world = World::open().await;
    let (_, address) = testbed::read_models().await;
    let mut writer = world.writer(&address).await;
    world.write(&mut writer, 1_000).await.unwrap();
    let before = writer.hold.position;

    let mut connection = database::connect_for_writing(&address, &STOCK.schema()).await.unwrap();
    let mut intervention = connection.begin().await.unwrap();
    bookkeeping::intervene(&mut intervention, STOCK.projection).await.unwrap();
    sqlx::query(MARK).execute(&mut *intervention).await.unwrap();
    sqlx::query(NOTE).bind(stream(0).as_str()).execute(&mut *intervention).await.unwrap();
    {
        let mut writing = std::pin::pin!(world.write(&mut writer, 1_000));
        // It has to wait: it gets no further while the intervention lasts.
        let waited = tokio::time::timeout(Duration::from_millis(200), &mut writing).await;
        assert!(waited.is_err(), "{waited:?}");
        intervention.commit().await.unwrap();
        writing.await.unwrap();
    }
    assert!(writer.hold.position > before);
    while !world.next(&writer, 1_000).is_empty() {
        world.write(&mut writer, 1_000).await.unwrap();
    }
    let seen: (i64, bool) = sqlx::query_as(SEEN).fetch_one(&mut connection).await.unwrap();
    assert_eq!(seen, (24, true), "nothing of the stream was folded after it was quarantined");
    let others: i64 = sqlx::query_scalar(
        "select count(*) from stock_levels where sku <> 'SKU-0' and revision = 99",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(others, i64::from(STREAMS) - 1);
}

#[tokio::test]
async fn the_next_event_is_folded_into_what_somebody_else_has_written() {
    const CHANGE: &str = "update stock_levels set low_stock_at = 7 where sku = 'SKU-0'";
    const SEEN: &str = "select revision, low_stock_at from stock_levels where sku = 'SKU-0'";
    let world = World::open().await;
    let (_, address) = testbed::read_models().await;
    let mut connection = database::connect_for_writing(&address, &STOCK.schema()).await.unwrap();
    let seen = async |connection: &mut PgConnection| -> (i64, Option<i64>) {
        sqlx::query_as(SEEN).fetch_one(connection).await.unwrap()
    };
    let mut writer = world.writer(&address).await;
    world.write(&mut writer, 3).await.unwrap();
    let (before, _) = seen(&mut connection).await;
    for (is_heard_of_in, wanted) in [("a batch", 7), ("a sign of life", 8)] {
        let mut intervention = connection.begin().await.unwrap();
        bookkeeping::intervene(&mut intervention, STOCK.projection).await.unwrap();
        let change = CHANGE.replace('7', &wanted.to_string());
        sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut *intervention).await.unwrap();
        intervention.commit().await.unwrap();
        if is_heard_of_in == "a sign of life" {
            writer.advance(writer.hold.position, false).await.unwrap();
        }
        let revision = seen(&mut connection).await.0;
        while seen(&mut connection).await.0 == revision {
            world.write(&mut writer, 1).await.unwrap();
        }
        assert_eq!(seen(&mut connection).await.1, Some(wanted), "heard of in {is_heard_of_in}");
    }
    assert!(seen(&mut connection).await.0 > before);
}

#[tokio::test]
async fn who_stands_up_where_commits_were_lost_goes_back_with_the_checkpoint() {
    const SEEN: &str = "update orderstore.checkpoints set live = $1";
    const LOSE: &str = "update orderstore.checkpoints \
         set commit_position = commit_position - 1 where projection = 'stock_levels'";
    let world = World::open().await;
    let (_, address) = testbed::read_models().await;
    let mut connection = database::connect(&address).await.unwrap();
    for is_lost in [false, true] {
        sqlx::query(SEEN).bind(false).execute(&mut connection).await.unwrap();
        let mut writer = world.writer(&address).await;
        sqlx::query(SEEN).bind(true).execute(&mut connection).await.unwrap();
        world.write(&mut writer, 3).await.unwrap();
        if is_lost {
            sqlx::raw_sql(LOSE).execute(&mut connection).await.unwrap();
        }
        let stood_up = writer.stand_up(&address, ids::new_id(), Duration::ZERO).await;
        assert_eq!(matches!(stood_up, Err(Failure::Moved)), is_lost, "{stood_up:?}");
    }
}

#[tokio::test]
async fn a_gap_is_counted_with_the_rows_that_it_was_healed_in() {
    let world = World::open().await;
    let (_, address) = testbed::read_models().await;
    let mut writer = world.writer(&address).await;
    let events = &world.log[30..40];
    let last = events.last().unwrap();
    let tally = writer.write(events, last.position, false).await.unwrap();
    assert_eq!(tally.gaps_healed, 1);
    // Nobody says goodbye.
    drop(writer);
    let mut connection = database::connect(&address).await.unwrap();
    let counted: (i64, i64) = sqlx::query_as(
        "select gaps_healed, events_applied from orderstore.checkpoints \
         where projection = 'stock_levels'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(counted, (1, 15));
}

#[tokio::test]
async fn a_long_stream_that_is_readmitted_does_not_keep_the_others_waiting() {
    const QUARANTINE: &str = "insert into orderstore.quarantine \
         (projection, generation, stream, revision, error) values ('stock_levels', 1, $1, 0, '')";
    const LONG: u32 = 5_200;
    let world = World::open().await;
    for first in (EVENTS_EACH..LONG).step_by(1_020) {
        append(&world.journal, 0, first..first + 1_020).await;
    }
    let (_, address) = testbed::read_models().await;
    let mut connection = database::connect_for_writing(&address, &STOCK.schema()).await.unwrap();
    for number in [0, 1] {
        let note = sqlx::query(QUARANTINE).bind(stream(number).as_str().to_owned());
        note.execute(&mut connection).await.unwrap();
    }
    let state = async |connection: &mut PgConnection| -> Vec<(String, i64, bool)> {
        let rows = "select sku, revision, quarantined from stock_levels order by sku";
        sqlx::query_as(rows).fetch_all(connection).await.unwrap()
    };
    let row = |sku: &str, revision: u32, waits| (sku.to_owned(), i64::from(revision), waits);

    let mut writer = world.writer(&address).await;
    let retry = async |writer: &mut Writer<StockLevels>| {
        writer.retry_untried(Duration::ZERO, false).await.unwrap().applied
    };
    assert_eq!(retry(&mut writer).await, 2_000);
    assert_eq!(state(&mut connection).await, [row("SKU-0", 1_999, true)]);
    assert_eq!(retry(&mut writer).await, u64::from(EVENTS_EACH));
    let others = row("SKU-1", EVENTS_EACH - 1, false);
    assert_eq!(state(&mut connection).await, [row("SKU-0", 1_999, true), others.clone()]);
    // Whoever takes over goes on.
    let mut writer = world.writer(&address).await;
    while writer.has_untried() {
        retry(&mut writer).await;
    }
    assert_eq!(state(&mut connection).await, [row("SKU-0", LONG - 1, false), others]);
    let left: i64 = sqlx::query_scalar("select count(*) from orderstore.quarantine")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn nobody_knows_that_a_log_is_quiet_beyond_its_end() {
    let world = World::open().await;
    let head = world.journal.head().await.unwrap();
    let beyond = Position { commit: head.commit + 1, prepare: head.prepare + 1 };
    for (category, from, to, quiet) in [
        ("order", Position::START, head, true),
        ("order", Position::START, beyond, false),
        ("stock", Position::START, head, false),
        ("stock", head, head, true),
        ("stock", head, beyond, false),
    ] {
        let found = generation::is_quiet(&world.journal, category, from, to, |_| true).await;
        assert_eq!(found.unwrap(), quiet, "{category} {from} {to}");
    }
}
