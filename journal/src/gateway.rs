//! Keeps a working client at hand, and bounds everything that is asked of it.
//!
//! What is asked, and what the answers mean, is not here (`journal`, `subscription`).
//!
//! A supervising task owns the connection. It builds a client, asks the store something cheap and
//! publishes the client together with the number of that check. Whoever has trouble with a client
//! says so, naming the number, and waits for a higher one: the supervisor checks again, keeps the
//! client if the store answers, and otherwise builds new ones for ever, with growing pauses.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use eventstore::{Client, ClientSettings, ReadAllOptions, StreamPosition};
use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::{Error, nodelay};

/// The client may reconnect on its own without anybody noticing, with Nagle's algorithm on. Then
/// calls become slower than this, and new sockets are looked for …
const SUSPICIOUSLY_SLOW: Duration = Duration::from_millis(30);
/// … but not more often than this, because other things are slow, too.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// A call is sent at most this often, as long as there is time …
const SENDINGS: u32 = 4;
/// … and what nobody answers counts as two: a store that is merely slow must not get more to do.
const UNANSWERED: u32 = 2;
/// A client that is dropped while it still tries to connect keeps its background task, and later a
/// connection, for ever. Its own time-outs end it before this.
const UNTIL_THE_CLIENT_GIVES_UP: Duration = Duration::from_secs(10);
/// Troubled callers share one check; this is how soon the next one may follow.
const BETWEEN_CHECKS: Duration = Duration::from_millis(10);

/// What is said of a call that was not answered in its time.
const NO_ANSWER: &str = "no answer";

/// A supervised connection to the event store.
pub(crate) struct Gateway {
    shared: Arc<Shared>,
    _supervisor: AbortOnDropHandle<()>,
}

struct Shared {
    settings: ClientSettings,
    /// Where the store is, without credentials.
    target: String,
    deadline: Duration,
    link: watch::Sender<Link>,
    /// Somebody doubts the link.
    trouble: Notify,
    /// Somebody had to wait for an answer.
    slow: Notify,
    skipped: AtomicU64,
}

/// What is known about the connection.
#[derive(Clone)]
enum Link {
    Down { reason: String },
    Up(Checked),
}

/// A client that worked at its last check.
#[derive(Clone)]
pub(crate) struct Checked {
    pub(crate) client: Arc<Client>,
    /// Number of the check, counted up for ever.
    pub(crate) check: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Setback {
    /// None came, or one that says the connection or the node is not usable.
    Trouble(String),
    /// The store has answered: no.
    Answer(eventstore::Error),
}

impl Gateway {
    /// Starts connecting, and returns at once. `target` is the address without credentials.
    pub(crate) fn open(settings: ClientSettings, target: String, deadline: Duration) -> Self {
        let (link, _) = watch::channel(Link::Down { reason: "not connected yet".to_owned() });
        let shared = Arc::new(Shared {
            settings,
            target,
            deadline,
            link,
            trouble: Notify::new(),
            slow: Notify::new(),
            skipped: AtomicU64::new(0),
        });
        let supervisor = tokio::spawn(supervise(Arc::clone(&shared)));
        Self { shared, _supervisor: AbortOnDropHandle::new(supervisor) }
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.shared.deadline
    }

    pub(crate) fn target(&self) -> String {
        self.shared.target.clone()
    }

    /// Begins a call, which is over after the deadline.
    pub(crate) fn effort(&self) -> Effort<'_> {
        self.effort_within(self.shared.deadline)
    }

    pub(crate) fn effort_within(&self, limit: Duration) -> Effort<'_> {
        let started = Instant::now();
        Effort {
            gateway: self,
            started,
            end: started + limit,
            at_least: 0,
            sent: 0,
            in_doubt: false,
            pauses: Backoff::new(Duration::from_millis(20), Duration::from_millis(500)),
            reason: String::new(),
        }
    }

    /// A client that passed check number `at_least` or a later one, whenever there is one.
    pub(crate) async fn checked(&self, at_least: u64) -> Checked {
        let mut link = self.shared.link.subscribe();
        let up = link.wait_for(|link| matches!(link, Link::Up(up) if up.check >= at_least)).await;
        match up.map(|link| link.clone()) {
            Ok(Link::Up(checked)) => checked,
            // Not reachable: the sender lives in `self`, and the condition says up.
            Ok(Link::Down { .. }) | Err(_) => std::future::pending().await,
        }
    }

    /// Says that a client that passed check number `check` gave trouble.
    pub(crate) fn doubt(&self, check: u64) {
        if matches!(&*self.shared.link.borrow(), Link::Up(up) if up.check == check) {
            self.shared.trouble.notify_one();
        }
    }

    /// What a refusal means that needs no knowledge of what was asked.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the client's errors, not ours")]
    pub(crate) fn refusal(&self, error: &eventstore::Error) -> Error {
        match error {
            eventstore::Error::AccessDenied => Error::AccessDenied { target: self.target() },
            other => Error::Refused { reason: other.to_string() },
        }
    }

    /// Counts an event that is not ours and was left out.
    pub(crate) fn count_skipped(&self, stream: &str, position: crate::Position, reason: &str) {
        let skipped = self.shared.skipped.fetch_add(1, Ordering::Relaxed) + 1;
        // A foreign writer may write a lot: 1, 2, 4, 8, … are enough to notice.
        if skipped.is_power_of_two() {
            tracing::warn!(stream, %position, reason, skipped, "left out an event that is not ours");
        }
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.shared.skipped.load(Ordering::Relaxed)
    }

    fn last_reason(&self) -> Option<String> {
        match &*self.shared.link.borrow() {
            Link::Down { reason } => Some(reason.clone()),
            Link::Up(_) => None,
        }
    }
}

