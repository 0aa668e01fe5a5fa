//! What processes of a world do: this test binary again, told by environment variables what it is.

use std::env;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use journal::{Journal, SystemClock};
use projector::{Options, Projector};
use tokio::net::TcpListener;

use crate::errand::Errand;

pub(crate) const ROLE: &str = "CHAOS_ROLE";
pub(crate) const FOLDER: &str = "CHAOS_FOLDER";
pub(crate) const ADDRESS: &str = "CHAOS_ADDRESS";
pub(crate) const DATABASE: &str = "CHAOS_DATABASE";
pub(crate) const NAME: &str = "CHAOS_NAME";
pub(crate) const ERRAND: &str = "CHAOS_ERRAND";

/// Small batches and a quick take-over.
pub(crate) fn options(name: &str) -> Options {
    Options {
        batch: 25,
        slices: 2,
        name: Some(name.to_owned()),
        heartbeat: Duration::from_millis(200),
        take_over_after: Duration::from_secs(1),
        ..Options::default()
    }
}

pub(crate) fn journal_at(address: SocketAddr) -> Journal {
    let address = format!("esdb://{address}?tls=false").parse().unwrap();
    let options = journal::Options::new(address).with_deadline(Duration::from_secs(3));
    Journal::connect(options, Arc::new(SystemClock)).unwrap()
}

fn told(name: &str) -> String {
    env::var_os(name).unwrap().into_string().unwrap()
}

pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more when the one who started us is dead.
    let _ = writeln!(out, "\n> {line}");
    let _ = out.flush();
}

/// Not a test by itself: one of the processes that suffer. It lives until its input ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role() {
    let Some(role) = env::var_os(ROLE) else { return };
    tracing_subscriber::fmt()
        .with_env_filter("info,projector=debug,journal=debug")
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(0);
    });
    match role.to_str().unwrap() {
        "store" => store().await,
        "projector" => projector().await,
        "errand" => errand().await,
        other => panic!("{other} is no role"),
    }
    std::process::exit(0);
}

async fn store() {
    let address: SocketAddr = told(ADDRESS).parse().unwrap();
    let listener = loop {
        // What the one before has left may take a moment to go.
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let options = embedded_store::Options::at(PathBuf::from(told(FOLDER)));
    let server = embedded_store::serve(listener, options).await.unwrap();
    say("begun");
    let _ = server.stopped().await;
}

async fn projector() {
    let journal = journal_at(told(ADDRESS).parse().unwrap());
    let projector = Projector::start(&told(DATABASE), journal, options(&told(NAME))).unwrap();
    say("begun");
    let is_dead = projector.death();
    while !is_dead() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    say("the projector has died");
    std::process::exit(1);
}

async fn errand() {
    let journal = journal_at(told(ADDRESS).parse().unwrap());
    let errand: Errand = told(ERRAND).parse().unwrap();
    say("begun");
    let came = errand.run(&told(DATABASE), journal).await;
    say(&format!("ended {came}"));
}
