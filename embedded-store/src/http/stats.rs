//! `/stats`: everything, or the part that a path names. `?group=false` gives one flat object, its
//! keys joined with dashes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::{Problem, access};
use crate::protocol::Context;
use crate::security::Action;
use crate::statistics;

#[derive(Debug, Deserialize)]
pub(super) struct Form {
    #[serde(default = "grouped")]
    group: bool,
}

fn grouped() -> bool {
    true
}

pub(super) async fn all(
    State(context): State<Arc<Context>>,
    Query(form): Query<Form>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::ReadStatistics).await?;
    let all = statistics::collect(&context.storage).await?;
    Ok(Json(if form.group { all } else { flat(&all) }))
}

pub(super) async fn part(
    State(context): State<Arc<Context>>,
    Path(path): Path<String>,
    Query(form): Query<Form>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::ReadStatistics).await?;
    let all = statistics::collect(&context.storage).await?;
    let part = path.split('/').filter(|name| !name.is_empty()).try_fold(&all, |part, name| {
        part.get(name).ok_or_else(|| Problem::NoStatistic(path.clone()))
    })?;
    Ok(Json(if form.group { part.clone() } else { flat(part) }))
}

fn flat(part: &Value) -> Value {
    statistics::flattened(part)
        .into_iter()
        .map(|(name, value)| (name, Value::from(value)))
        .collect()
}
