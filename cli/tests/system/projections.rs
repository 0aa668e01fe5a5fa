//! `orderstore projections`: the read models looked after from a shell, while everything runs.

use std::process::Output;
use std::sync::Arc;

use journal::{ExpectedRevision, Journal, Proposed, SystemClock, ids};
use schemas::{Encoded, Metadata, StreamName};
use serde_json::{Value, json};

use crate::running::{Folder, Store, await_value, output_of, run};

/// A store with an order that is delivered, and a shell beside it.
struct Shop {
    store: Store,
    folder: Folder,
    order: String,
}

impl Shop {
    async fn open() -> Self {
        let folder = Folder::new();
        let store = Store::up(&folder).await;
        store.api.receive("MUG", 10).await;
        let order = store.api.try_place("MUG", "first", "tok_ok").await.unwrap();
        store.api.settled(&order).await;
        Self { store, folder, order }
    }

    /// Runs `orderstore projections …`.
    fn projections(&self, arguments: &[&str]) -> Output {
        let data = self.folder.path().join("data");
        let at = ["--data-dir", data.to_str().unwrap()];
        run(&[&["projections"], arguments, &at].concat())
    }

    /// The lines of JSON that it prints.
    #[track_caller]
    fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.projections(&[arguments, &["--json"]].concat());
        let lines = output_of(&output);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn stream(&self) -> StreamName {
        StreamName::new("order", &self.order)
    }

    /// Appends an event to the order that no build knows.
    async fn poison(&self) -> u64 {
        let address = self.store.journal.parse().unwrap();
        let journal =
            Journal::connect(journal::Options::new(address), Arc::new(SystemClock)).unwrap();
        let stream = self.stream();
        let last = journal.read_last(&stream, 1).await.unwrap().remove(0);
        let encoded =
            Encoded { event_type: "order-teleported", version: 1, data: b"{}".to_vec().into() };
        let metadata = Metadata {
            actor: "test:poison".to_owned(),
            schema_version: 1,
            recorded_at: journal.clock().now(),
            traceparent: None,
            ..last.metadata
        };
        let proposed = Proposed { event_id: ids::new_id(), encoded, metadata };
        let expected = ExpectedRevision::Exact(last.revision);
        journal.append(&stream, expected, vec![proposed]).await.unwrap().revision
    }

    async fn is_quarantined(&self) -> bool {
        let query = "query($id: UUID!) { order(id: $id) { quarantined } }";
        let answer = self.store.api.run(query, json!({ "id": self.order })).await;
        answer["order"]["quarantined"].as_bool().unwrap()
    }
}

