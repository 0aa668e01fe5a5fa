//! A copy that is repeated after either store went on.

use embedded_store::Server;
use eventstore::{
    AppendToStreamOptions, Client, DeleteStreamOptions, Error, StreamMetadataBuilder,
    TombstoneStreamOptions,
};

use super::{add, all, event, kept, limit, max_count, revisions, serve, text};
use crate::running::{Folder, output_of, run};

/// Two stores, of which one is copied to the other again and again.
struct Pair {
    folder: Folder,
    source: Client,
    target: Client,
    servers: (Server, Server),
}

impl Pair {
    async fn new() -> Self {
        let folder = Folder::new();
        let (source_server, source) = serve(&folder.path().join("source")).await;
        let (target_server, target) = serve(&folder.path().join("target")).await;
        Self { folder, source, target, servers: (source_server, target_server) }
    }

    fn try_copy(&self) -> std::process::Output {
        let to = self.servers.1.connection_string();
        let directory = self.folder.path().join("source");
        run(&["event-store", "copy", "--to", &to, "--directory", text(&directory)])
    }

    /// Copies, and once more, which must not change anything.
    async fn copy(&self) {
        let mut positions = Vec::new();
        for _ in 0..2 {
            let said = output_of(&self.try_copy());
            assert!(said.contains("The target was read and is the same."), "{said}");
            positions.push(newest_position(&self.target).await);
        }
        assert_eq!(positions[0], positions[1], "the second copy wrote something");
    }

    async fn assert_same(&self, stream: &str) {
        let wanted = revisions(&self.source, stream).await;
        let found = revisions(&self.target, stream).await;
        assert_eq!(format!("{wanted:?}"), format!("{found:?}"), "{stream}");
    }

    async fn refuses_to_copy(&self, complaint: &str) {
        let before = newest_position(&self.target).await;
        let output = self.try_copy();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(complaint), "{said}");
        assert_eq!(newest_position(&self.target).await, before);
    }

    fn compact(server: &Server) {
        let said =
            output_of(&run(&["event-store", "compact", "--server", &server.connection_string()]));
        assert!(said.contains("Success"), "{said}");
    }

    fn compact_target(&self) {
        Self::compact(&self.servers.1);
    }

    fn compact_source(&self) {
        Self::compact(&self.servers.0);
    }
}

async fn newest_position(client: &Client) -> u64 {
    all(client).await.last().map_or(0, |event| event.position.commit)
}

async fn delete(client: &Client, stream: &str) {
    client.delete_stream(stream, &DeleteStreamOptions::default()).await.unwrap();
}

async fn end(client: &Client, stream: &str) {
    client.tombstone_stream(stream, &TombstoneStreamOptions::default()).await.unwrap();
}

