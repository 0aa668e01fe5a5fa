//! Where log lines go: to standard error, for people or for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoUtc;

use crate::output::AboveTheBar;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// A sentence and its fields
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// Starts logging. A filter that cannot be read means `warn`, and says so.
pub(crate) fn start(filter: &str, format: Format) {
    // `journal` says what is wrong with the connection; its client would say it again every time.
    let quiet = format!("eventstore=off,{filter}");
    let (filter, problem) = match EnvFilter::try_new(quiet) {
        Ok(filter) => (filter, None),
        Err(problem) => (EnvFilter::new("eventstore=off,warn"), Some(problem)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(ChronoUtc::rfc_3339())
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(|| AboveTheBar);
    match format {
        Format::Text => builder.init(),
        Format::Json => builder.json().init(),
    }
    if let Some(problem) = problem {
        tracing::warn!(%problem, "the log filter cannot be read, so warnings are logged");
    }
}
