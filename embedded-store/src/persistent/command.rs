//! What the task of a group is asked to do.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::consumers::{ConsumerId, Identity};
use super::group::Action;
use super::info::Info;
use super::outbox::Inbox;

#[derive(Debug)]
pub(crate) enum Command {
    Connect(NewConsumer, oneshot::Sender<Result<(ConsumerId, Inbox), Refused>>),
    /// What a consumer has done.
    Ack(ConsumerId, Vec<Uuid>),
    /// What it has not done, what is to become of that, and why.
    Nack(ConsumerId, Vec<Uuid>, Action, Arc<str>),
    Info(oneshot::Sender<Info>),
    /// Deliver parked messages anew, those before this revision.
    Replay(Option<u64>, oneshot::Sender<()>),
    /// Drop all consumers and end.
    Close(Closing, oneshot::Sender<()>),
}

/// What becomes of what is done and not saved yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    Save,
    /// As on EventStoreDB when a group is changed: it goes on from its checkpoint.
    Forget,
}

#[derive(Debug)]
pub(crate) struct NewConsumer {
    pub(crate) identity: Identity,
    /// Messages that it wants to hold at a time.
    pub(crate) capacity: usize,
}

/// Why a consumer was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    TooManyConsumers,
    /// The group cannot go on: its stream is deleted for ever.
    Dropped,
    /// The group cannot go on: its filter takes too long.
    CostlyFilter,
}
