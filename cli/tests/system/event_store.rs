//! Looking after the embedded event store from the command line.

mod copying;

use std::path::Path;

use embedded_store::{Options, Server};
use eventstore::{
    AppendToStreamOptions, Client, DeleteStreamOptions, EventData, ExpectedRevision,
    ReadAllOptions, ReadStreamOptions, RecordedEvent, StreamMetadataBuilder, StreamMetadataResult,
    StreamPosition, TombstoneStreamOptions,
};
use serde_json::json;
use uuid::Uuid;

use crate::running::{Folder, output_of, run};

async fn serve(directory: &Path) -> (Server, Client) {
    journal::prepare_tls().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options { durable: false, ..Options::at(directory) };
    let server = embedded_store::serve(listener, options).await.unwrap();
    let client = Client::new(server.connection_string().parse().unwrap()).unwrap();
    (server, client)
}

fn event(number: u128) -> EventData {
    EventData::json("Numbered", &json!({ "number": number })).unwrap().id(Uuid::from_u128(number))
}

async fn add(client: &Client, stream: &str, events: Vec<EventData>) {
    client.append_to_stream(stream, &AppendToStreamOptions::default(), events).await.unwrap();
}

async fn limit(client: &Client, stream: &str, count: u64) {
    let metadata = StreamMetadataBuilder::new().max_count(count).build();
    let options = AppendToStreamOptions::default();
    client.set_stream_metadata(stream, &options, &metadata).await.unwrap();
}

/// Many streams, interleaved, of which some are limited, deleted, revived or ended.
async fn fill(client: &Client) {
    for number in 0..500_u128 {
        let content = if number % 7 == 0 {
            EventData::binary("Raw", vec![0, 255, 10].into()).metadata("{ }".into())
        } else {
            event(number).metadata_as_json(&json!({ "actor": number })).unwrap()
        };
        add(client, &format!("stream-{}", number % 13), vec![content.id(Uuid::from_u128(number))])
            .await;
    }
    add(client, "long", (5_000..5_900).map(event).collect()).await;
    limit(client, "stream-3", 9).await;
    limit(client, "stream-3", 8).await;
    for stream in ["stream-4", "stream-5"] {
        client.delete_stream(stream, &DeleteStreamOptions::default()).await.unwrap();
    }
    add(client, "stream-5", (2_000..2_003).map(event).collect()).await;
    client.tombstone_stream("stream-6", &TombstoneStreamOptions::default()).await.unwrap();
    add(client, "$system", vec![event(9_000)]).await;
}

async fn all(client: &Client) -> Vec<RecordedEvent> {
    let options = ReadAllOptions::default().position(StreamPosition::Start);
    let mut reading = client.read_all(&options).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = reading.next().await.unwrap() {
        events.push(event.event.unwrap());
    }
    events
}

/// What a copy keeps of the events that clients wrote, in the order of the log.
async fn kept(client: &Client) -> Vec<(String, u64, Uuid, String, Vec<u8>, Vec<u8>, bool)> {
    let events = all(client).await.into_iter().filter(|event| !event.stream_id.starts_with('$'));
    events
        .filter(|event| !event.event_type.starts_with('$'))
        .map(|event| {
            let (data, metadata) = (event.data.to_vec(), event.custom_metadata.to_vec());
            let place = (event.stream_id, event.revision, event.id);
            (place.0, place.1, place.2, event.event_type, data, metadata, event.is_json)
        })
        .collect()
}

async fn revisions(client: &Client, stream: &str) -> eventstore::Result<Vec<u64>> {
    let mut events = client.read_stream(stream, &ReadStreamOptions::default()).await?;
    let mut revisions = Vec::new();
    while let Some(event) = events.next().await? {
        revisions.push(event.get_original_event().revision);
    }
    Ok(revisions)
}

