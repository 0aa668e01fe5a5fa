//! Clients that ask for more work or memory than anybody may have.

use bytes::Bytes;
use embedded_store::{Authentication, Options, Server};
use eventstore::{
    DeletePersistentSubscriptionOptions, EventData, PersistentSubscriptionToAllOptions,
    StreamPosition, SubscribeToAllOptions, SubscribeToPersistentSubscriptionOptions,
    SubscriptionFilter,
};
use futures::StreamExt;
use futures::channel::mpsc;
use futures::stream;
use tonic::client::Grpc;
use tonic::codec::ProstCodec;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::bare::{APPEND, BATCH};
use crate::harness::{soon, start, store};
use crate::messages::shared::{StreamIdentifier, Timestamp, Uuid as WireUuid, uuid::Value};
use crate::messages::write::{
    AppendContent, AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, BatchDeadline,
    BatchOptions, BatchResult, ExpectedRevision, Target,
};

/// Takes exponentially long over names of this kind.
const COSTLY: &str = r"^(?:a|a(?=a))*$";

fn costly_events() -> Vec<EventData> {
    let kind = format!("{}!", "a".repeat(200));
    (0..300).map(|_| EventData::binary(&kind, Bytes::new())).collect()
}

async fn grpc(server: &Server) -> Grpc<Channel> {
    let channel = Channel::from_shared(format!("http://{}", server.address())).unwrap();
    let mut grpc = Grpc::new(soon(channel.connect()).await.unwrap());
    soon(grpc.ready()).await.unwrap();
    grpc
}

fn stream_s() -> StreamIdentifier {
    StreamIdentifier { stream_name: Bytes::from_static(b"s") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_that_takes_too_long_ends_its_own_call() {
    let store = store().await;
    store.add("s", costly_events()).await;
    let options = SubscribeToAllOptions::default()
        .position(StreamPosition::Start)
        .filter(SubscriptionFilter::on_event_type().regex(COSTLY));
    let mut subscription = store.client.subscribe_to_all(&options).await;
    let ended = soon(async {
        loop {
            if let Err(error) = subscription.next().await {
                return error;
            }
        }
    })
    .await;
    assert!(ended.to_string().contains("takes too long"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_pattern_takes_too_long_ends_and_says_so() {
    let store = store().await;
    let costly = PersistentSubscriptionToAllOptions::default()
        .start_from(StreamPosition::Start)
        .filter(SubscriptionFilter::on_event_type().regex(COSTLY));
    soon(store.client.create_persistent_subscription_to_all("g", &costly)).await.unwrap();
    let consume = async || {
        let options = SubscribeToPersistentSubscriptionOptions::default();
        store.client.subscribe_to_persistent_subscription_to_all("g", &options).await
    };
    let mut consumer = soon(consume()).await.unwrap();
    store.add("s", costly_events()).await;
    let ended = soon(async {
        loop {
            match consumer.next().await {
                // Not always heard: the group may have ended since.
                Ok(event) => drop(consumer.ack(event).await),
                Err(error) => return error,
            }
        }
    })
    .await;
    assert!(ended.to_string().contains("takes too long"), "{ended}");
    let refused = match soon(consume()).await {
        Err(error) => error,
        Ok(mut consumer) => soon(consumer.next()).await.unwrap_err(),
    };
    assert!(refused.to_string().contains("takes too long"), "{refused}");

    let options = DeletePersistentSubscriptionOptions::default();
    soon(store.client.delete_persistent_subscription_to_all("g", &options)).await.unwrap();
    let cheap = costly.filter(SubscriptionFilter::on_event_type().regex("^Wanted"));
    soon(store.client.create_persistent_subscription_to_all("g", &cheap)).await.unwrap();
    store.add("s", vec![EventData::binary("Wanted", Bytes::new())]).await;
    let mut consumer = soon(consume()).await.unwrap();
    let event = soon(consumer.next()).await.unwrap();
    assert_eq!(event.get_original_event().event_type, "Wanted");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_append_is_told_before_the_events_come() {
    let authentication = Some(Authentication::with_passwords("changeit", "changeit"));
    let server = start(Options { authentication, ..Options::temporary() }).await;
    let target =
        Target { stream_identifier: Some(stream_s()), expected: Some(ExpectedRevision::Any(())) };
    let begin = AppendReq { content: Some(AppendContent::Options(target)) };
    let endless = Request::new(stream::iter([begin]).chain(stream::pending()));
    let codec = ProstCodec::<AppendReq, AppendResp>::default();
    let mut grpc = grpc(&server).await;
    let call = grpc.client_streaming(endless, PathAndQuery::from_static(APPEND), codec);
    let refused = soon(call).await.unwrap_err();
    assert!(matches!(refused.code(), Code::PermissionDenied | Code::Unauthenticated), "{refused}");
}

fn part(id: &str, millis: i32, is_final: bool) -> BatchAppendReq {
    let deadline =
        Timestamp { seconds: i64::from(millis / 1_000), nanos: millis % 1_000 * 1_000_000 };
    BatchAppendReq {
        correlation_id: Some(WireUuid { value: Some(Value::String(id.to_owned())) }),
        options: Some(BatchOptions {
            stream_identifier: Some(stream_s()),
            expected: Some(ExpectedRevision::Any(())),
            deadline: Some(BatchDeadline::In(deadline)),
        }),
        proposed_messages: Vec::new(),
        is_final,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_not_ended_by_the_deadline_of_another_with_its_id() {
    let store = store().await;
    let (sender, receiver) = mpsc::unbounded();
    let codec = ProstCodec::<BatchAppendReq, BatchAppendResp>::default();
    let path = PathAndQuery::from_static(BATCH);
    let mut grpc = grpc(&store.server).await;
    let [same, other] =
        ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"];
    let send = |part| sender.unbounded_send(part).unwrap();
    send(part(same, 500, false));
    send(part(same, 500, true));
    let answers = soon(grpc.streaming(Request::new(receiver), path, codec)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut answer = async || {
        let answer = soon(answers.message()).await.unwrap().unwrap();
        let Some(Value::Structured(id)) = answer.correlation_id.unwrap().value else { panic!() };
        (id.least_significant_bits, matches!(answer.result, Some(BatchResult::Success(_))))
    };
    assert_eq!(answer().await, (1, true));
    send(part(same, 60_000, false));
    send(part(other, 1_000, false));
    assert_eq!(answer().await, (2, false), "the other one is too late");
    send(part(same, 60_000, true));
    assert_eq!(answer().await, (1, true));
}
