//! `orderstore projections verify`: streams are folded again and compared with their rows.

use std::process::ExitCode;
use std::time::Duration;

use projector::{ProjectionName, Sample, VerifyOptions, VerifyProgress};
use tokio::sync::watch;

use super::not_well;
use super::share::Share;
use super::shown::Counted;
use super::stores::Stores;
use crate::output::say;

/// Folds streams again from the log and compares the rows, while everything goes on. Ends with 0
/// when nothing has drifted, 2 when something has (or had, with `--heal`), 1 when it could not look
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Which; all projections if none is named
    projections: Vec<ProjectionName>,
    /// How many of the streams, such as 1%
    #[arg(long, value_name = "SHARE", default_value = "1%", conflicts_with = "all")]
    sample: Share,
    /// All streams of the log, all rows, and all sums
    #[arg(long)]
    all: bool,
    /// Which streams are in the sample: the same ones for the same number. Default: others each time
    #[arg(long, value_name = "NUMBER")]
    seed: Option<i64>,
    /// Folds what has drifted again, into all generations
    #[arg(long)]
    heal: bool,
    /// A pause after each few hundred streams
    #[arg(long, value_name = "MS", default_value_t = 0)]
    rest: u64,
    /// One JSON object per projection
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

impl Verify {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (database, journal) = self.stores.open()?;
        let names = match self.projections.as_slice() {
            [] => &ProjectionName::ALL[..],
            names => names,
        };
        let (progress, news) = watch::channel(VerifyProgress::default());
        let seed = journal.clock().now().timestamp_micros();
        let options = VerifyOptions {
            sample: if self.all { Sample::All } else { Sample::Share(self.sample.of_one()) },
            heal: self.heal,
            seed: self.seed.unwrap_or(seed),
            rest: Duration::from_millis(self.rest),
            progress: Some(progress),
            ..VerifyOptions::default()
        };
        let shown = Counted::new(self.json);
        let verifying = projector::verify(&database, journal, names, options);
        let verified = tokio::select! {
            verified = verifying => verified,
            never = follow(&shown, news) => match never {},
        };
        shown.end();
        let all = verified?;
        for one in &all {
            if self.json {
                say(serde_json::to_value(one)?);
            } else {
                say(one.to_string().trim_end());
            }
        }
        let clean = all.iter().all(projector::Verification::is_clean);
        if !clean && !self.heal && !self.json {
            say("To fold what has drifted again: the same with --heal.");
        }
        Ok(if clean { ExitCode::SUCCESS } else { not_well() })
    }
}

async fn follow(
    shown: &Counted,
    mut news: watch::Receiver<VerifyProgress>,
) -> std::convert::Infallible {
    loop {
        if news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let VerifyProgress { projection, streams, of, drifted } = *news.borrow_and_update();
        let name = projection.map_or("", ProjectionName::as_str);
        shown.show(streams, of, format!("{name}: {streams} streams, {drifted} drifted"));
    }
}
