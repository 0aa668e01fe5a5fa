//! Clients that would hold up a stop.

use std::time::Duration;

use embedded_store::Options;
use eventstore::EventData;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::MIB;
use super::bare::connect;
use crate::harness::{soon, store_with};

const ANSWERS: usize = 60;

/// Waits until nothing more fits between the server and a client that does not read.
async fn full(socket: &TcpStream) {
    let (mut bytes, mut seen) = (vec![0; 16 * MIB], (0, 0));
    while seen.1 < 20 {
        let waiting = socket.peek(&mut bytes).await.unwrap();
        seen = if waiting == seen.0 { (waiting, seen.1 + 1) } else { (waiting, 0) };
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_by_a_stop() {
    let stop_grace = Duration::from_millis(100);
    let store = store_with(Options { stop_grace, ..Options::temporary() }).await;
    let large = EventData::binary("Large", vec![7; 1_000_000].into());
    store.add("s", vec![large]).await;
    let mut socket = connect(store.server.address()).await;
    let question = "GET /web/api/streams/s/0/data HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(question.repeat(ANSWERS).as_bytes()).await.unwrap();
    soon(full(&socket)).await;
    soon(store.server.stop()).await;
    // Had it not been cut, all the answers would come now.
    let (mut bytes, mut received) = (vec![0; MIB], 0);
    soon(async {
        while let Ok(count @ 1..) = socket.read(&mut bytes).await {
            received += count;
        }
    })
    .await;
    assert!(received < ANSWERS * 1_000_000, "{received} bytes");
}
