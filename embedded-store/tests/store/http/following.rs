//! New events as server-sent events.

use embedded_store::Server;
use eventstore::{AppendToStreamOptions, EventData};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::api;
use crate::harness::{connect, event_of, events, id, soon, store};

/// A connection that follows something.
struct Following(BufReader<TcpStream>);

impl Following {
    async fn new(server: &Server, head: &[&str]) -> Self {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!("{}\r\nHost: localhost\r\n\r\n", head.join("\r\n"));
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::new(stream))
    }

    /// The next line that begins so, without its beginning; `None` at the end.
    async fn next(&mut self, beginning: &str) -> Option<String> {
        loop {
            let mut line = String::new();
            if soon(self.0.read_line(&mut line)).await.unwrap_or(0) == 0 {
                return None;
            }
            if let Some(rest) = line.strip_prefix(beginning) {
                return Some(rest.trim().to_owned());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_sees_what_is_new_and_goes_on_after_a_break() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    let head = "GET /web/api/streams/s/follow?after=0 HTTP/1.0";
    let mut following = Following::new(&store.server, &[head]).await;
    assert_eq!(following.next("id: ").await.unwrap(), "1");
    following.next("event: caught-up").await.unwrap();
    store.add("s", events(2..3)).await;
    assert_eq!(following.next("id: ").await.unwrap(), "2");
    drop(following);
    store.add("s", events(3..4)).await;
    let mut again = Following::new(&store.server, &[head, "Last-Event-ID: 2"]).await;
    assert_eq!(again.next("id: ").await.unwrap(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_through_a_filter_is_told_how_far_it_came() {
    let store = store().await;
    let head = "GET /web/api/log/follow?after=start&stream=order-&type=Paid HTTP/1.0";
    let mut following = Following::new(&store.server, &[head]).await;
    following.next("event: caught-up").await.unwrap();
    store.add("order-1", vec![event_of("Placed", 1)]).await;
    store.add("other", vec![event_of("Paid", 2)]).await;
    store.add("order-1", vec![event_of("Paid", 3)]).await;
    let data = following.next("data: {").await.unwrap();
    assert!(data.contains(&id(3).to_string()), "{data}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_those_who_follow() {
    let store = store().await;
    let head = "GET /web/api/log/follow HTTP/1.0";
    let mut following = Following::new(&store.server, &[head]).await;
    following.next("event: caught-up").await.unwrap();
    let (rest, ()) =
        futures::future::join(following.next("never"), soon(store.server.stop())).await;
    assert_eq!(rest, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_and_reads_nothing_holds_nobody_up() {
    let store = store().await;
    let head = "GET /web/api/log/follow HTTP/1.0";
    let _stuck = Following::new(&store.server, &[head]).await;
    let writer = connect(&store.server);
    for _ in 0..30 {
        let large = vec![EventData::binary("Large", vec![b'x'; 300_000].into())];
        let options = AppendToStreamOptions::default();
        soon(writer.append_to_stream("s", &options, large)).await.unwrap();
    }
    assert_eq!(api(&store, "/streams/s?count=1").await["page"]["last"], "29");
    soon(store.server.stop()).await;
}
