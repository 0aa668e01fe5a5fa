//! `orderstore projections quarantine`: streams that wait because of an event that cannot be folded.

use std::process::ExitCode;

use clap::Subcommand;
use projector::ProjectionName;
use projector::quarantine::{self, Case, Event, Skip, Tried, Waiting, Which};
use schemas::StreamName;
use serde_json::{Value, json};

use super::stores::Stores;
use super::{heal, not_well, time};
use crate::output::{facts, say, say_table, table, to_the_right};

/// Streams that wait because of an event that cannot be folded. Other streams flow on
#[derive(Debug, clap::Args)]
pub(super) struct Quarantine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Retry(Retry),
    Skip(SkipEvent),
}

/// Lists the streams that wait, the longest first
#[derive(Debug, clap::Args)]
struct List {
    /// Only those of these projections
    projections: Vec<ProjectionName>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

/// Shows why a stream waits: the event, the error, and the row that readers see meanwhile
#[derive(Debug, clap::Args)]
struct Show {
    /// Which projection
    projection: ProjectionName,
    /// Which stream, such as `order-0b54a1f0-…`
    stream: StreamName,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

/// Tries streams that wait again. A new build does so by itself when it starts
#[derive(Debug, clap::Args)]
struct Retry {
    /// Which projection
    #[arg(required_unless_present = "all")]
    projection: Option<ProjectionName>,
    /// Which stream; all that wait in the projection if none is named
    stream: Option<StreamName>,
    /// Takes back that events of the stream were skipped, and folds it from its beginning
    #[arg(long, requires = "stream")]
    unskip: bool,
    /// All that wait in any projection
    #[arg(long, conflicts_with_all = ["projection", "stream"])]
    all: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

/// Passes over the event with which a stream is stuck, as if it had changed nothing. The log keeps
/// it; every later build of the projection passes over it too
#[derive(Debug, clap::Args)]
struct SkipEvent {
    /// Which projection
    projection: ProjectionName,
    /// Which stream
    stream: StreamName,
    /// Revision of the event, as `quarantine list` shows it
    revision: u64,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "REASON", value_parser = words)]
    why: String,
    /// Who decides it
    #[arg(long, value_name = "WHO", env = "USER", value_parser = words)]
    by: String,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

fn words(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("say something") } else { Ok(text.trim().to_owned()) }
}

impl Quarantine {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Retry(retry) => retry.run().await,
            Command::Skip(skip) => skip.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        let mut all = quarantine::list(&database, &journal).await?;
        all.retain(|it| self.projections.is_empty() || self.projections.contains(&it.projection));
        if self.json {
            all.iter().map(describe).for_each(say);
            return Ok(ExitCode::SUCCESS);
        }
        if all.is_empty() {
            say("No stream waits.");
            return Ok(ExitCode::SUCCESS);
        }
        let header = ["PROJECTION", "GEN", "STREAM", "REV", "EVENT", "SINCE", "WAITING", "ERROR"];
        let mut table = table(&header);
        for one in &all {
            table.add_row([
                one.projection.to_string(),
                generation(one),
                one.stream.to_string(),
                one.revision.to_string(),
                one.event_type.clone().unwrap_or_else(|| "?".to_owned()),
                time(one.since),
                one.waiting.map_or_else(|| "?".to_owned(), |waiting| waiting.to_string()),
                one.error.clone(),
            ]);
        }
        to_the_right(&mut table, [3, 6]);
        say_table(&table);
        Ok(ExitCode::SUCCESS)
    }
}

/// The number of a generation; readers see those without a mark.
fn generation(one: &Waiting) -> String {
    if one.live { one.generation.to_string() } else { format!("{} (not live)", one.generation) }
}

fn describe(one: &Waiting) -> Value {
    json!({
        "projection": one.projection.as_str(),
        "generation": one.generation,
        "live": one.live,
        "stream": one.stream.as_str(),
        "revision": one.revision,
        "eventType": one.event_type,
        "since": one.since,
        "error": one.error,
        "build": one.build,
        "waiting": one.waiting,
    })
}

