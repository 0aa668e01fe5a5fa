//! The storage by itself: random histories against the model, with restarts among them, and a disk
//! that is full.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::*;
use crate::semantics::append::{Removal, Verdict};
use crate::semantics::model::{Limits, Model, Operation, operation};
use crate::semantics::names::metastream_of;

const STREAM: &str = "s";

fn proposed(id: Uuid, size: usize) -> Proposed {
    Proposed {
        id,
        kind: "Happened".into(),
        is_json: false,
        metadata: Bytes::new(),
        data: vec![0; size].into(),
    }
}

fn write(stream: &str, expected: Expected, change: Change) -> Write {
    Write { stream: stream.into(), expected, change }
}

async fn visible(storage: &Storage) -> Vec<(u64, Uuid)> {
    let query = StreamQuery {
        stream: STREAM.into(),
        from: From::Start,
        direction: Direction::Forwards,
        limit: u64::MAX,
        now: ticks_now(),
    };
    match storage.read_stream(query).await.unwrap() {
        StreamPage::NotFound | StreamPage::Tombstoned => Vec::new(),
        StreamPage::Events(page) => {
            page.events.iter().map(|event| (event.revision, event.id)).collect()
        }
    }
}

async fn log(storage: &Storage) -> Vec<Arc<Recorded>> {
    let (mut events, mut low) = (Vec::new(), 1);
    loop {
        let query = LogQuery {
            range: (low, u64::MAX),
            direction: Direction::Forwards,
            limit: u64::MAX,
            scan: Scan::default(),
        };
        let page = storage.read_log(query).await.unwrap();
        events.extend(page.items.into_iter().filter_map(|item| match item {
            Item::Event(event) => Some(event),
            Item::Checkpoint(_) => None,
        }));
        match page.examined {
            Some(examined) if !page.end => low = examined + 1,
            Some(_) | None => return events,
        }
    }
}

/// Performs an operation on both; fails if they disagree.
async fn perform(storage: &Storage, model: &mut Model, operation: &Operation) {
    match operation {
        Operation::Append(expected, ids) => {
            let ids: Vec<_> = ids.iter().map(|id| Uuid::from_u128(u128::from(*id))).collect();
            let events = ids.iter().map(|id| proposed(*id, 10)).collect();
            let change = Change::Append(events);
            let written = storage.write(write(STREAM, *expected, change)).await.unwrap();
            match model.append(*expected, &ids) {
                Verdict::Write { first } => {
                    let last = Some(first + ids.len() as u64 - 1);
                    let mut events = log(storage).await.into_iter();
                    let newest = events.rfind(|event| &*event.stream == STREAM).unwrap();
                    let position = Some(newest.position);
                    assert_eq!(written, Written::Done { revision: last, position });
                }
                Verdict::Repeated { last } => {
                    let Written::Done { revision, position } = written else {
                        panic!("{written:?}");
                    };
                    let original = log(storage)
                        .await
                        .into_iter()
                        .find(|event| &*event.stream == STREAM && event.revision == last);
                    assert_eq!(revision, Some(last));
                    // The log shows none when the stream was deleted since.
                    if let Some(original) = original {
                        assert_eq!(position, Some(original.position));
                    }
                }
                Verdict::WrongExpected { current } => {
                    assert_eq!(written, Written::WrongExpected { current });
                }
                Verdict::Deleted => assert_eq!(written, Written::Deleted),
            }
        }
        Operation::Delete(expected) => {
            let written = storage.write(write(STREAM, *expected, Change::Delete)).await.unwrap();
            check_removal(written, model.remove(*expected, false));
        }
        Operation::Tombstone(expected) => {
            let change = Change::Tombstone;
            let written = storage.write(write(STREAM, *expected, change)).await.unwrap();
            check_removal(written, model.remove(*expected, true));
        }
        Operation::SetMetadata(limits) => {
            let id = Uuid::from_u128(1_000 + u128::from(*storage.committed().borrow()));
            let mut metadata = proposed(id, 0);
            metadata.is_json = true;
            metadata.data = written_as(*limits).into();
            let change = Change::Append(vec![metadata]);
            storage.write(write(&metastream_of(STREAM), Expected::Any, change)).await.unwrap();
            model.set_metadata(*limits);
        }
    }
}

fn written_as(limits: Limits) -> Vec<u8> {
    let mut fields = serde_json::Map::new();
    fields.extend(limits.truncate_before.map(|before| ("$tb".to_owned(), before.into())));
    fields.extend(limits.max_count.map(|count| ("$maxCount".to_owned(), count.into())));
    serde_json::Value::Object(fields).to_string().into_bytes()
}

