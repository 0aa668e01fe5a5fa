//! What every stored event says about itself: who, why and because of what.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Metadata stored beside every event, as JSON in the event store's custom metadata.
///
/// The names of correlation and causation are the ones EventStoreDB itself knows, so that its own
/// tools follow them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The command that led to the event; the idempotency key of the write path.
    #[serde(rename = "commandId")]
    pub command_id: Uuid,
    /// What this belongs to: for everything that happens because of an order, the order's id.
    #[serde(rename = "$correlationId")]
    pub correlation_id: Uuid,
    /// The event or command that directly caused this one.
    #[serde(rename = "$causationId")]
    pub causation_id: Uuid,
    /// Who wanted it: `user:…`, `client:…`, `process:fulfilment`, `cli:…`.
    pub actor: String,
    /// Version of the shape of the event's data, from 1.
    #[serde(rename = "schemaVersion")]
    pub schema_version: u32,
    /// When the event was decided, to the microsecond. The store's own timestamp is not precise
    /// in every client.
    #[serde(rename = "recordedAt")]
    pub recorded_at: DateTime<Utc>,
    /// W3C Trace Context of the request, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}
