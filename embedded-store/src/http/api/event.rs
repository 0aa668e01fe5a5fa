//! One event in full, and its bytes to be saved.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Problem, access};
use super::view::Form;
use super::{number, view};
use crate::event::Recorded;
use crate::protocol::Context;
use crate::security::Action;
use crate::storage::{
    Direction, From, Item, LogQuery, Scan, StreamEvents, StreamPage, StreamQuery, ticks_now,
};

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    position: Option<String>,
}

type Place = (Arc<str>, String);

pub(super) async fn event(
    State(context): State<Arc<Context>>,
    Path((stream, revision)): Path<Place>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::Read(&stream)).await?;
    let found = find(&context, &stream, &revision, asked.position.as_deref()).await?;
    let linked = match view::link_target(&found) {
        Some((revision, stream))
            if access::allow(&context, &headers, Action::Read(stream)).await.is_ok() =>
        {
            let target = vec![(revision, stream.into())];
            context.storage.read_linked(target, ticks_now()).await?.pop().flatten()
        }
        Some(_) | None => None,
    };
    let (previous, next) = neighbours(&context, &stream, found.revision).await?;
    Ok(Json(json!({
        "event": view::full(&found),
        "linked": linked.map(|event| view::full(&event)),
        "previous": previous.map(|revision| revision.to_string()),
        "next": next.map(|revision| revision.to_string()),
    })))
}

pub(super) async fn data(
    State(context): State<Arc<Context>>,
    Path((stream, revision)): Path<Place>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    access::allow(&context, &headers, Action::Read(&stream)).await?;
    let found = find(&context, &stream, &revision, asked.position.as_deref()).await?;
    Ok(to_be_saved(&found, "data", found.data.clone()))
}

pub(super) async fn metadata(
    State(context): State<Arc<Context>>,
    Path((stream, revision)): Path<Place>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    access::allow(&context, &headers, Action::Read(&stream)).await?;
    let found = find(&context, &stream, &revision, asked.position.as_deref()).await?;
    Ok(to_be_saved(&found, "metadata", found.metadata.clone()))
}

/// Never in a form that a browser would show: it could be a page with a script.
fn to_be_saved(event: &Recorded, part: &str, content: Bytes) -> Response {
    let kind = match view::form(&content) {
        Form::Json => "json",
        Form::Text | Form::Empty => "txt",
        Form::Binary => "bin",
    };
    let name = format!("attachment; filename=\"{}-{part}.{kind}\"", event.id);
    let name = HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, name),
    ];
    (headers, content).into_response()
}

async fn find(
    context: &Context,
    stream: &Arc<str>,
    revision: &str,
    position: Option<&str>,
) -> Result<Arc<Recorded>, Problem> {
    let found = match position {
        Some(position) => at_position(context, number(position)?).await?,
        None => at_revision(context, stream, number(revision)?).await?,
    };
    let is_it =
        |event: &Arc<Recorded>| event.stream == *stream && event.revision.to_string() == revision;
    found
        .filter(is_it)
        .ok_or_else(|| Problem::NoEvent(format!("revision {revision}"), Arc::clone(stream)))
}

async fn at_position(context: &Context, position: u64) -> Result<Option<Arc<Recorded>>, Problem> {
    let query = LogQuery {
        range: (position, position),
        direction: Direction::Forwards,
        limit: 1,
        scan: Scan::default(),
    };
    let page = context.storage.read_log(query).await?;
    Ok(page.items.into_iter().find_map(|item| match item {
        Item::Event(event) => Some(event),
        Item::Checkpoint(_) => None,
    }))
}

async fn at_revision(
    context: &Context,
    stream: &Arc<str>,
    revision: u64,
) -> Result<Option<Arc<Recorded>>, Problem> {
    let read = read(context, stream, revision, Direction::Forwards).await?;
    Ok(read.and_then(|mut read| read.events.pop()))
}

/// The revisions before and after an event that can be read.
async fn neighbours(
    context: &Context,
    stream: &Arc<str>,
    revision: u64,
) -> Result<(Option<u64>, Option<u64>), Problem> {
    let before = match revision.checked_sub(1) {
        Some(before) => read(context, stream, before, Direction::Backwards).await?,
        None => None,
    };
    let after = read(context, stream, revision.saturating_add(1), Direction::Forwards).await?;
    let only = |read: Option<StreamEvents>| Some(read?.events.first()?.revision);
    Ok((only(before), only(after)))
}

async fn read(
    context: &Context,
    stream: &Arc<str>,
    from: u64,
    direction: Direction,
) -> Result<Option<StreamEvents>, Problem> {
    let query = StreamQuery {
        stream: Arc::clone(stream),
        from: From::Revision(from),
        direction,
        limit: 1,
        now: ticks_now(),
    };
    Ok(match context.storage.read_stream(query).await? {
        StreamPage::Events(read) => Some(read),
        StreamPage::NotFound | StreamPage::Tombstoned => None,
    })
}
