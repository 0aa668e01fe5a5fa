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

const LARGE: usize = 1_000_000;

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
    let large = EventData::binary("Large", vec![7; LARGE].into());
    store.add("s", vec![large]).await;
    let mut socket = connect(store.server.address()).await;
    let question = "GET /web/api/streams/s/0/data HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(question.repeat(ANSWERS).as_bytes()).await.unwrap();
    soon(full(&socket)).await;
    soon(store.server.stop()).await;
    // Had it not been cut, the rest of the answer that is under way would come now.
    let (mut bytes, mut content) = (vec![0; MIB], 0);
    let ended = soon(async {
        loop {
            match socket.read(&mut bytes).await {
                Ok(0) => return Ok(()),
                Ok(count) => content += bytes[..count].split(|byte| *byte == 7).count() - 1,
                Err(error) => return Err(error),
            }
        }
    })
    .await;
    assert!(ended.is_err() || content % LARGE != 0, "{content} bytes");
}
