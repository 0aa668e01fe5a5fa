//! Lets the client set up TLS before anybody else does.

use std::sync::OnceLock;
use std::thread;

use eventstore::{Client, ClientSettings};

use crate::Error;

/// Makes the client give up before it opens a connection: it sets up TLS, and that is all.
const NOWHERE: &str = "esdb://127.0.0.1:1?tls=false&maxDiscoverAttempts=1";

/// Lets the event store's client install its TLS provider. Call it first thing in `main`.
///
/// The client panics in a background task when another provider was installed before it, even if
/// TLS is off. Calling this again does nothing and gives the same answer;
/// [`Journal::connect`](crate::Journal::connect) does so.
///
/// # Errors
/// [`Error::Tls`] when it is too late, or the system's certificates are unreadable.
pub fn prepare_tls() -> Result<(), Error> {
    static OUTCOME: OnceLock<bool> = OnceLock::new();
    let works = OUTCOME.get_or_init(|| {
        // A thread of its own, because this may be called inside a runtime or without one.
        thread::spawn(client_sets_up_tls).join().unwrap_or(false)
    });
    if *works { Ok(()) } else { Err(Error::Tls) }
}

/// The client's background task answers, if only that it cannot connect, or it has panicked.
fn client_sets_up_tls() -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return false;
    };
    runtime.block_on(async {
        let Ok(settings) = NOWHERE.parse::<ClientSettings>() else { return false };
        let Ok(client) = Client::new(settings) else { return false };
        !matches!(client.server_info().await, Err(eventstore::Error::ConnectionClosed))
    })
}
