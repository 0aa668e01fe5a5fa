//! What the server says about itself, and the socket below the calls.

use embedded_store::Options;
use eventstore::{Client, CreateProjectionOptions, Error, ExpectedRevision, ProjectionClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Store, append, events, soon, start, store, store_with};

async fn get(server: &embedded_store::Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_answers_on_the_same_port() {
    let Store { server, client: _client } = store().await;
    assert_eq!(get(&server, "/health/live").await, "HTTP/1.1 204 No Content");
    assert_eq!(get(&server, "/health/other").await, "HTTP/1.1 404 Not Found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_what_it_serves() {
    let store = store().await;
    let info = soon(store.client.server_info()).await.unwrap();
    assert!(info.version() >= (24, 10), "{}", info.version());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_is_refused_as_such() {
    let store = store().await;
    let projections = ProjectionClient::new(store.server.connection_string().parse().unwrap());
    let options = CreateProjectionOptions::default();
    let refused = soon(projections.create("p", "fromAll()".to_owned(), &options)).await;
    assert!(matches!(refused, Err(Error::UnsupportedFeature)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_discovers_by_gossip_finds_the_server() {
    let server = start(Options::temporary()).await;
    let discover = server.connection_string().replace("esdb://", "esdb+discover://");
    let client = Client::new(discover.parse().unwrap()).unwrap();
    append(&client, "s", ExpectedRevision::NoStream, events(0..1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_tells_the_advertised_address() {
    let real = start(Options::temporary()).await;
    let advertised = Some(("localhost".to_owned(), real.address().port()));
    let other = start(Options { advertised, ..Options::temporary() }).await;
    let discover = other.connection_string().replace("esdb://", "esdb+discover://");
    let client = Client::new(discover.parse().unwrap()).unwrap();
    append(&client, "s", ExpectedRevision::NoStream, events(0..1)).await.unwrap();
    let client = crate::harness::connect(&real);
    assert_eq!(Store { server: real, client }.numbers("s").await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn quick_acknowledgements_can_be_turned_off() {
    let store = store_with(Options { quickack: false, ..Options::temporary() }).await;
    store.add("s", events(0..3)).await;
    assert_eq!(store.numbers("s").await, [0, 1, 2]);
}
