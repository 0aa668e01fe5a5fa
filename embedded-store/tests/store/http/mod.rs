//! What is served over plain HTTP beside gRPC, over real sockets.

mod following;
mod reading;

use embedded_store::{Authentication, Options, Server};
use eventstore::operations::{self, StatsOptions};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::body::empty_body;
use tonic::codegen::http;
use tonic::transport::Channel;
use tower::{Service as _, ServiceExt as _};

use crate::harness::{Store, events, soon, start, store};

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A whole request, with the lines of its head; HTTP/1.0, so that the answer ends with the connection.
async fn ask(server: &Server, head: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let host =
        if head.iter().any(|line| line.starts_with("Host")) { "" } else { "Host: localhost\r\n" };
    let request = format!("{}\r\n{host}\r\n", head.join("\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (headers, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers: headers.to_owned(), body: body.to_owned() }
}

/// What the page gets at this path.
async fn api(store: &Store, path: &str) -> Value {
    let answer = get(&store.server, &format!("/web/api{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

async fn get(server: &Server, path: &str) -> Answer {
    ask(server, &[&format!("GET {path} HTTP/1.0")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_speaks_http_1_and_http_2_and_grpc() {
    let store = store().await;
    store.add("s", events(0..1)).await;
    assert_eq!(get(&store.server, "/health/live").await.status, 204);
    let uri = format!("http://{}", store.server.address());
    let mut channel = Channel::from_shared(uri.clone()).unwrap().connect().await.unwrap();
    let request = |path: &str| {
        http::Request::builder().uri(format!("{uri}{path}")).body(empty_body()).unwrap()
    };
    let channel = channel.ready().await.unwrap();
    let answer = soon(channel.call(request("/health/live"))).await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert_eq!(answer.status(), http::StatusCode::NO_CONTENT);
    let mut unknown = request("/event_store.client.nothing.Nothing/Call");
    *unknown.method_mut() = http::Method::POST;
    let grpc = http::HeaderValue::from_static("application/grpc");
    unknown.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
    let channel = channel.ready().await.unwrap();
    let answer = soon(channel.call(unknown)).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "12");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_to_where_nothing_is_served_gets_no_more_than_a_status() {
    let store = store().await;
    for head in ["POST /streams/s HTTP/1.0", "POST /nothing HTTP/1.0", "PUT /nothing HTTP/1.0"] {
        let answer = ask(&store.server, &[head]).await;
        assert_eq!((answer.status, &*answer.body), (404, ""), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_is_refused_with_a_sentence() {
    let store = store().await;
    for (head, status, word) in [
        ("GET /nothing HTTP/1.0", 404, "no-such-path"),
        ("GET /web/nothing.js HTTP/1.0", 404, "no-such-path"),
        ("GET /web/api/nothing HTTP/1.0", 404, "no-such-path"),
        ("POST /stats HTTP/1.0", 405, "read-only"),
        ("DELETE /web/api/streams/s HTTP/1.0", 405, "read-only"),
        ("GET /web/api/streams/s HTTP/1.0", 404, "stream-not-found"),
        ("GET /web/api/streams/s/0 HTTP/1.0", 404, "event-not-found"),
        ("GET /web/api/streams/s/x HTTP/1.0", 400, "invalid-request"),
        ("GET /web/api/log?from=x HTTP/1.0", 400, "invalid-request"),
        ("GET /web/api/log?stream_pattern=( HTTP/1.0", 400, "invalid-request"),
        ("GET /web/api/search?text=a HTTP/1.0", 400, "invalid-request"),
        ("GET /stats/es/nothing HTTP/1.0", 404, "statistic-not-found"),
    ] {
        let answer = ask(&store.server, &[head]).await;
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (status, Some(word)),
            "{head}"
        );
        assert!(answer.json()["message"].as_str().unwrap().ends_with('.'), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_reads_gossip_and_statistics() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    let operations = operations::Client::from(store.client.clone());
    let members = soon(operations.read_gossip()).await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].http_end_point.port, u32::from(store.server.address().port()));
    assert_eq!(members[0].state, operations::VNodeState::Leader);

    let mut stats = soon(operations.stats(&StatsOptions::default())).await.unwrap();
    let first = soon(stats.next()).await.unwrap().0;
    assert!(first.contains_key("proc-id") && first.contains_key("es-writer-meanFlushDelayMs"));
    store.add("s", events(3..4)).await;
    let same = async |stats: &mut operations::Stats| {
        soon(stats.next()).await.unwrap().0["es-log-eventsWritten"] == first["es-log-eventsWritten"]
    };
    soon(async { while same(&mut stats).await {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_count_what_happened() {
    let store = store().await;
    let number = async |path: &str| {
        let (parent, name) = path.rsplit_once('/').unwrap();
        get(&store.server, &format!("/stats/es/{parent}")).await.json()[name].as_u64().unwrap()
    };
    let names = ["log/eventsWritten", "log/streams", "writer/flushes"];
    let numbers = async || futures::future::join_all(names.map(number)).await;
    let before = numbers().await;
    store.add("s", events(0..3)).await;
    let after = numbers().await;
    let more: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(more, [3, 1, 1]);
    let stats = get(&store.server, "/stats").await.json();
    assert!(stats["es"]["log"]["bytes"].as_u64().unwrap() > 0);
    assert!(stats["proc"]["tcp"]["connections"].as_u64().unwrap() >= 2);
    let part = get(&store.server, "/stats/es/writer").await.json();
    assert_eq!(part["maxFlushSize"], 3);
    let flat = get(&store.server, "/stats?group=false").await.json();
    assert_eq!(flat["es-writer-maxFlushSize"], "3");
    let info = get(&store.server, "/info").await.json();
    assert_eq!(info["state"], "leader");
    let ping = get(&store.server, "/ping").await.json();
    assert_eq!(ping["text"], "Ping request successfully handled");
    assert!(ping["msgTypeId"].is_number());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_may_load_nothing_from_elsewhere() {
    let store = store().await;
    for path in ["/", "/web", "/web/"] {
        let answer = get(&store.server, path).await;
        assert_eq!((answer.status, answer.header("location")), (307, Some("/web/index.html")));
    }
    let page = get(&store.server, "/web/index.html").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'self';"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let tag = format!("If-None-Match: {}", page.header("etag").unwrap());
    let again = ask(&store.server, &["GET /web/main.js HTTP/1.0", &tag]).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_ours_is_refused() {
    let store = store().await;
    let rebound = ["GET /web/api/log HTTP/1.0", "Host: rebound.example.org"];
    let answer = ask(&store.server, &rebound).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (421, Some("unknown-host")));
    let stats = ["GET /stats HTTP/1.0", "Host: rebound.example.org"];
    assert_eq!(ask(&store.server, &stats).await.status, 421);
    let advertised = Some(("events.example.org".to_owned(), 443));
    let server = start(Options { advertised, ..Options::temporary() }).await;
    let ours = ask(&server, &["GET /web/api/log HTTP/1.0", "Host: events.example.org"]).await;
    assert_eq!(ours.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_come_over_http_2_only_because_pages_of_other_sites_could_send_others() {
    let store = store().await;
    let path = "POST /event_store.client.server_features.ServerFeatures/GetSupportedMethods";
    let call = format!("{path} HTTP/1.1");
    let lines =
        [&*call, "Content-Type: application/grpc", "Connection: close", "Content-Length: 0"];
    let answer = ask(&store.server, &lines).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (505, Some("needs-http-2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_logins_only_who_may_sees_the_log() {
    let authentication = Some(Authentication::with_passwords("changeit", "changeit"));
    let server = start(Options { authentication, ..Options::temporary() }).await;
    for open in ["/health/live", "/info", "/gossip", "/web/main.js"] {
        assert!(get(&server, open).await.status < 300, "{open}");
    }
    // base64 of admin:changeit, ops:changeit and admin:wrong.
    let [admin, ops, wrong] = ["YWRtaW46Y2hhbmdlaXQ=", "b3BzOmNoYW5nZWl0", "YWRtaW46d3Jvbmc="]
        .map(|credentials| format!("Authorization: Basic {credentials}"));
    for guarded in
        ["/web/api/log", "/web/api/names", "/web/api/search?text=abc", "/web/api/log/follow"]
    {
        let head = format!("GET {guarded} HTTP/1.0");
        let anonymous = ask(&server, &[&head]).await;
        assert_eq!(anonymous.status, 401, "{guarded}");
        assert!(anonymous.header("www-authenticate").unwrap().starts_with("Basic"), "{guarded}");
        assert_eq!(ask(&server, &[&head, &wrong]).await.status, 401, "{guarded}");
        assert_eq!(ask(&server, &[&head, &ops]).await.status, 403, "{guarded}");
        if !guarded.ends_with("follow") {
            assert_eq!(ask(&server, &[&head, &admin]).await.status, 200, "{guarded}");
        }
    }
    let page = "GET /web/index.html HTTP/1.0";
    assert_eq!(ask(&server, &[page]).await.status, 401);
    assert_eq!(ask(&server, &[page, &ops]).await.status, 200);
    assert_eq!(ask(&server, &["GET /stats HTTP/1.0", &admin]).await.status, 200);
    assert_eq!(get(&server, "/info").await.json()["authentication"]["type"], "internal");
}