impl Show {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        let (projection, stream) = (self.projection, &self.stream);
        let case = quarantine::show(&database, &journal, projection, stream).await?;
        if self.json {
            say(describe_case(&case));
        } else {
            say_case(&case, projection, stream);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe_case(case: &Case) -> Value {
    let event = case.event.as_ref().map(|event| {
        json!({
            "id": event.id,
            "type": event.event_type,
            "revision": event.revision,
            "position": event.position.to_string(),
            "metadata": event.metadata,
            "data": event.data,
            "bytes": event.bytes,
        })
    });
    let skipped = case.skipped.iter().map(|it| {
        json!({ "revision": it.revision, "actor": it.actor, "reason": it.reason, "at": it.at })
    });
    json!({
        "waiting": case.waiting.iter().map(describe).collect::<Vec<_>>(),
        "event": event,
        "row": case.row,
        "skipped": skipped.collect::<Vec<_>>(),
    })
}

fn say_case(case: &Case, projection: ProjectionName, stream: &StreamName) {
    let mut table = facts();
    table.add_row(["Stream", stream.as_str()]);
    for one in &case.waiting {
        let stuck = format!("at event {} since {}", one.revision, time(one.since));
        table.add_row([format!("Generation {}", generation(one)), stuck]);
        table.add_row(["  error", &one.error]);
        let waiting = one.waiting.map_or_else(|| "?".to_owned(), |it| it.to_string());
        table.add_row(["  later events", &waiting]);
        table.add_row(["  last tried by", one.build.as_deref().unwrap_or("nobody yet")]);
    }
    match &case.event {
        Some(event) => add_event(&mut table, event),
        None => drop(table.add_row(["Event", "it cannot be read"])),
    }
    match &case.row {
        Some(row) => table.add_row(["Row meanwhile".to_owned(), format!("{row:#}")]),
        None => table.add_row(["Row meanwhile", "none"]),
    };
    for it in &case.skipped {
        let told = format!("by {} at {}: {}", it.actor, time(it.at), it.reason);
        table.add_row([format!("Skipped event {}", it.revision), told]);
    }
    say_table(&table);
    say("");
    say(format_args!(
        "With a build that can fold it: `orderstore projections quarantine retry {projection} {stream}`"
    ));
    if let Some(one) = case.waiting.first() {
        say(format_args!(
            "To go on without it: `orderstore projections quarantine skip {projection} {stream} {} --why …`",
            one.revision
        ));
    }
}

fn add_event(table: &mut comfy_table::Table, event: &Event) {
    let metadata = &event.metadata;
    table.add_row(["Event", &event.event_type]);
    table.add_row(["  id", &event.id.to_string()]);
    table.add_row(["  position", &event.position.to_string()]);
    table.add_row(["  recorded", &time(metadata.recorded_at)]);
    table.add_row(["  by", &metadata.actor]);
    table.add_row(["  version", &metadata.schema_version.to_string()]);
    table.add_row(["  correlation", &metadata.correlation_id.to_string()]);
    let data = event.data.as_ref().map_or_else(
        || format!("{} bytes that are not JSON", event.bytes),
        |data| format!("{data:#}"),
    );
    table.add_row(["  data", &data]);
}

impl Retry {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        if let (true, Some(projection), Some(stream)) = (self.unskip, self.projection, &self.stream)
        {
            let rebuilt = quarantine::unskip(&database, &journal, projection, stream).await?;
            return Ok(heal::tell(&rebuilt, self.json));
        }
        let which = match (self.projection, self.stream) {
            (None, _) => Which::All,
            (Some(projection), None) => Which::Of(projection),
            (Some(projection), Some(stream)) => Which::One(projection, stream),
        };
        let all = quarantine::retry(&database, &journal, &which).await?;
        if all.is_empty() && !self.json {
            say("No stream waits.");
        }
        Ok(tell(&all, self.json))
    }
}

impl SkipEvent {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        let skip = Skip { revision: self.revision, actor: self.by, reason: self.why };
        let all =
            quarantine::skip(&database, &journal, self.projection, &self.stream, skip).await?;
        Ok(tell(&all, self.json))
    }
}

/// Says what came of it; not well if a stream is still stuck.
fn tell(all: &[Tried], as_json: bool) -> ExitCode {
    for one in all {
        if as_json {
            say(json!({
                "projection": one.projection.as_str(),
                "generation": one.generation,
                "stream": one.stream.as_str(),
                "applied": one.applied,
                "leftToOthers": one.left_to_others,
                "stuckAt": one.stuck.as_ref().map(|(revision, _)| revision),
                "error": one.stuck.as_ref().map(|(_, error)| error),
            }));
        } else {
            say(in_words(one));
        }
    }
    if all.iter().any(|one| one.stuck.is_some()) { not_well() } else { ExitCode::SUCCESS }
}

fn in_words(one: &Tried) -> String {
    let Tried { projection, generation, stream, applied, .. } = one;
    match &one.stuck {
        _ if one.left_to_others => {
            format!(
                "{projection} {generation}: {stream} is tried again by whoever works on that generation"
            )
        }
        None => format!("{projection} {generation}: {stream} goes on, {applied} events folded"),
        Some((revision, error)) => {
            format!("{projection} {generation}: {stream} is stuck at event {revision}: {error}")
        }
    }
}
