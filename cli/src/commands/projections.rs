//! `orderstore projections`: how far the read models are, and how to build them anew.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use private_postgres::Cluster;
use projector::{BuildProgress, GenerationState, ProjectionName, ProjectionStatus, Rebuild};
use serde_json::{Value, json};

use crate::output::say;
use crate::stores::EventStore;

/// Works on the database and the event store directly: it needs no API.
#[derive(Debug, clap::Args)]
pub(crate) struct Projections {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows every projection: version, generation, position, how far it is behind, rows, quarantine
    Status {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        stores: Stores,
    },
    /// Builds projections anew beside the live ones, and swaps them when they have caught up.
    /// Readers and live projection never stop
    Rebuild {
        /// Which: orders, `stock_levels`, payments, shipments, fulfilments, `credit_notes`
        #[arg(required_unless_present = "all")]
        projections: Vec<ProjectionName>,
        /// All of them
        #[arg(long, conflicts_with = "projections")]
        all: bool,
        /// Progress as one JSON object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        stores: Stores,
    },
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct Stores {
    /// Address of the Postgres database for read models. Default: the private one of the store
    /// running on `--data-dir`
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    #[command(flatten)]
    event_store: EventStore,
}

impl Stores {
    fn database(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        let data_dir = self.event_store.data_dir()?;
        Cluster::url_of_running(&data_dir.postgres()).with_context(|| {
            let folder = data_dir.path().display();
            format!(
                "no Postgres runs in {folder}; start `orderstore up` first, or give --database-url"
            )
        })
    }
}

impl Projections {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Status { json, stores } => status(&stores, json).await,
            Command::Rebuild { projections, all, json, stores } => {
                let projections = if all { ProjectionName::ALL.to_vec() } else { projections };
                rebuild(&stores, &projections, json).await
            }
        }
    }
}

async fn status(stores: &Stores, as_json: bool) -> anyhow::Result<()> {
    let journal = stores.event_store.connect()?;
    let all = projector::status(&stores.database()?, &journal).await?;
    if as_json {
        for one in &all {
            say(describe(one));
        }
        return Ok(());
    }
    let mut table = Table::new();
    let header = [
        "PROJECTION",
        "STATE",
        "VERSION",
        "GENERATION",
        "POSITION",
        "BEHIND",
        "ROWS",
        "QUARANTINED",
    ];
    table.load_style(NOTHING).set_header(header);
    for one in &all {
        table.add_row([
            one.projection.to_string(),
            state(one.state).to_owned(),
            one.version.to_string(),
            one.generation.to_string(),
            one.position.to_string(),
            if one.caught_up { "caught up".to_owned() } else { one.behind.to_string() },
            one.rows.to_string(),
            one.quarantined.len().to_string(),
        ]);
    }
    say(table);
    for one in &all {
        for stream in &one.quarantined {
            say(format_args!(
                "{} does not follow {} since event {} ({}): {}",
                one.projection, stream.stream, stream.revision, stream.since, stream.error
            ));
        }
    }
    Ok(())
}

fn describe(one: &ProjectionStatus) -> Value {
    json!({
        "projection": one.projection.as_str(),
        "state": state(one.state),
        "version": one.version,
        "generation": one.generation,
        "position": one.position.to_string(),
        "behind": one.behind,
        "caughtUp": one.caught_up,
        "rows": one.rows,
        "updatedAt": one.updated_at,
        "quarantined": one.quarantined.iter().map(|it| &it.stream).collect::<Vec<_>>(),
    })
}

const fn state(state: GenerationState) -> &'static str {
    match state {
        GenerationState::Building => "building",
        GenerationState::Live => "live",
        GenerationState::Retired => "retired",
    }
}

async fn rebuild(
    stores: &Stores,
    projections: &[ProjectionName],
    as_json: bool,
) -> anyhow::Result<()> {
    let journal = stores.event_store.connect()?;
    let options = projector::Options::default();
    let build = Rebuild::start(&stores.database()?, journal, projections, options).await?;
    let shown = Shown::new(as_json);
    while !build.is_finished() {
        shown.show(&build);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    shown.show(&build);
    shown.bar.finish_and_clear();
    let progress = build.progress();
    build.finish().await?;
    report(&progress, as_json);
    Ok(())
}

fn report(built: &[BuildProgress], as_json: bool) {
    let events: u64 = built.iter().map(|it| it.events).sum();
    let seconds = built.iter().map(|it| it.elapsed).max().unwrap_or_default().as_secs_f64();
    if as_json {
        let last = json!({
            "events": events,
            "seconds": seconds,
            "events_per_second": rate(events, seconds),
            "promoted": built.iter().all(|it| it.promoted),
        });
        say(last);
        return;
    }
    for one in built {
        let generation = one.generation.unwrap_or_default();
        say(format_args!(
            "{}: generation {generation} is live, from {} events",
            one.projection, one.events
        ));
    }
    say(format_args!("{events} events in {seconds:.1} s, {} a second", rate(events, seconds)));
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rate(events: u64, seconds: f64) -> u64 {
    (events as f64 / seconds.max(0.001)) as u64
}

/// Where progress is shown: on a terminal as a bar, elsewhere, if wanted, as lines of JSON.
struct Shown {
    bar: ProgressBar,
    as_json: bool,
}

impl Shown {
    fn new(as_json: bool) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !as_json;
        let target =
            if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{bar:40} {percent}%  {msg}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::with_draw_target(Some(1_000), target).with_style(style), as_json }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share for a bar on a screen"
    )]
    fn show(&self, rebuild: &Rebuild) {
        let all = rebuild.progress();
        let done = all.iter().map(BuildProgress::done).sum::<f64>() / all.len().max(1) as f64;
        let events: u64 = all.iter().map(|it| it.events).sum();
        let per_second: f64 = all.iter().map(BuildProgress::rate).sum();
        self.bar.set_position((done * 1_000.0) as u64);
        self.bar.set_message(format!("{events} events, {per_second:.0}/s"));
        for error in all.iter().filter_map(|it| it.last_error.as_ref()) {
            // Above the bar, not hidden by it.
            self.bar.suspend(|| eprintln!("{error}"));
        }
        if self.as_json {
            say(format_args!(
                "{}",
                json!({ "done": done, "events": events, "events_per_second": per_second })
            ));
        }
    }
}