/// Every read of the stream in either direction, of any two events, and what a link to any
/// revision finds.
async fn check_reads(storage: &Storage, model: &Model) {
    let all = model.visible();
    let read = async |from, direction| {
        let query =
            StreamQuery { stream: STREAM.into(), from, direction, limit: 2, now: ticks_now() };
        match storage.read_stream(query).await.unwrap() {
            StreamPage::NotFound | StreamPage::Tombstoned => Vec::new(),
            StreamPage::Events(page) => {
                page.events.iter().map(|event| (event.revision, event.id)).collect::<Vec<_>>()
            }
        }
    };
    let revisions = 0..model.events.len() as u64 + 2;
    for begin in revisions.clone() {
        let forwards = all.iter().filter(|(revision, _)| *revision >= begin).take(2);
        let expected: Vec<_> = forwards.copied().collect();
        assert_eq!(read(From::Revision(begin), Direction::Forwards).await, expected);
        let backwards = all.iter().rev().filter(|(revision, _)| *revision <= begin).take(2);
        let expected: Vec<_> = backwards.copied().collect();
        assert_eq!(read(From::Revision(begin), Direction::Backwards).await, expected);
    }
    let links = revisions.map(|revision| (revision, STREAM.into())).collect();
    let linked = storage.read_linked(links, ticks_now()).await.unwrap();
    let linked: Vec<_> =
        linked.into_iter().flatten().map(|event| (event.revision, event.id)).collect();
    assert_eq!(linked, all);
}

