//! A store that runs as a process of its own, and a client that talks to it as anybody would.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Long enough for a busy machine; nothing waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The binary, ready to be given arguments, with nothing of our own environment in it.
pub(crate) fn orderstore() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderstore"));
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("ORDERSTORE_") || name == "DATABASE_URL";
        if ours {
            command.env_remove(name);
        }
    }
    command.env("RUST_BACKTRACE", "0");
    command
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    orderstore().args(arguments).output().unwrap()
}

/// What a command wrote, or a panic with what it complained about.
#[track_caller]
pub(crate) fn output_of(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "failed with {}: {complaint}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder that other users may enter too, as the database's user has to; removed in the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("orderstore-test-{}", journal::ids::new_id().simple());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it tells why a test failed.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A process that is killed when the test ends.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the binary and leaves it running; what it logs goes into the folder.
pub(crate) fn spawn(folder: &Folder, name: &str, arguments: &[&str]) -> Process {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.path().join(format!("{name}.log")))
        .unwrap();
    let child = orderstore()
        .args(arguments)
        .args(["--log", "info"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    Process(child)
}

/// A store on embedded defaults.
pub(crate) struct Store {
    pub(crate) process: Process,
    pub(crate) api: Api,
    pub(crate) journal: String,
    pub(crate) partners: String,
}

impl Store {
    /// Starts one on free ports and waits until it is ready.
    pub(crate) async fn up(folder: &Folder) -> Self {
        Self::up_with(folder, &[]).await
    }

    pub(crate) async fn up_with(folder: &Folder, more: &[&str]) -> Self {
        let data_dir = folder.path().join("data");
        let announcement = data_dir.join("running.json");
        // Of a store that was killed.
        let _ = fs::remove_file(&announcement);
        let mut arguments = vec!["up", "--data-dir", data_dir.to_str().unwrap()];
        arguments.extend(["--http-port", "0", "--event-store-port", "0"]);
        arguments.extend(more);
        let mut process = spawn(folder, "up", &arguments);
        let running: Value = await_value(async || {
            if let Some(status) = process.0.try_wait().unwrap() {
                let log = fs::read_to_string(folder.path().join("up.log")).unwrap();
                panic!("orderstore up ended with {status}: {log}");
            }
            serde_json::from_slice(&fs::read(&announcement).ok()?).ok()
        })
        .await;
        let text = |key: &str| running[key].as_str().unwrap_or_default().to_owned();
        let token = fs::read_to_string(data_dir.join("development-token")).unwrap();
        let api = Api::new(&text("api"), &token);
        api.ready().await;
        Self { process, api, journal: text("event_store"), partners: text("partners") }
    }

    /// What the payment gateway says it did, per order.
    pub(crate) async fn payments(&self) -> Vec<Value> {
        let url = format!("{}/payments", self.partners);
        let all: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        all["payments"].as_array().unwrap().clone()
    }
}

/// Asks again and again until there is a value.
pub(crate) async fn await_value<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ask().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The public API.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) base_url: String,
    token: String,
    http: reqwest::Client,
}

impl Api {
    pub(crate) fn new(base_url: &str, token: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { base_url: base_url.to_owned(), token: token.trim().to_owned(), http }
    }

    pub(crate) async fn ready(&self) {
        let url = format!("{}/health/ready", self.base_url);
        await_value(async || {
            let response = self.http.get(&url).send().await.ok()?;
            response.status().is_success().then_some(())
        })
        .await;
    }

    /// The data of a query, or what stood in the way.
    pub(crate) async fn try_run(&self, query: &str, variables: &Value) -> Result<Value, String> {
        let url = format!("{}/graphql", self.base_url);
        let body = json!({ "query": query, "variables": variables });
        let sent = self.http.post(url).bearer_auth(&self.token).json(&body).send().await;
        let answer: Value =
            sent.map_err(|it| it.to_string())?.json().await.map_err(|it| it.to_string())?;
        match answer.get("errors") {
            Some(errors) => Err(errors.to_string()),
            None => Ok(answer["data"].clone()),
        }
    }

