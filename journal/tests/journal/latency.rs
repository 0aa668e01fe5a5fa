//! Nagle's algorithm must be off on the client's connections, whatever the server does about it.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::SocketAddr;

use rustix::net::{getpeername, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use crate::must;
use crate::store::Store;

/// Of every connection of this process to `port`: whether `TCP_NODELAY` is set.
fn nodelay_of_connections_to(port: u16) -> Vec<bool> {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let numbers = fs::read_dir("/proc/self/fd").unwrap();
    let sockets = numbers.filter_map(|entry| {
        let number = entry.ok()?.file_name().to_str()?.parse().ok()?;
        pidfd_getfd(&this, number, PidfdGetfdFlags::empty()).ok()
    });
    let ours = sockets.filter(|socket| {
        let peer = getpeername(socket).ok().flatten();
        peer.and_then(|peer| SocketAddr::try_from(peer).ok())
            .is_some_and(|peer| peer.port() == port)
    });
    ours.map(|socket| sockopt::tcp_nodelay(&socket).unwrap()).collect()
}

#[tokio::test]
async fn connections_to_a_server_without_quick_acknowledgements_have_nagle_off() {
    let choose = |options| embedded_store::Options { quickack: false, ..options };
    let mut store = Store::start_with(choose).await;
    let journal = store.journal();

    must(journal.ready()).await.unwrap();
    assert_eq!(nodelay_of_connections_to(store.port()), [true]);

    // The connections that come after an outage are no different, once a slow call was noticed.
    store.stop().await;
    store.start_again().await;
    // Appends are not slowed down: over their open call each is sent in one piece.
    let mut calls = 0;
    while nodelay_of_connections_to(store.port()) != [true] {
        must(journal.ready()).await.unwrap();
        calls += 1;
        assert!(calls < 1000);
    }
}
