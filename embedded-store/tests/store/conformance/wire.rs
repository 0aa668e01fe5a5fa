//! What the official client keeps to itself: statuses, trailers and messages as they travel. These
//! rules are only looked at where the connection has no TLS.
#![expect(clippy::result_large_err, reason = "tonic ends calls with its Status, by value")]

use bytes::Bytes;
use eventstore::{ExpectedRevision, TombstoneStreamOptions};
use futures::stream::{self, StreamExt};
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::ProstCodec;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::{Store, store};
use crate::harness::{event, events, soon};
use crate::messages::read::{
    Amount, Content, ControlOption, Direction, Filtering, FromRevision, Options, ReadReq, ReadResp,
    Source, StreamOptions, UuidForm, UuidOption,
};
use crate::messages::shared::{
    self, MetadataEntry, StreamIdentifier, Uuid as WireUuid, uuid::Value, wrong_expected_version,
};
use crate::messages::write::{
    AppendContent, AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, BatchOptions,
    BatchResult, DeleteReq, DeleteResp, ExpectedRevision as Expected, ProposedMessage, Target,
};

const STREAMS: &str = "/event_store.client.streams.Streams";

/// A connection that knows nothing but messages.
struct Bare(Channel);

impl Store {
    async fn bare(&self) -> Option<Bare> {
        let (_, rest) = self.url.split_once("://").unwrap();
        let (host, options) = rest.split_once('?').unwrap_or((rest, ""));
        if !options.to_lowercase().contains("tls=false") {
            println!("not looked at: the connection string has no tls=false");
            return None;
        }
        let host = host.rsplit('@').next().unwrap().trim_end_matches('/');
        let channel = Channel::from_shared(format!("http://{host}")).unwrap();
        Some(Bare(soon(channel.connect()).await.unwrap()))
    }
}

impl Bare {
    async fn grpc(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.0.clone());
        soon(grpc.ready()).await.unwrap();
        grpc
    }

    async fn ask<Q, A>(&self, path: &str, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = path.parse().unwrap();
        let mut grpc = self.grpc().await;
        let answer = grpc.unary(Request::new(question), path, ProstCodec::default());
        soon(answer).await.map(tonic::Response::into_inner)
    }

    async fn read(&self, options: Options) -> Result<Vec<Content>, Status> {
        let request = Request::new(ReadReq { options: Some(options) });
        let path = format!("{STREAMS}/Read").parse().unwrap();
        let mut grpc = self.grpc().await;
        let answer = grpc.server_streaming(request, path, ProstCodec::default());
        let messages: tonic::Streaming<ReadResp> = soon(answer).await?.into_inner();
        let said = messages.map(|message| message.map(|message| message.content.unwrap()));
        soon(said.collect::<Vec<_>>()).await.into_iter().collect()
    }

    async fn append(&self, stream: &str, messages: Vec<ProposedMessage>) -> Status {
        let options = AppendContent::Options(target(stream, Expected::Any(())));
        let messages = std::iter::once(options)
            .chain(messages.into_iter().map(AppendContent::ProposedMessage))
            .map(|content| AppendReq { content: Some(content) });
        let request = Request::new(stream::iter(messages.collect::<Vec<_>>()));
        let path = format!("{STREAMS}/Append").parse().unwrap();
        let mut grpc = self.grpc().await;
        let answer = grpc.client_streaming(request, path, ProstCodec::default());
        let answer: Result<tonic::Response<AppendResp>, Status> = soon(answer).await;
        answer.unwrap_err()
    }

    async fn batch(&self, batches: Vec<BatchAppendReq>) -> Vec<BatchAppendResp> {
        let path = format!("{STREAMS}/BatchAppend").parse().unwrap();
        let mut grpc = self.grpc().await;
        let request = Request::new(stream::iter(batches));
        let answers = grpc.streaming(request, path, ProstCodec::default());
        let answers: tonic::Streaming<BatchAppendResp> = soon(answers).await.unwrap().into_inner();
        soon(answers.map(Result::unwrap).collect()).await
    }
}

fn identifier(stream: &str) -> StreamIdentifier {
    StreamIdentifier { stream_name: Bytes::copy_from_slice(stream.as_bytes()) }
}

fn target(stream: &str, expected: Expected) -> Target {
    Target { stream_identifier: Some(identifier(stream)), expected: Some(expected) }
}

fn text_id(number: u128) -> WireUuid {
    WireUuid { value: Some(Value::String(crate::harness::id(number).to_string())) }
}

fn proposed(number: u128) -> ProposedMessage {
    let entry = |key: &'static str, value: &'static str| MetadataEntry {
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
    };
    ProposedMessage {
        id: Some(text_id(number)),
        metadata: vec![entry("type", "Happened"), entry("content-type", "application/json")],
        custom_metadata: Bytes::new(),
        data: Bytes::from_static(b"{}"),
    }
}

/// The first `count` events from somewhere on.
fn first(stream: &str, from: FromRevision, count: u64) -> Options {
    Options {
        source: Some(Source::Stream(StreamOptions {
            stream_identifier: Some(identifier(stream)),
            from: Some(from),
        })),
        read_direction: Direction::Forwards.into(),
        amount: Some(Amount::Count(count)),
        filtering: Some(Filtering::NoFilter(())),
        uuid_option: Some(UuidOption { form: Some(UuidForm::Structured(())) }),
        control_option: Some(ControlOption { compatibility: 1 }),
        ..Options::default()
    }
}

