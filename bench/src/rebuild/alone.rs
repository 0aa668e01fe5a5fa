//! A rebuild in a process of its own, so that its memory and its share of the processors are counted
//! alone. The job comes in, and what came of it goes out, as lines of JSON.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use journal::{Journal, SystemClock};
use projector::{Phase, ProjectionName, Rebuild, RebuildOptions};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::sleep;

use super::processors;

/// How often it is looked what a rebuild is at.
const LOOK: Duration = Duration::from_millis(20);

/// What is to be rebuilt: everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) event_store: String,
    pub(super) database: String,
    pub(super) spill: PathBuf,
    pub(super) promote: bool,
    pub(super) gentle: bool,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rebuilt {
    pub(super) events: u64,
    pub(super) rows: u64,
    pub(super) row_bytes: u64,
    pub(super) spilled_bytes: u64,
    pub(super) seconds: f64,
    pub(super) phases: Vec<(String, f64)>,
    pub(super) peak_rss_bytes: u64,
    pub(super) promoted: bool,
    pub(super) refusals: Vec<String>,
}

impl Rebuilt {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(super) fn events_per_second(&self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// What a rebuilding process tells.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// It has entered this phase, and has had so many seconds of the processors.
    Entered(String, f64),
    Done(Rebuilt, f64),
}

impl Job {
    pub(super) fn journal(&self) -> anyhow::Result<Journal> {
        let options = journal::Options::new(self.event_store.parse()?);
        Ok(Journal::connect(options, Arc::new(SystemClock))?)
    }

    /// Starts a process that does it.
    pub(super) fn start(&self) -> anyhow::Result<Running> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("rebuild-alone")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let told = process.stdout.take().context("no way to hear the process")?;
        Ok(Running { job: self.clone(), process, told: BufReader::new(told).lines() })
    }
}

/// A process that rebuilds.
pub(super) struct Running {
    job: Job,
    process: Child,
    told: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Waits for its end, and calls `after` with the seconds of the processors it has had so far,
    /// and what is behind it.
    pub(super) async fn finish(
        mut self,
        mut after: impl FnMut(f64, &str),
    ) -> anyhow::Result<Rebuilt> {
        let mut job = serde_json::to_string(&self.job)?;
        job.push('\n');
        let mut ear = self.process.stdin.take().context("no way to tell the process")?;
        ear.write_all(job.as_bytes()).await?;
        let mut phase = "start".to_owned();
        while let Some(line) = self.told.next_line().await? {
            match serde_json::from_str(&line).with_context(|| line.clone())? {
                Word::Entered(next, spent) => {
                    after(spent, &phase);
                    phase = next;
                }
                Word::Done(rebuilt, spent) => {
                    after(spent, &phase);
                    self.process.wait().await?;
                    return Ok(rebuilt);
                }
            }
        }
        bail!("the process that rebuilds has ended: {}", self.process.wait().await?)
    }
}

/// Does the job that comes in.
pub(crate) async fn run() -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    let job: Job = serde_json::from_str(&line)?;
    let options = RebuildOptions {
        spill_dir: job.spill.clone(),
        promote: job.promote,
        gentle: job.gentle,
        ..RebuildOptions::default()
    };
    if job.gentle {
        projector::let_others_go_first();
    }
    let start = Instant::now();
    let journal = job.journal()?;
    let rebuild = Rebuild::start(&job.database, journal, &ProjectionName::ALL, options).await?;
    let mut phase: Option<Phase> = None;
    while !rebuild.is_finished() {
        let now = rebuild.progress().phase;
        if phase != Some(now) {
            phase = Some(now);
            tell(&Word::Entered(now.to_string(), processors::own()?))?;
        }
        sleep(LOOK).await;
    }
    let built = rebuild.finish().await?;
    let seconds = start.elapsed().as_secs_f64();
    let progress = built.progress;
    let phases =
        progress.phases.iter().map(|(phase, took)| (phase.to_string(), took.as_secs_f64()));
    let done = Rebuilt {
        events: progress.events_folded,
        rows: progress.rows,
        row_bytes: progress.row_bytes,
        spilled_bytes: progress.spilled_bytes,
        seconds,
        phases: phases.collect(),
        peak_rss_bytes: progress.peak_rss_bytes,
        promoted: built.promoted,
        refusals: built.projections.into_iter().filter_map(|it| it.refusal).collect(),
    };
    tell(&Word::Done(done, processors::own()?))
}

fn tell(word: &Word) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(word)?);
    Ok(())
}
