//! `orderstore projections diff`, `promote`, `rollback`, `drop`: which generation readers see.

use std::process::ExitCode;

use projector::{Changed, Dropped, ProjectionName, PromoteOptions, RollbackOptions};
use serde_json::json;

use super::not_well;
use super::share::Limit;
use super::stores::Stores;
use crate::output::say;

/// Compares the live generation with the one built beside it, or with the one it has replaced: row
/// by row and column by column, with samples and the event behind each
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// Which projection
    projection: ProjectionName,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

impl Diff {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        let comparison = projector::diff(&database, journal, self.projection).await?;
        if self.json {
            say(serde_json::to_value(&comparison)?);
        } else {
            say(comparison.to_string().trim_end());
        }
        Ok(if comparison.differing_at_most() == 0 { ExitCode::SUCCESS } else { not_well() })
    }
}

/// Has readers see the generation that was built beside the live one. The live one is kept up to
/// date for a while, for `rollback`
#[derive(Debug, clap::Args)]
pub(super) struct Promote {
    /// Which projection
    projection: ProjectionName,
    /// Refuses when more rows differ: a number, or a share such as 0.1%. Default: none may of the
    /// same version, any number of a new one
    #[arg(long, value_name = "ROWS|SHARE")]
    max_differing: Option<Limit>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

impl Promote {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        let projection = self.projection;
        let max_differing = match self.max_differing {
            None => None,
            Some(Limit::Rows(rows)) => Some(rows),
            Some(Limit::Share(share)) => {
                let comparison = projector::diff(&database, journal.clone(), projection).await?;
                Some(share.of(comparison.rows()))
            }
        };
        let options = PromoteOptions { max_differing };
        match projector::promote(&database, &journal, projection, options).await {
            Ok(changed) => tell(&changed, self.json),
            // It was looked, and what was found is not well.
            Err(error @ projector::Error::TooDifferent { .. }) => {
                eprintln!("orderstore: {error}");
                Ok(not_well())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Has readers see the generation again that was live before, at once
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// Which projection
    projection: ProjectionName,
    /// Even if nobody has kept it up to date, so that readers miss what has happened since
    #[arg(long)]
    allow_stale: bool,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

impl Rollback {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        let options = RollbackOptions { allow_stale: self.allow_stale };
        let changed = projector::rollback(&database, &journal, self.projection, options).await?;
        tell(&changed, self.json)
    }
}

fn tell(changed: &Changed, as_json: bool) -> anyhow::Result<ExitCode> {
    let Changed { projection, generation, previous, comparison } = changed;
    if as_json {
        say(json!({
            "projection": projection.as_str(),
            "generation": generation,
            "previous": previous,
            "comparison": serde_json::to_value(comparison)?,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(comparison) = comparison {
        say(comparison.to_string().trim_end());
    }
    say(format_args!("{projection}: generation {generation} is live."));
    if let Some(previous) = previous {
        say(format_args!(
            "Generation {previous} is kept for a while: `orderstore projections rollback {projection}` goes back to it."
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Drops a generation that readers do not see, and gives up what is being built in it
#[derive(Debug, clap::Args)]
pub(super) struct Drop {
    /// Which projection
    projection: ProjectionName,
    /// Number of the generation, as `status` shows it
    generation: i64,
    #[command(flatten)]
    stores: Stores,
}

impl Drop {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { projection, generation, stores } = self;
        let dropped =
            projector::drop_generation(&stores.database()?, projection, generation).await?;
        say(match dropped {
            Dropped::Gone => format!("{projection}: generation {generation} is dropped."),
            Dropped::Later => format!(
                "{projection}: somebody is reading generation {generation}; a running projector drops it when that has ended."
            ),
        });
        Ok(ExitCode::SUCCESS)
    }
}
