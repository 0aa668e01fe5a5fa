//! Compaction: what it removes, what it keeps, and that nobody notices.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use embedded_store::Options;
use embedded_store::maintenance::{Depth, compact, verify};
use eventstore::operations::{self, OperationalOptions, ScavengeStatus};
use eventstore::{
    AppendToStreamOptions, DeleteStreamOptions, EventData, ExpectedRevision, ReadStreamOptions,
    StreamMetadataBuilder, StreamPosition, SubscribeToAllOptions, TombstoneStreamOptions,
};
use tempfile::TempDir;

use crate::harness::{
    Store, event, events, id, next_events, number, read, soon, store, store_with,
};

fn operations(store: &Store) -> operations::Client {
    operations::Client::new(store.server.connection_string().parse().unwrap())
}

/// Compacts over the wire, and waits for the end. Its last event.
async fn scavenge(store: &Store) -> serde_json::Value {
    let started =
        operations(store).start_scavenge(1, 0, &OperationalOptions::default()).await.unwrap();
    assert_eq!(started.status(), ScavengeStatus::Started);
    completed(store, started.id()).await
}

async fn completed(store: &Store, scavenge: &str) -> serde_json::Value {
    let stream = format!("$scavenges-{scavenge}");
    soon(async {
        loop {
            let events = read(&store.client, &stream, &ReadStreamOptions::default()).await.unwrap();
            if let Some(event) = events.iter().find(|it| it.event_type == "$scavengeCompleted") {
                return event.as_json().unwrap();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn set(store: &Store, stream: &str, metadata: StreamMetadataBuilder) {
    let options = AppendToStreamOptions::default();
    store.client.set_stream_metadata(stream, &options, &metadata.build()).await.unwrap();
}

/// Ids of what is left of a few streams in the log.
async fn in_log(store: &Store, stream: &str) -> Vec<u64> {
    let log = store.log().await;
    log.iter().filter(|event| event.stream_id == stream).map(|event| event.revision).collect()
}

fn assert_sound(directory: &Path) {
    let verified = verify(directory, Depth::Full, &mut |_| ()).unwrap();
    assert_eq!(verified.problems, []);
}

/// Streams with everything that hides events.
async fn fill(store: &Store) {
    for (place, stream) in
        ["kept", "counted", "truncated", "emptied", "deleted", "ended", "revived"]
            .into_iter()
            .enumerate()
    {
        let first = u32::try_from(place).unwrap() * 10;
        store.add(stream, events(first..first + 10)).await;
    }
    set(store, "counted", StreamMetadataBuilder::new().max_count(9)).await;
    set(store, "counted", StreamMetadataBuilder::new().max_count(3)).await;
    set(store, "truncated", StreamMetadataBuilder::new().truncate_before(4)).await;
    set(store, "emptied", StreamMetadataBuilder::new().truncate_before(100)).await;
    let options = DeleteStreamOptions::default();
    store.client.delete_stream("deleted", &options).await.unwrap();
    store.client.delete_stream("revived", &options).await.unwrap();
    store.add("revived", events(100..102)).await;
    let options = TombstoneStreamOptions::default();
    store.client.tombstone_stream("ended", &options).await.unwrap();
}

async fn assert_compacted(store: &Store) {
    assert_eq!(in_log(store, "kept").await, (0..10).collect::<Vec<_>>());
    assert_eq!(in_log(store, "counted").await, [7, 8, 9]);
    assert_eq!(in_log(store, "$$counted").await, [1]);
    assert_eq!(in_log(store, "truncated").await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(in_log(store, "emptied").await, [9]);
    assert_eq!(in_log(store, "deleted").await, [9]);
    assert_eq!(in_log(store, "revived").await, [10, 11]);
    assert_eq!(in_log(store, "ended").await, [i64::MAX as u64]);
    // What was visible is as it was.
    assert_eq!(store.numbers("counted").await, [17, 18, 19]);
    assert_eq!(store.numbers("truncated").await, [24, 25, 26, 27, 28, 29]);
    assert!(store.numbers("emptied").await.is_empty());
    assert_eq!(store.numbers("revived").await, [100, 101]);
    let deleted = read(&store.client, "deleted", &ReadStreamOptions::default()).await;
    assert!(matches!(deleted, Err(eventstore::Error::ResourceNotFound)));
    let ended = read(&store.client, "ended", &ReadStreamOptions::default()).await;
    assert!(matches!(ended, Err(eventstore::Error::ResourceDeleted)));
    let backwards = ReadStreamOptions::default().backwards().position(StreamPosition::End);
    let backwards = read(&store.client, "counted", &backwards).await.unwrap();
    assert_eq!(backwards.iter().map(number).collect::<Vec<_>>(), [19, 18, 17]);
}

/// Revisions go on as if nothing had been removed, and repetitions are recognised.
async fn assert_appends_go_on(store: &Store) {
    for (stream, next) in [("counted", 10), ("emptied", 10), ("deleted", 10), ("revived", 12)] {
        let stale = store.append(stream, ExpectedRevision::Exact(next), vec![event(500)]).await;
        assert!(matches!(stale, Err(eventstore::Error::WrongExpectedVersion { .. })), "{stream}");
        let events = || vec![EventData::binary("Later", "x".into()).id(id(900 + u128::from(next)))];
        let expected = ExpectedRevision::Exact(next - 1);
        let first = store.append(stream, expected, events()).await.unwrap();
        assert_eq!(first.next_expected_version, next, "{stream}");
        let again = store.append(stream, expected, events()).await.unwrap();
        assert_eq!(again.next_expected_version, next, "{stream}");
        assert_eq!(again.position, first.position, "{stream}");
    }
    let ended = store.append("ended", ExpectedRevision::Any, vec![event(600)]).await;
    assert!(matches!(ended, Err(eventstore::Error::ResourceDeleted)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_removes_what_is_hidden_for_good_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let options = || Options { durable: false, ..Options::at(directory.path()) };
    let store = store_with(options()).await;
    fill(&store).await;
    let completed = scavenge(&store).await;
    assert_eq!(completed["result"], "Success");
    assert!(completed["spaceSaved"].as_u64().unwrap() > 0);
    assert_compacted(&store).await;
    assert_sound(directory.path());
    soon(store.server.stop()).await;
    let store = store_with(options()).await;
    assert_compacted(&store).await;
    assert_appends_go_on(&store).await;
    assert_sound(directory.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_store_is_compacted_by_itself_and_gets_smaller() {
    let directory = TempDir::new().unwrap();
    let options = || Options { durable: false, ..Options::at(directory.path()) };
    let store = store_with(options()).await;
    fill(&store).await;
    let large =
        |place: u128| EventData::binary("Large", vec![b'.'; 100_000].into()).id(id(10_000 + place));
    store.add("large", (0..9).map(large).collect()).await;
    set(&store, "large", StreamMetadataBuilder::new().max_count(1)).await;
    let in_use = compact(directory.path(), &mut |_| ()).unwrap_err().to_string();
    assert!(in_use.contains("in use"), "{in_use}");
    soon(store.server.stop()).await;
    let compacted = compact(directory.path(), &mut |_| ()).unwrap();
    assert!(compacted.bytes > 800_000, "{compacted:?}");
    assert!(compacted.size_after + 800_000 < compacted.size_before, "{compacted:?}");
    assert_sound(directory.path());
    let store = store_with(options()).await;
    assert_compacted(&store).await;
    assert_appends_go_on(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn space_is_given_back_while_the_server_runs() {
    let directory = TempDir::new().unwrap();
    let store = store_with(Options { durable: false, ..Options::at(directory.path()) }).await;
    let large = |place: u128| EventData::binary("Large", vec![b'.'; 50_000].into()).id(id(place));
    for round in 0..20 {
        store.add("large", (round * 10..round * 10 + 10).map(large).collect()).await;
    }
    set(&store, "large", StreamMetadataBuilder::new().max_count(2)).await;
    scavenge(&store).await;
    let connection = rusqlite::Connection::open(directory.path().join("events.sqlite")).unwrap();
    let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    assert!(pages < 100, "{pages} pages for 100 kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_holds_what_was_removed() {
    let directory = TempDir::new().unwrap();
    let store = store_with(Options { durable: false, ..Options::at(directory.path()) }).await;
    // Sizes from a few bytes to several pages, streams interleaved, so that pages are shared and
    // rows move when others go.
    let secret = |stream: usize, round: usize| format!("[secret {stream} {round}]");
    for round in 0..120 {
        for stream in 0..4 {
            let size = (round * 977 + stream * 3_571) % [60, 600, 5_000, 9_000][stream];
            let data = secret(stream, round) + &"x".repeat(size);
            store.add(&format!("s{stream}"), vec![EventData::binary("Secret", data.into())]).await;
        }
    }
    // Middle parts of the log go first, then more of it.
    for (stream, counts) in [(0, [90, 5]), (1, [60, 50]), (2, [119, 1]), (3, [30, 20])] {
        set(&store, &format!("s{stream}"), StreamMetadataBuilder::new().max_count(counts[0])).await;
    }
    scavenge(&store).await;
    for (stream, count) in [(0, 5), (1, 50), (2, 1), (3, 20)] {
        set(&store, &format!("s{stream}"), StreamMetadataBuilder::new().max_count(count)).await;
    }
    scavenge(&store).await;
    let found = |secret: &str| {
        std::fs::read_dir(directory.path()).unwrap().any(|entry| {
            let content = std::fs::read(entry.unwrap().path()).unwrap();
            content.windows(secret.len()).any(|window| window == secret.as_bytes())
        })
    };
    let mut left = Vec::new();
    for (stream, count) in [(0, 5), (1, 50), (2, 1), (3, 20)] {
        for round in (0..120_usize).step_by(7).chain([0, 119]) {
            if found(&secret(stream, round)) != (round >= 120 - count) {
                left.push((stream, round));
            }
        }
    }
    assert_eq!(left, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_writers_do_not_notice_a_compaction_under_their_feet() {
    let store = store().await;
    set(&store, "rolling", StreamMetadataBuilder::new().max_count(5)).await;
    let options = SubscribeToAllOptions::default().position(StreamPosition::Start);
    let mut subscription = store.client.subscribe_to_all(&options).await;
    let writing = async {
        for round in 0..40 {
            let first = round * 40;
            store.add("kept", events(first..first + 10)).await;
            store.add("rolling", events(first + 10..first + 40)).await;
        }
    };
    let compacting = async {
        for _ in 0..6 {
            scavenge(&store).await;
            assert!(store.numbers("rolling").await.len() <= 5);
        }
    };
    let following = async {
        let mut kept = Vec::new();
        let (mut last, mut seen) = (None, HashSet::new());
        while kept.len() < 400 {
            let event = next_events(&mut subscription, 1).await.remove(0);
            let position = event.position.commit;
            assert!(last.is_none_or(|last| last < position), "in order");
            assert!(seen.insert(event.id), "once");
            last = Some(position);
            if event.stream_id == "kept" {
                kept.push(number(&event));
            }
        }
        kept
    };
    let ((), (), kept) = tokio::join!(writing, compacting, following);
    let all: Vec<_> = (0..40).flat_map(|round| round * 40..round * 40 + 10).collect();
    assert_eq!(kept, all);
    assert_eq!(store.numbers("kept").await, all);
    assert_eq!(store.numbers("rolling").await, (1_595..1_600).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_its_stream_allows_is_removed() {
    let store = store().await;
    store.add("a", events(0..3)).await;
    set(&store, "a", StreamMetadataBuilder::new().max_age(Duration::from_millis(1))).await;
    // Milliseconds from the client are seconds on the wire: wait for one to pass.
    soon(async {
        while !read(&store.client, "a", &ReadStreamOptions::default()).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    scavenge(&store).await;
    assert_eq!(in_log(&store, "a").await, [2]);
    assert_eq!(store.add("a", events(3..4)).await.next_expected_version, 3);
    assert_eq!(store.numbers("a").await, [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scavenge_tells_what_it_does_in_its_own_stream_and_in_the_list_of_all() {
    let store = store().await;
    let started =
        operations(&store).start_scavenge(2, 0, &OperationalOptions::default()).await.unwrap();
    let completed = completed(&store, started.id()).await;
    assert_eq!(completed["scavengeId"], started.id());
    assert_eq!(completed["timeTaken"].as_str().unwrap().len(), "00:00:00.0000000".len());
    let stream = format!("$scavenges-{}", started.id());
    let events = read(&store.client, &stream, &ReadStreamOptions::default()).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(kinds, ["$scavengeStarted", "$scavengeCompleted"]);
    let first: serde_json::Value = events[0].as_json().unwrap();
    assert_eq!(first["nodeEndpoint"], store.server.address().to_string());
    let links = ReadStreamOptions::default().resolve_link_tos();
    let linked = soon(async {
        loop {
            let linked = read(&store.client, "$scavenges", &links).await.unwrap();
            if linked.len() == 2 {
                return linked;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(linked[1].id, events[1].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_scavenge_that_runs_can_be_stopped() {
    let store = store().await;
    let options = OperationalOptions::default();
    let unknown = operations(&store).stop_scavenge("nonsense", &options).await;
    assert!(matches!(unknown, Err(eventstore::Error::ResourceNotFound)), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scavenge_that_a_crash_interrupted_is_noted_as_such_by_the_next_start() {
    let directory = TempDir::new().unwrap();
    let options = || Options { durable: false, ..Options::at(directory.path()) };
    let store = store_with(options()).await;
    let started = EventData::json(
        "$scavengeStarted",
        &serde_json::json!({ "scavengeId": "x", "nodeEndpoint": "here:1" }),
    );
    store.add("$scavenges-x", vec![started.unwrap().id(id(1))]).await;
    let link = EventData::binary("$>", "0@$scavenges-x".into()).id(id(2));
    store.add("$scavenges", vec![link]).await;
    soon(store.server.stop()).await;
    let store = store_with(options()).await;
    let completed = completed(&store, "x").await;
    assert_eq!(completed["result"], "Interrupted");
    assert_eq!(completed["nodeEndpoint"], "here:1");
}
