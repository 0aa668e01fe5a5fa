//! `orderstore projections rebuild`: builds read models anew beside the live ones.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use journal::Journal;
use projector::{Compared, Phase, Progress, ProjectionName, Rebuild, RebuildOptions};
use schemas::StreamName;
use serde::Serialize;
use serde_json::{Value, json};

use super::shown::Shown;
use super::stores::Stores;
use super::{Names, heal, not_well, pausing, rate};
use crate::output::say;

/// How often it is looked how far a rebuild is.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Builds projections anew beside the live ones, and swaps them when they have caught up. Readers
/// and live projection never stop
///
/// One that was interrupted goes on where it was.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["projections", "all", "stream", "pause", "resume"]))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct RebuildCommand {
    #[command(flatten)]
    names: Names,
    /// Only the rows of one stream, such as `order-0b54a1f0-…`, in the generations that there are
    #[arg(long, value_name = "STREAM",
          conflicts_with_all = ["projections", "all", "pause", "resume", "no_promote", "restart"])]
    stream: Option<StreamName>,
    /// Pauses a rebuild under way, as `projections pause` does
    #[arg(long, conflicts_with = "resume")]
    pause: bool,
    /// Lets a paused rebuild go on, as `projections resume` does
    #[arg(long)]
    resume: bool,
    /// How far live projections may fall behind before the rebuild slows down
    #[arg(long, value_name = "MS")]
    max_lag: Option<u64>,
    /// How much memory events may take before they go to the disk, in MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    memory: Option<u32>,
    /// Where events go to that are too many for the memory. Default: the data directory if a store
    /// runs there, else the system's temporary folder, which may itself be memory
    #[arg(long, value_name = "FOLDER", env = "ORDERSTORE_SPILL_DIR")]
    spill_dir: Option<PathBuf>,
    /// Leaves the new generations beside the live ones, for `diff` and `promote`
    #[arg(long)]
    no_promote: bool,
    /// Does not promote a generation of which more rows differ from the live one. Default: none may
    /// of the same version, any number of a new one
    #[arg(long, value_name = "ROWS")]
    threshold: Option<u64>,
    /// Promotes without having compared the new generation with the live one
    #[arg(long, conflicts_with = "threshold")]
    no_compare: bool,
    /// Begins anew, although one was left half done
    #[arg(long)]
    restart: bool,
    /// Progress as one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

impl RebuildCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(stream) = &self.stream {
            return heal::rebuild_stream(&self.stores, stream, self.json).await;
        }
        let names = self.names.chosen();
        if self.pause {
            return pausing::pause(&self.stores, &names, self.json).await;
        }
        if self.resume {
            return pausing::resume(&self.stores, &names, self.json).await;
        }
        let (database, journal) = self.stores.open()?;
        projector::let_others_go_first();
        self.build(&database, journal, &names).await
    }

    async fn build(
        &self,
        database: &str,
        journal: Journal,
        names: &[ProjectionName],
    ) -> anyhow::Result<ExitCode> {
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let build = tokio::select! {
            build = Rebuild::start(database, journal, names, self.options()?) => build?,
            _ = &mut interrupted => return Ok(self.interrupted(names, false)),
        };
        let mut shown = Shown::new(self.json);
        while !build.is_finished() {
            shown.show(&build.progress());
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                _ = &mut interrupted => {
                    shown.end();
                    let paused = build.progress().paused;
                    build.stop().await;
                    return Ok(self.interrupted(names, paused));
                }
            }
        }
        shown.show(&build.progress());
        shown.end();
        let done = build.finish().await?;
        self.report(&done.progress)
    }

    fn options(&self) -> anyhow::Result<RebuildOptions> {
        let default = RebuildOptions::default();
        Ok(RebuildOptions {
            max_lag: self.max_lag.map_or(default.max_lag, Duration::from_millis),
            memory_bytes: self.memory.map_or(default.memory_bytes, |mib| (mib as usize) << 20),
            spill_dir: self.stores.spill_dir(self.spill_dir.clone())?,
            promote: !self.no_promote,
            compare: !self.no_compare,
            threshold: self.threshold,
            restart: self.restart,
            ..default
        })
    }

    fn interrupted(&self, names: &[ProjectionName], paused: bool) -> ExitCode {
        let names = if self.names.all {
            "--all".to_owned()
        } else {
            names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
        };
        let (while_paused, others) = if paused {
            (
                " while it was paused",
                "After `orderstore projections resume` a running projector goes",
            )
        } else {
            ("", "A running projector goes")
        };
        eprintln!(
            "Interrupted{while_paused}; nothing is lost. {others} on with it soon, and so does \
             `orderstore projections rebuild {names}` from where it was; `--restart` begins anew."
        );
        ExitCode::from(130)
    }

    /// Says what it came to; not well if something was not promoted that should have been.
    fn report(&self, progress: &Progress) -> anyhow::Result<ExitCode> {
        let promoted = progress.projections.iter().all(|it| it.promoted);
        if self.json {
            say(last_line(progress)?);
        } else {
            say_report(progress, self.no_promote);
        }
        Ok(if promoted || self.no_promote { ExitCode::SUCCESS } else { not_well() })
    }
}

