//! `orderstore streams`: audits. Every event with its time, who wanted it, and because of what.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::Subcommand;
use futures::{StreamExt, TryStreamExt};
use journal::{Journal, Position, Recorded};
use schemas::StreamName;
use serde_json::{Value, json};

use crate::output::{say, table};
use crate::stores::EventStore;

/// Reads the event store directly: it needs no API and no Postgres.
#[derive(Debug, clap::Args)]
pub(crate) struct Streams {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists streams: how many events, when the first and the last
    List {
        /// Only streams whose names begin so, such as `order-` or `stock-85`
        #[arg(default_value = "")]
        prefix: String,
        /// At most so many, those with the newest events
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        event_store: EventStore,
    },
    /// Shows every event of a stream: revision, time, type, actor, cause, data
    Show {
        /// Such as `order-0b54a1f0-…` or `stock-85123A`; a bare order id shows everything that
        /// happened because of that order, over all streams
        stream: String,
        /// One JSON object per line, with all metadata
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        event_store: EventStore,
    },
}

impl Streams {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List { prefix, limit, event_store } => {
                list(&event_store.connect()?, &prefix, limit).await
            }
            Command::Show { stream, json, event_store } => {
                show(&event_store.connect()?, &stream, json).await
            }
        }
    }
}

struct Summary {
    events: u64,
    first: chrono::DateTime<chrono::Utc>,
    last: chrono::DateTime<chrono::Utc>,
}

async fn list(journal: &Journal, prefix: &str, limit: usize) -> anyhow::Result<()> {
    let mut found: BTreeMap<StreamName, Summary> = BTreeMap::new();
    let mut events = journal.read_all(Position::START);
    while let Some(event) = events.try_next().await? {
        if !event.stream.as_str().starts_with(prefix) {
            continue;
        }
        let at = event.metadata.recorded_at;
        let summary =
            found.entry(event.stream).or_insert(Summary { events: 0, first: at, last: at });
        summary.events += 1;
        summary.last = at;
    }
    let total = found.len();
    let mut newest: Vec<_> = found.into_iter().collect();
    newest.sort_by_key(|(_, summary)| std::cmp::Reverse(summary.last));
    let mut table = table(&["STREAM", "EVENTS", "FIRST", "LAST"]);
    for (stream, summary) in newest.into_iter().take(limit) {
        table.add_row([
            stream.to_string(),
            summary.events.to_string(),
            time(summary.first),
            time(summary.last),
        ]);
    }
    say(table);
    if total > limit {
        say(format_args!("… and {} more; raise --limit, or give a prefix", total - limit));
    }
    Ok(())
}

async fn show(journal: &Journal, stream: &str, as_json: bool) -> anyhow::Result<()> {
    let events: Vec<Recorded> = match stream.parse::<uuid::Uuid>() {
        Ok(order) => because_of(journal, order).await?,
        Err(_) => journal.read(&stream.parse()?, 0).try_collect().await?,
    };
    if events.is_empty() {
        bail!("there is no stream `{stream}`; `orderstore streams list` shows those there are");
    }
    if as_json {
        for event in &events {
            say(describe(event));
        }
        return Ok(());
    }
    let mut table = table(&["STREAM", "REV", "TIME", "EVENT", "ACTOR", "CAUSED BY", "DATA"]);
    for event in &events {
        table.add_row([
            event.stream.to_string(),
            event.revision.to_string(),
            time(event.metadata.recorded_at),
            event.event_type.clone(),
            event.metadata.actor.clone(),
            cause(event, &events),
            data(event).to_string(),
        ]);
    }
    say(table);
    Ok(())
}

/// Everything that happened because of an order, in the order in which it happened.
async fn because_of(journal: &Journal, order: uuid::Uuid) -> anyhow::Result<Vec<Recorded>> {
    let first = StreamName::new("order", order);
    let Some(placed) = journal.read(&first, 0).next().await.transpose()? else { return Ok(vec![]) };
    let mut events = journal.read_all(placed.position);
    let mut found = vec![placed];
    while let Some(event) = events.try_next().await? {
        if event.metadata.correlation_id == order {
            found.push(event);
        }
    }
    Ok(found)
}

/// The event or command that caused `event`, by the name of an event if one is at hand.
fn cause(event: &Recorded, all: &[Recorded]) -> String {
    let id = event.metadata.causation_id;
    let known = all.iter().find(|other| {
        other.event_id != event.event_id
            && (other.event_id == id || other.metadata.command_id == id)
    });
    let short = |id: uuid::Uuid| id.simple().to_string()[..8].to_owned();
    known.map_or_else(
        || format!("command {}", short(id)),
        |other| format!("{} @{}", other.event_type, other.revision),
    )
}

fn describe(event: &Recorded) -> Value {
    json!({
        "stream": event.stream.as_str(),
        "revision": event.revision,
        "position": event.position.to_string(),
        "id": event.event_id,
        "type": event.event_type,
        "metadata": event.metadata,
        "data": data(event),
    })
}

fn data(event: &Recorded) -> Value {
    serde_json::from_slice(&event.data)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&event.data).into_owned()))
}

fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
