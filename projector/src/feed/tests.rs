//! Workers read the log together, and each gets everything once, in order.

use std::time::Duration;

use chrono::DateTime;
use domain::ids::{LocationCode, ReceiptId, Sku};
use domain::quantity::Quantity;
use domain::stock::{Stock, StockEvent, StockReceived};
use journal::{ExpectedRevision, Proposed, ids};
use schemas::{Aggregate, Metadata, StoredEvent, StreamName, stream_of};
use tokio::time::timeout;
use uuid::Uuid;

use super::*;
use crate::testbed;

const CATEGORY: &str = Stock::CATEGORY;
const HALVES: [Slice; 2] = [Slice { number: 0, of: 2 }, Slice { number: 1, of: 2 }];
/// No healthy machine takes so long for anything here.
const DEADLINE: Duration = Duration::from_mins(1);

struct World {
    company: Company,
    _store: embedded_store::Server,
}

impl World {
    async fn open() -> Self {
        let (store, journal) = testbed::event_store().await;
        let company = Company::new(&journal, &CancellationToken::new());
        Self { company, _store: store }
    }

    /// One event in a new stream. Where it is.
    async fn append(&self, number: u32) -> Position {
        let receipt = ReceiptId(Uuid::from_u128(number.into()));
        let (location, quantity) = (LocationCode::default(), Quantity::new(1).unwrap());
        let event = StockEvent::Received(StockReceived { receipt, location, quantity });
        let encoded = event.encode();
        let metadata = Metadata {
            command_id: Uuid::from_u128(1),
            correlation_id: Uuid::from_u128(2),
            causation_id: Uuid::from_u128(3),
            actor: "test:feed".to_owned(),
            schema_version: encoded.version,
            recorded_at: DateTime::UNIX_EPOCH,
            traceparent: None,
        };
        let proposed = Proposed { event_id: ids::new_id(), metadata, encoded };
        let none = ExpectedRevision::NoStream;
        self.company.journal.append(&stream(number), none, vec![proposed]).await.unwrap();
        self.company.journal.head().await.unwrap()
    }

    async fn feed(&self, slice: Slice) -> Reader {
        let feed = Feed::after(&self.company, CATEGORY, slice, Position::START).await;
        Reader { feed, slice, at: Position::START, read: vec![] }
    }

    /// One that reads the log from `from` on with all who are asked for at about the same time.
    fn traveller(&self, slice: Slice, from: Position) -> Reader {
        let Company { journal, stop, boarding, .. } = &self.company;
        let way = Way::Together(boarding.join(journal, stop, CATEGORY, slice, from));
        let feed = Feed { company: self.company.clone(), category: CATEGORY, slice, way };
        Reader { feed, slice, at: from, read: vec![] }
    }

    /// How many workers follow the end of the log together.
    fn together(&self) -> usize {
        let running = self.company.lines.running();
        running.get(CATEGORY).map_or(0, line::Line::passengers)
    }
}

fn stream(number: u32) -> StreamName {
    stream_of::<Stock>(&Sku::new(format!("SKU-{number}")).unwrap())
}

struct Reader {
    feed: Feed,
    slice: Slice,
    at: Position,
    read: Vec<StreamName>,
}

impl Reader {
    async fn read_to(&mut self, position: Position) {
        let reading = async {
            while self.at < position {
                for delivery in self.feed.gather(100, Duration::ZERO).await {
                    let at = delivery.position().unwrap_or(self.at);
                    assert!(at >= self.at, "{at} after {}", self.at);
                    if let Delivery::Event(event) = delivery {
                        assert!(at > self.at, "{} came twice", event.stream);
                        self.read.push(event.stream);
                    }
                    self.at = at;
                }
            }
        };
        timeout(DEADLINE, reading).await.expect("what has happened comes");
    }

    /// All of our slice, each once, in the order in which they happened.
    fn has_read(&self, numbers: std::ops::Range<u32>) {
        let ours = |stream: &&StreamName| self.slice.has(stream);
        let all: Vec<_> = numbers.map(stream).filter(|stream| ours(&stream)).collect();
        let read: Vec<_> = self.read.iter().filter(ours).cloned().collect();
        assert_eq!(read, all);
    }
}

#[tokio::test]
async fn workers_that_set_out_together_get_what_is_theirs_and_nothing_else() {
    let world = World::open().await;
    let mut at = vec![];
    for number in 0..60 {
        at.push(world.append(number).await);
    }
    let mut readers = [
        world.traveller(Slice::WHOLE, Position::START),
        world.traveller(HALVES[0], Position::START),
        world.traveller(HALVES[1], Position::START),
        world.traveller(Slice::WHOLE, at[19]),
    ];
    for reader in &mut readers {
        reader.read_to(at[59]).await;
        assert!(matches!(reader.feed.way, Way::Together(_)), "nobody has to go on alone");
        assert!(reader.read.iter().all(|stream| reader.slice.has(stream)));
    }
    let [all, halves @ .., late] = &readers;
    for reader in [all].into_iter().chain(halves) {
        reader.has_read(0..60);
    }
    late.has_read(20..60);
}

#[tokio::test]
async fn workers_at_the_end_of_the_log_follow_it_together() {
    let world = World::open().await;
    let mut readers = vec![];
    for slice in [Slice::WHOLE, HALVES[0], HALVES[1]] {
        readers.push(world.feed(slice).await);
    }
    // One after the other, so that some join while others are further.
    let mut number = 0;
    for joined in 0..readers.len() {
        while world.together() <= joined {
            let at = world.append(number).await;
            number += 1;
            for reader in &mut readers[..=joined] {
                reader.read_to(at).await;
            }
            assert!(number < 1_000, "nobody joins the others");
        }
    }
    let mut last = Position::START;
    for number in number..number + 50 {
        last = world.append(number).await;
    }
    for reader in &mut readers {
        reader.read_to(last).await;
        reader.has_read(0..number + 50);
    }
    // From there on each got what is of its slice, and nothing else.
    let theirs = |reader: &Reader| reader.read.iter().rev().take(10).cloned().collect::<Vec<_>>();
    assert!(theirs(&readers[1]).iter().all(|stream| HALVES[0].has(stream)));
    assert!(theirs(&readers[2]).iter().all(|stream| HALVES[1].has(stream)));
}

#[tokio::test]
async fn who_is_too_slow_for_the_others_is_left_behind_and_misses_nothing() {
    let world = World::open().await;
    let (mut quick, mut slow) = (world.feed(Slice::WHOLE).await, world.feed(Slice::WHOLE).await);
    let mut number = 0;
    while world.together() < 2 {
        let at = world.append(number).await;
        number += 1;
        quick.read_to(at).await;
        slow.read_to(at).await;
    }
    let mut last = Position::START;
    while world.together() == 2 {
        last = world.append(number).await;
        number += 1;
        quick.read_to(last).await;
        assert!(number < 2_000, "nobody is left behind");
    }
    slow.read_to(last).await;
    for reader in [&quick, &slow] {
        reader.has_read(0..number);
    }
}

#[tokio::test]
async fn nothing_is_read_for_nobody() {
    let world = World::open().await;
    let mut reader = world.feed(Slice::WHOLE).await;
    let mut number = 0;
    while world.together() == 0 {
        let at = world.append(number).await;
        number += 1;
        reader.read_to(at).await;
    }
    drop(reader);
    let mut witness =
        world.company.journal.subscribe(Filter::categories(&[CATEGORY]), Position::START);
    while world.together() > 0 {
        world.append(number).await;
        number += 1;
        witness.next().await;
        assert!(number < 1_000, "a line goes on for nobody");
    }
}
