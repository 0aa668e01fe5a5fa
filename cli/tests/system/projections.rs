//! `orderstore projections`: the read models looked after from a shell, while everything runs.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;

use journal::{ExpectedRevision, Journal, Proposed, SystemClock, ids};
use private_postgres::{Binaries, Cluster};
use schemas::{Encoded, Metadata, StreamName};
use serde_json::{Value, json};

use crate::running::{Folder, Process, Store, await_value, orderstore, output_of, run};

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

    /// Begins `orderstore projections … --json`: the process, and the lines that it prints.
    fn begin(&self, arguments: &[&str]) -> (Process, Lines<BufReader<ChildStdout>>) {
        let data = self.folder.path().join("data");
        let mut command = orderstore();
        command.arg("projections").args(arguments).arg("--json").arg("--data-dir").arg(data);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (Process(child), lines)
    }

    /// A session with the database, as somebody with `psql` has one.
    fn psql(&self) -> Command {
        let database = Cluster::url_of_running(&self.folder.path().join("data/postgres")).unwrap();
        let mut psql = Command::new(Binaries::find(None).unwrap().dir().join("psql"));
        psql.args(["--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", &database]);
        psql
    }

    /// What a statement answers.
    #[track_caller]
    fn sql(&self, statement: &str) -> String {
        let output = self.psql().args(["--command", statement]).output().unwrap();
        output_of(&output).trim().to_owned()
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

/// Somebody in the middle of reading the orders, whom no promotion disturbs, until this is dropped.
struct LongReader {
    session: Child,
}

impl LongReader {
    fn begin(shop: &Shop) -> Self {
        let mut psql = shop.psql();
        let mut session = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let reading = "begin; select count(*) from read_model.orders;\n";
        session.stdin.as_mut().unwrap().write_all(reading.as_bytes()).unwrap();
        let answer = BufReader::new(session.stdout.take().unwrap()).lines().next();
        assert_eq!(answer.unwrap().unwrap(), "1");
        Self { session }
    }
}

impl Drop for LongReader {
    fn drop(&mut self) {
        drop(self.session.stdin.take());
        let _ = self.session.wait();
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

    shop.sql("update payments_g1.payments set updated_at = now()");
    let too_different = refusal(&shop.projections(&["promote", "payments"]), 2);
    assert!(too_different.contains("--max-differing"), "{too_different}");
    output_of(&shop.projections(&["promote", "payments", "--max-differing", "100%"]));

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
async fn what_is_interrupted_ends_with_130_and_goes_on_where_it_was() {
    let shop = Shop::open().await;
    let (mut watching, mut lines) = shop.begin(&["status", "orders", "--watch"]);
    for _ in 0..2 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!((&line["projection"], &line["generation"]), (&json!("orders"), &json!(1)));
    }
    assert_eq!(watching.interrupt().code(), Some(130));

    let reader = LongReader::begin(&shop);
    let (mut rebuild, mut lines) = shop.begin(&["rebuild", "orders"]);
    let phase = |line: String| {
        serde_json::from_str::<Value>(&line).unwrap()["phase"].as_str().unwrap().to_owned()
    };
    while phase(lines.next().unwrap().unwrap()) != "catch-up" {}
    assert_eq!(rebuild.interrupt().code(), Some(130));
    let complaint = std::io::read_to_string(rebuild.0.stderr.take().unwrap()).unwrap();
    assert!(complaint.contains("nothing is lost"), "{complaint}");
    let generations = || {
        let status = shop.lines(&["status", "orders"]);
        status.iter().map(|it| json!([it["generation"], it["state"]])).collect::<Vec<_>>()
    };
    assert_eq!(generations(), [json!([1, "live"]), json!([2, "building"])]);

    drop(reader);
    // The running projector goes on with it.
    let promoted = [json!([1, "previous"]), json!([2, "live"])];
    await_value(async || (generations() == promoted).then_some(())).await;
    let runs = "select count(*) from orderstore.build_generations where projection = 'orders' \
         and generation > 1";
    assert_eq!(shop.sql(runs), "1");
    let compared = shop.lines(&["status", "orders"])[1]["compared"].clone();
    assert_eq!((&compared["with"], &compared["differing"]), (&json!(1), &json!(0)));
    let shown = output_of(&shop.projections(&["status", "orders"]));
    assert!(shown.contains("orders generation 2 was compared with 1 at"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_has_damaged_is_found_and_healed() {
    let shop = Shop::open().await;
    output_of(&shop.projections(&["verify", "--all"]));
    let total = "select total_minor from read_model.orders";
    assert_eq!(shop.sql(total), "100");
    shop.sql("update orders_g1.orders set total_minor = 1");

    let found = shop.projections(&["verify", "--all"]);
    refusal(&found, 2);
    let told = String::from_utf8(found.stdout).unwrap();
    assert!(told.contains(shop.stream().as_str()) && told.contains("--heal"), "{told}");
    assert_eq!(shop.sql(total), "1");

    let healed = shop.projections(&["verify", "--all", "--heal", "--json"]);
    refusal(&healed, 2);
    let told = String::from_utf8(healed.stdout).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let orders = lines.iter().find(|line| line["projection"] == "orders").unwrap();
    assert_eq!((&orders["drifted"], &orders["healed"]), (&json!(1), &json!(1)));
    assert_eq!(orders["drifts"][0]["stream"], shop.stream().as_str());
    assert_eq!(shop.sql(total), "100");
    output_of(&shop.projections(&["verify", "--all"]));
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
