//! An event that belongs to an order, as the schema shows it.

use async_graphql::{Json, SimpleObject};
use chrono::{DateTime, Utc};
use journal::Recorded;
use uuid::Uuid;

use super::small;

/// Something that happened because of an order: to the order itself, to stock, to its payment,
/// its shipment or its process.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrderEvent {
    /// Where to go on after this event: the `after` of a later subscription.
    cursor: String,
    /// Id of the event.
    id: Uuid,
    /// What happened, such as `order-placed`.
    #[graphql(name = "type")]
    event_type: String,
    /// Version of the shape of `data`, from 1.
    version: i32,
    /// Whose history it is in, such as `stock-WHITE-MUG`.
    stream: String,
    /// Number of the event in its stream, from 0.
    revision: i32,
    /// When it was decided.
    recorded_at: DateTime<Utc>,
    /// Who wanted it: `client:…`, `user:…`, `process:…`.
    actor: String,
    /// The command that led to it.
    command_id: Uuid,
    /// The event or command that directly caused it.
    causation_id: Uuid,
    /// What it says, as it is stored.
    data: Json<serde_json::Value>,
}

impl From<Recorded> for OrderEvent {
    fn from(event: Recorded) -> Self {
        let data = serde_json::from_slice(&event.data).unwrap_or_else(|_| {
            // Not JSON, so not ours; shown all the same, because this is what an audit looks at.
            serde_json::Value::String(String::from_utf8_lossy(&event.data).into_owned())
        });
        Self {
            cursor: event.position.to_string(),
            id: event.event_id,
            event_type: event.event_type,
            version: small(event.metadata.schema_version),
            stream: event.stream.to_string(),
            revision: small(event.revision),
            recorded_at: event.metadata.recorded_at,
            actor: event.metadata.actor,
            command_id: event.metadata.command_id,
            causation_id: event.metadata.causation_id,
            data: Json(data),
        }
    }
}
