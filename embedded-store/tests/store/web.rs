//! The page, as a person in a real browser uses it.

use embedded_store::{Authentication, Options};
use eventstore::EventData;
use serde_json::json;
use serde_json::value::RawValue;

use crate::browser::Page;
use crate::harness::{Store, event, event_of, id, start, store};

/// A text that would do something if it were taken for markup, or look like another one.
const HOSTILE: &str = "<img src=x onerror=alert(1)>'\"&amp;</script><script>window.hit=1</script>";

fn origin(store: &Store) -> String {
    format!("http://{}", store.server.address())
}

async fn open(store: &Store, hash: &str) -> Page {
    Page::open(&format!("{}/web/index.html{hash}", origin(store))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_finds_a_stream_reads_an_event_and_follows_its_cause() {
    let store = store().await;
    store.add("command-1", vec![event_of("OrderRequested", 1)]).await;
    let metadata = json!({ "$causationId": id(1), "actor": "ada" }).to_string().into_bytes();
    let data = r#"{"total":12345678901234567890.10,"lines":[{"sku":"tea"}]}"#;
    let placed = raw_json("OrderPlaced", data).metadata(metadata.into());
    store.add("order-7", vec![placed, event(8)]).await;

    let page = Page::open(&format!("{}/", origin(&store))).await;
    page.sees("order-7").await;
    page.press("/").await;
    page.write("order-7").await;
    page.press("Enter").await;
    page.until("location.hash === '#/streams/order-7'").await;
    page.sees("2 events, revisions 0 to 1").await;
    page.click("OrderPlaced").await;
    page.sees("\"total\": 12345678901234567890.10").await;
    page.sees("ada").await;
    page.press("ArrowRight").await;
    page.until("location.hash === '#/streams/order-7/1'").await;
    page.sees("Numbered").await;
    page.press("ArrowLeft").await;
    page.click(&id(1).to_string()).await;
    page.sees("2 events found in the whole log.").await;
    page.click("OrderRequested").await;
    page.sees("command-1").await;
    page.until("document.title.startsWith('OrderRequested')").await;
    page.was_clean(&origin(&store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_filters_the_log_and_sees_a_live_event_arrive() {
    let store = store().await;
    for number in 0..40 {
        let stream = format!("{}-{number}", ["order", "stock"][number as usize % 2]);
        store.add(&stream, vec![event_of("Changed", number)]).await;
    }
    let page = open(&store, "#/streams/$all").await;
    page.sees("stock-39").await;
    page.click("Older →").await;
    page.until("document.querySelector('tbody').rows.length < 20").await;
    page.evaluate("document.querySelector('input[name=stream]').focus()").await;
    page.write("order-").await;
    page.press("Enter").await;
    page.sees("What passes the filter").await;
    page.until("!document.querySelector('main').innerText.includes('stock-')").await;
    page.click("Follow live").await;
    page.sees("Live").await;
    store.add("stock-99", vec![event_of("Hidden", 98)]).await;
    store.add("order-99", vec![event_of("Arrived", 99)]).await;
    page.until("document.querySelector('tbody tr').innerText.includes('Arrived')").await;
    page.until("!document.querySelector('main').innerText.includes('Hidden')").await;
    page.click("Pause").await;
    store.add("order-99", vec![event_of("WhilePaused", 100)]).await;
    page.click("Go on").await;
    page.sees("WhilePaused").await;
    page.was_clean(&origin(&store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_events_are_shown_as_text() {
    let store = store().await;
    let data = json!({ "html": HOSTILE, "turned": "abc\u{202e}cba", HOSTILE: [HOSTILE] });
    let text = format!("{HOSTILE} \u{202e}txt");
    store
        .add(
            HOSTILE,
            vec![
                raw_json(HOSTILE, data.to_string()).metadata(text.clone().into()),
                EventData::binary("Text", text.into()),
            ],
        )
        .await;
    let mut long = String::from("[");
    while long.len() < 1_000_000 {
        long.push_str(r#"{"name":"</script><script>window.hit=1</script>","number":1.0},"#);
    }
    long.push_str("0]");
    store.add("long", vec![raw_json("Long", long)]).await;

    let page = open(&store, "#/dashboard").await;
    page.sees(HOSTILE).await;
    let first = format!("#/streams/{}/0", encoded(HOSTILE));
    page.go(&first).await;
    page.sees(&format!("{HOSTILE} revision 0")).await;
    page.sees(&serde_json::to_string(HOSTILE).unwrap()).await;
    page.sees("abcU+202Ecba").await;
    page.press("ArrowRight").await;
    page.sees(&format!("{HOSTILE} U+202Etxt")).await;
    page.go("#/streams/long/0").await;
    page.sees("JSON, 977 KiB").await;
    page.until("document.querySelector('pre').textContent.length > 1_000_000").await;
    assert_eq!(page.evaluate("window.hit ?? 'nothing'").await, "nothing");
    assert_eq!(page.evaluate("document.querySelectorAll('main script, main img').length").await, 0);
    page.was_clean(&origin(&store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_with_a_password_sees_what_its_user_may() {
    let authentication = Some(Authentication::with_passwords("changeit", "changeit"));
    let server = start(Options { authentication, ..Options::temporary() }).await;
    let origin = format!("http://{}", server.address());
    let login = origin.replace("http://", "http://admin:changeit@");
    let page = Page::open(&format!("{login}/web/index.html#/streams/$all")).await;
    page.sees("$user-admin").await;
    page.click("Follow live").await;
    page.sees("Live").await;
    page.was_clean(&origin).await;
}

/// As one part of an address.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02X}"))
}

/// JSON exactly as it is written here.
fn raw_json(kind: &str, text: impl Into<String>) -> EventData {
    EventData::json(kind, &RawValue::from_string(text.into()).unwrap()).unwrap()
}
