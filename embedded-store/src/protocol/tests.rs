//! The wire itself, through a bare gRPC client: statuses, trailers and messages that the official
//! client hides.

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use prost::Message;
use tokio::net::TcpListener;
use tonic::client::Grpc;
use tonic::codec::ProstCodec;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use uuid::Uuid;

use super::convert;
use super::messages::cluster::{ClusterInfo, LEADER, SupportedMethods};
use super::messages::read::{
    AllOptions, Amount, Content, Direction, Expression, FilterOn, FilterOptions, Filtering,
    FromPosition, FromRevision, Options as ReadOptions, ReadReq, ReadResp, Source, StreamOptions,
    SubscriptionOptions,
};
use super::messages::shared::{self, MetadataEntry, wrong_expected_version};
use super::messages::write::{
    AppendContent, AppendReq, AppendResp, AppendResult, BatchAppendReq, BatchAppendResp,
    BatchDeadline, BatchOptions, BatchResult, DeleteReq, DeleteResp, ExpectedRevision,
    ProposedMessage, Target,
};
use crate::{Options, Server, serve};

const STREAMS: &str = "/event_store.client.streams.Streams";

struct Wire {
    server: Server,
    channel: Channel,
}

impl Wire {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = Options { max_append_size: 10_000, ..Options::temporary() };
        let server = serve(listener, options).await.unwrap();
        let address = format!("http://{}", server.address());
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        Self { server, channel }
    }

    async fn grpc(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        grpc
    }

    async fn ask<Q, A>(&self, path: &str, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = path.parse().unwrap();
        let codec = ProstCodec::default();
        let answer = self.grpc().await.unary(Request::new(question), path, codec).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn append(&self, stream: &str, events: Vec<ProposedMessage>) -> Result<u64, Status> {
        let options = AppendContent::Options(target(stream, ExpectedRevision::Any(())));
        let messages = std::iter::once(options)
            .chain(events.into_iter().map(AppendContent::ProposedMessage))
            .map(|content| AppendReq { content: Some(content) });
        let path = format!("{STREAMS}/Append").parse().unwrap();
        let request = Request::new(stream::iter(messages.collect::<Vec<_>>()));
        let mut grpc = self.grpc().await;
        let answer = grpc.client_streaming(request, path, ProstCodec::default());
        let answer: AppendResp = answer.await?.into_inner();
        match answer.result.unwrap() {
            AppendResult::Success(success) => Ok(match success.position.unwrap() {
                super::messages::write::WrittenPosition::Position(at) => at.commit_position,
                super::messages::write::WrittenPosition::NoPosition(()) => 0,
            }),
            AppendResult::WrongExpectedVersion(refusal) => panic!("{refusal:?}"),
        }
    }

    async fn read(&self, options: ReadOptions) -> Result<Streaming<ReadResp>, Status> {
        let request = Request::new(ReadReq { options: Some(options) });
        let path = PathAndQuery::from_static("/event_store.client.streams.Streams/Read");
        let answer = self.grpc().await.server_streaming(request, path, ProstCodec::default()).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn read_whole(&self, options: ReadOptions) -> Vec<Content> {
        let messages = self.read(options).await.unwrap();
        messages.map(|message| message.unwrap().content.unwrap()).collect().await
    }

    async fn batches(
        &self,
        requests: impl futures::Stream<Item = BatchAppendReq> + Send + 'static,
    ) -> Streaming<BatchAppendResp> {
        let path = PathAndQuery::from_static("/event_store.client.streams.Streams/BatchAppend");
        let codec = ProstCodec::default();
        let answer = self.grpc().await.streaming(Request::new(requests), path, codec).await;
        answer.unwrap().into_inner()
    }
}

fn target(stream: &str, expected: ExpectedRevision) -> Target {
    Target { stream_identifier: Some(convert::identifier(stream)), expected: Some(expected) }
}

fn event(number: u128) -> ProposedMessage {
    let entry = |key: &'static str, value: &'static str| MetadataEntry {
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
    };
    ProposedMessage {
        id: Some(convert::uuid_as_text(Uuid::from_u128(number))),
        metadata: vec![entry("type", "Happened"), entry("content-type", "application/json")],
        custom_metadata: Bytes::new(),
        data: Bytes::from_static(b"{}"),
    }
}

fn stream_options(stream: &str, from: FromRevision, amount: Amount) -> ReadOptions {
    let source =
        StreamOptions { stream_identifier: Some(convert::identifier(stream)), from: Some(from) };
    ReadOptions {
        source: Some(Source::Stream(source)),
        read_direction: Direction::Forwards.into(),
        amount: Some(amount),
        control_option: Some(super::messages::read::ControlOption { compatibility: 1 }),
        ..ReadOptions::default()
    }
}

fn trailer<'s>(status: &'s Status, name: &str) -> &'s str {
    status.metadata().get(name).unwrap().to_str().unwrap()
}

