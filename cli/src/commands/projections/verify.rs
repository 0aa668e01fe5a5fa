//! `orderstore projections verify`: streams are folded again and compared with their rows.

use std::process::ExitCode;
use std::time::Duration;

use journal::Journal;
use projector::{ProjectionName, Sample, Verification, VerifyOptions, VerifyProgress};
use tokio::sync::watch;

use super::not_well;
use super::share::{self, Share};
use super::shown::Counted;
use super::stores::Stores;
use crate::output::say;

/// Folds streams again from the log and compares the rows, while everything goes on. Ends with 0
/// when nothing has drifted, 2 when something has (or had, with `--heal`), 1 when one of them could not
/// be looked at or healed; the others are reported all the same
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Which; all projections if none is named
    projections: Vec<ProjectionName>,
    /// How many of the streams, such as 1%
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share::of_some,
          conflicts_with = "all")]
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
        let verifying = verify_each(&database, &journal, names, &options);
        let verified = tokio::select! {
            verified = verifying => verified,
            never = follow(&shown, news) => match never {},
        };
        shown.end();
        let (mut clean, mut failed) = (true, false);
        for (name, verified) in verified {
            match verified {
                Ok(one) => {
                    clean &= one.is_clean();
                    failed |= one.not_healed.is_some();
                    self.report(&one)?;
                }
                Err(error) => {
                    failed = true;
                    eprintln!("orderstore: {name}: {:#}", anyhow::Error::from(error));
                }
            }
        }
        if !clean && !self.heal && !self.json {
            say("To fold what has drifted again: the same with --heal.");
        }
        Ok(match (failed, clean) {
            (true, _) => ExitCode::FAILURE,
            (false, true) => ExitCode::SUCCESS,
            (false, false) => not_well(),
        })
    }

    fn report(&self, one: &Verification) -> anyhow::Result<()> {
        if self.json {
            say(serde_json::to_value(one)?);
        } else {
            say(one.to_string().trim_end());
        }
        Ok(())
    }
}

/// One that cannot be verified says nothing about the others.
async fn verify_each(
    database: &str,
    journal: &Journal,
    names: &[ProjectionName],
    options: &VerifyOptions,
) -> Vec<(ProjectionName, Result<Verification, projector::Error>)> {
    let mut all = vec![];
    for &name in names {
        let one = projector::verify_one(database, journal.clone(), name, options.clone()).await;
        all.push((name, one));
    }
    all
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