async fn truncate(client: &Client, stream: &str, before: u64) {
    let metadata = StreamMetadataBuilder::new().truncate_before(before).build();
    let options = AppendToStreamOptions::default();
    client.set_stream_metadata(stream, &options, &metadata).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_after_a_copy_is_deleted_by_the_next_and_stays_so() {
    let pair = Pair::new().await;
    add(&pair.source, "gone", (0..4).map(event).collect()).await;
    add(&pair.source, "single", vec![event(10)]).await;
    pair.copy().await;
    delete(&pair.source, "gone").await;
    delete(&pair.source, "single").await;
    pair.copy().await;
    for stream in ["gone", "single"] {
        assert!(matches!(revisions(&pair.target, stream).await, Err(Error::ResourceNotFound)));
    }
    pair.compact_target();
    pair.copy().await;
    pair.compact_source();
    pair.copy().await;
    assert_eq!(kept(&pair.target).await, kept(&pair.source).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_revived_after_a_copied_delete_goes_on_in_the_target() {
    let pair = Pair::new().await;
    for (stream, first) in [("plain", 0), ("compacted", 10), ("limited", 20), ("again", 30)] {
        add(&pair.source, stream, (first..first + 4).map(event).collect()).await;
    }
    pair.copy().await;
    for stream in ["plain", "compacted", "limited", "again"] {
        delete(&pair.source, stream).await;
    }
    pair.copy().await;
    pair.compact_target();
    for (stream, first) in [("plain", 4), ("compacted", 14), ("limited", 24), ("again", 34)] {
        add(&pair.source, stream, (first..first + 3).map(event).collect()).await;
    }
    // Its truncation is lost with that, and the events that are left of it are shown.
    limit(&pair.source, "limited", 9).await;
    delete(&pair.source, "again").await;
    add(&pair.source, "again", (37..39).map(event).collect()).await;
    pair.copy().await;
    for stream in ["plain", "compacted", "limited", "again"] {
        pair.assert_same(stream).await;
    }
    assert_eq!(format!("{:?}", revisions(&pair.target, "again").await), "Ok([7, 8])");
    pair.compact_target();
    pair.compact_source();
    pair.copy().await;
    assert_eq!(kept(&pair.target).await, kept(&pair.source).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_revived_by_its_metadata_alone_is_so_in_the_target() {
    let pair = Pair::new().await;
    add(&pair.source, "gone", (0..4).map(event).collect()).await;
    delete(&pair.source, "gone").await;
    pair.copy().await;
    limit(&pair.source, "gone", 5).await;
    pair.copy().await;
    limit(&pair.source, "gone", 6).await;
    pair.copy().await;
    assert_eq!(max_count(&pair.target, "gone").await, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_ended_after_a_copy_is_ended_by_the_next() {
    let pair = Pair::new().await;
    add(&pair.source, "ended", (0..4).map(event).collect()).await;
    add(&pair.source, "deleted", (10..14).map(event).collect()).await;
    delete(&pair.source, "deleted").await;
    pair.copy().await;
    end(&pair.source, "ended").await;
    end(&pair.source, "deleted").await;
    pair.copy().await;
    for stream in ["ended", "deleted"] {
        assert!(matches!(revisions(&pair.target, stream).await, Err(Error::ResourceDeleted)));
    }
    pair.compact_target();
    pair.copy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_change_between_copies_change_in_the_target() {
    let pair = Pair::new().await;
    for (stream, first) in [("counted", 0), ("cut", 20), ("emptied", 40)] {
        add(&pair.source, stream, (first..first + 9).map(event).collect()).await;
    }
    limit(&pair.source, "counted", 5).await;
    truncate(&pair.source, "cut", 3).await;
    // It shows nothing, and is not deleted.
    truncate(&pair.source, "emptied", 100).await;
    pair.copy().await;
    pair.compact_target();
    pair.copy().await;
    limit(&pair.source, "counted", 3).await;
    truncate(&pair.source, "cut", 6).await;
    for (stream, first) in [("counted", 9), ("cut", 29), ("emptied", 49)] {
        add(&pair.source, stream, (first..first + 2).map(event).collect()).await;
    }
    pair.copy().await;
    pair.compact_source();
    pair.copy().await;
    pair.compact_target();
    pair.copy().await;
    for stream in ["counted", "cut", "emptied"] {
        pair.assert_same(stream).await;
    }
    assert_eq!(kept(&pair.target).await, kept(&pair.source).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_has_removed_and_the_source_shows_again_is_a_difference() {
    let pair = Pair::new().await;
    add(&pair.source, "counted", (0..9).map(event).collect()).await;
    limit(&pair.source, "counted", 3).await;
    pair.copy().await;
    pair.compact_target();
    limit(&pair.source, "counted", 8).await;
    let output = pair.try_copy();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let difference = "the target has removed the beginning of stream 'counted'";
    assert!(said.contains(difference), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_the_target_was_given_meanwhile_give_way_to_those_of_the_source() {
    let pair = Pair::new().await;
    add(&pair.source, "a", (0..4).map(event).collect()).await;
    limit(&pair.source, "a", 3).await;
    pair.copy().await;
    limit(&pair.target, "a", 2).await;
    pair.copy().await;
    assert_eq!(max_count(&pair.target, "a").await, Some(3));
    // And again, with an id that the target knows already.
    limit(&pair.target, "a", 1).await;
    pair.copy().await;
    pair.assert_same("a").await;
    // Those of a stream without any in the source stay.
    add(&pair.source, "b", (10..14).map(event).collect()).await;
    pair.copy().await;
    limit(&pair.target, "b", 2).await;
    pair.copy().await;
    assert_eq!(max_count(&pair.target, "b").await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_somebody_deleted_or_ended_in_the_target_is_left_alone() {
    let pair = Pair::new().await;
    add(&pair.source, "a", (0..4).map(event).collect()).await;
    pair.copy().await;
    delete(&pair.target, "a").await;
    pair.refuses_to_copy("stream 'a' was deleted in the target").await;
    pair.compact_target();
    pair.refuses_to_copy("stream 'a' was deleted in the target").await;
    end(&pair.target, "a").await;
    pair.refuses_to_copy("stream 'a' was ended for ever in the target").await;
}
