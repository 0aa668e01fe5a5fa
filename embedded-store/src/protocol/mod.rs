//! The wire: messages, how they become operations and answers, and the gRPC services that carry
//! them. What an operation means is in `semantics`.

#![expect(clippy::result_large_err, reason = "tonic ends calls with its Status, by value")]

mod append;
mod batch;
mod cluster;
mod convert;
mod delete;
mod health;
mod messages;
mod read;
mod service;
mod status;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use uuid::Uuid;

use crate::security::Action;
use crate::storage::Storage;

/// What every call needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) storage: Storage,
    /// Cancelled when calls have to end.
    pub(crate) stopping: CancellationToken,
    pub(crate) max_append_size: usize,
    /// Host and port that clients are told.
    pub(crate) advertised: (String, u16),
    /// Tells this run of the server from others.
    pub(crate) instance: u64,
    pub(crate) subscriptions: AtomicU64,
}

impl Context {
    fn instance_id(&self) -> Uuid {
        Uuid::from_u64_pair(self.instance, 0)
    }

    fn new_subscription_id(&self) -> Uuid {
        let number = self.subscriptions.fetch_add(1, Ordering::Relaxed) + 1;
        Uuid::from_u64_pair(self.instance, number)
    }

    /// Whether whoever sent these headers may do this: the first thing that every call asks.
    async fn allow(&self, _headers: &MetadataMap, _action: Action<'_>) -> Result<(), Status> {
        Ok(())
    }

    /// Runs `call` until it ends or the server stops.
    async fn until_stopped<T>(
        &self,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(status::stopping()),
            answer = call => answer,
        }
    }
}

/// Everything that is served on the port.
pub(crate) fn routes(context: Context) -> Routes {
    service::routes(std::sync::Arc::new(context))
}
