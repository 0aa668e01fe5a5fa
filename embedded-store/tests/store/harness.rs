//! A server with a client, events to write, and deadlines that only a bug can miss.

use std::time::Duration;

use embedded_store::{Options, Server, serve};
use eventstore::{
    AppendToStreamOptions, Client, EventData, ExpectedRevision, ReadAllOptions, ReadStreamOptions,
    RecordedEvent, StreamPosition, Subscription, SubscriptionEvent, WriteResult,
};
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

pub(crate) struct Store {
    pub(crate) server: Server,
    pub(crate) client: Client,
}

/// A server without fsync in a temporary directory.
pub(crate) async fn store() -> Store {
    store_with(Options::temporary()).await
}

pub(crate) async fn store_with(options: Options) -> Store {
    let server = start(options).await;
    let client = connect(&server);
    Store { server, client }
}

pub(crate) async fn start(options: Options) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, options).await.unwrap()
}

pub(crate) fn connect(server: &Server) -> Client {
    Client::new(server.connection_string().parse().unwrap()).unwrap()
}

/// Waits for what must happen soon. The time is for a machine under load; nothing is measured.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future).await.expect("did not happen in time")
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An event whose id and content are `number`.
pub(crate) fn event(number: u32) -> EventData {
    event_of("Numbered", number)
}

pub(crate) fn event_of(kind: &str, number: u32) -> EventData {
    EventData::json(kind, &json!({ "number": number })).unwrap().id(id(number.into()))
}

pub(crate) fn events(numbers: std::ops::Range<u32>) -> Vec<EventData> {
    numbers.map(event).collect()
}

pub(crate) fn number(event: &RecordedEvent) -> u32 {
    let content: serde_json::Value = event.as_json().unwrap();
    content["number"].as_u64().unwrap().try_into().unwrap()
}

impl Store {
    pub(crate) async fn append(
        &self,
        stream: &str,
        expected: ExpectedRevision,
        events: Vec<EventData>,
    ) -> eventstore::Result<WriteResult> {
        append(&self.client, stream, expected, events).await
    }

    /// Appends what must be accepted.
    pub(crate) async fn add(&self, stream: &str, events: Vec<EventData>) -> WriteResult {
        self.append(stream, ExpectedRevision::Any, events).await.unwrap()
    }

    pub(crate) async fn numbers(&self, stream: &str) -> Vec<u32> {
        let events = read(&self.client, stream, &ReadStreamOptions::default()).await.unwrap();
        events.iter().map(number).collect()
    }

    /// Everything in the log, in order.
    pub(crate) async fn log(&self) -> Vec<RecordedEvent> {
        let options = ReadAllOptions::default().position(StreamPosition::Start);
        read_all(&self.client, &options).await
    }
}

pub(crate) async fn append(
    client: &Client,
    stream: &str,
    expected: ExpectedRevision,
    events: Vec<EventData>,
) -> eventstore::Result<WriteResult> {
    let options = AppendToStreamOptions::default().expected_revision(expected);
    soon(client.append_to_stream(stream, &options, events)).await
}

pub(crate) async fn read(
    client: &Client,
    stream: &str,
    options: &ReadStreamOptions,
) -> eventstore::Result<Vec<RecordedEvent>> {
    soon(async {
        let mut stream = client.read_stream(stream, options).await?;
        let mut events = Vec::new();
        while let Some(event) = stream.next().await? {
            events.push(event.event.unwrap());
        }
        Ok(events)
    })
    .await
}

pub(crate) async fn read_all(client: &Client, options: &ReadAllOptions) -> Vec<RecordedEvent> {
    soon(async {
        let mut stream = client.read_all(options).await.unwrap();
        let mut events = Vec::new();
        while let Some(event) = stream.next().await.unwrap() {
            events.push(event.event.unwrap());
        }
        events
    })
    .await
}

/// The next events of a subscription, whatever else it says between them.
pub(crate) async fn next_events(
    subscription: &mut Subscription,
    count: usize,
) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(soon(subscription.next()).await.unwrap().event.unwrap());
    }
    events
}

/// The events of a subscription before it says that it has caught up.
pub(crate) async fn events_until_caught_up(subscription: &mut Subscription) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    loop {
        match soon(subscription.next_subscription_event()).await.unwrap() {
            SubscriptionEvent::CaughtUp => return events,
            SubscriptionEvent::EventAppeared(event) => events.push(event.event.unwrap()),
            SubscriptionEvent::Confirmed(_)
            | SubscriptionEvent::Checkpoint(_)
            | SubscriptionEvent::FirstStreamPosition(_)
            | SubscriptionEvent::LastStreamPosition(_)
            | SubscriptionEvent::LastAllPosition(_)
            | SubscriptionEvent::FellBehind => {}
        }
    }
}
