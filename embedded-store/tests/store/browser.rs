//! A real browser without a window, and one page in it, driven over the protocol of its own
//! developer tools: commands and notices, as JSON over a WebSocket.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::harness::soon;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where the browser may be, by the names under which systems install it.
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const ARGUMENTS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--window-size=1200,900",
    "about:blank",
];

/// A page that was opened in a browser of its own.
pub(crate) struct Page {
    commands: AsyncMutex<SplitSink<Socket, Message>>,
    next: AtomicU64,
    session: String,
    heard: Arc<Heard>,
    // Ends with the page at the latest; then its profile goes.
    browser: Child,
    _profile: TempDir,
}

/// What the browser said.
#[derive(Default)]
struct Heard {
    answers: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    requests: Mutex<Vec<String>>,
    complaints: Mutex<Vec<String>>,
}

impl Page {
    pub(crate) async fn open(address: &str) -> Self {
        let profile = TempDir::new().unwrap();
        let (browser, endpoint) = soon(launch(&profile)).await;
        let (socket, _) = soon(connect_async(endpoint)).await.unwrap();
        let (commands, notices) = socket.split();
        let heard = Arc::new(Heard::default());
        tokio::spawn(listen(notices, Arc::clone(&heard)));
        let mut page = Self {
            commands: AsyncMutex::new(commands),
            next: AtomicU64::new(1),
            session: String::new(),
            heard,
            browser,
            _profile: profile,
        };
        let target = page.command("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.command("Target.attachToTarget", attach).await;
        page.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.command(&format!("{domain}.enable"), json!({})).await;
        }
        page.command("Page.navigate", json!({ "url": address })).await;
        page
    }

    async fn command(&self, method: &str, parameters: Value) -> Value {
        let answer = self.answer(method, parameters).await.expect("the browser is gone");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// What the browser answers to a command, unless it ends before.
    async fn answer(&self, method: &str, parameters: Value) -> Option<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.heard.answers.lock().unwrap().insert(id, answer);
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let sent = self.commands.lock().await.send(Message::text(command.to_string())).await;
        sent.unwrap();
        soon(answered).await.ok()
    }

    /// The value of an expression in the page; of a promise, what it comes to.
    pub(crate) async fn evaluate(&self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.command("Runtime.evaluate", parameters).await;
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true. It is asked again whenever something changed in the page.
    pub(crate) async fn until(&self, expression: &str) {
        let waiting = format!(
            "new Promise((done) => {{
                const look = () => {{ if ({expression}) {{ watch.disconnect(); done(true); }} }};
                const watch = new MutationObserver(look);
                watch.observe(document, {{ subtree: true, childList: true, characterData: true,
                                           attributes: true }});
                look();
            }})"
        );
        // While the page is being replaced there is nothing to watch in: then it is watched anew.
        soon(async {
            loop {
                let parameters =
                    json!({ "expression": waiting, "awaitPromise": true, "returnByValue": true });
                let answer = self.answer("Runtime.evaluate", parameters).await.unwrap();
                if answer["result"]["result"]["value"] == true {
                    return;
                }
            }
        })
        .await;
    }

    /// Waits until a person can read this in the page.
    pub(crate) async fn sees(&self, text: &str) {
        let text = json!(text);
        self.until(&format!("document.querySelector('main')?.innerText.includes({text})")).await;
    }

    /// Goes to another address in the page.
    pub(crate) async fn go(&self, hash: &str) {
        self.evaluate(&format!("location.hash = {}", json!(hash))).await;
    }

    /// Presses a key, as a person at the keyboard does.
    pub(crate) async fn press(&self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            key if key.len() == 1 => key,
            _ => "",
        };
        let code = if key == "Enter" { 13 } else { 0 };
        for kind in ["keyDown", "keyUp"] {
            let parameters =
                json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.command("Input.dispatchKeyEvent", parameters).await;
        }
    }

    pub(crate) async fn write(&self, text: &str) {
        self.command("Input.insertText", json!({ "text": text })).await;
    }

    /// Clicks the first link or button with this text.
    pub(crate) async fn click(&self, text: &str) {
        let text = json!(text);
        let find = format!(
            "[...document.querySelectorAll('main a, main button, nav a')]
                .find((element) => element.textContent.trim() === {text})"
        );
        self.until(&find).await;
        self.evaluate(&format!("{find}.click()")).await;
    }

    /// Closes the browser. Nothing was asked of anybody but `origin`, and there was nothing to
    /// complain about.
    pub(crate) async fn was_clean(mut self, origin: &str) {
        self.session.clear();
        self.answer("Browser.close", json!({})).await;
        soon(self.browser.wait()).await.unwrap();
        let complaints = self.heard.complaints.lock().unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let requests = self.heard.requests.lock().unwrap();
        assert!(requests.iter().any(|url| url.starts_with(origin)));
        let elsewhere: Vec<_> = requests.iter().filter(|url| !url.starts_with(origin)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    }
}

/// The address without the login that may stand in it.
fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((login, place)) if !login.contains('/') => format!("{scheme}://{place}"),
            Some(_) | None => url.to_owned(),
        },
        None => url.to_owned(),
    }
}

/// Starts the browser and waits until it says where it can be driven.
async fn launch(profile: &TempDir) -> (Child, String) {
    let mut browser = NAMES
        .iter()
        .find_map(|name| {
            Command::new(name)
                .args(ARGUMENTS)
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .ok()
        })
        .expect("no Chromium is installed; tools/prerequisites.sh installs it");
    let mut said = BufReader::new(browser.stderr.take().unwrap()).lines();
    let endpoint = loop {
        let line = said.next_line().await.unwrap().expect("the browser ended at once");
        if let Some(endpoint) = line.strip_prefix("DevTools listening on ") {
            break endpoint.to_owned();
        }
    };
    // What it says later is read and dropped, or it would wait for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
    (browser, endpoint)
}

async fn listen(mut notices: SplitStream<Socket>, heard: Arc<Heard>) {
    while let Some(Ok(message)) = notices.next().await {
        let Ok(text) = message.into_text() else { continue };
        let Ok(notice) = serde_json::from_str::<Value>(&text) else { continue };
        if let Some(id) = notice["id"].as_u64() {
            let waiting = heard.answers.lock().unwrap().remove(&id);
            waiting.map(|waiting| waiting.send(notice));
            continue;
        }
        let parameters = &notice["params"];
        match notice["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                heard.requests.lock().unwrap().push(without_login(url));
            }
            Some("Runtime.exceptionThrown") => {
                heard.complaints.lock().unwrap().push(parameters.to_string());
            }
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                heard.complaints.lock().unwrap().push(parameters.to_string());
            }
            Some("Runtime.consoleAPICalled")
                if matches!(parameters["type"].as_str(), Some("error" | "warning" | "assert")) =>
            {
                heard.complaints.lock().unwrap().push(parameters.to_string());
            }
            Some(_) | None => {}
        }
    }
    // Whoever still waits for an answer gets none.
    heard.answers.lock().unwrap().clear();
}
