//! The official clients for Python and Node, unmodified, each through its scenarios against this
//! server. The scenarios are beside this file; its README says how to run one alone.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod packages;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use embedded_store::{Authentication, Options, Server, Tls, serve};
use tokio::net::TcpListener;
use tokio::process::Command;

/// What is asked again of a server with TLS and logins.
const SECURE: [&str; 3] = ["secure", "connecting", "appending"];

#[tokio::test(flavor = "multi_thread")]
async fn kurrentdbclient_for_python_passes_its_scenarios() {
    python("kurrentdbclient").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn esdbclient_for_python_passes_its_scenarios() {
    python("esdbclient").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kurrentdb_client_for_node_passes_its_scenarios() {
    node("@kurrent/kurrentdb-client").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eventstore_client_for_node_passes_its_scenarios() {
    node("@eventstore/db-client").await;
}

async fn python(package: &'static str) {
    let interpreter = installed(move || packages::python(package)).await;
    let suite = |files: Vec<String>| {
        let mut suite = Command::new(&interpreter);
        suite.args(["-m", "unittest"]).args(files).env("PYTHONDONTWRITEBYTECODE", "1");
        suite
    };
    let secure = SECURE.map(|name| format!("test_{name}"));
    pass(package, suite(Vec::new()), suite(secure.to_vec()), &folder("python")).await;
}

async fn node(package: &'static str) {
    installed(packages::node).await;
    let suite = |files: Vec<String>| {
        let mut suite = Command::new("node");
        suite.arg("--test").args(files);
        suite
    };
    let secure = SECURE.map(|name| format!("{name}.test.js"));
    pass(package, suite(Vec::new()), suite(secure.to_vec()), &folder("node")).await;
}

/// Runs everything against an open server, and what is meant for it against a secure one.
async fn pass(package: &str, everything: Command, secure: Command, scenarios: &Path) {
    let open = start(Options::temporary()).await;
    run(package, everything, &open.connection_string(), scenarios).await;
    open.stop().await;

    let authentication = Some(Authentication::with_passwords("changeit", "changeit"));
    let tls = Some(Tls::Development);
    let server = start(Options { tls, authentication, ..Options::temporary() }).await;
    let url = server.connection_string().replace("://", "://admin:changeit@");
    run(package, secure, &url, scenarios).await;
    server.stop().await;
}

async fn start(options: Options) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, options).await.unwrap()
}

async fn run(package: &str, mut suite: Command, url: &str, scenarios: &Path) {
    let said = tempfile::NamedTempFile::new().unwrap();
    let log = said.reopen().unwrap();
    suite
        .current_dir(scenarios)
        .env("CLIENT_PACKAGE", package)
        .env("EVENTSTORE_TEST_URL", url)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true);
    // The time is for a machine under load; nothing is measured.
    let status = tokio::time::timeout(Duration::from_mins(4), suite.status()).await;
    let said = || std::fs::read_to_string(said.path()).unwrap();
    let status = status.unwrap_or_else(|_| panic!("{package} did not end at {url}:\n{}", said()));
    assert!(status.expect("the suite can be started").success(), "{package} at {url}:\n{}", said());
}

fn folder(language: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(language)
}

/// What an installation, which blocks, has to say.
async fn installed<T: Send + 'static>(
    install: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> T {
    match tokio::task::spawn_blocking(install).await.unwrap() {
        Ok(installed) => installed,
        Err(reason) => panic!("{reason}"),
    }
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}
