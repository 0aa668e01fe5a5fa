//! `orderstore projections`: how far the read models are, and how they are built anew, compared,
//! checked and put right. Works on the database and the event store directly: it needs no API.
//!
//! One file per command. They print what the projector says; no rule is here.

mod comparing;
mod heal;
mod pausing;
mod plan;
mod quarantine;
mod rebuild;
mod share;
mod shown;
mod status;
mod stores;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;
use projector::ProjectionName;

use self::comparing::{Diff, Drop, Promote, Rollback};
use self::pausing::{Pause, Resume};
use self::plan::Plan;
use self::quarantine::Quarantine;
use self::rebuild::RebuildCommand;
use self::status::{List, Status};
use self::verify::Verify;

/// Works on the database and the event store directly: it needs no API.
#[derive(Debug, clap::Args)]
pub(crate) struct Projections {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Status(Status),
    Plan(Plan),
    Rebuild(Box<RebuildCommand>),
    Pause(Pause),
    Resume(Resume),
    Diff(Diff),
    Promote(Promote),
    Rollback(Rollback),
    Drop(Drop),
    Verify(Verify),
    Quarantine(Quarantine),
}

impl Projections {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Status(status) => status.run().await,
            Command::Plan(plan) => plan.run().await,
            Command::Rebuild(rebuild) => rebuild.run().await,
            Command::Pause(pause) => pause.run().await,
            Command::Resume(resume) => resume.run().await,
            Command::Diff(diff) => diff.run().await,
            Command::Promote(promote) => promote.run().await,
            Command::Rollback(rollback) => rollback.run().await,
            Command::Drop(drop) => drop.run().await,
            Command::Verify(verify) => verify.run().await,
            Command::Quarantine(quarantine) => quarantine.run().await,
        }
    }
}

/// Which projections.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Names {
    /// Which: orders, `stock_levels`, payments, shipments, fulfilments, `credit_notes`
    #[arg(id = "projections", value_name = "PROJECTION")]
    names: Vec<ProjectionName>,
    /// All of them
    #[arg(long, conflicts_with = "projections")]
    all: bool,
}

impl Names {
    fn chosen(&self) -> Vec<ProjectionName> {
        if self.all { ProjectionName::ALL.to_vec() } else { self.names.clone() }
    }
}

/// What a command ends with that could do what it should, and found that not all is well.
fn not_well() -> ExitCode {
    ExitCode::from(2)
}

fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// As people say it, such as `12 MiB`.
fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

fn in_a_row(names: &[ProjectionName]) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
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
