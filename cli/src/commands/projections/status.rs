//! `orderstore projections list` and `status`: what there is, and how far it is.

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::Table;
use projector::{GenerationState, ProjectionName, ProjectionStatus, SliceStatus};
use serde_json::{Value, json};

use super::shown::duration;
use super::stores::Stores;
use super::time;
use crate::output::{say, say_table, table, to_the_right};

/// How often `--watch` looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What clears a terminal: cursor to the top left, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Lists the projections: what they are folded from, and what readers see of them
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

/// Shows every generation: version, position, how far it is behind, rows, quarantine, who works on it
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Only these projections
    projections: Vec<ProjectionName>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    /// Again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    stores: Stores,
}

impl List {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        let all = projector::status(&database, &journal).await?;
        let header = ["PROJECTION", "FOLDED FROM", "LIVE", "VERSION", "ROWS", "QUARANTINED"];
        let mut table = table(&header);
        for name in ProjectionName::ALL {
            let live =
                all.iter().find(|it| it.projection == name && it.state == GenerationState::Live);
            if self.json {
                say(json!({
                    "projection": name.as_str(),
                    "category": name.category(),
                    "generation": live.map(|it| it.generation),
                    "version": live.map(|it| it.version),
                    "rows": live.map(|it| it.rows),
                    "quarantined": live.map(|it| it.quarantined.len()),
                }));
                continue;
            }
            let told =
                |tell: fn(&ProjectionStatus) -> String| live.map_or_else(|| "-".to_owned(), tell);
            table.add_row([
                name.to_string(),
                format!("{}-…", name.category()),
                told(|it| it.generation.to_string()),
                told(|it| it.version.to_string()),
                told(|it| it.rows.to_string()),
                told(|it| it.quarantined.len().to_string()),
            ]);
        }
        if !self.json {
            to_the_right(&mut table, 2..6);
            say_table(&table);
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        loop {
            let mut all = projector::status(&database, &journal).await?;
            let wanted = &self.projections;
            all.retain(|it| wanted.is_empty() || wanted.contains(&it.projection));
            if self.json {
                all.iter().map(describe).for_each(say);
            } else {
                if self.watch {
                    say(CLEAR);
                }
                say_status(&all);
            }
            if !self.watch {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(130)),
            }
        }
    }
}

fn say_status(all: &[ProjectionStatus]) {
    let header = [
        "PROJECTION",
        "GEN",
        "STATE",
        "VERSION",
        "POSITION",
        "BEHIND",
        "AGE",
        "ROWS",
        "QUARANTINED",
        "WORKED ON BY",
    ];
    let mut table = table(&header);
    for one in all {
        add(&mut table, one);
    }
    to_the_right(&mut table, [1, 3, 4, 5, 6, 7, 8]);
    say_table(&table);
    let stuck: usize = all.iter().map(|one| one.quarantined.len()).sum();
    if stuck > 0 {
        say(format_args!(
            "\n{stuck} streams wait because of an event that cannot be folded; see `orderstore projections quarantine list`"
        ));
    }
    for one in all.iter().filter(|one| one.counters.gaps_healed > 0) {
        say(format_args!(
            "\n{} generation {}: {} gaps were found and filled. That is a defect of the event store, or of ours: report it",
            one.projection, one.generation, one.counters.gaps_healed
        ));
    }
}

fn add(table: &mut Table, one: &ProjectionStatus) {
    let state = match &one.phase {
        Some(phase) => format!("{} ({phase})", one.state.as_str()),
        None => one.state.as_str().to_owned(),
    };
    table.add_row([
        one.projection.to_string(),
        one.generation.to_string(),
        state,
        one.version.to_string(),
        one.position.to_string(),
        behind(one),
        age(one),
        one.rows.to_string(),
        one.quarantined.len().to_string(),
        workers(one),
    ]);
}

fn behind(one: &ProjectionStatus) -> String {
    match one.lag {
        None => "-".to_owned(),
        Some(lag) if lag.at_least => format!("> {} events", lag.events),
        Some(lag) if lag.events == 0 => "nothing".to_owned(),
        Some(lag) => format!("{} events", lag.events),
    }
}

fn age(one: &ProjectionStatus) -> String {
    if one.lag.is_none() {
        return "-".to_owned();
    }
    match one.age.to_std() {
        Ok(age) if age >= Duration::from_secs(10) => duration(age),
        Ok(age) => format!("{} ms", age.as_millis()),
        Err(_) => "0 ms".to_owned(),
    }
}

/// Who works on the slices, each once, with how many if there are several.
fn workers(one: &ProjectionStatus) -> String {
    let mut workers: Vec<(String, usize)> = vec![];
    for slice in &one.slices {
        let name = worker(slice).unwrap_or_else(|| "nobody".to_owned());
        match workers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slices)) => *slices += 1,
            None => workers.push((name, 1)),
        }
    }
    let several = one.slices.len() > 1;
    let words = workers.into_iter().map(|(name, slices)| {
        if several { format!("{name} ({slices} of {})", one.slices.len()) } else { name }
    });
    words.collect::<Vec<_>>().join(", ")
}

fn worker(slice: &SliceStatus) -> Option<String> {
    let worker = slice.worker.as_ref()?;
    Some(match &worker.process {
        Some((name, number)) => format!("{name} {number}"),
        None => format!("a rebuild since {}", time(worker.since)),
    })
}

fn describe(one: &ProjectionStatus) -> Value {
    json!({
        "projection": one.projection.as_str(),
        "state": one.state.as_str(),
        "phase": one.phase,
        "version": one.version,
        "generation": one.generation,
        "position": one.position.to_string(),
        "behind": one.behind,
        "lagEvents": one.lag.map(|lag| lag.events),
        "lagAtLeast": one.lag.map(|lag| lag.at_least),
        "ageMs": one.age.num_milliseconds(),
        "caughtUp": one.caught_up,
        "rows": one.rows,
        "updatedAt": one.updated_at,
        "quarantined": one.quarantined.iter().map(|it| &it.stream).collect::<Vec<_>>(),
        "eventsApplied": one.counters.events_applied,
        "duplicatesDropped": one.counters.duplicates_dropped,
        "gapsHealed": one.counters.gaps_healed,
        "streamsQuarantined": one.counters.streams_quarantined,
        "slices": one.slices.iter().map(describe_slice).collect::<Vec<_>>(),
    })
}

fn describe_slice(slice: &SliceStatus) -> Value {
    let process = slice.worker.as_ref().and_then(|worker| worker.process.as_ref());
    json!({
        "slice": slice.slice,
        "position": slice.position.to_string(),
        "caughtUp": slice.caught_up,
        "updatedAt": slice.updated_at,
        "worker": process.map(|(name, _)| name),
        "pid": process.map(|(_, number)| number),
        "since": slice.worker.as_ref().map(|worker| worker.since),
    })
}
