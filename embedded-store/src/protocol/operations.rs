//! What administrators do to a server: scavenge, shut down, and what only clusters need, which a
//! single node takes note of and does nothing about.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::messages::operations::{
    ScavengeResp, ScavengeResult, SetNodePriorityReq, StartScavengeReq, StopScavengeReq,
};
use super::{Context, status};
use crate::maintenance::scavenge::Start;
use crate::security::Action;

pub(super) async fn start_scavenge(
    context: Arc<Context>,
    request: Request<StartScavengeReq>,
) -> Result<Response<ScavengeResp>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::Operate).await?;
    let options = request.options.unwrap_or_default();
    if options.thread_count < 0 {
        return Err(status::invalid("threadCount must be 1 or above"));
    }
    if options.start_from_chunk < 0 {
        return Err(status::invalid("startFromChunk must be 0 or above"));
    }
    let started = context.scavenger.start(options.thread_count.max(1), options.start_from_chunk);
    let (id, result) = match context.until_stopped(async { Ok(started.await) }).await? {
        Start::Started(id) => (id, ScavengeResult::Started),
        Start::InProgress(id) => (id, ScavengeResult::InProgress),
    };
    Ok(answer(&id, result))
}

pub(super) async fn stop_scavenge(
    context: Arc<Context>,
    request: Request<StopScavengeReq>,
) -> Result<Response<ScavengeResp>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::Operate).await?;
    let id = request.options.unwrap_or_default().scavenge_id;
    let stopped = context.until_stopped(async { Ok(context.scavenger.stop(&id).await) }).await?;
    match stopped {
        Ok(id) => Ok(answer(&id, ScavengeResult::Stopped)),
        Err(running) => Err(status::scavenge_not_found(running.as_deref().unwrap_or_default())),
    }
}

fn answer(id: &str, result: ScavengeResult) -> Response<ScavengeResp> {
    Response::new(ScavengeResp { scavenge_id: id.to_owned(), scavenge_result: result.into() })
}

/// Answered before the stop begins to cut connections.
pub(super) async fn shutdown(
    context: Arc<Context>,
    request: Request<()>,
) -> Result<Response<()>, Status> {
    context.allow(request.metadata(), Action::Operate).await?;
    tracing::info!("a client shuts the event store down");
    context.shutdown.cancel();
    Ok(Response::new(()))
}

/// The index is always one.
pub(super) async fn merge_indexes(
    context: Arc<Context>,
    request: Request<()>,
) -> Result<Response<()>, Status> {
    context.allow(request.metadata(), Action::Operate).await?;
    Ok(Response::new(()))
}

/// A single node stays the leader.
pub(super) async fn resign_node(
    context: Arc<Context>,
    request: Request<()>,
) -> Result<Response<()>, Status> {
    context.allow(request.metadata(), Action::Operate).await?;
    Ok(Response::new(()))
}

/// There is no election that it could decide.
pub(super) async fn set_node_priority(
    context: Arc<Context>,
    request: Request<SetNodePriorityReq>,
) -> Result<Response<()>, Status> {
    context.allow(request.metadata(), Action::Operate).await?;
    Ok(Response::new(()))
}

pub(super) async fn restart_persistent_subscriptions(
    context: Arc<Context>,
    request: Request<()>,
) -> Result<Response<()>, Status> {
    context.allow(request.metadata(), Action::Operate).await?;
    context.persistent.restart().await;
    Ok(Response::new(()))
}
