//! What is served over plain HTTP beside gRPC, over real sockets.

use embedded_store::{Authentication, Options, Server};
use eventstore::operations::{self, StatsOptions};
use eventstore::{
    AppendToStreamOptions, DeleteStreamOptions, EventData, PersistentSubscriptionOptions,
    StreamMetadataBuilder, TombstoneStreamOptions,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tonic::body::empty_body;
use tonic::codegen::http;
use tonic::transport::Channel;
use tower::{Service as _, ServiceExt as _};

use crate::harness::{Store, connect, event, event_of, events, id, soon, start, store};

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

async fn get(server: &Server, path: &str) -> Answer {
    ask(server, &[&format!("GET {path} HTTP/1.0")]).await
}

async fn api(store: &Store, path: &str) -> Value {
    let answer = get(&store.server, &format!("/web/api{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

fn revisions(page: &Value) -> Vec<&str> {
    let events = page["page"]["events"].as_array().or(page["events"].as_array()).unwrap();
    events.iter().map(|event| event["revision"].as_str().unwrap()).collect()
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
    assert_eq!(first["es-log-events"], "3");
    assert!(first.contains_key("proc-id") && first.contains_key("es-writer-meanFlushDelayMs"));
    store.add("s", events(3..4)).await;
    soon(async { while soon(stats.next()).await.unwrap().0["es-log-events"] != "4" {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_count_what_happened() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    store.numbers("s").await;
    let stats = get(&store.server, "/stats").await.json();
    let log = &stats["es"]["log"];
    assert_eq!((&log["events"], &log["streams"]), (&json!(3), &json!(1)));
    assert!(log["bytes"].as_u64().unwrap() > 0);
    assert_eq!(stats["es"]["writer"]["flushes"], 1);
    assert!(stats["proc"]["tcp"]["connections"].as_u64().unwrap() >= 2);
    let part = get(&store.server, "/stats/es/writer").await.json();
    assert_eq!(part["maxFlushSize"], 3);
    let flat = get(&store.server, "/stats?group=false").await.json();
    assert_eq!(flat["es-log-events"], "3");
    let info = get(&store.server, "/info").await.json();
    assert_eq!(info["state"], "leader");
    assert_eq!(get(&store.server, "/ping").await.status, 200);
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
    let advertised = Some(("events.example.org".to_owned(), 443));
    let server = start(Options { advertised, ..Options::temporary() }).await;
    let ours = ask(&server, &["GET /web/api/log HTTP/1.0", "Host: events.example.org"]).await;
    assert_eq!(ours.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_page_by_page_in_both_directions() {
    let store = store().await;
    store.add("orders/7 ä", events(0..5)).await;
    let name = "/streams/orders%2F7%20%C3%A4";
    let newest = api(&store, &format!("{name}?count=2")).await;
    assert_eq!(revisions(&newest), ["4", "3"]);
    assert_eq!((&newest["page"]["first"], &newest["page"]["last"]), (&json!("0"), &json!("4")));
    let older = api(&store, &format!("{name}?from=2&direction=backward&count=2")).await;
    assert_eq!(revisions(&older), ["2", "1"]);
    let forward = api(&store, &format!("{name}?from=1&direction=forward&count=2")).await;
    assert_eq!(revisions(&forward), ["1", "2"]);
    let event = api(&store, &format!("{name}/3")).await;
    assert_eq!(event["event"]["data"]["text"], r#"{"number":3}"#);
    assert_eq!((&event["previous"], &event["next"]), (&json!("2"), &json!("4")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_for_a_stream_is_told_with_it() {
    let store = store().await;
    store.add("short", events(0..5)).await;
    let metadata = StreamMetadataBuilder::new().max_count(2).build();
    let options = AppendToStreamOptions::default();
    soon(store.client.set_stream_metadata("short", &options, &metadata)).await.unwrap();
    let short = api(&store, "/streams/short").await;
    assert_eq!(revisions(&short), ["4", "3"]);
    assert_eq!(short["facts"]["state"], "open");
    assert!(short["facts"]["metadata"].as_str().unwrap().contains("$maxCount"));

    store.add("gone", events(10..11)).await;
    soon(store.client.delete_stream("gone", &DeleteStreamOptions::default())).await.unwrap();
    assert_eq!(api(&store, "/streams/gone").await["facts"]["state"], "deleted");
    store.add("ended", events(20..21)).await;
    let tombstone = TombstoneStreamOptions::default();
    soon(store.client.tombstone_stream("ended", &tombstone)).await.unwrap();
    assert_eq!(api(&store, "/streams/ended").await["facts"]["state"], "tombstoned");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_its_stream_hides_is_found_by_its_position() {
    let store = store().await;
    store.add("short", events(0..3)).await;
    let metadata = StreamMetadataBuilder::new().max_count(1).build();
    let options = AppendToStreamOptions::default();
    soon(store.client.set_stream_metadata("short", &options, &metadata)).await.unwrap();
    let hidden = get(&store.server, "/web/api/streams/short/0").await;
    assert_eq!(hidden.status, 404);
    let log = api(&store, "/log?from=start&direction=forward&count=1").await;
    let position = log["events"][0]["position"].as_str().unwrap();
    let found = api(&store, &format!("/streams/short/0?position={position}")).await;
    assert_eq!(found["event"]["id"], id(0).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_comes_with_what_it_points_to() {
    let store = store().await;
    store.add("target@home", vec![event_of("Placed", 7)]).await;
    let link = EventData::binary("$>", b"0@target@home".to_vec().into());
    store.add("links", vec![link]).await;
    let link = api(&store, "/streams/links/0").await;
    assert_eq!(link["event"]["link"], json!({ "revision": "0", "stream": "target@home" }));
    assert_eq!(link["linked"]["type"], "Placed");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_can_be_saved_exactly_as_they_were_written() {
    let store = store().await;
    let odd = br#"<script>{"big":123456789012345678901234567890,"big":1e400}</script>"#;
    store.add("s", vec![EventData::binary("Odd", odd.to_vec().into())]).await;
    let saved = get(&store.server, "/web/api/streams/s/0/data").await;
    assert_eq!(saved.body.as_bytes(), odd);
    assert_eq!(saved.header("content-type"), Some("application/octet-stream"));
    assert!(saved.header("content-disposition").unwrap().starts_with("attachment"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_filtered_by_stream_and_type_at_once_and_paged() {
    let store = store().await;
    for number in 0..6 {
        let (stream, kind) = (format!("order-{number}"), ["Placed", "Paid"][number as usize % 2]);
        store.add(&stream, vec![event_of(kind, number)]).await;
        store.add("other", vec![event_of("Paid", 100 + number)]).await;
    }
    let filter = "/log?stream=order-&type_pattern=%5EPaid%24&direction=backward&count=2";
    let first = api(&store, filter).await;
    let streams = |page: &Value| -> Vec<String> {
        let events = page["events"].as_array().unwrap();
        events.iter().map(|event| event["stream"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(streams(&first), ["order-5", "order-3"]);
    let next = first["next"].as_str().unwrap();
    let second = api(&store, &format!("{filter}&from={next}")).await;
    assert_eq!(streams(&second), ["order-1"]);
    assert_eq!((&second["next"], &second["full"]), (&Value::Null, &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_leads_to_its_event_and_to_those_that_speak_of_it() {
    let store = store().await;
    store.add("cause", vec![event(1)]).await;
    let metadata = json!({ "$causationId": id(1) }).to_string().into_bytes();
    store.add("effect", vec![event(2).metadata(metadata.into()), event(3)]).await;
    let found = api(&store, &format!("/search?text={}", id(1))).await;
    let streams: Vec<_> =
        found["events"].as_array().unwrap().iter().map(|event| &event["stream"]).collect();
    assert_eq!(streams, ["effect", "cause"]);
    let first = api(&store, &format!("/search?text={}&count=1", id(1))).await;
    let next = first["next"].as_str().unwrap();
    let second = api(&store, &format!("/search?text={}&from={next}", id(1))).await;
    assert_eq!(second["events"][0]["stream"], "cause");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_listed_by_what_happened_lately() {
    let store = store().await;
    for (number, stream) in ["a", "b", "a"].into_iter().enumerate() {
        store.add(stream, vec![event(number.try_into().unwrap())]).await;
    }
    let recent = api(&store, "/streams").await;
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|entry| entry["stream"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&recent["changed"]), ["a", "b"]);
    assert_eq!(names(&recent["created"]), ["b", "a"]);
    assert_eq!(recent["changed"][0]["recentEvents"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_found_by_how_their_names_begin() {
    let store = store().await;
    for (number, stream) in ["b-2", "b-1", "a", "b-3", "$sys"].into_iter().enumerate() {
        store.add(stream, vec![event(number.try_into().unwrap())]).await;
    }
    let metadata = StreamMetadataBuilder::new().max_count(2).build();
    let options = AppendToStreamOptions::default();
    soon(store.client.set_stream_metadata("b-1", &options, &metadata)).await.unwrap();
    let names = async |query: &str| api(&store, &format!("/names?{query}")).await["names"].clone();
    assert_eq!(names("").await, json!(["$sys", "a", "b-1", "b-2", "b-3"]));
    assert_eq!(names("prefix=b-&count=2").await, json!(["b-1", "b-2"]));
    assert_eq!(names("prefix=b-&count=2&after=b-2").await, json!(["b-3"]));
    assert_eq!(names("prefix=$$b").await, json!(["$$b-1"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_persistent_subscriptions_are_listed() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    let options = PersistentSubscriptionOptions::default();
    let created = store.client.create_persistent_subscription("s", "auditors", &options);
    soon(created).await.unwrap();
    let groups = api(&store, "/subscriptions").await["groups"].clone();
    assert_eq!((&groups[0]["stream"], &groups[0]["group"]), (&json!("s"), &json!("auditors")));
    assert_eq!(groups[0]["consumers"], json!([]));
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