async fn max_count(client: &Client, stream: &str) -> Option<u64> {
    let options = ReadStreamOptions::default();
    let result = client.get_stream_metadata(stream, &options).await.unwrap();
    let StreamMetadataResult::Success(metadata) = result else { panic!("{result:?}") };
    metadata.metadata().max_count
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_copied_to_another_store_and_a_repeated_copy_goes_on() {
    let folder = Folder::new();
    let source = folder.path().join("source");
    let (from, client) = serve(&source).await;
    fill(&client).await;
    let (target_server, target) = serve(&folder.path().join("target")).await;
    let to = target_server.connection_string();
    let copy = ["event-store", "copy", "--to", &to, "--directory", text(&source)];
    let said = output_of(&run(&copy));
    assert!(said.contains("The target was read and is the same."), "{said}");
    assert!(said.contains("events of system streams left out"), "{said}");
    assert_eq!(kept(&target).await, kept(&client).await);
    for stream in (0..13).map(|number| format!("stream-{number}")) {
        let (wanted, found) =
            (revisions(&client, &stream).await, revisions(&target, &stream).await);
        assert_eq!(format!("{wanted:?}"), format!("{found:?}"), "{stream}");
    }
    assert_eq!(max_count(&target, "stream-3").await, Some(8));
    assert_eq!(max_count(&client, "stream-3").await, Some(8));

    // Again with nothing to do, and again with more, from the running server.
    let before = all(&target).await.len();
    output_of(&run(&copy));
    assert_eq!(all(&target).await.len(), before);
    add(&client, "stream-4", (3_000..3_002).map(event).collect()).await;
    add(&client, "later", (3_100..3_110).map(event).collect()).await;
    let from = from.connection_string();
    let said = output_of(&run(&["event-store", "copy", "--to", &to, "--from", &from]));
    assert!(said.contains("The target was read and is the same."), "{said}");
    assert_eq!(kept(&target).await, kept(&client).await);
    assert_eq!(format!("{:?}", revisions(&target, "stream-4").await), "Ok([39, 40])");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_does_not_touch_what_the_target_has_at_the_same_place() {
    let folder = Folder::new();
    let source = folder.path().join("source");
    let (_from, client) = serve(&source).await;
    add(&client, "a", (0..20).map(event).collect()).await;
    let (target_server, target) = serve(&folder.path().join("target")).await;
    add(&target, "a", vec![event(77)]).await;
    let to = target_server.connection_string();
    let output = run(&["event-store", "copy", "--to", &to, "--directory", text(&source)]);
    assert!(!output.status.success());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(
        complaint.contains("stream 'a' of the target has something else at revision 0"),
        "{complaint}"
    );
    assert_eq!(kept(&target).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_backed_up_checked_compacted_exported_and_imported() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    let (data, store) = (path("data"), path("data/event-store"));
    let data = ["--data-dir", text(&data)];
    let (server, client) = serve(&store).await;
    fill(&client).await;

    // While it runs.
    output_of(
        &run(&[&["event-store", "backup", text(&path("copies/backup"))], &data[..]].concat()),
    );
    let said = output_of(&run(&[&["event-store", "verify"], &data[..]].concat()));
    assert!(said.contains("streams checked"), "{said}");
    let address = server.connection_string();
    let compact = ["event-store", "compact", "--server", &address];
    let said = output_of(&run(&[&compact[..], &data[..]].concat()));
    assert!(said.contains("Success"), "{said}");
    let output = run(&[&["event-store", "compact"], &data[..]].concat());
    assert!(String::from_utf8(output.stderr).unwrap().contains("say where with --server"));
    let lines = path("lines.jsonl.gz");
    output_of(&run(&[&["event-store", "export", text(&lines)], &data[..]].concat()));
    let wanted = kept(&client).await;
    server.stop().await;

    // While it does not.
    output_of(&run(&[&["event-store", "compact"], &data[..]].concat()));
    let plain = output_of(&run(&[&["event-store", "export", "-"], &data[..]].concat()));
    let other = path("other");
    output_of(&run(&["event-store", "import", text(&lines), "--directory", text(&other)]));
    let again = output_of(&run(&["event-store", "export", "-", "--directory", text(&other)]));
    assert_eq!(again, plain);
    let (_other, client) = serve(&other).await;
    assert_eq!(kept(&client).await, wanted);
    let (_backup, client) = serve(&path("copies/backup")).await;
    add(&client, "stream-4", vec![event(8_888)]).await;
    let exact = AppendToStreamOptions::default().expected_revision(ExpectedRevision::Exact(39));
    client.append_to_stream("stream-4", &exact, event(8_889)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_said_and_ends_with_an_error() {
    let folder = Folder::new();
    let store = folder.path().join("store");
    let (server, client) = serve(&store).await;
    let secret = EventData::binary("Raw", vec![b'x'; 3_000].into());
    add(&client, "a", vec![secret]).await;
    server.stop().await;
    let database = store.join("events.sqlite");
    let mut bytes = std::fs::read(&database).unwrap();
    let place = bytes.windows(100).position(|window| window == [b'x'; 100]).unwrap();
    bytes[place + 50] = b'y';
    std::fs::write(&database, bytes).unwrap();
    let output = run(&["event-store", "verify", "--directory", text(&store)]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("event 0 of stream 'a' (position"), "{said}");
    assert!(said.contains("does not match its checksum"), "{said}");
}
