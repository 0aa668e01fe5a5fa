//! What users may do besides streams: persistent subscriptions, operations, and the page.

use embedded_store::Server;
use eventstore::operations::{Client as Operations, OperationalOptions};
use eventstore::{
    Client, DeletePersistentSubscriptionOptions, Error, EventData, ExpectedRevision,
    GetPersistentSubscriptionInfoOptions, PersistentSubscriptionOptions,
    ReplayParkedMessagesOptions, StreamPosition, SubscribeToPersistentSubscriptionOptions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ADMIN, ANN, OPS, anonymous, client, is_denied, server_with_ann, set_list};
use crate::harness::{append, events, soon};

async fn create(client: &Client, stream: &str, resolve: bool) -> eventstore::Result<()> {
    let options = PersistentSubscriptionOptions::default()
        .start_from(StreamPosition::Start)
        .resolve_link_tos(resolve);
    soon(client.create_persistent_subscription(stream, "g", &options)).await
}

async fn consume(client: &Client, stream: &str, count: usize) -> eventstore::Result<Vec<bool>> {
    soon(async {
        let options = SubscribeToPersistentSubscriptionOptions::default();
        let mut consumer =
            client.subscribe_to_persistent_subscription(stream, "g", &options).await?;
        let mut shown = Vec::new();
        for _ in 0..count {
            shown.push(consumer.next().await?.event.is_some());
        }
        Ok(shown)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_manage_persistent_subscriptions_and_readers_of_the_stream_consume_them() {
    let server = server_with_ann().await;
    let (admin, ann, ops) = (client(&server, ADMIN), client(&server, ANN), client(&server, OPS));
    append(&ann, "s", ExpectedRevision::Any, events(0..1)).await.unwrap();
    assert!(is_denied(&create(&ann, "s", false).await));
    assert!(is_denied(&create(&anonymous(&server), "s", false).await));
    create(&ops, "s", false).await.unwrap();
    assert_eq!(consume(&ann, "s", 1).await.unwrap(), [true]);
    let about = GetPersistentSubscriptionInfoOptions::default();
    soon(ann.get_persistent_subscription_info("s", "g", &about)).await.unwrap();
    let replay = ReplayParkedMessagesOptions::default();
    assert!(is_denied(&soon(ann.replay_parked_messages("s", "g", &replay)).await));
    set_list(&admin, "s", "ops", "ops").await;
    assert!(is_denied(&consume(&ann, "s", 1).await));
    assert!(is_denied(&consume(&anonymous(&server), "s", 1).await));
    let delete = DeletePersistentSubscriptionOptions::default();
    assert!(is_denied(&soon(ann.delete_persistent_subscription("s", "g", &delete)).await));
    soon(ops.delete_persistent_subscription("s", "g", &delete)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_not_shown_what_links_point_at_where_it_may_not_read() {
    let server = server_with_ann().await;
    let (ann, ops) = (client(&server, ANN), client(&server, OPS));
    append(&ann, "open", ExpectedRevision::Any, events(0..1)).await.unwrap();
    let link = |target: &'static str| EventData::binary("$>", target.into());
    let links = vec![link("0@open"), link("0@$user-admin")];
    append(&ann, "links", ExpectedRevision::Any, links).await.unwrap();
    create(&ops, "links", true).await.unwrap();
    assert_eq!(consume(&ann, "links", 2).await.unwrap(), [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_operate_and_others_do_not() {
    let server = server_with_ann().await;
    for (credentials, allowed) in [(ADMIN, true), (OPS, true), (ANN, false)] {
        let operations = Operations::from(client(&server, credentials));
        let outcome = soon(operations.merge_indexes(&OperationalOptions::default())).await;
        match outcome {
            Err(Error::AccessDenied) => assert!(!allowed, "{credentials}"),
            Ok(()) => assert!(allowed, "{credentials}"),
            Err(error) => panic!("{credentials}: {error}"),
        }
    }
}

async fn get(server: &Server, path: &str, authorization: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer.to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rules_hold_over_http() {
    let server = server_with_ann().await;
    append(&client(&server, ANN), "s", ExpectedRevision::Any, events(0..1)).await.unwrap();
    assert!(get(&server, "/health/live", "").await.starts_with("http/1.1 204"));
    let unknown = get(&server, "/stats", "").await;
    assert!(unknown.starts_with("http/1.1 401"), "{unknown}");
    assert!(unknown.contains("www-authenticate: basic"), "{unknown}");
    // ann:wrong, ann:one
    let wrong = get(&server, "/stats", "Authorization: Basic YW5uOndyb25n\r\n").await;
    assert!(wrong.starts_with("http/1.1 401"), "{wrong}");
    let ann = "Authorization: Basic YW5uOm9uZQ==\r\n";
    assert!(get(&server, "/stats", ann).await.starts_with("http/1.1 200"));
    assert!(get(&server, "/web/api/streams/s", ann).await.starts_with("http/1.1 200"));
    assert!(get(&server, "/web/api/streams/%24users", ann).await.starts_with("http/1.1 403"));
    assert!(get(&server, "/web/api/log", ann).await.starts_with("http/1.1 403"));
    // admin:changeit
    let admin = "Authorization: Basic YWRtaW46Y2hhbmdlaXQ=\r\n";
    assert!(get(&server, "/web/api/log", admin).await.starts_with("http/1.1 200"));
}
