//! Which store is looked after, and how far that has come.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use embedded_store::maintenance::{MaintenanceError, Phase, Progress};
use eventstore::ClientSettings;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::data_dir;

/// A store on this machine.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(super) struct Place {
    #[command(flatten)]
    pub(super) data_dir: data_dir::Location,
    /// Folder of the event store itself, such as a backup, in place of `--data-dir`
    #[arg(long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
}

impl Place {
    pub(super) fn resolve(&self) -> anyhow::Result<PathBuf> {
        match &self.directory {
            Some(directory) => Ok(directory.clone()),
            None => Ok(self.data_dir.resolve()?.event_store()),
        }
    }
}

/// Settings of the client for `esdb://…`; `kurrentdb://…` is the same.
pub(super) fn settings(address: &str) -> anyhow::Result<ClientSettings> {
    let address = match address.split_once("://") {
        Some(("kurrentdb" | "kdb", rest)) => format!("esdb://{rest}"),
        Some(("kurrentdb+discover" | "kdb+discover", rest)) => format!("esdb+discover://{rest}"),
        Some(_) | None => address.to_owned(),
    };
    // The client's own message would quote the address, which may hold a password.
    address.parse().ok().context(
        "not an address of an event store; it reads esdb://[user:password@]host:2113[?tls=false]",
    )
}

/// Runs something that takes long on a thread of its own, with a bar if somebody looks.
pub(super) async fn watch<T: Send + 'static>(
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<T, MaintenanceError> + Send + 'static,
) -> anyhow::Result<T> {
    let bar = bar();
    let shown = bar.clone();
    let working = tokio::task::spawn_blocking(move || work(&mut |progress| show(&shown, progress)));
    let outcome = working.await?;
    bar.finish_and_clear();
    Ok(outcome?)
}

/// A bar on standard error, or nothing where that is no terminal.
pub(super) fn bar() -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_message(match progress.phase {
        Phase::File => "checking the file",
        Phase::Events => "events",
        Phase::Streams => "streams",
        Phase::Lines => "checking lines",
        Phase::Copying => "copying the file",
    });
    bar.set_length(progress.total);
    bar.set_position(progress.done);
}
