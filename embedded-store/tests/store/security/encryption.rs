//! TLS, and those who expect it where there is none or the other way round.

use std::time::Duration;

use embedded_store::{Options, Server, Tls};
use eventstore::{
    BatchAppendOptions, Client, ExpectedRevision, ReadStreamOptions, StreamPosition,
    SubscribeToAllOptions,
};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ADMIN, client, guarded};
use crate::harness::{
    append, connect, event, events, events_until_caught_up, next_events, read, soon, start, store,
};

fn development() -> Options {
    Options { tls: Some(Tls::Development), ..Options::temporary() }
}

async fn works(client: &Client) {
    append(client, "s", ExpectedRevision::Any, events(0..3)).await.unwrap();
    let read = read(client, "s", &ReadStreamOptions::default()).await.unwrap();
    assert!(read.len() >= 3);
}

async fn fails(connection_string: &str) {
    // The client tries ten times; it is told not to take its time over that.
    let client = Client::new(connection_string.parse().unwrap()).unwrap();
    append(&client, "s", ExpectedRevision::Any, events(0..3)).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_does_everything_over_tls() {
    let server = start(Options { tls: Some(Tls::Development), ..guarded() }).await;
    assert!(server.connection_string().contains("tls=true"), "{}", server.connection_string());
    let client = client(&server, ADMIN);
    works(&client).await;
    let batches = soon(client.batch_append(&BatchAppendOptions::default())).await.unwrap();
    soon(batches.append_to_stream("b", ExpectedRevision::Any, vec![event(9)])).await.unwrap();
    let options = SubscribeToAllOptions::default().position(StreamPosition::Start);
    let mut subscription = client.subscribe_to_all(&options).await;
    assert!(events_until_caught_up(&mut subscription).await.len() > 4);
    append(&client, "s", ExpectedRevision::Any, events(10..11)).await.unwrap();
    next_events(&mut subscription, 1).await;
    soon(server.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_trusted_by_the_names_of_this_machine() {
    let server = start(development()).await;
    let string = server.connection_string();
    for name in ["127.0.0.1", "localhost"] {
        let client = Client::new(string.replace("127.0.0.1", name).parse().unwrap()).unwrap();
        works(&client).await;
    }
    let discover = string.replace("esdb://", "esdb+discover://");
    works(&Client::new(discover.parse().unwrap()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_from_files_is_shown() {
    let directory = TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let tls = Tls::Files {
        certificate_chain: directory.path().join("node.crt"),
        private_key: directory.path().join("node.key"),
    };
    std::fs::write(directory.path().join("node.crt"), certificate.pem()).unwrap();
    std::fs::write(directory.path().join("node.key"), key.serialize_pem()).unwrap();
    let server = start(Options { tls: Some(tls), ..Options::temporary() }).await;
    assert_eq!(server.ca_file(), None);
    let trusting = format!(
        "{}&tlsCaFile={}",
        server.connection_string(),
        directory.path().join("node.crt").display()
    );
    works(&Client::new(trusting.parse().unwrap()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_trust_the_certificate_does_not_connect() {
    let (server, other) = (start(development()).await, start(development()).await);
    let ca_file = |server: &Server| server.ca_file().unwrap().display().to_string();
    fails(&server.connection_string().replace(&ca_file(&server), &ca_file(&other))).await;
    works(&connect(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_authority_that_clients_trust() {
    let directory = TempDir::new().unwrap();
    let at = || Options { data_dir: Some(directory.path().to_owned()), ..development() };
    let first = start(at()).await;
    let before = std::fs::read(first.ca_file().unwrap()).unwrap();
    soon(first.stop()).await;
    let second = start(at()).await;
    assert_eq!(std::fs::read(second.ca_file().unwrap()).unwrap(), before);
    works(&connect(&second)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_there_keep_the_server_from_starting() {
    let directory = TempDir::new().unwrap();
    let missing = Tls::Files {
        certificate_chain: directory.path().join("node.crt"),
        private_key: directory.path().join("node.key"),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options { tls: Some(missing), ..Options::temporary() };
    let refused = embedded_store::serve(listener, options).await;
    assert!(matches!(refused, Err(embedded_store::Error::Tls(_))), "{refused:?}");
}

async fn said(server: &Server, hello: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(hello).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_tls_is_told_that_there_is_tls() {
    let server = start(development()).await;
    let answer = said(&server, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("use https:// or tls=true.\r\n"), "{answer}");
    let answer = said(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(answer.ends_with("this port speaks TLS: tls=true"), "{answer}");
    let string = server.connection_string().replace("tls=true", "tls=false");
    fails(&string).await;
    works(&connect(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_tls_does_not_connect_where_there_is_none() {
    let store = store().await;
    let string = store.server.connection_string().replace("tls=false", "tls=true");
    fails(&string).await;
    works(&store.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_say_nothing_hold_nobody_up() {
    let server = start(development()).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(server.address()).await.unwrap());
    }
    works(&connect(&server)).await;
    // Nor do they a stop.
    soon(server.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_reads_nothing_does_not_hold_a_stop_up() {
    let grace = Duration::from_millis(50);
    let server = start(Options { stop_grace: grace, ..development() }).await;
    let client = connect(&server);
    let options = SubscribeToAllOptions::default().position(StreamPosition::Start);
    let mut stuck = client.subscribe_to_all(&options).await;
    events_until_caught_up(&mut stuck).await;
    for batch in 0..20 {
        let event = eventstore::EventData::binary("Large", vec![batch; 900_000].into());
        append(&connect(&server), "s", ExpectedRevision::Any, vec![event]).await.unwrap();
    }
    soon(server.stop()).await;
}
