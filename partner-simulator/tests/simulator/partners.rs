//! What gateway and carrier have in common: failing on purpose, stopping, remembering.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use partner_simulator::{Error, Options, serve};
use reqwest::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Caller, Partner, assert_refused, options, part, payment, shipment};

/// Tells a re-executed test process where its ledger is, and that it is one.
const DATA_DIR: &str = "PARTNER_SIMULATOR_TEST_DATA_DIR";

#[tokio::test]
async fn a_partner_that_always_fails_does_nothing_but_says_that_it_is_there() {
    let Partner { caller, simulator: _running } =
        Partner::start(Options { failure_rate: 1.0, ..options() }).await;
    assert_refused(&caller.put("/payments/k", &payment("tok_ok")).await, 503, "unavailable");
    assert_refused(&caller.put("/shipments/k", &shipment()).await, 503, "unavailable");
    assert_refused(&caller.post_nothing("/payments/k/void").await, 503, "unavailable");

    assert_eq!(caller.get("/health").await, (StatusCode::OK, json!({ "status": "ok" })));
    assert_eq!(caller.get("/payments").await.1, json!({ "payments": [] }));
    assert_eq!(caller.get("/shipments").await.1, json!({ "shipments": [] }));
}

#[tokio::test]
async fn a_restarted_partner_remembers_everything() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { data_dir: Some(folder.path().to_owned()), ..options() };
    let partner = Partner::start(options.clone()).await;
    let caller = &partner.caller;
    caller.put("/payments/paid", &payment("tok_ok")).await;
    caller.post("/payments/paid/capture", &part("c", 7_000)).await;
    caller.post("/payments/paid/refund", &part("r", 500)).await;
    caller.put("/payments/declined", &payment("tok_declined")).await;
    caller.post_nothing("/payments/closed/void").await;
    caller.put("/shipments/cancelled", &shipment()).await;
    caller.post_nothing("/shipments/cancelled/cancel").await;
    let before = (caller.get("/payments").await, caller.get("/shipments").await);

    let partner = partner.restart(options).await;
    let caller = &partner.caller;
    assert_eq!((caller.get("/payments").await, caller.get("/shipments").await), before);
    let repeated = caller.post("/payments/paid/capture", &part("c", 7_000)).await;
    assert_eq!((repeated.0, &repeated.1["captured"]), (StatusCode::OK, &json!(7_000)));
    assert_refused(&caller.put("/payments/closed", &payment("tok_ok")).await, 409, "key_closed");
}

#[tokio::test]
async fn a_killed_partner_knows_what_it_charged_without_having_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "partners::run_as_another_process", "--ignored", "--nocapture"])
        .env(DATA_DIR, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let base_url = BufReader::new(killed.stdout.take().unwrap())
        .lines()
        .find_map(|line| Some(line.unwrap().split_once("listening=")?.1.to_owned()))
        .unwrap();
    let caller = Caller::of(&base_url);
    let unanswered = tokio::spawn({
        let caller = caller.clone();
        async move { caller.put("/payments/k", &payment("tok_timeout")).await }
    });
    caller.until("/payments/k", "authorised").await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(unanswered.await.is_err(), "the caller must not have got an answer");

    let data_dir = Some(folder.path().to_owned());
    let partner = Partner::start(Options { data_dir, ..options() }).await;
    let (status, body) = partner.caller.put("/payments/k", &payment("tok_timeout")).await;
    assert_eq!((status, &body["authorisations"]), (StatusCode::OK, &json!(1)));
}

#[tokio::test]
#[ignore = "run by another test in a process of its own"]
async fn run_as_another_process() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else { return };
    let data_dir = Some(data_dir.into());
    let partner = Partner::start(Options { data_dir, ..options() }).await;
    println!("listening={}", partner.simulator.base_url());
    // Ends with the test that started this process, should that fail before it kills us.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_caller_left_without_an_answer() {
    let hang = Duration::from_hours(1);
    let Partner { caller, simulator } = Partner::start(Options { hang, ..options() }).await;
    let left_waiting = tokio::spawn({
        let caller = caller.clone();
        async move { caller.put("/payments/k", &payment("tok_timeout")).await }
    });
    caller.until("/payments/k", "authorised").await;

    let stopped = simulator.stopped();
    simulator.stop().await;
    stopped.await;
    assert_refused(&left_waiting.await.unwrap(), 503, "unavailable");
}

#[tokio::test]
async fn a_dropped_simulator_stops() {
    let Partner { simulator, .. } = Partner::start(options()).await;
    let stopped = simulator.stopped();
    drop(simulator);
    stopped.await;
}

#[tokio::test]
async fn two_simulators_cannot_share_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { data_dir: Some(folder.path().to_owned()), ..options() };
    let _first = Partner::start(options.clone()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusal = serve(listener, options).unwrap_err();
    assert!(matches!(refusal, Error::InUse { .. }), "{refusal}");
}

#[tokio::test]
async fn two_simulators_without_a_ledger_know_nothing_of_each_other() {
    let one = Partner::start(options()).await;
    let two = Partner::start(options()).await;
    assert_ne!(one.simulator.address(), two.simulator.address());
    one.caller.put("/payments/k", &payment("tok_ok")).await;
    assert_refused(&two.caller.get("/payments/k").await, 404, "unknown_payment");
}
