//! The journal against a real server (the embedded one), and against one that misbehaves.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is surprised")]

mod counter;
mod executing;
mod expecting;
mod latency;
mod misbehaving;
mod open_call;
mod outages;
mod scanning;
mod scripted;
mod snapshots;
mod store;
mod streams;
mod subscriptions;
mod tls;

use std::time::Duration;

use journal::{Address, Journal, ManualClock, Options};

/// What a test waits for at most: generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for what must happen.
async fn must<T>(happen: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happen).await.expect("this must happen")
}

/// A journal in the store at `address`, whose calls may take as long as `deadline`.
fn connect(address: Address, deadline: Duration) -> Journal {
    let clock = std::sync::Arc::new(ManualClock::at(chrono::DateTime::UNIX_EPOCH));
    Journal::connect(Options::new(address).with_deadline(deadline), clock).unwrap()
}
