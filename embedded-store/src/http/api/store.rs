//! Facts about the store, and the groups of persistent subscriptions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::super::{Problem, access};
use crate::event::written_time;
use crate::persistent::Info;
use crate::protocol::{Context, VERSION};
use crate::security::Action;
use crate::statistics;
use crate::storage::ticks_now;

pub(super) async fn facts(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::ReadStatistics).await?;
    let (address, port) = &context.advertised;
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": VERSION,
        "address": address,
        "port": port,
        "instance": context.instance_id(),
        "now": written_time(ticks_now()),
        "directory": context.storage.directory().to_string_lossy(),
        "maxAppendSize": context.max_append_size,
        "stats": statistics::collect(&context.storage).await?,
    })))
}

pub(super) async fn subscriptions(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::ListSubscriptions).await?;
    let groups = context.persistent.list(None).await.map_err(|_stopping| Problem::Stopping)?;
    Ok(Json(json!({ "groups": groups.iter().map(group).collect::<Vec<_>>() })))
}

fn group(info: &Info) -> Value {
    let (source, group) = (&info.definition.source, &info.definition.group);
    let settings = &info.definition.settings;
    let place = |position: Option<u64>| position.map(|position| source.position_text(position));
    let consumers = info.connections.iter().map(|consumer| {
        json!({
            "user": consumer.user,
            "connection": consumer.connection,
            "perSecond": consumer.average_per_second,
            "processed": consumer.total,
            "slots": consumer.available_slots,
            "inFlight": consumer.in_flight,
        })
    });
    json!({
        "stream": source.name(),
        "group": group,
        "status": info.status,
        "strategy": settings.strategy.name(),
        "lastCheckpoint": place(info.last_checkpointed),
        "lastKnown": place(info.last_known),
        "inFlight": info.in_flight,
        "waiting": info.read_buffer,
        "retrying": info.retry_buffer,
        "parked": info.parked,
        "parkedStream": format!("$persistentsubscription-{}::{group}-parked", source.name()),
        "processed": info.total,
        "perSecond": info.average_per_second,
        "consumers": consumers.collect::<Vec<_>>(),
    })
}
