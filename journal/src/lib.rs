//! Reading and writing streams: the one user of the event store's client.
//!
//! Everybody else sees five things:
//!
//! - [`Journal`]: append to a stream at an exact revision, read and delete streams, follow everything.
//! - [`Repository`]: the one write path, from a command to its durable events.
//! - [`Subscription`]: every event of some categories, in order, for ever.
//! - [`Scan`]: the same from a position to the end of the log, as it came and as fast as it comes.
//! - [`Clock`] and [`ids`]: the homes of time and of new ids.
//!
//! # What can be relied on
//!
//! - **An append is all or nothing, at an exact revision, and happens once.** An
//!   append that is sent again because its answer got lost carries the same event ids, so the
//!   store recognises it. A command that is decided again meets the stream as it is.
//! - **Every call ends at its deadline** (`--event-store-deadline`), with [`Error::Unavailable`]
//!   if need be. It says whether an append may have happened all the same. For one item of an
//!   [`EventStream`] the deadline counts anew. A command is bounded by a few of them: it waits for
//!   those before it, and it may have to read.
//! - **The store may come, go and move at any time.** The connection is rebuilt for ever.
//! - **A subscription delivers every event once, in order, without gaps**, from an explicit
//!   position on. It never ends and never fails. Storing how far it has been processed is its
//!   user's business, together with the result; [`Delivery::position`] is what to store.
//! - **An answer to a command rests on what was durable after the command came**, rejections
//!   included. Commands that wait for the same stream are decided together, each seeing the ones
//!   before it, and appended in one call. A stream that is known costs no read.
//! - **A long stream is read once**, if there is a folder for it (`--snapshot-dir`) and its aggregate
//!   says how its states are written down ([`Aggregate::STATES`](schemas::Aggregate::STATES)): after a
//!   restart at most an eighth of it, or 4096 events. What is in the folder is never trusted more than
//!   the log.
//! - **Whether a repeated command has an effect is for the decider to say**: in effect already
//!   means no events.
//! - **A command may name the revision it is meant for** ([`Repository::execute_at`]). It is then
//!   carried out there, or found in effect already, or told where the stream is.
//! - **Memory is bounded**: what waits in a subscription (1024 deliveries, 8 MiB), the page of
//!   an [`EventStream`] (512 events, about 4 MiB), what a [`Scan`] has ready (16384 events, 16 MiB, and the batch that comes next), states of streams (by number), and nothing at all for a stream without commands under way.
//! - **Credentials are never printed**, not even when the address is malformed.
//!
//! # The client's defects, and how each is met
//!
//! They are those of `eventstore` 4.0.0, which is pinned for that reason. What we do about them is tested.
//!
//! | defect | met by |
//! |---|---|
//! | A failed first connection ends it for good. | A new client, again and again (`gateway`). |
//! | No failover: a lost node is asked for ever. | After trouble the connection is checked; if the check fails, a new client looks for a node (`gateway`). |
//! | Deadlines are only a header. | A time-out of our own around every call (`gateway`). |
//! | A wrong revision closes a batch append, for everybody on it. | Whatever it says but "appended" is asked again by a call of its own (`open_call`). |
//! | A batch append that is dropped stays open as long as the connection. | The last append on it is one that must be refused; where a store keeps it open even so, only so many are opened (`open_call`). |
//! | A wrong revision of a delete is an unknown error. | Told by its text (`journal`). |
//! | A subscription that is ended in good order becomes an endless loop that cannot be aborted. | Its warnings are counted, and it is unwound (`endless`). |
//! | It resumes a subscription from the last event, not from checkpoints. | Its own resuming stays off; we keep the position (`subscription`). |
//! | It panics when TLS was set up before it, or certificates are unreadable, even without TLS. | [`prepare_tls`], and [`Error::Tls`] when it is too late. |
//! | It panics when an answer is ill-formed. | Caught, and taken as trouble (`gateway`). |
//! | Nagle's algorithm stays on: 44 ms for every call. | `TCP_NODELAY` is set from outside (`nodelay`). |
//! | Answers that nobody reads use up what may be on its way (5 MiB for all calls together), until no answer gets through. | Streams are read in pages, subscriptions and scans have connections of their own and are left alone while their receiver stalls (`reader`, `subscription`, `scan`). |
//! | Half a second of sleep before the first connection. | `discoveryInterval=0` for a single node, unless the address says otherwise ([`Options`]). |
//! | A client that is dropped keeps its background task, and its connection if it has one. | Clients are only replaced when they are dead; one [`Journal`] per process, for as long as it lives. |
//!
//! Known limits: in a cluster, `TCP_NODELAY` is set for the ports in the address, so all nodes
//! should listen on those. A connection that dies silently while nothing is under way is only
//! noticed by the next call, which may end at its deadline; a running subscription and an open call
//! for appends prevent that, because the client then pings.

pub mod ids;

mod backoff;
mod batch;
mod cache;
mod clock;
mod endless;
mod error;
mod event;
mod gateway;
mod journal;
mod lane;
mod nodelay;
mod open_call;
mod options;
mod position;
mod raw;
mod reader;
mod repository;
mod scan;
mod snapshots;
mod subscription;
mod tls;
mod wire;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::Error;
pub use event::{Appended, ExpectedRevision, Proposed, Recorded};
pub use journal::{EventStream, Journal};
pub use options::{Address, Options};
pub use position::{NotAPosition, Position};
pub use raw::Raw;
pub use repository::{Context, ExecuteAtError, ExecuteError, Executed, Loaded, Repository, Stats};
pub use scan::{Batch, Scan};
pub use subscription::{Delivery, Filter, Subscription};
pub use tls::prepare_tls;