fn check_removal(written: Written, judged: Removal) {
    match judged {
        Removal::Remove => assert!(matches!(written, Written::Done { .. })),
        Removal::WrongExpected { current } => {
            assert_eq!(written, Written::WrongExpected { current });
        }
        Removal::Deleted => assert_eq!(written, Written::Deleted),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn every_history_reads_as_the_model_says_also_after_restarts(
        operations in proptest::collection::vec((operation(), proptest::bool::weighted(0.15)), 1..25),
    ) {
        let directory = TempDir::new().unwrap();
        Runtime::new().unwrap().block_on(async {
            let mut storage = Storage::open(Some(directory.path()), false).unwrap();
            let mut model = Model::default();
            for (operation, restart) in operations {
                if restart {
                    storage.close().await;
                    storage = Storage::open(Some(directory.path()), false).unwrap();
                }
                perform(&storage, &mut model, &operation).await;
                assert_eq!(visible(&storage).await, model.visible(), "after {operation:?}");
            }
            check_reads(&storage, &model).await;
            let positions: Vec<_> = log(&storage).await.iter().map(|event| event.position).collect();
            assert!(positions.is_sorted_by(|one, next| one < next), "{positions:?}");
            assert_eq!(positions.len() as u64 + model.destroyed(), *storage.committed().borrow());
            storage.close().await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_share_a_commit_see_each_other() {
    let storage = Storage::open(None, false).unwrap();
    let mut receipts = Vec::new();
    for number in 0..50_u128 {
        let expected = match number {
            0 => Expected::NoStream,
            _ => Expected::Revision(u64::try_from(number).unwrap() - 1),
        };
        let change = Change::Append(vec![proposed(Uuid::from_u128(number), 10)]);
        receipts.push(storage.submit(write(STREAM, expected, change)).await.unwrap());
    }
    for (number, receipt) in (0..).zip(receipts) {
        let written = receipt.written().await.unwrap();
        let (revision, position) = (Some(number), Some(number + 1));
        assert_eq!(written, Written::Done { revision, position });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_comes_into_the_database_without_waiting_for_more_of_them() {
    let storage = Storage::open(None, false).unwrap();
    let database = storage.directory().join(directory::DATABASE);
    // A quarter of what SQLite folds by itself.
    let size = 4 << 20;
    let event = proposed(Uuid::from_u128(1), size);
    storage.write(write(STREAM, Expected::Any, Change::Append(vec![event]))).await.unwrap();
    // (Not opened: whoever closes a file gives up the locks of its process on it.)
    let is_there = || std::fs::metadata(&database).unwrap().len() >= size as u64;
    let there = async {
        while !is_there() {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_mins(1);
    tokio::time::timeout(patience, there).await.expect("it is in the write-ahead log only");
    storage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_goes_on() {
    let directory = DataDir::open(None).unwrap();
    let connection = schema::open_writer(&directory, false).unwrap();
    // Pages of 4 KiB: SQLite refuses more as it refuses on a disk without space.
    connection.pragma_update(None, "max_page_count", 120).unwrap();
    let storage = Storage::start(directory, connection, false, Recovery::default()).unwrap();
    let append = |number: u128, size| {
        let change = Change::Append(vec![proposed(Uuid::from_u128(number), size)]);
        storage.write(write(STREAM, Expected::Any, change))
    };
    let mut accepted = 0;
    let refused = loop {
        match append(accepted, 20_000).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, WriteError::DiskFull), "{refused:?}");
    assert!(accepted > 5);
    assert!(storage.failure().borrow().is_none());
    assert_eq!(log(&storage).await.len() as u128, accepted);
    // What fits is still taken, and takes the place of what was refused.
    let revision = Some(u64::try_from(accepted).unwrap());
    let position = revision.map(|revision| revision + 1);
    let written = append(accepted, 10).await.unwrap();
    assert_eq!(written, Written::Done { revision, position });
    let large = append(99, 20_000).await;
    assert!(matches!(large, Err(WriteError::DiskFull)), "{large:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_held_by_another_program_refuses_and_goes_on() {
    let directory = DataDir::open(None).unwrap();
    let connection = schema::open_writer(&directory, false).unwrap();
    connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = Connection::open(directory.database()).unwrap();
    let storage = Storage::start(directory, connection, false, Recovery::default()).unwrap();
    let append = || {
        let change = Change::Append(vec![proposed(Uuid::nil(), 10)]);
        storage.write(write(STREAM, Expected::NoStream, change))
    };
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = append().await;
    assert!(matches!(refused, Err(WriteError::Locked)), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(append().await, Ok(Written::Done { position: Some(1), .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_after_the_end_is_refused() {
    let storage = Storage::open(None, false).unwrap();
    storage.close().await;
    let change = Change::Append(vec![proposed(Uuid::nil(), 1)]);
    let late = storage.write(write(STREAM, Expected::Any, change)).await;
    assert!(matches!(late, Err(WriteError::Stopping)));
}

#[test]
fn events_older_than_their_stream_allows_are_hidden() {
    Runtime::new().unwrap().block_on(async {
        let storage = Storage::open(None, false).unwrap();
        for number in 0..20 {
            let change = Change::Append(vec![proposed(Uuid::from_u128(number), 1)]);
            storage.write(write(STREAM, Expected::Any, change)).await.unwrap();
        }
        let mut metadata = proposed(Uuid::from_u128(99), 0);
        metadata.is_json = true;
        metadata.data = Bytes::from_static(br#"{"$maxAge":60}"#);
        let change = Change::Append(vec![metadata]);
        storage.write(write(&metastream_of(STREAM), Expected::Any, change)).await.unwrap();
        let log = log(&storage).await;
        assert!(log.windows(2).all(|pair| pair[0].created <= pair[1].created));
        for kept in [0_usize, 1, 7, 19] {
            // The moment at which everything up to this event is just too old.
            let now = log[kept].created + 60 * 10_000_000;
            let wanted = log[..20].iter().filter(|event| event.created > log[kept].created).count();
            let query = StreamQuery {
                stream: STREAM.into(),
                from: From::Start,
                direction: Direction::Forwards,
                limit: u64::MAX,
                now,
            };
            let StreamPage::Events(page) = storage.read_stream(query).await.unwrap() else {
                panic!("not found");
            };
            assert_eq!(page.events.len(), wanted);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_nobody_waits_for_any_more_still_takes_its_place() {
    let storage = Storage::open(None, false).unwrap();
    let (began, mut has_begun) = mpsc::unbounded_channel();
    let mut queries = Vec::new();
    let mut gates = Vec::new();
    for _ in 0..8 {
        let (gate, closed) = std::sync::mpsc::channel::<()>();
        let (readers, began) = (Arc::clone(&storage.readers), began.clone());
        gates.push(gate);
        queries.push(tokio::spawn(async move {
            let read = move |_: &Connection| {
                began.send(()).unwrap();
                // Until the gate is dropped.
                let _ = closed.recv();
                Ok(())
            };
            readers.run(read).await
        }));
    }
    for _ in 0..8 {
        has_begun.recv().await.unwrap();
    }
    for query in queries {
        query.abort();
        assert!(query.await.unwrap_err().is_cancelled());
    }
    assert_eq!(storage.running_queries(), 8);
    drop(gates);
    storage.close().await;
    assert_eq!(storage.running_queries(), 0);
}
