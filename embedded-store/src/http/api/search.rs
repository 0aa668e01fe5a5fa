//! Looking for an id: the event that has it, and those whose metadata speaks of it (causation,
//! correlation, commands). The log has no index for that, so a search goes back through it step by
//! step, each of bounded length.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{Problem, access};
use super::{count, number, view};
use crate::protocol::Context;
use crate::security::Action;
use crate::storage::{Found, Search};

/// A shorter text would be found everywhere.
const SHORTEST: usize = 3;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    text: String,
    from: Option<String>,
    count: Option<usize>,
}

pub(super) async fn search(
    State(context): State<Arc<Context>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::ReadLog).await?;
    let text = asked.text.trim();
    if text.len() < SHORTEST {
        return Err(Problem::invalid("Say at least three characters of what is looked for."));
    }
    let search = Search {
        id: Uuid::parse_str(text).ok(),
        text: text.to_owned(),
        from: asked.from.as_deref().map_or(Ok(u64::MAX), number)?,
        limit: count(asked.count),
    };
    let Found { events, next } = context.storage.search(search).await?;
    Ok(Json(json!({
        "events": events.iter().map(|event| view::summary(event)).collect::<Vec<_>>(),
        "next": next.map(|next| next.to_string()),
    })))
}
