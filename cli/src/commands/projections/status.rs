//! `orderstore projections list` and `status`: what there is, and how far it is.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::Table;
use projector::{
    Compared, GenerationState, LastComparison, ProjectionName, ProjectionStatus, Refusal,
    SliceStatus, Verdict,
};
use serde_json::{Value, json};

use super::shown::duration;
use super::stores::Stores;
use super::time;
use crate::output::{say, say_table, table, to_the_right};

/// How often `--watch` looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What clears a terminal: cursor to the top left, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Lists every generation in one line: position, lag, rows, quarantine, who works on it
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
        if self.json {
            all.iter().map(summarise).for_each(say);
            return Ok(ExitCode::SUCCESS);
        }
        let header = [
            "PROJECTION",
            "GEN",
            "VERSION",
            "STATE",
            "POSITION",
            "LAG",
            "LAG MS",
            "ROWS",
            "STUCK",
            "WORKED ON BY",
        ];
        let mut table = table(&header);
        for one in &all {
            let known = |told: String| if one.lag.is_some() { told } else { "-".to_owned() };
            table.add_row([
                one.projection.to_string(),
                one.generation.to_string(),
                one.version.to_string(),
                one.state.as_str().to_owned(),
                one.position.to_string(),
                known(lag_events(one)),
                known(lag_milliseconds(one).unwrap_or(0).to_string()),
                one.rows.to_string(),
                one.quarantined.len().to_string(),
                workers(one),
            ]);
        }
        to_the_right(&mut table, [1, 2, 4, 5, 6, 7, 8]);
        say_table(&table);
        Ok(ExitCode::SUCCESS)
    }
}

/// Events that are not in the rows yet; more than that with a `+`.
fn lag_events(one: &ProjectionStatus) -> String {
    let more = if one.lag.is_some_and(|lag| lag.at_least) { "+" } else { "" };
    format!("{}{more}", one.lag.map_or(0, |lag| lag.events))
}

/// How long ago the first event was recorded that is not in the rows yet; 0 if there is none.
fn lag_milliseconds(one: &ProjectionStatus) -> Option<i64> {
    one.lag.map(|lag| if lag.oldest.is_some() { one.age.num_milliseconds() } else { 0 })
}

fn summarise(one: &ProjectionStatus) -> Value {
    json!({
        "projection": one.projection.as_str(),
        "category": one.projection.category(),
        "generation": one.generation,
        "version": one.version,
        "state": one.state.as_str(),
        "position": one.position.to_string(),
        "lagEvents": one.lag.map(|lag| lag.events),
        "lagAtLeast": one.lag.map(|lag| lag.at_least),
        "lagMs": lag_milliseconds(one),
        "rows": one.rows,
        "quarantined": one.quarantined.len(),
        "workedOnBy": one.slices.iter().filter_map(worker).collect::<BTreeSet<_>>(),
    })
}

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        // One that is heard of at any time, also while it is looked.
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            let mut all = tokio::select! {
                all = projector::status(&database, &journal) => all?,
                _ = &mut interrupted => return Ok(ExitCode::from(130)),
            };
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
                _ = &mut interrupted => return Ok(ExitCode::from(130)),
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
    // One that waits in several generations is one.
    let stuck = all.iter().flat_map(|one| one.quarantined.iter().map(|it| (one.projection, it)));
    let stuck: BTreeSet<_> =
        stuck.map(|(projection, it)| (projection, it.stream.as_str())).collect();
    if !stuck.is_empty() {
        let number = stuck.len();
        let wait = if number == 1 { "stream waits" } else { "streams wait" };
        say(format_args!(
            "\n{number} {wait} because of an event that cannot be folded; see `orderstore projections quarantine list`"
        ));
    }
    all.iter().filter(|one| one.paused.is_some()).for_each(say_paused);
    for one in all.iter().filter(|one| one.state == GenerationState::Live) {
        if let Some(log) = one.ahead_of_log {
            let (projection, rows) = (one.projection, one.position);
            say(format_args!("\n{}", projector::Error::AnotherLog { projection, rows, log }));
        }
    }
    all.iter().for_each(say_verdict);
    for one in all.iter().filter(|one| one.counters.gaps_healed > 0) {
        say(format_args!(
            "\n{} generation {}: {} gaps were found and filled. That is a defect of the event store, or of ours: report it",
            one.projection, one.generation, one.counters.gaps_healed
        ));
    }
}

fn say_paused(one: &ProjectionStatus) {
    let (name, generation) = (one.projection, one.generation);
    let error = one.paused.as_ref().and_then(|paused| paused.error.as_ref());
    let because = error.map(|error| format!(" ({error})")).unwrap_or_default();
    say(format_args!(
        "\n{name} generation {generation} is not built on: paused{because}; `orderstore projections resume {name}` lets it go on"
    ));
}

fn say_verdict(one: &ProjectionStatus) {
    let Verdict { compared, refusal } = &one.verdict;
    if let Some(LastComparison { with, at, found }) = compared {
        let Compared { rows, differing, not_compared } = found;
        say(format_args!(
            "\n{} generation {} was compared with {with} at {}: {differing} of {rows} rows differed, \
             {not_compared} streams could not be compared",
            one.projection,
            one.generation,
            time(*at)
        ));
    }
    if let Some(Refusal { at, why }) = refusal {
        say(format_args!("\nSince {}: {why}", time(*at)));
    }
}

fn add(table: &mut Table, one: &ProjectionStatus) {
    let state = match (&one.phase, &one.paused) {
        (Some(phase), Some(_)) => format!("{} ({phase}, paused)", one.state.as_str()),
        (Some(phase), None) => format!("{} ({phase})", one.state.as_str()),
        (None, _) => one.state.as_str().to_owned(),
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
        Some(_) if one.ahead_of_log.is_some() => "another log".to_owned(),
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
        "paused": one.paused.is_some(),
        "version": one.version,
        "generation": one.generation,
        "position": one.position.to_string(),
        "behind": one.behind,
        "lagEvents": one.lag.map(|lag| lag.events),
        "lagAtLeast": one.lag.map(|lag| lag.at_least),
        "aheadOfLog": one.ahead_of_log.is_some(),
        "ageMs": one.age.num_milliseconds(),
        "caughtUp": one.caught_up,
        "rows": one.rows,
        "updatedAt": one.updated_at,
        "quarantined": one.quarantined.iter().map(|it| &it.stream).collect::<Vec<_>>(),
        "compared": one.verdict.compared.map(describe_comparison),
        "refusal": one.verdict.refusal.as_ref().map(|it| json!({ "at": it.at, "reason": it.why })),
        "eventsApplied": one.counters.events_applied,
        "duplicatesDropped": one.counters.duplicates_dropped,
        "gapsHealed": one.counters.gaps_healed,
        "streamsQuarantined": one.counters.streams_quarantined,
        "slices": one.slices.iter().map(describe_slice).collect::<Vec<_>>(),
    })
}

fn describe_comparison(comparison: LastComparison) -> Value {
    let LastComparison { with, at, found } = comparison;
    json!({
        "with": with,
        "at": at,
        "rows": found.rows,
        "differing": found.differing,
        "notCompared": found.not_compared,
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
