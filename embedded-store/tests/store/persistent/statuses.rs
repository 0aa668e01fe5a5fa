//! The wire itself, through a bare gRPC client: statuses, trailers and fields that the official client
//! hides or never sends.

use futures::{StreamExt, stream};
use prost::Message;
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::codec::ProstCodec;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::harness::{Store, events, soon, store};
use crate::messages::persistent::put_options::Source as PutSource;
use crate::messages::persistent::{
    Ack, Count, CreateReq, DeleteOptions, DeleteReq, Done, FromRevision, GetInfoOptions,
    GetInfoReq, GetInfoResp, PutOptions, ReadAnswer, ReadContent, ReadOptions, ReadReq, ReadResp,
    Settings, SourceOption, StreamOptions, delete_options, read_options,
};
use crate::messages::read::{UuidForm, UuidOption};
use crate::messages::shared::{StreamIdentifier, uuid::Value};

const SERVICE: &str = "/event_store.client.persistent_subscriptions.PersistentSubscriptions";

async fn grpc(store: &Store) -> Grpc<Channel> {
    let address = format!("http://{}", store.server.address());
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    grpc
}

async fn ask<Q, A>(store: &Store, method: &str, question: Q) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let path = format!("{SERVICE}/{method}").parse().unwrap();
    let mut grpc = grpc(store).await;
    let answer = grpc.unary(Request::new(question), path, ProstCodec::default());
    soon(answer).await.map(tonic::Response::into_inner)
}

fn identifier(stream: &'static str) -> StreamIdentifier {
    StreamIdentifier { stream_name: stream.into() }
}

fn settings() -> Settings {
    Settings {
        max_retry_count: 10,
        min_checkpoint_count: 1,
        max_checkpoint_count: 1,
        live_buffer_size: 500,
        read_batch_size: 20,
        history_buffer_size: 500,
        ..Settings::default()
    }
}

fn creation(stream: &'static str, group: &str) -> PutOptions {
    let from = Some(FromRevision::Start(()));
    let stream = StreamOptions { stream_identifier: Some(identifier(stream)), from };
    PutOptions {
        group_name: group.to_owned(),
        settings: Some(settings()),
        source: Some(PutSource::Stream(stream)),
        ..PutOptions::default()
    }
}

async fn create(store: &Store, options: PutOptions) -> Result<Done, Status> {
    ask(store, "Create", CreateReq { options: Some(options) }).await
}

fn options(stream: &'static str, group: &str) -> ReadOptions {
    ReadOptions {
        source: Some(read_options::Source::Stream(identifier(stream))),
        group_name: group.to_owned(),
        buffer_size: 10,
        uuid_option: None,
    }
}

/// A consumer whose questions go in one way and answers come the other.
struct Consumer {
    questions: mpsc::UnboundedSender<ReadReq>,
    answers: Streaming<ReadResp>,
}

async fn consume(store: &Store, first: ReadContent) -> Result<Consumer, Status> {
    let (questions, receiver) = mpsc::unbounded_channel();
    questions.send(ReadReq { content: Some(first) }).unwrap();
    let stream = stream::unfold(receiver, |mut receiver| async {
        let question = receiver.recv().await?;
        Some((question, receiver))
    });
    let path = format!("{SERVICE}/Read").parse().unwrap();
    let codec = ProstCodec::<ReadReq, ReadResp>::default();
    let mut grpc = grpc(store).await;
    let answers = soon(grpc.streaming(Request::new(stream.boxed()), path, codec)).await?;
    Ok(Consumer { questions, answers: answers.into_inner() })
}

impl Consumer {
    fn send(&self, content: ReadContent) {
        self.questions.send(ReadReq { content: Some(content) }).unwrap();
    }

    async fn next(&mut self) -> Result<ReadAnswer, Status> {
        let answer = soon(self.answers.message()).await?;
        Ok(answer.expect("a consumer never ends with OK").content.unwrap())
    }
}

fn trailer<'a>(status: &'a Status, name: &str) -> &'a str {
    status.metadata().get(name).map_or("", |value| value.to_str().unwrap())
}

