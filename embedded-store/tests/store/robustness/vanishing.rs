//! Clients that are gone in the middle of something: nothing of it stays behind.

use bytes::Bytes;
use eventstore::{
    EventData, GetPersistentSubscriptionInfoOptions, PersistentSubscriptionEvent,
    PersistentSubscriptionOptions, ReadStreamOptions, StreamPosition,
    SubscribeToPersistentSubscriptionOptions,
};
use prost::Message;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::Served;
use super::bare::{
    APPEND, BATCH, CONSUME, DATA, END_HEADERS, HEADERS, READ, RST_STREAM, ask, call, frame, framed,
    greeted, reset,
};
use super::crowds::follow_all;
use crate::harness::{events, number, read, soon};
use crate::messages::persistent::{Ack, ReadContent, ReadOptions, ReadReq, read_options::Source};
use crate::messages::shared::{MetadataEntry, StreamIdentifier, Uuid as WireUuid, uuid::Value};
use crate::messages::write::{
    AppendContent, AppendReq, BatchAppendReq, BatchOptions, ExpectedRevision, ProposedMessage,
    Target,
};

fn stream(name: &str) -> StreamIdentifier {
    StreamIdentifier { stream_name: Bytes::copy_from_slice(name.as_bytes()) }
}

#[expect(clippy::disallowed_methods, reason = "what a client does")]
fn id() -> WireUuid {
    WireUuid { value: Some(Value::String(Uuid::new_v4().to_string())) }
}

fn proposed() -> ProposedMessage {
    let entry = |key: &'static str, value: &'static str| MetadataEntry {
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
    };
    ProposedMessage {
        id: Some(id()),
        metadata: vec![entry("type", "T"), entry("content-type", "application/octet-stream")],
        ..ProposedMessage::default()
    }
}

/// The calls of one client, each without its end.
fn begun(path: &str, messages: &[Vec<u8>]) -> Vec<u8> {
    let call = frame(HEADERS, END_HEADERS, 1, &call(path));
    [call, frame(DATA, 0, 1, &messages.concat())].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_of_which_the_end_never_comes_is_not_written() {
    let server = Served::start().await;
    server.still_serves().await;
    let handles = server.handles();
    let target =
        Target { stream_identifier: Some(stream("s")), expected: Some(ExpectedRevision::Any(())) };
    let contents = [AppendContent::Options(target), AppendContent::ProposedMessage(proposed())];
    let messages = contents.map(|content| framed(&AppendReq { content: Some(content) }));
    for _ in 0..50 {
        let mut socket = greeted(server.address).await;
        socket.write_all(&begun(APPEND, &messages)).await.unwrap();
        reset(socket);
    }
    server.has_closed_all_but(handles).await;
    let written = read(&server.client, "s", &ReadStreamOptions::default()).await;
    assert!(written.is_err(), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_a_client_that_is_gone_are_written_whole_or_not_at_all() {
    let server = Served::start().await;
    server.still_serves().await;
    let handles = server.handles();
    let batch = |is_final| BatchAppendReq {
        correlation_id: Some(id()),
        options: Some(BatchOptions {
            stream_identifier: Some(stream("s")),
            expected: Some(ExpectedRevision::Any(())),
            deadline: None,
        }),
        proposed_messages: vec![proposed(), proposed(), proposed()],
        is_final,
    };
    for _ in 0..50 {
        let mut socket = greeted(server.address).await;
        let messages = [framed(&batch(true)), framed(&batch(false)), framed(&batch(true))];
        let mut bytes = begun(BATCH, &messages);
        // The last one breaks off.
        bytes.truncate(bytes.len() - batch(true).encoded_len() / 2);
        socket.write_all(&bytes).await.unwrap();
        reset(socket);
    }
    server.has_closed_all_but(handles).await;
    server.add("s", events(0..1)).await;
    let written = read(&server.client, "s", &ReadStreamOptions::default()).await.unwrap();
    assert_eq!(written.len() % 3, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_subscribers_that_are_gone_leave_nothing_behind() {
    let server = Served::start().await;
    let large = (0..200).map(|_| EventData::binary("Large", vec![7; 4_000].into()));
    server.add("s", large.collect()).await;
    let handles = server.handles();
    let before = server.memory();
    for round in 0..10 {
        let mut sockets = Vec::new();
        for _ in 0..100 {
            let mut socket = greeted(server.address).await;
            ask(&mut socket, 1, READ, &follow_all()).await;
            sockets.push(socket);
        }
        if round % 2 == 0 {
            server.add("other", events(0..1)).await;
        }
        sockets.into_iter().for_each(reset);
    }
    server.has_closed_all_but(handles).await;
    server.still_serves().await;
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 100 * super::MIB, "{grown} bytes");
}

impl Served {
    /// Waits until the consumers of a group hold so many messages.
    async fn holds(&self, stream: &str, group: &str, messages: usize) {
        let options = GetPersistentSubscriptionInfoOptions::default();
        let info = || self.client.get_persistent_subscription_info(stream, group, &options);
        soon(async {
            while info().await.unwrap().stats.total_in_flight_messages != messages {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// The number of the next message of a group.
    async fn next_of(&self, stream: &str, group: &str) -> u32 {
        let options = SubscribeToPersistentSubscriptionOptions::default();
        let consumer = self.client.subscribe_to_persistent_subscription(stream, group, &options);
        let mut consumer = soon(consumer).await.unwrap();
        loop {
            let next = soon(consumer.next_subscription_event()).await.unwrap();
            if let PersistentSubscriptionEvent::EventAppeared { event, .. } = next {
                return number(event.event.as_ref().unwrap());
            }
        }
    }
}

/// Its answer and the end of its call come in one packet.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_answers_just_before_it_leaves_counts() {
    let server = Served::start().await;
    let cancelled = frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    let says = |content| framed(&ReadReq { content: Some(content) });
    for round in 0..30 {
        let name = format!("s-{round}");
        server.add(&name, events(0..3)).await;
        let options = PersistentSubscriptionOptions::default().start_from(StreamPosition::Start);
        let created = server.client.create_persistent_subscription(name.as_str(), "g", &options);
        soon(created).await.unwrap();
        let options = ReadOptions {
            source: Some(Source::Stream(stream(&name))),
            group_name: "g".into(),
            buffer_size: 10,
            uuid_option: None,
        };
        let mut socket = greeted(server.address).await;
        let options = says(ReadContent::Options(options));
        socket.write_all(&begun(CONSUME, &[options])).await.unwrap();
        server.holds(&name, "g", 3).await;
        let held = read(&server.client, &name, &ReadStreamOptions::default()).await.unwrap();
        let text = |id: Uuid| WireUuid { value: Some(Value::String(id.to_string())) };
        let ids = held.iter().map(|event| text(event.id)).collect();
        let answer = says(ReadContent::Ack(Ack { id: Bytes::new(), ids }));
        let answer = frame(DATA, 0, 1, &answer);
        socket.write_all(&[answer, cancelled.clone()].concat()).await.unwrap();
        server.holds(&name, "g", 0).await;
        server.add(&name, events(3..4)).await;
        assert_eq!(server.next_of(&name, "g").await, 3);
    }
}
