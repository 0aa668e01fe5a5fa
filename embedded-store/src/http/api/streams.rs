//! Streams: which ones there are, what holds for one, and its events page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{Problem, access};
use super::view::{self, Summary};
use super::{count, direction, number};
use crate::event::{Recorded, written_time};
use crate::protocol::Context;
use crate::security::Action;
use crate::semantics::metadata::Retention;
use crate::semantics::names;
use crate::storage::{Direction, From, NamesQuery, StreamPage, StreamQuery, ticks_now};

#[derive(Debug, Deserialize)]
pub(super) struct Recent {
    count: Option<usize>,
}

pub(super) async fn recent(
    State(context): State<Arc<Context>>,
    Query(asked): Query<Recent>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::ReadLog).await?;
    let recent = context.storage.recent_streams(count(asked.count)).await?;
    let created = recent
        .created
        .iter()
        .map(|(stream, created)| json!({ "stream": stream, "created": written_time(*created) }));
    let changed = recent.changed.iter().map(|changed| {
        json!({
            "stream": changed.stream,
            "revision": changed.revision.to_string(),
            "type": changed.kind,
            "changed": written_time(changed.created),
            "recentEvents": changed.recent_events,
        })
    });
    let (created, changed) = (created.collect::<Vec<_>>(), changed.collect::<Vec<_>>());
    Ok(Json(json!({ "created": created, "changed": changed })))
}

#[derive(Debug, Deserialize)]
pub(super) struct NamesAsked {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    after: String,
    count: Option<usize>,
}

pub(super) async fn names(
    State(context): State<Arc<Context>>,
    Query(asked): Query<NamesAsked>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::ReadLog).await?;
    let limit = count(asked.count);
    let query = NamesQuery { prefix: asked.prefix, after: asked.after, limit };
    let names = context.storage.names(query).await?;
    let next = (names.len() == limit).then(|| names.last().cloned()).flatten();
    Ok(Json(json!({ "names": names, "next": next })))
}

/// What holds for a stream, whatever can be read of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Facts {
    stream: Arc<str>,
    state: Condition,
    /// The newest metadata, as it was written; not for those who may not read it.
    metadata: Option<String>,
    metadata_revision: Option<String>,
    /// The stream whose metadata this one holds.
    metadata_of: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Condition {
    Open,
    /// Only its metadata was written.
    Empty,
    /// Until the next append.
    Deleted,
    /// For ever.
    Tombstoned,
}

#[derive(Debug, Deserialize)]
pub(super) struct PageAsked {
    from: Option<String>,
    direction: Option<String>,
    count: Option<usize>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    events: Vec<Summary>,
    /// The first and the newest revision that can be read.
    first: Option<String>,
    last: Option<String>,
}

pub(super) async fn page(
    State(context): State<Arc<Context>>,
    Path(name): Path<Arc<str>>,
    Query(asked): Query<PageAsked>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::Read(&name)).await?;
    let query = StreamQuery {
        stream: Arc::clone(&name),
        from: from(asked.from.as_deref())?,
        direction: direction(asked.direction.as_deref())?,
        limit: count(asked.count) as u64,
        now: ticks_now(),
    };
    let read = context.storage.read_stream(query).await?;
    let mut facts = facts(&context, &name, &read).await?;
    let metastream = names::metastream_of(&name);
    match access::allow(&context, &headers, Action::Read(&metastream)).await {
        Ok(()) => {}
        Err(Problem::Forbidden | Problem::Unauthenticated) => facts.metadata = None,
        Err(problem) => return Err(problem),
    }
    let page = match read {
        StreamPage::NotFound | StreamPage::Tombstoned => Page::default(),
        StreamPage::Events(read) => Page {
            events: read.events.iter().map(|event| view::summary(event)).collect(),
            first: (read.first_visible <= read.last).then(|| read.first_visible.to_string()),
            last: Some(read.last.to_string()),
        },
    };
    Ok(Json(json!({ "facts": facts, "page": page })))
}

fn from(text: Option<&str>) -> Result<From, Problem> {
    match text {
        Some("start") => Ok(From::Start),
        Some("end") | None => Ok(From::End),
        Some(revision) => number(revision).map(From::Revision),
    }
}

async fn facts(context: &Context, name: &Arc<str>, read: &StreamPage) -> Result<Facts, Problem> {
    let metadata = newest(context, names::metastream_of(name).into()).await?;
    let deleted = metadata
        .as_ref()
        .is_some_and(|event| Retention::parse(event.is_json, &event.data).is_deleted());
    let state = match read {
        StreamPage::Events(_) => Condition::Open,
        StreamPage::Tombstoned => Condition::Tombstoned,
        StreamPage::NotFound if deleted => Condition::Deleted,
        StreamPage::NotFound if metadata.is_some() => Condition::Empty,
        StreamPage::NotFound => return Err(Problem::NoStream(Arc::clone(name))),
    };
    Ok(Facts {
        stream: Arc::clone(name),
        state,
        metadata: metadata.as_ref().map(|event| String::from_utf8_lossy(&event.data).into_owned()),
        metadata_revision: metadata.as_ref().map(|event| event.revision.to_string()),
        metadata_of: names::original_of(name).map(str::to_owned),
    })
}

/// The newest event of a stream.
async fn newest(context: &Context, stream: Arc<str>) -> Result<Option<Arc<Recorded>>, Problem> {
    let query = StreamQuery {
        stream,
        from: From::End,
        direction: Direction::Backwards,
        limit: 1,
        now: ticks_now(),
    };
    Ok(match context.storage.read_stream(query).await? {
        StreamPage::Events(mut read) => read.events.pop(),
        StreamPage::NotFound | StreamPage::Tombstoned => None,
    })
}