fn assert_about(status: &Status, code: Code, exception: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(trailer(status, "exception"), exception);
    assert_eq!(trailer(status, "stream-name"), "s");
    assert_eq!(trailer(status, "group-name"), "g");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_stream_and_the_group() {
    let store = store().await;
    let missing = consume(&store, ReadContent::Options(options("s", "g"))).await;
    let missing = missing.err().unwrap();
    assert_about(&missing, Code::NotFound, "persistent-subscription-does-not-exist");
    let unknown = Settings { consumer_strategy: "Favourite".to_owned(), ..settings() };
    let unknown = PutOptions { settings: Some(unknown), ..creation("s", "g") };
    let unknown = create(&store, unknown).await.unwrap_err();
    assert_about(&unknown, Code::Internal, "persistent-subscription-failed");
    assert_eq!(trailer(&unknown, "reason"), "Consumer strategy Favourite does not exist.");
    let one = Settings { max_subscriber_count: 1, ..settings() };
    create(&store, PutOptions { settings: Some(one), ..creation("s", "g") }).await.unwrap();
    let again = create(&store, creation("s", "g")).await.unwrap_err();
    assert_about(&again, Code::AlreadyExists, "persistent-subscription-exists");
    let mut first = consume(&store, ReadContent::Options(options("s", "g"))).await.unwrap();
    let second = consume(&store, ReadContent::Options(options("s", "g"))).await.err().unwrap();
    assert_about(&second, Code::FailedPrecondition, "maximum-subscribers-reached");
    assert!(matches!(first.next().await, Ok(ReadAnswer::Confirmation(_))));
    let source = Some(delete_options::Source::Stream(identifier("s")));
    let delete = DeleteReq { options: Some(DeleteOptions { source, group_name: "g".to_owned() }) };
    let _: Done = ask(&store, "Delete", delete).await.unwrap();
    let dropped = first.next().await.unwrap_err();
    assert_about(&dropped, Code::Cancelled, "persistent-subscription-dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_consumer_with_unavailable() {
    let store = store().await;
    create(&store, creation("s", "g")).await.unwrap();
    let mut consumer = consume(&store, ReadContent::Options(options("s", "g"))).await.unwrap();
    assert!(matches!(consumer.next().await, Ok(ReadAnswer::Confirmation(_))));
    let Store { server, .. } = store;
    let stop = tokio::spawn(async move { server.stop().await });
    let ended = consumer.next().await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    soon(stop).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_older_clients_are_understood() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    let options = PutOptions {
        stream_identifier: Some(identifier("s")),
        group_name: "g".to_owned(),
        settings: Some(Settings { revision: 2, named_consumer_strategy: 1, ..settings() }),
        source: None,
    };
    create(&store, options).await.unwrap();
    let question = GetInfoReq {
        options: Some(GetInfoOptions {
            source: Some(SourceOption::Stream(identifier("s"))),
            group_name: "g".to_owned(),
        }),
    };
    let info: GetInfoResp = ask(&store, "GetInfo", question).await.unwrap();
    let info = info.subscription_info.unwrap();
    assert_eq!(info.start_from, "2");
    assert_eq!(info.named_consumer_strategy, "RoundRobin");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_in_the_form_that_was_asked_for() {
    let store = store().await;
    store.add("s", events(0..1)).await;
    create(&store, creation("s", "g")).await.unwrap();
    for (retries, form) in
        [None, Some(UuidForm::String(())), Some(UuidForm::Structured(()))].into_iter().enumerate()
    {
        let wants_text = matches!(form, Some(UuidForm::String(())));
        let uuid_option = form.map(|form| UuidOption { form: Some(form) });
        let options = ReadOptions { uuid_option, ..options("s", "g") };
        let mut consumer = consume(&store, ReadContent::Options(options)).await.unwrap();
        let Ok(ReadAnswer::Confirmation(confirmation)) = consumer.next().await else {
            panic!("no confirmation")
        };
        assert_eq!(confirmation.subscription_id, "s::g");
        let Ok(ReadAnswer::Event(event)) = consumer.next().await else { panic!("no event") };
        assert_eq!(event.count, Some(Count::RetryCount(i32::try_from(retries).unwrap())));
        let id = event.event.unwrap().read.id.unwrap();
        assert_eq!(matches!(id.value, Some(Value::String(_))), wants_text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_makes_no_sense_is_told_so() {
    let store = store().await;
    create(&store, creation("s", "g")).await.unwrap();
    let ack = ReadContent::Ack(Ack::default());
    let begun_wrong = consume(&store, ack.clone()).await.err().unwrap();
    assert_eq!(begun_wrong.code(), Code::InvalidArgument);
    let nothing = ReadOptions { buffer_size: 0, ..options("s", "g") };
    let nothing = consume(&store, ReadContent::Options(nothing)).await.err().unwrap();
    assert_eq!(nothing.code(), Code::InvalidArgument);
    let mut consumer = consume(&store, ReadContent::Options(options("s", "g"))).await.unwrap();
    assert!(matches!(consumer.next().await, Ok(ReadAnswer::Confirmation(_))));
    consumer.send(ack);
    consumer.send(ReadContent::Options(options("s", "g")));
    assert_eq!(consumer.next().await.unwrap_err().code(), Code::InvalidArgument);
}
