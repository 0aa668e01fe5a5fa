//! The operations service, but for scavenging.

use eventstore::operations::{self, OperationalOptions};

use crate::harness::{event, soon, store};

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_cluster_needs_is_answered_and_does_nothing() {
    let store = store().await;
    let client = operations::Client::new(store.server.connection_string().parse().unwrap());
    let options = OperationalOptions::default();
    soon(client.merge_indexes(&options)).await.unwrap();
    soon(client.set_node_priority(3, &options)).await.unwrap();
    soon(client.resign_node(&options)).await.unwrap();
    soon(client.restart_persistent_subscriptions(&options)).await.unwrap();
    store.add("a", vec![event(0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_stop_the_server() {
    let store = store().await;
    store.add("a", vec![event(0)]).await;
    let client = operations::Client::new(store.server.connection_string().parse().unwrap());
    soon(client.shutdown(&OperationalOptions::default())).await.unwrap();
    soon(store.server.stopped()).await.unwrap();
    assert!(soon(tokio::net::TcpStream::connect(store.server.address())).await.is_err());
    soon(store.server.stop()).await;
}
