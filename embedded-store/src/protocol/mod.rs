//! The wire: messages, how they become operations and answers, and the gRPC services that carry
//! them. What an operation means is in `semantics`.

#![expect(clippy::result_large_err, reason = "tonic ends calls with its Status, by value")]

mod append;
mod arriving;
mod batch;
mod cluster;
mod convert;
mod deadline;
mod delete;
mod messages;
mod monitoring;
mod operations;
mod persistent;
mod read;
mod refusal;
mod service;
mod status;
mod unsupported;
mod users;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tonic::codegen::http;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::Routes;
use tonic::{Code, Status};
use uuid::Uuid;

pub(crate) use self::arriving::Arriving;
pub(crate) use self::cluster::VERSION;
use crate::maintenance::scavenge::Scavenger;
use crate::persistent::Subscriptions;
use crate::security::guard::Denial;
use crate::security::{Action, Security};
use crate::storage::Storage;

/// The header that says who calls.
const AUTHORIZATION: &str = "authorization";

/// What every call needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) storage: Storage,
    pub(crate) security: Security,
    /// Cancelled when calls have to end.
    pub(crate) stopping: CancellationToken,
    pub(crate) max_append_size: usize,
    /// Memory for appends that have arrived in part.
    pub(crate) arriving: Arriving,
    /// Host and port that clients are told.
    pub(crate) advertised: (String, u16),
    /// Whether that was chosen, and not guessed from the listener.
    pub(crate) is_told_its_address: bool,
    /// Tells this run of the server from others.
    pub(crate) instance: u64,
    pub(crate) subscriptions: AtomicU64,
    pub(crate) persistent: std::sync::Arc<Subscriptions>,
    pub(crate) scavenger: Scavenger,
    /// Cancelled when a client wants the server to stop.
    pub(crate) shutdown: CancellationToken,
}

impl Context {
    pub(crate) fn instance_id(&self) -> Uuid {
        Uuid::from_u64_pair(self.instance, 0)
    }

    fn new_subscription_id(&self) -> Uuid {
        let number = self.subscriptions.fetch_add(1, Ordering::Relaxed) + 1;
        Uuid::from_u64_pair(self.instance, number)
    }

    /// Whether whoever sent these headers may do this: the first thing that every call asks.
    async fn allow(&self, headers: &MetadataMap, action: Action<'_>) -> Result<(), Status> {
        let authorization = headers.get(AUTHORIZATION).map(MetadataValue::as_encoded_bytes);
        let allowed = self.security.allow(authorization, action).await;
        allowed.map_err(status::denied)
    }

    /// Whether they may read this stream, which a link points at.
    async fn may_follow(&self, headers: &MetadataMap, stream: &str) -> Result<bool, Status> {
        match self.allow(headers, Action::Read(stream)).await {
            Ok(()) => Ok(true),
            Err(denied) if denied.code() == Code::PermissionDenied => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The same for requests that are no calls. Asked in `http::access`.
    pub(crate) async fn allow_http(
        &self,
        headers: &http::HeaderMap,
        action: Action<'_>,
    ) -> Result<(), Denial> {
        let authorization = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        self.security.allow(authorization, action).await
    }

    /// Runs `call` until it ends or the server stops.
    async fn until_stopped<T>(
        &self,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        if self.stopping.is_cancelled() {
            return Err(status::stopping());
        }
        // In this order, because most calls go on at once, and then nobody has to be told of a stop.
        tokio::select! {
            biased;
            answer = call => answer,
            () = self.stopping.cancelled() => Err(status::stopping()),
        }
    }
}

/// The one service that is asked all the time: it need not be looked for among the others.
pub(crate) use self::service::Streams;

/// Whether a call is one of [`Streams`].
pub(crate) fn is_of_streams(path: &str) -> bool {
    use tonic::server::NamedService;
    let service = path.strip_prefix('/').and_then(|path| path.strip_prefix(Streams::NAME));
    service.is_some_and(|rest| rest.starts_with('/'))
}

/// The gRPC services.
pub(crate) fn routes(context: std::sync::Arc<Context>) -> Routes {
    service::routes(context)
}