/// One call: waiting for a client, asking it, and asking once more, all before one deadline.
pub(crate) struct Effort<'a> {
    gateway: &'a Gateway,
    started: Instant,
    end: Instant,
    at_least: u64,
    sent: u32,
    in_doubt: bool,
    pauses: Backoff,
    reason: String,
}

impl Effort<'_> {
    /// A client to ask.
    pub(crate) async fn client(&mut self) -> Result<Checked, Error> {
        let checked = timeout_at(self.end, self.gateway.checked(self.at_least)).await;
        checked.map_err(|_elapsed| {
            if let Some(reason) = self.gateway.last_reason() {
                self.reason = reason;
            }
            self.unavailable()
        })
    }

    /// How long the next asking may take: half of what is left, so that there is time for another.
    pub(crate) fn share(&self) -> Duration {
        let left = self.end.saturating_duration_since(Instant::now());
        if self.sent + UNANSWERED < SENDINGS { left / 2 } else { left }
    }

    /// Asks a client that passed `check`. After trouble the connection is checked, and the caller
    /// may try again with another client, as long as this gives no error.
    pub(crate) async fn ask<T>(
        &mut self,
        check: u64,
        asking: impl Future<Output = eventstore::Result<T>>,
    ) -> Result<Asked<T>, Error> {
        let answer = self.wait(asking).await;
        self.sent += 1;
        match answer {
            Ok(answer) => Ok(Asked::Answer(answer)),
            Err(Setback::Answer(error)) => Ok(Asked::No(error)),
            Err(Setback::Trouble(trouble)) => {
                self.doubt(check);
                if trouble == NO_ANSWER {
                    self.sent += UNANSWERED - 1;
                }
                self.reason = trouble;
                let pause = self.pauses.next();
                if self.sent >= SENDINGS || Instant::now() + pause >= self.end {
                    return Err(self.unavailable());
                }
                tokio::time::sleep(pause).await;
                Ok(Asked::Again)
            }
        }
    }

    /// Tries something that the caller asks for in another way if nothing comes of it. `None` if no
    /// answer came in time, which alone is trouble.
    pub(crate) async fn attempt<T>(
        &mut self,
        check: u64,
        trying: impl Future<Output = T>,
    ) -> Option<T> {
        let answer = self.wait(trying.map(Ok)).await.ok();
        if answer.is_none() {
            self.doubt(check);
            self.sent += UNANSWERED;
            NO_ANSWER.clone_into(&mut self.reason);
        }
        answer
    }

    /// Waits for an answer as long as it may take.
    async fn wait<T>(
        &mut self,
        asking: impl Future<Output = eventstore::Result<T>>,
    ) -> Result<T, Setback> {
        let (share, asked) = (self.share(), Instant::now());
        self.in_doubt = true;
        let answer = answer_within(share, asking).await;
        if asked.elapsed() > SUSPICIOUSLY_SLOW {
            self.gateway.shared.slow.notify_one();
        }
        answer
    }

    /// The client that passed check number `check` is asked nothing more before it passes another.
    fn doubt(&mut self, check: u64) {
        self.gateway.doubt(check);
        self.at_least = check + 1;
    }

    fn unavailable(&self) -> Error {
        Error::Unavailable {
            target: self.gateway.target(),
            waited: self.started.elapsed(),
            reason: self.reason.clone(),
            in_doubt: self.in_doubt,
        }
    }
}

/// What came of asking.
pub(crate) enum Asked<T> {
    /// It answered.
    Answer(T),
    /// It answered: no.
    No(eventstore::Error),
    /// There was trouble; ask another client.
    Again,
}

/// The client's answer, if there is one within `limit`. Panics of the client are trouble, too: it
/// panics when an answer is ill-formed.
pub(crate) async fn answer_within<T>(
    limit: Duration,
    asking: impl Future<Output = eventstore::Result<T>>,
) -> Result<T, Setback> {
    match timeout(limit, AssertUnwindSafe(asking).catch_unwind()).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(error))) => Err(setback(error)),
        Ok(Err(_panic)) => Err(Setback::Trouble("the client panicked".to_owned())),
        Err(_elapsed) => Err(Setback::Trouble(NO_ANSWER.to_owned())),
    }
}

