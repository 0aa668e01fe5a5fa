//! Process managers: they read what happened and see to what has to happen next.
//!
//! The rules of a process (which step, in which order, undone by what) are pure and live in
//! `domain`. This crate performs the steps: it executes commands on aggregates and calls the
//! payment gateway and the carrier. Every effect on the outside world starts here, and nowhere
//! else, so a rebuild of read models can never cause one.
//!
//! What it promises, whatever crashes and whatever is repeated:
//! - every order that was accepted reaches its end, or waits visibly for an operator;
//! - a step that was done is recorded with one append at an exact revision; a step that was done
//!   but not recorded is done again under the same idempotency key, which changes nothing;
//! - it does not need Postgres, and any number of instances may run: they get in each other's way,
//!   but not in the way of the truth.
//!
//! In reading order: [`Options`]; the partners (payment gateway and carrier) behind
//! circuit breakers; the steps of processes; the news that they wait for; the checkpoint from which a
//! restart continues; the driver of one process; the inbox that routes the log to the drivers; and
//! the [`ProcessManager`] that ties them together.

mod options;

mod outbound;

mod fulfilment;

mod news;

mod checkpoint;

mod driver;

mod inbox;

mod manager;

pub use manager::{Error, ProcessManager, Status};
pub use options::Options;
