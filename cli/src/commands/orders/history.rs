//! `orderstore orders history`: who did what, and what changed by it.

use anyhow::ensure;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::naming::Named;
use crate::asking::{Asking, list};
use crate::output::{say_table, table};
use crate::wording::time;

const HISTORY: &str = "query($id: UUID!, $first: Int!, $after: String) { \
    it: orderHistory(id: $id, first: $first, after: $after) { \
    nodes { revision type at actor reason changes { field before after } } \
    pageInfo { hasNextPage endCursor } } }";

/// Shows what happened to an order: who did it, when, what changed
///
/// Every event of the order, the first one first, with every field of it before and after. Amounts
/// are in minor units, times in UTC.
#[derive(Debug, clap::Args)]
pub(super) struct History {
    /// Which order, by id or number
    order: Named,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Deserialize)]
struct Entry {
    revision: u64,
    #[serde(rename = "type")]
    event_type: String,
    at: DateTime<Utc>,
    actor: String,
    reason: Option<String>,
    changes: Vec<FieldChange>,
}

#[derive(Deserialize)]
struct FieldChange {
    field: String,
    before: Value,
    after: Value,
}

impl History {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = self.asking.client()?;
        let id = self.order.id(&client).await?;
        let events = list(&client, HISTORY, json!({ "id": id }), usize::MAX).await?;
        ensure!(!events.nodes.is_empty(), self.order.unknown());
        self.asking.print(events, |events| say_events(&events))
    }
}

fn say_events(events: &[Entry]) {
    let mut table = table(&["REV", "TIME", "ACTOR", "EVENT", "CHANGED"]);
    for event in events {
        let Entry { event_type, reason, .. } = event;
        let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let changes: Vec<_> = event.changes.iter().map(FieldChange::in_words).collect();
        table.add_row([
            event.revision.to_string(),
            time(event.at),
            event.actor.clone(),
            format!("{event_type}{reason}"),
            changes.join("\n"),
        ]);
    }
    say_table(&table);
}

impl FieldChange {
    fn in_words(&self) -> String {
        let Self { field, before, after } = self;
        let field: Vec<_> = field.split('.').map(short).collect();
        format!("{}: {} → {}", field.join("."), in_words(before), in_words(after))
    }
}

/// Enough of an id to tell it from others of the same order.
fn short(part: &str) -> &str {
    if part.parse::<Uuid>().is_ok() { part.get(..8).unwrap_or(part) } else { part }
}

fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