/// Tells trouble with the connection or the node from an answer that will not change.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the client's errors and gRPC's codes, not ours"
)]
fn setback(error: eventstore::Error) -> Setback {
    use eventstore::Error as Client;
    match &error {
        Client::ServerError(_)
        | Client::NotLeaderException(_)
        | Client::ConnectionClosed
        | Client::GrpcConnectionError(_)
        | Client::DeadlineExceeded => Setback::Trouble(in_words(&error)),
        // The client does not pass the type of the code on, so it is told by its name.
        Client::Grpc { code, .. }
            if ["Cancelled", "Aborted", "ResourceExhausted"]
                .contains(&format!("{code:?}").as_str()) =>
        {
            Setback::Trouble(in_words(&error))
        }
        _ => Setback::Answer(error),
    }
}

/// What is wrong, without what the client and gRPC wrap around it.
fn in_words(error: &impl ToString) -> String {
    let whole = error.to_string();
    let message = whole.split_once("message: \"").and_then(|(_, it)| it.split_once("\", details"));
    match message {
        Some((message, _)) if !message.is_empty() => message.to_owned(),
        _ => whole,
    }
}

async fn supervise(shared: Arc<Shared>) {
    let ports = ports(&shared.settings);
    let mut check = 0;
    loop {
        let client = Arc::new(connect(&shared).await);
        tracing::info!(store = shared.target, "connected to the event store");
        loop {
            check += 1;
            set_nodelay(&ports).await;
            shared.link.send_replace(Link::Up(Checked { client: Arc::clone(&client), check }));
            wait_for_trouble(&shared, &ports).await;
            if let Err(reason) = probe(&client, shared.deadline).await {
                tracing::warn!(store = shared.target, reason, "lost the event store");
                shared.link.send_replace(Link::Down { reason });
                break;
            }
            tokio::time::sleep(BETWEEN_CHECKS).await;
        }
    }
}

async fn wait_for_trouble(shared: &Shared, ports: &[u16]) {
    let mut trouble = pin!(shared.trouble.notified());
    loop {
        let slow = async {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            shared.slow.notified().await;
        };
        tokio::select! {
            () = &mut trouble => return,
            () = slow => set_nodelay(ports).await,
        }
    }
}

/// Builds clients until one works.
async fn connect(shared: &Shared) -> Client {
    let mut backoff = Backoff::reconnecting();
    let mut attempts = 0_u32;
    loop {
        let reason = match Client::new(shared.settings.clone()) {
            Ok(client) => match probe(&client, UNTIL_THE_CLIENT_GIVES_UP).await {
                Ok(()) => return client,
                Err(reason) => reason,
            },
            Err(error) => error.to_string(),
        };
        attempts += 1;
        // It may be away for a moment only, or for days: 4, 8, 16, … are enough to notice.
        if attempts >= 4 && attempts.is_power_of_two() {
            tracing::warn!(store = shared.target, attempts, reason, "cannot reach the event store");
        }
        shared.link.send_replace(Link::Down { reason });
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Asks for something cheap that every event store can answer.
async fn probe(client: &Client, limit: Duration) -> Result<(), String> {
    let last = ReadAllOptions::default().position(StreamPosition::End).max_count(1);
    let asking = async {
        let mut events = client.read_all(&last).await?;
        events.next().await
    };
    match answer_within(limit, asking).await {
        // A refusal is an answer as well: whoever asks for more will be told.
        Ok(_) | Err(Setback::Answer(_)) => Ok(()),
        Err(Setback::Trouble(reason)) => Err(reason),
    }
}

/// The ports that the store listens on, as far as its address tells.
fn ports(settings: &ClientSettings) -> Vec<u16> {
    settings.hosts().iter().filter_map(|host| u16::try_from(host.port).ok()).collect()
}

async fn set_nodelay(ports: &[u16]) {
    let ports = ports.to_vec();
    match tokio::task::spawn_blocking(move || nodelay::set_on_connections_to(&ports)).await {
        Ok(Ok(sockets)) => tracing::trace!(sockets, "set TCP_NODELAY"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot set TCP_NODELAY: every call may take 40 ms longer");
        }
        Err(_stopping) => {}
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither settings nor client: they contain the credentials.
        f.debug_struct("Gateway")
            .field("store", &self.shared.target)
            .field("down", &self.last_reason())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn of_what_the_client_says_the_message_is_passed_on() {
        let wrapped = "gRPC connection error: status: Unknown, message: \"cannot \\\"connect\\\"\", \
                       details: [], metadata: MetadataMap { headers: {} }.";
        assert_eq!(in_words(&wrapped), "cannot \\\"connect\\\"");
        assert_eq!(
            in_words(&"status: Unknown, message: \"\", details: []"),
            "status: Unknown, message: \"\", details: []"
        );
        assert_eq!(in_words(&"no node was found"), "no node was found");
    }
}