#[track_caller]
fn refusal(output: &Output, code: i32) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{complaint}");
    complaint
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_stuck_is_seen_explained_and_let_go_on() {
    let shop = Shop::open().await;
    let revision = shop.poison().await;
    await_value(async || shop.is_quarantined().await.then_some(())).await;

    let [waiting] = shop.lines(&["quarantine", "list", "orders"]).try_into().unwrap();
    let stream = shop.stream();
    assert_eq!(waiting["stream"], stream.as_str());
    assert_eq!(waiting["revision"], revision);
    assert_eq!(
        (&waiting["eventType"], &waiting["waiting"]),
        (&"order-teleported".into(), &0.into())
    );
    let table = output_of(&shop.projections(&["quarantine", "list"]));
    assert!(table.contains(stream.as_str()) && table.contains("order-teleported"), "{table}");

    let ask = ["quarantine", "show", "orders", stream.as_str()];
    let [case] = shop.lines(&ask).try_into().unwrap();
    assert_eq!(case["event"]["metadata"]["actor"], "test:poison");
    assert_eq!(case["row"]["quarantined"], true);
    let told = output_of(&shop.projections(&ask));
    let next = format!("quarantine skip orders {stream} {revision} --why");
    assert!(told.contains(&next), "{told}");

    let retried = shop.projections(&["quarantine", "retry", "orders", stream.as_str()]);
    refusal(&retried, 2);
    let skip = |revision: u64| {
        let revision = revision.to_string();
        let skip = ["quarantine", "skip", "orders", stream.as_str(), &revision];
        shop.projections(&[&skip[..], &["--why", "written by mistake", "--by", "ann"]].concat())
    };
    let complaint = refusal(&skip(revision - 1), 1);
    assert!(complaint.contains("quarantine show orders"), "{complaint}");
    output_of(&skip(revision));
    assert!(!shop.is_quarantined().await);
    assert_eq!(shop.lines(&["quarantine", "list"]), [] as [Value; 0]);
    let complaint = refusal(&skip(revision), 1);
    assert!(complaint.contains("quarantine list"), "{complaint}");

    // Neither a rebuild nor a check of all rows sees it otherwise.
    output_of(&shop.projections(&["rebuild", "orders"]));
    assert!(!shop.is_quarantined().await);
    output_of(&shop.projections(&["verify", "orders", "--all"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_are_built_anew_compared_promoted_and_rolled_back() {
    let shop = Shop::open().await;
    let listed = output_of(&shop.projections(&["list"]));
    let of_orders = |status: &[Value], state: &str| {
        status.iter().find(|it| it["projection"] == "orders" && it["state"] == state).cloned()
    };
    assert!(listed.contains("stock_levels"), "{listed}");
    let planned = output_of(&shop.projections(&["plan", "--all"]));
    assert!(planned.contains("orders"), "{planned}");

    let lines = shop.lines(&["rebuild", "--all", "--no-promote"]);
    let last = lines.last().unwrap();
    let keys = ["events", "rows", "seconds", "events_per_second", "peak_rss_bytes"];
    assert!(keys.iter().all(|key| last[key].as_f64().unwrap() > 0.0), "{last}");
    assert_eq!(last["promoted"], false);
    let status = shop.lines(&["status"]);
    let building = of_orders(&status, "building").unwrap();
    assert_eq!(of_orders(&status, "live").unwrap()["generation"], 1);

    let [comparison] = shop.lines(&["diff", "orders"]).try_into().unwrap();
    assert_eq!(comparison["green"]["generation"], building["generation"]);
    output_of(&shop.projections(&["promote", "orders"]));
    let live = of_orders(&shop.lines(&["status", "orders"]), "live").unwrap();
    assert_eq!(live["generation"], building["generation"]);
    output_of(&shop.projections(&["rollback", "orders"]));
    let live = of_orders(&shop.lines(&["status", "orders"]), "live").unwrap();
    assert_eq!(live["generation"], 1);

    let number = building["generation"].to_string();
    refusal(&shop.projections(&["drop", "orders", "1"]), 1);
    output_of(&shop.projections(&["drop", "orders", &number]));
    output_of(&shop.projections(&["verify", "--all"]));
    output_of(&shop.projections(&["rebuild", "--stream", shop.stream().as_str()]));
    let lines = shop.lines(&["rebuild", "--all"]);
    assert_eq!(lines.last().unwrap()["promoted"], true);
    assert_eq!(shop.store.api.settled(&shop.order).await, "COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_says_what_to_do_next() {
    let shop = Shop::open().await;
    let nothing_to_compare = refusal(&shop.projections(&["diff", "payments"]), 1);
    assert!(nothing_to_compare.contains("rebuild"), "{nothing_to_compare}");
    let nothing_to_promote = refusal(&shop.projections(&["promote", "payments"]), 1);
    assert!(nothing_to_promote.contains("rebuild"), "{nothing_to_promote}");
    refusal(&shop.projections(&["rollback", "payments"]), 1);
    let elsewhere = run(&["projections", "status", "--data-dir", "/nowhere"]);
    assert!(refusal(&elsewhere, 1).contains("orderstore up"));
    let unknown = refusal(&shop.projections(&["rebuild", "order"]), 64);
    assert!(unknown.contains("stock_levels"), "{unknown}");
    output_of(&shop.projections(&["pause", "--all"]));
    output_of(&shop.projections(&["resume", "--all"]));
}

#[test]
fn a_command_line_that_makes_no_sense_is_not_taken_for_rows_that_differ() {
    for senseless in [&["verify", "--sampel", "1%"][..], &["diff", "no_such"], &["conjure"]] {
        refusal(&run(&[&["projections"], senseless].concat()), 64);
    }
    for asked in [&["projections", "--help"][..], &["--version"]] {
        assert!(!output_of(&run(asked)).is_empty());
    }
}
