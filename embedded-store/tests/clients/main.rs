//! The official clients for Python and Node, unmodified, each through its scenarios against this
//! server. The scenarios are beside this file; its README says how to run one alone.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod packages;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use embedded_store::{Options, serve};
use tokio::net::TcpListener;
use tokio::process::Command;

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
    let scenarios = folder("python");
    let interpreter = installed(move || packages::python(package)).await;
    let mut suite = Command::new(interpreter);
    suite.args(["-m", "unittest", "discover"]).env("PYTHONDONTWRITEBYTECODE", "1");
    pass(package, suite, &scenarios).await;
}

async fn node(package: &'static str) {
    let scenarios = folder("node");
    installed(packages::node).await;
    let mut suite = Command::new("node");
    suite.arg("--test");
    pass(package, suite, &scenarios).await;
}

/// Runs the suite in its folder against a new server.
async fn pass(package: &str, mut suite: Command, scenarios: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(listener, Options::temporary()).await.unwrap();
    let said = tempfile::NamedTempFile::new().unwrap();
    let log = said.reopen().unwrap();
    suite
        .current_dir(scenarios)
        .env("CLIENT_PACKAGE", package)
        .env("EVENTSTORE_TEST_URL", server.connection_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true);
    // The time is for a machine under load; nothing is measured.
    let status = tokio::time::timeout(Duration::from_mins(4), suite.status()).await;
    let said = || std::fs::read_to_string(said.path()).unwrap();
    let status = status.unwrap_or_else(|_| panic!("{package} did not end:\n{}", said()));
    assert!(status.expect("the suite can be started").success(), "{package}:\n{}", said());
    server.stop().await;
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