    pub(crate) async fn run(&self, query: &str, variables: Value) -> Value {
        match self.try_run(query, &variables).await {
            Ok(data) => data,
            Err(errors) => panic!("{query}: {errors}"),
        }
    }

    pub(crate) async fn receive(&self, sku: &str, quantity: i64) {
        let query = "mutation($input: StockReceiveInput!) { it: stockReceive(input: $input) { \
            userErrors { message } } }";
        let items = json!([{ "sku": sku, "quantity": quantity }]);
        let input =
            json!({ "idempotencyKey": format!("receive-{sku}-{quantity}"), "items": items });
        let answer = self.run(query, json!({ "input": input })).await;
        assert_eq!(answer["it"]["userErrors"], json!([]));
    }

    /// Places an order for one unit at 1.00 GBP; its id if it was accepted.
    pub(crate) async fn try_place(
        &self,
        sku: &str,
        key: &str,
        token: &str,
    ) -> Result<String, String> {
        self.try_place_with(sku, key, token, json!({})).await
    }

    /// The same, with more of the input.
    pub(crate) async fn try_place_with(
        &self,
        sku: &str,
        key: &str,
        token: &str,
        more: Value,
    ) -> Result<String, String> {
        let query = "mutation($input: OrderPlaceInput!) { it: orderPlace(input: $input) { \
            order { id } userErrors { code message } } }";
        let pound = json!({ "amount": "1.00", "currencyCode": "GBP" });
        let mut input = json!({
            "idempotencyKey": key,
            "country": "GB",
            "currencyCode": "GBP",
            "lines": [{ "sku": sku, "quantity": 1, "unitPrice": pound }],
            "total": pound,
            "paymentToken": token,
        });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.try_run(query, &json!({ "input": input })).await?;
        match answer["it"]["order"]["id"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => Err(answer["it"]["userErrors"].to_string()),
        }
    }

    /// Waits until the read model says that the order has come to its end: nothing works for it any
    /// more, and no money is on its way or held.
    pub(crate) async fn settled(&self, order: &str) -> String {
        let query = "query($id: UUID!) { order(id: $id) { status authorised { amount } \
            captures { status } refunds { status } processes { status } } }";
        await_value(async || {
            let answer = self.try_run(query, &json!({ "id": order })).await.ok()?;
            let order = &answer["order"];
            let all = |list: &str, status: &[&str]| {
                let list = order[list].as_array()?;
                let is_one =
                    |it: &Value| it["status"].as_str().is_some_and(|it| status.contains(&it));
                list.iter().all(is_one).then_some(list.len())
            };
            let processes = all("processes", &["FINISHED"])?;
            let moved =
                all("captures", &["DONE", "FAILED"]).and(all("refunds", &["DONE", "FAILED"]));
            let status = order["status"].as_str()?;
            let settled = matches!(status, "COMPLETED" | "CANCELLED" | "REJECTED");
            let free = order["authorised"]["amount"] == "0.00";
            (settled && free && processes > 0 && moved.is_some()).then(|| status.to_owned())
        })
        .await
    }

    /// Waits until the read model says that so much is there and set aside.
    pub(crate) async fn stock_is(&self, sku: &str, on_hand: i64, reserved: i64) {
        let query = "query($sku: String!) { stock(sku: $sku) { onHand reserved } }";
        let expected = json!({ "onHand": on_hand.to_string(), "reserved": reserved.to_string() });
        let start = Instant::now();
        loop {
            let found = self.run(query, json!({ "sku": sku })).await["stock"].take();
            if found == expected {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{sku}: {found}, expected {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What the payment gateway holds of a payment, in minor units.
pub(crate) fn held(payment: &Value) -> i64 {
    let number = |key: &str| payment[key].as_i64().unwrap_or_default();
    number("authorised") - number("captured") - number("voided") - number("expired")
}
