//! What the page is told about streams, events and the log.

use embedded_store::{Authentication, Options};
use eventstore::{
    Acl, AppendToStreamOptions, Client, DeleteStreamOptions, EventData, ExpectedRevision,
    PersistentSubscriptionOptions, StreamAclBuilder, StreamMetadataBuilder, TombstoneStreamOptions,
};
use serde_json::{Value, json};

use super::{api, ask, get};
use crate::harness::{append, event, event_of, events, id, soon, start, store};

fn revisions(page: &Value) -> Vec<&str> {
    let events = page["page"]["events"].as_array().or(page["events"].as_array()).unwrap();
    events.iter().map(|event| event["revision"].as_str().unwrap()).collect()
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
async fn who_may_only_read_a_stream_does_not_see_its_metadata() {
    let authentication = Some(Authentication::with_passwords("changeit", "changeit"));
    let server = start(Options { authentication, ..Options::temporary() }).await;
    let admin = server.connection_string().replace("esdb://", "esdb://admin:changeit@");
    let client = Client::new(admin.parse().unwrap()).unwrap();
    let list = StreamAclBuilder::new().add_read_roles("ops").add_meta_read_roles("$admins");
    let metadata = StreamMetadataBuilder::new().acl(Acl::Stream(list.build())).build();
    append(&client, "s", ExpectedRevision::Any, events(0..1)).await.unwrap();
    let options = AppendToStreamOptions::default();
    soon(client.set_stream_metadata("s", &options, &metadata)).await.unwrap();
    // base64 of admin:changeit and ops:changeit.
    let [admin, ops] = ["YWRtaW46Y2hhbmdlaXQ=", "b3BzOmNoYW5nZWl0"]
        .map(|credentials| format!("Authorization: Basic {credentials}"));
    let head = "GET /web/api/streams/s HTTP/1.0";
    let seen = ask(&server, &[head, &admin]).await.json();
    assert!(seen["facts"]["metadata"].as_str().unwrap().contains("$acl"));
    let seen = ask(&server, &[head, &ops]).await.json();
    assert_eq!((revisions(&seen).len(), &seen["facts"]["metadata"]), (1, &Value::Null));
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
    let log = api(&store, "/log?from=start&direction=forward&count=1&stream=short").await;
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
    assert_eq!(names(&recent["changed"])[..2], ["a", "b"]);
    assert_eq!(names(&recent["created"])[..2], ["b", "a"]);
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
