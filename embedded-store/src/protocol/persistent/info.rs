//! `GetInfo` and `List`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::super::messages::persistent::{
    ConnectionInfo as WireConnection, GetInfoReq, GetInfoResp, ListOption, ListReq, ListResp,
    Measurement, SourceOption, SubscriptionInfo,
};
use super::super::{Context, status};
use super::{no_source, refusal, source_name};
use crate::persistent::{ALL, ConnectionInfo, Info};
use crate::security::Action;

pub(in super::super) async fn get_info(
    context: Arc<Context>,
    request: Request<GetInfoReq>,
) -> Result<Response<GetInfoResp>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ListSubscriptions).await?;
    let options = request.options.unwrap_or_default();
    let stream = source(options.source.as_ref())?;
    let group = &options.group_name;
    let info = context.persistent.info(stream, group).await;
    let info = info.map_err(|error| refusal::refused(&error, stream, group))?;
    Ok(Response::new(GetInfoResp { subscription_info: Some(message(info)) }))
}

pub(in super::super) async fn list(
    context: Arc<Context>,
    request: Request<ListReq>,
) -> Result<Response<ListResp>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ListSubscriptions).await?;
    let options = request.options.unwrap_or_default();
    let stream = match &options.list {
        Some(ListOption::AllSubscriptions(())) => None,
        Some(ListOption::ForStream(stream)) => Some(source(stream.source.as_ref())?),
        None => return Err(status::invalid("the request does not say what to list")),
    };
    let list = context.persistent.list(stream).await;
    let list = list.map_err(|error| refusal::refused(&error, stream.unwrap_or_default(), ""))?;
    let subscriptions = list.into_iter().map(message).collect();
    Ok(Response::new(ListResp { subscriptions }))
}

fn source(option: Option<&SourceOption>) -> Result<&str, Status> {
    match option {
        Some(SourceOption::Stream(stream)) => source_name(Some(stream)),
        Some(SourceOption::All(())) => Ok(ALL),
        None => Err(no_source()),
    }
}

fn message(info: Info) -> SubscriptionInfo {
    let source = &info.definition.source;
    let settings = &info.definition.settings;
    let text = |position: Option<u64>| {
        position.map(|position| source.position_text(position)).unwrap_or_default()
    };
    SubscriptionInfo {
        event_source: source.name().to_owned(),
        group_name: info.definition.group.to_string(),
        status: info.status,
        connections: info.connections.into_iter().map(connection).collect(),
        average_per_second: small(info.average_per_second),
        total_items: large(info.total),
        count_since_last_measurement: large(info.since_last_asked),
        last_checkpointed_event_position: text(info.last_checkpointed),
        last_known_event_position: text(info.last_known),
        resolve_link_tos: settings.resolve_links,
        start_from: settings.start.text(source),
        message_timeout_milliseconds: settings.message_timeout_ms,
        extra_statistics: settings.extra_statistics,
        max_retry_count: settings.max_retry_count,
        live_buffer_size: settings.live_buffer_size,
        buffer_size: settings.history_buffer_size,
        read_batch_size: settings.read_batch_size,
        check_point_after_milliseconds: settings.checkpoint_after_ms,
        min_check_point_count: settings.min_checkpoint_count,
        max_check_point_count: settings.max_checkpoint_count,
        read_buffer_count: small(info.read_buffer),
        live_buffer_count: large(info.live_buffer),
        retry_buffer_count: small(info.retry_buffer),
        total_in_flight_messages: small(info.in_flight),
        outstanding_messages_count: small(info.outstanding),
        named_consumer_strategy: settings.strategy.name().to_owned(),
        max_subscriber_count: settings.max_subscriber_count,
        parked_message_count: large(info.parked),
    }
}

fn connection(info: ConnectionInfo) -> WireConnection {
    let measurement =
        |(key, value): (&str, u64)| Measurement { key: key.to_owned(), value: large(value) };
    WireConnection {
        from: String::new(),
        username: info.user.to_string(),
        average_items_per_second: small(info.average_per_second),
        total_items: large(info.total),
        count_since_last_measurement: large(info.since_last_asked),
        observed_measurements: info.measurements.into_iter().map(measurement).collect(),
        available_slots: small(info.available_slots),
        in_flight_messages: small(info.in_flight),
        connection_name: info.connection.to_string(),
    }
}

fn small(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

fn large(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
