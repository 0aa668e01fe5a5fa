//! `orderstore projections plan`: what a rebuild will take, before it is begun.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use projector::{Busy, Plan as Planned, RebuildOptions};
use serde_json::{Value, json};

use super::shown::duration;
use super::stores::Stores;
use super::{Names, bytes, in_a_row, time};
use crate::output::{facts, say, say_table, table, to_the_right};

/// Says what a rebuild will read and write, how much room and time it takes, and what else goes on
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["projections", "all"]))]
pub(super) struct Plan {
    #[command(flatten)]
    names: Names,
    /// How much memory events may take before they go to the disk, in MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    memory: Option<u32>,
    /// Where events go to that are too many for the memory
    #[arg(long, value_name = "FOLDER", env = "ORDERSTORE_SPILL_DIR")]
    spill_dir: Option<PathBuf>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

impl Plan {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        let mut options = RebuildOptions::default();
        if let Some(mib) = self.memory {
            options.memory_bytes = (mib as usize) << 20;
        }
        options.spill_dir = self.stores.spill_dir(self.spill_dir)?;
        let names = self.names.chosen();
        let planned = projector::plan(&database, &journal, &names, &options).await?;
        if self.json {
            say(describe(&planned));
        } else {
            say_plan(&planned);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn say_plan(plan: &Planned) {
    let header = ["PROJECTION", "LIVE", "VERSION", "NEW VERSION", "ROWS", "TABLES", "INDEXES"];
    let mut table = table(&header);
    for one in &plan.projections {
        table.add_row([
            one.projection.to_string(),
            one.generation.to_string(),
            one.version.to_string(),
            one.new_version.to_string(),
            one.rows.to_string(),
            bytes(one.table_bytes),
            bytes(one.index_bytes),
        ]);
    }
    to_the_right(&mut table, 1..7);
    if plan.projections.is_empty() {
        say("Nothing is live yet.");
    } else {
        say_table(&table);
    }
    say("");
    let mut table = facts();
    let events = plan.events.map_or_else(String::new, |events| format!("about {events} events, "));
    let log = format!("{events}about {}, up to {}", bytes(plan.event_bytes), plan.head);
    table.add_row(["Reads", &log]);
    let room = format!("{} beside the live tables", bytes(plan.database_bytes));
    table.add_row(["Room in Postgres", &room]);
    let free = plan.spill_dir_free_bytes.map_or_else(|| "?".to_owned(), bytes);
    let folder = plan.spill_dir.display();
    let spill = match plan.spill_bytes {
        0 => "none: the events fit into memory".to_owned(),
        needed => format!("up to {} in {folder}, where {free} are free", bytes(needed)),
    };
    table.add_row(["Room on the disk", &spill]);
    let time = plan.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.map_or_else(
        || "not known before the first rebuild".to_owned(),
        |time| format!("about {}, as the last rebuild took", duration(time)),
    );
    table.add_row(["Takes", &time]);
    for busy in &plan.busy {
        table.add_row(["Meanwhile", &in_words(busy)]);
    }
    say_table(&table);
}

fn in_words(busy: &Busy) -> String {
    match busy {
        Busy::LiveWorker { projection } => {
            format!(
                "live projection of {projection}; the rebuild slows down when that falls behind"
            )
        }
        Busy::Rebuild { run, phase, paused, alive, projections } => {
            let how = match (paused, alive) {
                (true, _) => ", paused",
                (false, true) => "",
                (false, false) => ", interrupted",
            };
            format!("rebuild {run} of {}: {}{how}", in_a_row(projections), phase.as_str())
        }
        Busy::LongTransaction { pid, application, since } => format!(
            "a transaction of `{application}` (process {pid}) that is open since {}; it may keep the new generation from being promoted",
            time(*since)
        ),
    }
}

fn describe(plan: &Planned) -> Value {
    let projections = plan.projections.iter().map(|one| {
        json!({
            "projection": one.projection.as_str(),
            "generation": one.generation,
            "version": one.version,
            "newVersion": one.new_version,
            "rows": one.rows,
            "tableBytes": one.table_bytes,
            "indexBytes": one.index_bytes,
        })
    });
    json!({
        "head": plan.head.to_string(),
        "events": plan.events,
        "eventBytes": plan.event_bytes,
        "databaseBytes": plan.database_bytes,
        "spillBytes": plan.spill_bytes,
        "spillDir": plan.spill_dir,
        "spillDirFreeBytes": plan.spill_dir_free_bytes,
        "seconds": plan.seconds,
        "projections": projections.collect::<Vec<_>>(),
        "busy": plan.busy.iter().map(describe_busy).collect::<Vec<_>>(),
    })
}

fn describe_busy(busy: &Busy) -> Value {
    match busy {
        Busy::LiveWorker { projection } => {
            json!({ "what": "live-worker", "projection": projection.as_str() })
        }
        Busy::Rebuild { run, phase, paused, alive, projections } => json!({
            "what": "rebuild",
            "run": run,
            "phase": phase.as_str(),
            "paused": paused,
            "alive": alive,
            "projections": projections.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        }),
        Busy::LongTransaction { pid, application, since } => json!({
            "what": "long-transaction",
            "pid": pid,
            "application": application,
            "since": since,
        }),
    }
}
