//! Export and import as lines of JSON.

use std::io::{BufRead, Cursor};
use std::path::Path;

use embedded_store::Options;
use embedded_store::maintenance::{
    Depth, Imported, MaintenanceError, Record, Records, Selection, compact, export, import, verify,
};
use eventstore::{
    AppendToStreamOptions, DeleteStreamOptions, EventData, StreamMetadataBuilder,
    TombstoneStreamOptions,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::{event, events, number, soon, store_with};

fn exported(directory: &Path, selection: Selection) -> String {
    let mut out = Vec::new();
    let count = export(directory, selection, &mut out, &mut |_| ()).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count() as u64, count);
    text
}

fn all(directory: &Path) -> String {
    exported(directory, Selection::default())
}

/// Leaves out what a server writes by itself into a new log.
fn of_clients(line: &&str) -> bool {
    !line.contains("$scavenges")
}

fn imported(directory: &Path, text: &str) -> Result<Imported, MaintenanceError> {
    let open = || Ok(Box::new(Cursor::new(text.as_bytes().to_vec())) as Box<dyn BufRead>);
    import(directory, &mut { open }, &mut |_| ())
}

/// A store with everything there is: JSON and not, custom metadata, stream metadata, streams that
/// were deleted, revived and ended, and gaps from compaction.
async fn varied(directory: &Path) {
    let store = store_with(Options { durable: false, ..Options::at(directory) }).await;
    store.add("a", events(0..20)).await;
    let binary = EventData::binary("Raw", vec![0, 255, 10, 13].into()).metadata(b"\xfe"[..].into());
    store.add("a", vec![binary.id(Uuid::from_u128(7_000))]).await;
    let pretty = EventData::binary("Pretty", "{\n \"a\": 1.0 }".into()).metadata("{}".into());
    store.add("b", vec![pretty.id(Uuid::from_u128(7_001))]).await;
    let options = AppendToStreamOptions::default();
    let metadata = StreamMetadataBuilder::new().max_count(4).build();
    store.client.set_stream_metadata("a", &options, &metadata).await.unwrap();
    for stream in ["deleted", "ended", "revived"] {
        let first = 100 * u32::try_from(stream.len()).unwrap();
        store.add(stream, events(first..first + 5)).await;
    }
    let options = DeleteStreamOptions::default();
    store.client.delete_stream("deleted", &options).await.unwrap();
    store.client.delete_stream("revived", &options).await.unwrap();
    store.add("revived", events(2_000..2_003)).await;
    let options = TombstoneStreamOptions::default();
    store.client.tombstone_stream("ended", &options).await.unwrap();
    soon(store.server.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_imported_and_exported_again_is_the_same_to_the_byte() {
    let (original, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    varied(original.path()).await;
    for compacted in [false, true] {
        if compacted {
            compact(original.path(), &mut |_| ()).unwrap();
        }
        let lines = all(original.path());
        let copy = copy.path().join(compacted.to_string());
        let count = lines.lines().count() as u64;
        assert_eq!(imported(&copy, &lines).unwrap(), Imported { written: count, known: 0 });
        assert_eq!(all(&copy), lines);
        let verified = verify(&copy, Depth::Full, &mut |_| ()).unwrap();
        assert_eq!(verified.problems, []);
        // And what reads say is the same.
        let store = store_with(Options { durable: false, ..Options::at(&copy) }).await;
        assert_eq!(store.numbers("revived").await, [2_000, 2_001, 2_002]);
        assert_eq!(store.add("deleted", vec![event(1)]).await.next_expected_version, 5);
        soon(store.server.stop()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_can_be_repeated_and_goes_on_where_it_was_interrupted() {
    let (original, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    varied(original.path()).await;
    let lines = all(original.path());
    let count = lines.lines().count() as u64;
    let part: String = lines.split_inclusive('\n').take(9).collect();
    assert_eq!(imported(copy.path(), &part).unwrap(), Imported { written: 9, known: 0 });
    let rest = Imported { written: count - 9, known: 9 };
    assert_eq!(imported(copy.path(), &lines).unwrap(), rest);
    let nothing = Imported { written: 0, known: count };
    assert_eq!(imported(copy.path(), &lines).unwrap(), nothing);
    assert_eq!(all(copy.path()), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_into_a_store_with_a_history_goes_after_it() {
    let (original, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    varied(original.path()).await;
    let store = store_with(Options { durable: false, ..Options::at(other.path()) }).await;
    store.add("own", events(5_000..5_100)).await;
    soon(store.server.stop()).await;
    let lines = all(original.path());
    imported(other.path(), &lines).unwrap();
    let read = |text: &str| -> Vec<Record> {
        text.lines().filter(of_clients).map(|line| Record::from_line(line).unwrap()).collect()
    };
    let (wanted, found) = (read(&lines), read(&all(other.path())));
    assert_eq!(found.len(), wanted.len() + 100);
    for (found, wanted) in found[100..].iter().zip(&wanted) {
        assert!(found.position > 100);
        let place = |record: &Record| (record.stream.clone(), record.revision, record.id);
        assert_eq!(place(found), place(wanted));
        assert_eq!((&found.data, &found.metadata), (&wanted.data, &wanted.metadata));
    }
    let verified = verify(other.path(), Depth::Full, &mut |_| ()).unwrap();
    assert_eq!(verified.problems, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_cannot_be_taken_is_named_and_nothing_is_imported() {
    let (original, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    varied(original.path()).await;
    let lines = all(original.path());
    let lines: Vec<_> = lines.lines().filter(of_clients).map(str::to_owned).collect();
    let with = |place: usize, line: String| {
        let mut lines = lines.clone();
        lines[place] = line;
        lines.join("\n")
    };
    for (text, line, message) in [
        (with(4, "{".to_owned()), 5, "not an event"),
        (with(3, lines[1].clone()), 4, "`position` is not larger"),
        (
            with(2, lines[2].replace("\"revision\":2", "\"revision\":3")),
            3,
            "goes on with revision 2",
        ),
        (with(6, lines[6].replace("isJson", "json")), 7, "unknown field"),
    ] {
        let error = imported(copy.path(), &text).unwrap_err();
        let MaintenanceError::Line { line: found, what } = &error else { panic!("{error}") };
        assert_eq!(*found, line, "{what}");
        assert!(what.to_string().contains(message), "{what}");
        assert_eq!(all(copy.path()), "");
    }
    imported(copy.path(), &lines.join("\n")).unwrap();
    let id = Uuid::from_u128(99_999);
    let mut other = Record::from_line(&lines[0]).unwrap();
    other.id = id;
    let error = imported(copy.path(), &other.to_line()).unwrap_err().to_string();
    assert!(error.contains("line 1: stream 'a' has another event at revision 0"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_takes_what_was_asked_for() {
    let original = TempDir::new().unwrap();
    varied(original.path()).await;
    let text = exported(
        original.path(),
        Selection { from_position: 0, stream_prefix: Some("re".to_owned()) },
    );
    assert!(text.lines().all(|line| {
        let stream = Record::from_line(line).unwrap().stream;
        stream == "revived" || stream == "$$revived"
    }));
    assert!(text.lines().count() > 4);
    let text = exported(original.path(), Selection { from_position: 10, stream_prefix: None });
    let first = Record::from_line(text.lines().next().unwrap()).unwrap();
    assert_eq!(first.position, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_exported_beside_its_work() {
    let original = TempDir::new().unwrap();
    let store = store_with(Options { durable: false, ..Options::at(original.path()) }).await;
    store.add("a", events(0..3_000)).await;
    assert_eq!(all(original.path()).lines().filter(of_clients).count(), 3_000);
    let text = all(original.path());
    let error = imported(original.path(), &text).unwrap_err().to_string();
    assert!(error.contains("in use"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_the_log_at_one_moment_whatever_is_deleted_meanwhile() {
    let (original, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = store_with(Options { durable: false, ..Options::at(original.path()) }).await;
    store.add("a", events(0..3_000)).await;
    let mut records = Records::open(original.path(), Selection::default()).unwrap();
    let mut lines = records.next().unwrap().unwrap().to_line();
    soon(store.client.delete_stream("a", &DeleteStreamOptions::default())).await.unwrap();
    for record in records {
        lines.push('\n');
        lines.push_str(&record.unwrap().to_line());
    }
    assert_eq!(lines.lines().filter(of_clients).count(), 3_000);
    imported(copy.path(), &lines).unwrap();
    assert_eq!(all(copy.path()).trim_end(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_from_the_beginning_of_time_can_be_deleted_too() {
    let (original, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    varied(original.path()).await;
    let lines = all(original.path());
    let old: Vec<_> = lines
        .lines()
        .filter_map(|line| Record::from_line(line).ok())
        .filter(|record| record.stream == "revived")
        .map(|record| Record { created: 0, ..record }.to_line())
        .collect();
    assert_eq!(old.len(), 4);
    imported(copy.path(), &old.join("\n")).unwrap();
    let store = store_with(Options { durable: false, ..Options::at(copy.path()) }).await;
    soon(store.client.delete_stream("revived", &DeleteStreamOptions::default())).await.unwrap();
    let log = store.log().await;
    let left: Vec<_> =
        log.iter().filter(|event| event.stream_id == "revived").map(number).collect();
    assert_eq!(left, [2_002]);
}