#[tokio::test]
async fn metadata_cannot_be_deleted() {
    let wire = Wire::new().await;
    wire.append("$$s", vec![event(1)]).await.unwrap();
    for call in ["Delete", "Tombstone"] {
        let request = DeleteReq { options: Some(target("$$s", ExpectedRevision::Any(()))) };
        let refusal = wire.ask::<_, DeleteResp>(&format!("{STREAMS}/{call}"), request).await;
        assert_eq!(refusal.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn an_append_that_is_too_large_is_told_the_limit() {
    let wire = Wire::new().await;
    let large = ProposedMessage { data: vec![0; 9_000].into(), ..event(1) };
    let refusal = wire.append("s", vec![large.clone(), large]).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert_eq!(trailer(&refusal, "exception"), "maximum-append-size-exceeded");
    assert_eq!(trailer(&refusal, "maximum-append-size"), "10000");
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented() {
    let wire = Wire::new().await;
    for path in [
        "/event_store.client.streams.Streams/Other",
        "/event_store.client.projections.Projections/Create",
    ] {
        let refusal = wire.ask::<(), ()>(path, ()).await.unwrap_err();
        assert_eq!(refusal.code(), Code::Unimplemented, "{path}");
        assert!(refusal.message().contains("not served"), "{path}: {refusal}");
    }
}

#[tokio::test]
async fn the_one_node_leads_and_lists_what_it_serves() {
    let wire = Wire::new().await;
    let gossip = wire.ask::<_, ClusterInfo>("/event_store.client.gossip.Gossip/Read", ()).await;
    let member = gossip.unwrap().members.remove(0);
    assert_eq!((member.state, member.is_alive), (LEADER, true));
    let port = wire.server.address().port();
    assert_eq!(member.http_end_point.unwrap().port, u32::from(port));

    let path = "/event_store.client.server_features.ServerFeatures/GetSupportedMethods";
    let methods = wire.ask::<_, SupportedMethods>(path, ()).await.unwrap().methods;
    assert!(methods.iter().any(|method| method.method_name == "batchappend"));
    assert!(!methods.iter().any(|method| method.service_name.contains("projections")));
}

#[tokio::test]
async fn a_read_of_the_log_can_be_filtered_in_both_directions() {
    let wire = Wire::new().await;
    for (number, stream) in (0..).zip(["order-1", "stock-1", "order-2", "stock-2", "order-3"]) {
        wire.append(stream, vec![event(number)]).await.unwrap();
    }
    let prefix = vec!["order-".to_owned()];
    let filter = FilterOptions {
        on: Some(FilterOn::StreamIdentifier(Expression { regex: String::new(), prefix })),
        ..FilterOptions::default()
    };
    let options = |direction: Direction, from| ReadOptions {
        source: Some(Source::All(AllOptions { from: Some(from) })),
        read_direction: direction.into(),
        amount: Some(Amount::Count(2)),
        filtering: Some(Filtering::Filter(filter.clone())),
        ..ReadOptions::default()
    };
    let forwards = options(Direction::Forwards, FromPosition::Start(()));
    let backwards = options(Direction::Backwards, FromPosition::End(()));
    for (options, expected) in
        [(forwards, ["order-1", "order-2"]), (backwards, ["order-3", "order-2"])]
    {
        let streams: Vec<_> = wire
            .read_whole(options)
            .await
            .into_iter()
            .map(|content| {
                let Content::Event(event) = content else { panic!("{content:?}") };
                event.event.unwrap().read.stream_identifier.unwrap().stream_name
            })
            .collect();
        assert_eq!(streams, expected);
    }
}

/// Hides the events of the stream before a revision.
async fn truncate(wire: &Wire, stream: &str, before: u64) {
    let data = format!("{{\"$tb\":{before}}}").into_bytes().into();
    let metadata = ProposedMessage { data, ..event(1_000 + u128::from(before)) };
    wire.append(&format!("$${stream}"), vec![metadata]).await.unwrap();
}

#[tokio::test]
async fn a_read_that_begins_a_page_before_what_is_visible_says_where_that_begins() {
    let wire = Wire::new().await;
    wire.append("s", (0..50).map(event).collect()).await.unwrap();
    truncate(&wire, "s", 40).await;
    let read = async |count| {
        wire.read_whole(stream_options("s", FromRevision::Start(()), Amount::Count(count))).await
    };
    let far = read(u64::MAX).await;
    assert_eq!(far[0], Content::FirstStreamPosition(40));
    assert_eq!(far.len(), 12);
    truncate(&wire, "s", 20).await;
    assert!(matches!(read(u64::MAX).await[0], Content::Event(_)));
    assert_eq!(read(5).await[0], Content::FirstStreamPosition(20));
}

#[tokio::test]
async fn a_subscription_says_how_far_it_has_come_when_it_has_caught_up() {
    let wire = Wire::new().await;
    let position = wire.append("s", vec![event(1), event(2)]).await.unwrap();
    let follow = Amount::Subscription(SubscriptionOptions {});
    let of_stream = stream_options("s", FromRevision::Start(()), follow);
    let of_nothing = stream_options("nothing", FromRevision::Start(()), follow);
    let of_all = ReadOptions {
        source: Some(Source::All(AllOptions { from: Some(FromPosition::Start(())) })),
        amount: Some(follow),
        ..ReadOptions::default()
    };
    for (options, revision, reached) in
        [(of_stream, Some(1), None), (of_nothing, None, None), (of_all, None, Some(position))]
    {
        let mut messages = wire.read(options).await.unwrap();
        let caught_up = loop {
            match messages.message().await.unwrap().unwrap().content.unwrap() {
                Content::CaughtUp(reached) => break reached,
                Content::Confirmation(_) | Content::Event(_) => {}
                other @ (Content::Checkpoint(_)
                | Content::StreamNotFound(_)
                | Content::FirstStreamPosition(_)
                | Content::LastStreamPosition(_)
                | Content::LastAllStreamPosition(_)
                | Content::FellBehind(_)) => panic!("{other:?}"),
            }
        };
        assert!(caught_up.timestamp.unwrap().seconds > 1_700_000_000);
        assert_eq!(caught_up.stream_revision, revision);
        assert_eq!(caught_up.position, reached.map(convert::position));
    }
}

#[tokio::test]
async fn who_subscribes_at_the_largest_position_subscribes_at_the_end() {
    let wire = Wire::new().await;
    wire.append("s", vec![event(1), event(2)]).await.unwrap();
    let follow = Amount::Subscription(SubscriptionOptions {});
    let end = convert::position(u64::MAX);
    let of_all = ReadOptions {
        source: Some(Source::All(AllOptions { from: Some(FromPosition::Position(end)) })),
        amount: Some(follow),
        ..ReadOptions::default()
    };
    let of_stream = stream_options("s", FromRevision::Revision(u64::MAX), follow);
    for (options, number) in [(of_all, 3), (of_stream, 4)] {
        let mut messages = wire.read(options).await.unwrap();
        while !matches!(
            messages.message().await.unwrap().unwrap().content.unwrap(),
            Content::CaughtUp(_)
        ) {}
        wire.append("s", vec![event(number)]).await.unwrap();
        let next = messages.message().await.unwrap().unwrap().content.unwrap();
        let Content::Event(next) = next else { panic!("{next:?}") };
        assert_eq!(next.event.unwrap().read.stream_revision, u64::try_from(number).unwrap() - 1);
    }
}

fn batch(
    id: u128,
    expected: Option<ExpectedRevision>,
    events: Vec<ProposedMessage>,
) -> BatchAppendReq {
    let options = expected.map(|expected| BatchOptions {
        stream_identifier: Some(convert::identifier("s")),
        expected: Some(expected),
        deadline: None,
    });
    BatchAppendReq {
        correlation_id: Some(convert::uuid_as_numbers(Uuid::from_u128(id))),
        options,
        proposed_messages: events,
        is_final: true,
    }
}

#[tokio::test]
async fn a_refused_batch_says_why_and_the_call_goes_on() {
    let wire = Wire::new().await;
    wire.append("s", vec![event(1)]).await.unwrap();
    let large = ProposedMessage { data: vec![0; 20_000].into(), ..event(2) };
    let requests = [
        batch(1, Some(ExpectedRevision::Revision(7)), vec![event(2)]),
        batch(2, Some(ExpectedRevision::Any(())), vec![large]),
        batch(3, Some(ExpectedRevision::Revision(0)), vec![event(3)]),
    ];
    let answers: Vec<_> = wire.batches(stream::iter(requests)).await.collect().await;
    let mut results = std::collections::HashMap::new();
    for answer in answers {
        let answer = answer.unwrap();
        let id = convert::uuid(&answer.correlation_id.unwrap()).unwrap();
        results.insert(id.as_u128(), answer.result.unwrap());
    }
    let BatchResult::Error(refusal) = &results[&1] else { panic!("{results:?}") };
    assert_eq!(refusal.message, "WrongExpectedVersion");
    let details = refusal.details.as_ref().unwrap();
    assert_eq!(details.type_url, "type.googleapis.com/event_store.client.WrongExpectedVersion");
    let details = shared::WrongExpectedVersion::decode(details.value.clone()).unwrap();
    assert_eq!(details.current, Some(wrong_expected_version::Current::Revision(0)));
    assert_eq!(details.expected, Some(wrong_expected_version::Expected::Revision(7)));
    assert!(
        matches!(&results[&2], BatchResult::Error(refusal) if refusal.message == "MaximumAppendSizeExceeded")
    );
    assert!(matches!(&results[&3], BatchResult::Success(_)));
}

#[tokio::test]
async fn a_batch_that_does_not_come_whole_in_time_is_told_so() {
    let wire = Wire::new().await;
    let deadline = |seconds, nanos| Some(BatchDeadline::In(shared::Timestamp { seconds, nanos }));
    let with = |id, is_final, deadline| {
        let mut batch = batch(id, Some(ExpectedRevision::Any(())), vec![event(id)]);
        batch.is_final = is_final;
        batch.options.as_mut().unwrap().deadline = deadline;
        batch
    };
    let requests = [
        with(1, true, deadline(0, 0)),
        with(2, false, deadline(0, 1_000_000)),
        with(3, true, deadline(3_600, 0)),
    ];
    let answers = wire.batches(stream::iter(requests).chain(stream::pending())).await;
    let answers: Vec<_> = answers.take(3).collect().await;
    for answer in answers {
        let answer = answer.unwrap();
        let id = convert::uuid(&answer.correlation_id.unwrap()).unwrap().as_u128();
        match answer.result.unwrap() {
            BatchResult::Success(_) => assert_eq!(id, 3),
            BatchResult::Error(refusal) => {
                assert!(id < 3 && refusal.message == "Timeout", "{id}: {refusal:?}");
                assert_eq!(refusal.code, Code::DeadlineExceeded as i32);
                let details = refusal.details.unwrap().type_url;
                assert_eq!(details, "type.googleapis.com/event_store.client.Timeout");
            }
        }
    }
}

#[tokio::test]
async fn parts_of_a_batch_that_never_began_are_passed_over() {
    let wire = Wire::new().await;
    let requests = [batch(1, None, vec![event(1)]), {
        batch(2, Some(ExpectedRevision::NoStream(())), vec![event(2)])
    }];
    let answers: Vec<_> = wire.batches(stream::iter(requests)).await.collect().await;
    assert_eq!(answers.len(), 1);
    assert!(matches!(answers[0].as_ref().unwrap().result, Some(BatchResult::Success(_))));
}

#[tokio::test]
async fn a_stop_ends_every_kind_of_stream_as_unavailable() {
    let wire = Wire::new().await;
    wire.append("s", vec![event(1)]).await.unwrap();
    let mut batches = wire.batches(stream::pending()).await;
    let follow = Amount::Subscription(SubscriptionOptions {});
    let mut subscription =
        wire.read(stream_options("s", FromRevision::Start(()), follow)).await.unwrap();
    let mut said = Vec::new();
    while !matches!(said.last(), Some(Content::CaughtUp(_))) {
        said.extend(subscription.message().await.unwrap().unwrap().content);
    }
    assert!(matches!(said[0], Content::Confirmation(_)) && said.len() == 3);
    let (batch_end, read_end, ()) =
        tokio::join!(batches.message(), subscription.message(), wire.server.stop());
    assert_eq!(batch_end.unwrap_err().code(), Code::Unavailable);
    assert_eq!(read_end.unwrap_err().code(), Code::Unavailable);
}