/// The last line, with its keys in this order.
#[derive(Serialize)]
struct LastLine {
    events: u64,
    rows: u64,
    seconds: f64,
    events_per_second: u64,
    peak_rss_bytes: u64,
    promoted: bool,
    differing: Option<u64>,
    not_compared: Option<u64>,
    run: i64,
    event_bytes: u64,
    spilled_bytes: u64,
    row_bytes: u64,
    phases: Value,
    projections: Vec<Value>,
}

fn last_line(progress: &Progress) -> serde_json::Result<String> {
    let seconds = progress.elapsed.as_secs_f64();
    let events = progress.events_folded;
    let of_each = progress.projections.iter().map(|it| {
        json!({
            "projection": it.projection.as_str(),
            "generation": it.generation,
            "events": it.events,
            "rows": it.rows,
            "quarantined": it.quarantined,
            "gaps_healed": it.gaps_healed,
            "promoted": it.promoted,
            "compared": it.compared.map(|Compared { rows, differing, not_compared }| {
                json!({ "rows": rows, "differing": differing, "not_compared": not_compared })
            }),
            "refusal": it.refusal,
        })
    });
    // Of those that were compared; none if nothing was.
    let sum = |of: fn(Compared) -> u64| {
        progress.projections.iter().filter_map(|it| it.compared.map(of)).reduce(|a, b| a + b)
    };
    serde_json::to_string(&LastLine {
        events,
        rows: progress.rows,
        seconds,
        events_per_second: rate(events, seconds),
        peak_rss_bytes: progress.peak_rss_bytes,
        promoted: progress.projections.iter().all(|it| it.promoted),
        differing: sum(|compared| compared.differing),
        not_compared: sum(|compared| compared.not_compared),
        run: progress.run,
        event_bytes: progress.event_bytes,
        spilled_bytes: progress.spilled_bytes,
        row_bytes: progress.row_bytes,
        phases: phases(progress),
        projections: of_each.collect(),
    })
}

/// Seconds by phase.
pub(super) fn phases(progress: &Progress) -> Value {
    let seconds = |(phase, took): &(Phase, Duration)| {
        (phase.as_str().to_owned(), Value::from(took.as_secs_f64()))
    };
    Value::Object(progress.phases.iter().map(seconds).collect())
}

fn say_report(progress: &Progress, left_for_promotion: bool) {
    for one in &progress.projections {
        let (name, generation) = (one.projection, one.generation);
        let state = match &one.refusal {
            _ if one.promoted => "is live".to_owned(),
            _ if left_for_promotion => format!(
                "is ready; `orderstore projections diff {name}`, then `… promote {name}` or `… drop {name} {generation}`"
            ),
            // Why, and what to do, is said below.
            Some(_) => "is not promoted".to_owned(),
            None => "is not live yet; see `orderstore projections status`".to_owned(),
        };
        say(format_args!(
            "{name}: generation {generation} {state}; {} events, {} rows",
            one.events, one.rows
        ));
        if let Some(Compared { rows, differing, not_compared }) = one.compared {
            say(format_args!(
                "{name}: compared with the live one: {differing} of {rows} rows differ, {not_compared} streams could not be compared"
            ));
        }
        if let Some(refusal) = one.refusal.as_ref().filter(|_| !one.promoted && !left_for_promotion)
        {
            say(refusal);
        }
        if one.quarantined > 0 {
            say(format_args!(
                "{name}: {} streams wait because of an event that cannot be folded; see `orderstore projections quarantine list`",
                one.quarantined
            ));
        }
    }
    let seconds = progress.elapsed.as_secs_f64();
    say(format_args!(
        "{} events in {seconds:.1} s, {} a second; {} rows; {} MiB of memory at most",
        progress.events_folded,
        rate(progress.events_folded, seconds),
        progress.rows,
        progress.peak_rss_bytes >> 20
    ));
}
