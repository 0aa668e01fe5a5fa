//! `Delete`, which the next append revives, and `Tombstone`, which is for ever.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::messages::write::{DeletePosition, DeleteReq, DeleteResp};
use super::{Context, convert, status};
use crate::security::Action;
use crate::semantics::names;
use crate::storage::{Change, Write, Written};

pub(super) async fn delete(
    context: Arc<Context>,
    request: Request<DeleteReq>,
) -> Result<Response<DeleteResp>, Status> {
    remove(context, request, Change::Delete).await
}

pub(super) async fn tombstone(
    context: Arc<Context>,
    request: Request<DeleteReq>,
) -> Result<Response<DeleteResp>, Status> {
    remove(context, request, Change::Tombstone).await
}

async fn remove(
    context: Arc<Context>,
    request: Request<DeleteReq>,
    change: Change,
) -> Result<Response<DeleteResp>, Status> {
    let (headers, _, request) = request.into_parts();
    let target = request.options.unwrap_or_default();
    let stream = convert::writable_stream(target.stream_identifier.as_ref())?;
    context.allow(&headers, Action::Delete(&stream)).await?;
    if names::original_of(&stream).is_some() {
        return Err(status::invalid("a stream's metadata cannot be deleted; write new metadata"));
    }
    let expected = convert::expected(target.expected)?;
    let write = Write { stream: Arc::clone(&stream), expected, change };
    let written =
        context.storage.write(write).await.map_err(|error| status::not_written(&error))?;
    let position = match written {
        Written::Done { position, .. } => position,
        Written::WrongExpected { current } => {
            return Err(status::wrong_expected_version(&stream, expected, current));
        }
        Written::Deleted => return Err(status::stream_deleted(&stream)),
    };
    let position = position.map_or(DeletePosition::NoPosition(()), |position| {
        DeletePosition::Position(convert::position(position))
    });
    Ok(Response::new(DeleteResp { position: Some(position) }))
}