fn trailer<'s>(status: &'s Status, name: &str) -> &'s str {
    status.metadata().get(name).unwrap().to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_revision_of_a_delete_is_named_in_the_trailers() {
    let store = store().await;
    let Some(bare) = store.bare().await else { return };
    let stream = store.name("s");
    store.add(&stream, events(0..2)).await;
    for call in ["Delete", "Tombstone"] {
        let request = DeleteReq { options: Some(target(&stream, Expected::Revision(7))) };
        let refusal = bare.ask::<_, DeleteResp>(&format!("{STREAMS}/{call}"), request).await;
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.code(), Code::FailedPrecondition);
        assert_eq!(trailer(&refusal, "exception"), "wrong-expected-version");
        assert_eq!(trailer(&refusal, "expected-version"), "7");
        assert_eq!(trailer(&refusal, "actual-version"), "1");
        assert_eq!(trailer(&refusal, "stream-name"), stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_an_ended_stream_is_refused_as_such() {
    let store = store().await;
    let Some(bare) = store.bare().await else { return };
    let stream = store.name("s");
    let options = TombstoneStreamOptions::default().expected_revision(ExpectedRevision::Any);
    soon(store.client.tombstone_stream(stream.as_str(), &options)).await.unwrap();
    let refusal = bare.read(first(&stream, FromRevision::Start(()), 1)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert_eq!(trailer(&refusal, "exception"), "stream-deleted");
    assert_eq!(trailer(&refusal, "stream-name"), stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_beyond_the_end_says_where_it_could_have_begun() {
    let store = store().await;
    let Some(bare) = store.bare().await else { return };
    let stream = store.name("s");
    store.add(&stream, events(0..2)).await;
    let said = bare.read(first(&stream, FromRevision::Revision(9), 5)).await.unwrap();
    assert_eq!(said, [Content::FirstStreamPosition(2), Content::LastStreamPosition(1)]);
    let said = bare.read(first(&store.name("missing"), FromRevision::Start(()), 5)).await.unwrap();
    assert!(matches!(said[..], [Content::StreamNotFound(_)]), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_as_numbers_to_those_who_ask_for_them() {
    let store = store().await;
    let Some(bare) = store.bare().await else { return };
    let stream = store.name("s");
    store.add(&stream, vec![event(7)]).await;
    let said = bare.read(first(&stream, FromRevision::Start(()), 1)).await.unwrap();
    let Content::Event(read) = &said[0] else { panic!("{said:?}") };
    let id = read.event.as_ref().unwrap().read.id.as_ref().unwrap();
    assert!(matches!(&id.value, Some(Value::Structured(id)) if id.least_significant_bits == 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_type_is_refused_as_such() {
    let store = store().await;
    let Some(bare) = store.bare().await else { return };
    for missing in [0, 1] {
        let mut nameless = proposed(1);
        nameless.metadata.remove(missing);
        let refusal = bare.append(&store.name("s"), vec![nameless]).await;
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert_eq!(trailer(&refusal, "exception"), "missing-required-metadata-property");
        assert_eq!(trailer(&refusal, "required-metadata-properties"), "type,content-type");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_server_has_is_unimplemented() {
    let store = store().await;
    let Some(bare) = store.bare().await else { return };
    for path in ["/event_store.client.streams.Streams/Other", "/nobody.Knows/This"] {
        let refusal = bare.ask::<(), ()>(path, ()).await.unwrap_err();
        assert_eq!(refusal.code(), Code::Unimplemented, "{path}");
    }
}

fn batch(
    id: u128,
    stream: &str,
    expected: Option<Expected>,
    messages: Vec<ProposedMessage>,
) -> BatchAppendReq {
    let options = expected.map(|expected| BatchOptions {
        stream_identifier: Some(identifier(stream)),
        expected: Some(expected),
        deadline: None,
    });
    let correlation_id = Some(text_id(id));
    BatchAppendReq { correlation_id, options, proposed_messages: messages, is_final: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_parts_is_written_with_its_last_part() {
    let store = store().await;
    let Some(bare) = store.bare().await else { return };
    let stream = store.name("s");
    let mut begin = batch(1, &stream, Some(Expected::NoStream(())), vec![proposed(1)]);
    begin.is_final = false;
    let end = batch(1, &stream, None, vec![proposed(2), proposed(3)]);
    assert_eq!(bare.batch(vec![begin, end]).await.len(), 1);
    let said = bare.read(first(&stream, FromRevision::Start(()), 9)).await.unwrap();
    assert_eq!(said.last(), Some(&Content::LastStreamPosition(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_says_why_and_the_call_goes_on() {
    let store = store().await;
    let Some(bare) = store.bare().await else { return };
    let (stream, ended) = (store.name("s"), store.name("ended"));
    store.add(&stream, events(0..1)).await;
    let options = TombstoneStreamOptions::default();
    soon(store.client.tombstone_stream(ended.as_str(), &options)).await.unwrap();
    let answers = bare.batch(vec![
        batch(1, &stream, Some(Expected::Revision(7)), vec![proposed(12)]),
        batch(2, &ended, Some(Expected::Any(())), vec![proposed(12)]),
        batch(3, &stream, Some(Expected::Revision(0)), vec![proposed(13)]),
    ]);
    let mut seen = Vec::new();
    for answer in answers.await {
        match answer.result.unwrap() {
            BatchResult::Success(_) => seen.push("Success".to_owned()),
            BatchResult::Error(refusal) => {
                let details = refusal.details.unwrap();
                let name = details.type_url.rsplit('.').next().unwrap().to_owned();
                if name == "WrongExpectedVersion" {
                    assert_eq!(refusal.code, Code::AlreadyExists as i32);
                    let details = shared::WrongExpectedVersion::decode(details.value).unwrap();
                    let current = wrong_expected_version::Current::Revision(0);
                    assert_eq!(details.current, Some(current));
                }
                seen.push(name);
            }
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, ["StreamDeleted", "Success", "WrongExpectedVersion"]);
}
