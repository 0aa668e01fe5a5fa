//! `orderstore projections pause` and `resume`: lets a rebuild under way rest, wherever it runs.

use std::process::ExitCode;

use projector::ProjectionName;
use serde_json::json;

use super::stores::Stores;
use super::{Names, in_a_row};
use crate::output::say;

/// Pauses rebuilds under way, wherever they run: those of the projections that are named, or all.
/// What they have done is kept
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    #[command(flatten)]
    names: Names,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

/// Lets paused rebuilds go on: those of the projections that are named, or all
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    #[command(flatten)]
    names: Names,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

impl Pause {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        pause(&self.stores, &self.names.chosen(), self.json).await
    }
}

impl Resume {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        resume(&self.stores, &self.names.chosen(), self.json).await
    }
}

pub(super) async fn pause(
    stores: &Stores,
    names: &[ProjectionName],
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let paused = projector::pause(&stores.database()?, names).await?;
    tell("paused", "; `orderstore projections resume` lets it go on", &paused, as_json);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn resume(
    stores: &Stores,
    names: &[ProjectionName],
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let resumed = projector::resume(&stores.database()?, names).await?;
    tell("resumed", "", &resumed, as_json);
    Ok(ExitCode::SUCCESS)
}

fn tell(what: &str, next: &str, names: &[ProjectionName], as_json: bool) {
    if as_json {
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        say(json!({ what: names }));
    } else if names.is_empty() {
        say("No rebuild is under way; `orderstore projections status` shows what is.");
    } else {
        say(format_args!("The rebuild of {} is {what}{next}.", in_a_row(names)));
    }
}
