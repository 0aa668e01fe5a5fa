//! What people do about read models while everything around them dies.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use domain::ids::PaymentId;
use domain::payment::Payment;
use journal::Journal;
use projector::quarantine::{self, Skip, Which};
use projector::{
    Error, GenerationState, ProjectionName, PromoteOptions, Rebuild, RebuildOptions,
    RollbackOptions, Sample, Verification, VerifyOptions, drop_generation, promote, rebuild_stream,
    rollback, verify,
};
use schemas::{StreamName, stream_of};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::history::{order_id, order_stream};
use crate::lives::Dice;
use crate::role::{options, say};

/// An errand, done in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// A rebuild of one projection, or of all.
    Rebuild {
        which: Option<ProjectionName>,
        promote: bool,
        anew: bool,
    },
    Promote(ProjectionName),
    Rollback(ProjectionName),
    /// Every stream that waits is tried again.
    Retry,
    /// An order that waits is let go on after the event with which it is stuck.
    Skip(u32),
    /// … or is stuck again.
    Unskip(u32),
    /// All rows are looked at, and must be right.
    Verify,
    /// A row is spoilt; then all rows are looked at, and put right.
    Heal,
    /// Rebuilds stand still until somebody resumes them.
    Pause,
    Resume,
    /// A generation that readers do not see is dropped.
    Drop(ProjectionName),
    /// An order is folded again.
    RebuildStream(u32),
}

/// Where poison is put.
pub(crate) const STUCK_AT: u64 = 1;

/// The order whose payment is spoilt: the first one that is paid.
const SPOILT: u32 = 100_000;

/// The stream whose row is spoilt.
pub(crate) fn spoilt() -> StreamName {
    stream_of::<Payment>(&PaymentId::of(order_id(SPOILT)))
}

fn name(dice: &mut Dice) -> ProjectionName {
    ProjectionName::ALL[dice.roll(6) as usize]
}

impl Errand {
    /// Something to do, where `orders` have been placed and `stuck` ones were poisoned.
    pub(crate) fn of(dice: &mut Dice, orders: u32, stuck: &[u32]) -> Self {
        let one = |dice: &mut Dice| stuck[dice.roll(u32::try_from(stuck.len()).unwrap()) as usize];
        match dice.roll(24) {
            0..=9 => Self::Rebuild {
                which: (dice.roll(3) == 0).then(|| name(dice)),
                promote: dice.roll(6) > 0,
                anew: dice.roll(4) == 0,
            },
            10 => Self::Promote(name(dice)),
            11..=13 => Self::Rollback(name(dice)),
            14 => Self::Retry,
            15 if !stuck.is_empty() => Self::Skip(one(dice)),
            16 if !stuck.is_empty() => Self::Unskip(one(dice)),
            15..=17 => Self::Verify,
            18 | 19 => Self::Heal,
            20 => Self::Pause,
            21 => Self::Resume,
            22 => Self::Drop(name(dice)),
            _ => Self::RebuildStream(dice.roll(orders.max(1))),
        }
    }

    /// Whether the phases of a rebuild can be waited for.
    pub(crate) const fn is_rebuild(self) -> bool {
        matches!(self, Self::Rebuild { .. })
    }

    /// Does it. What came of it, in a line.
    pub(crate) async fn run(self, database_url: &str, journal: Journal) -> String {
        match self.try_run(database_url, journal).await {
            Ok(came) => format!("well: {came}"),
            // With somebody dead, nearly everything may be refused.
            Err(error) => format!("badly: {error:?}"),
        }
        .replace('\n', " ")
    }

    async fn try_run(self, url: &str, journal: Journal) -> Result<String, Error> {
        match self {
            Self::Rebuild { which, promote, anew } => {
                let names = which.map_or(ProjectionName::ALL.to_vec(), |one| vec![one]);
                rebuild(url, journal, &names, promote, anew).await
            }
            Self::Promote(name) => {
                let options = PromoteOptions { max_differing: Some(0) };
                promote(url, &journal, name, options).await.map(|it| format!("{it:?}"))
            }
            Self::Rollback(name) => {
                let options = RollbackOptions::default();
                rollback(url, &journal, name, options).await.map(|it| format!("{it:?}"))
            }
            Self::Retry => {
                quarantine::retry(url, &journal, &Which::All).await.map(|it| format!("{it:?}"))
            }
            Self::Skip(number) => {
                let (actor, reason) = ("ann".to_owned(), "chaos".to_owned());
                let skip = Skip { revision: STUCK_AT, actor, reason };
                let (name, stream) = (ProjectionName::Orders, order_stream(number));
                let skipped = quarantine::skip(url, &journal, name, &stream, skip).await;
                skipped.map(|it| format!("{it:?}"))
            }
            Self::Unskip(number) => {
                let (name, stream) = (ProjectionName::Orders, order_stream(number));
                let back = quarantine::unskip(url, &journal, name, &stream).await;
                back.map(|it| format!("{it:?}"))
            }
            Self::Pause => projector::pause(url, &[]).await.map(|it| format!("{it:?}")),
            Self::Resume => projector::resume(url, &[]).await.map(|it| format!("{it:?}")),
            Self::Drop(name) => drop_one(url, &journal, name).await,
            Self::Verify | Self::Heal => {
                let heal = self == Self::Heal;
                if heal {
                    spoil(url).await?;
                }
                let options =
                    VerifyOptions { sample: Sample::All, heal, ..VerifyOptions::default() };
                let all = verify(url, journal, &ProjectionName::ALL, options).await?;
                for one in all.iter().filter(|one| is_wrong(one)) {
                    say(&format!("drifted {}", format!("{one:?}").replace('\n', " ")));
                }
                Ok("verified".to_owned())
            }
            Self::RebuildStream(number) => {
                let stream = order_stream(number);
                rebuild_stream(url, journal, &stream).await.map(|it| format!("{it:?}"))
            }
        }
    }
}

/// Whether something is wrong that nobody has spoilt.
fn is_wrong(one: &Verification) -> bool {
    let spoilt = spoilt().to_string();
    let by_us = one.drifts.iter().filter(|drift| drift.stream == spoilt).count() as u64;
    one.drifted > by_us || one.sums_differing() > 0
}

/// Changes a row that readers see behind everybody's back.
async fn spoil(url: &str) -> Result<(), Error> {
    const LIVE: &str = "select 'payments_g' || generation from orderstore.projections \
         where name = 'payments' and state = 'live'";
    let spoil = async {
        let mut connection = PgConnection::connect(url).await?;
        let schema: String = sqlx::query_scalar(LIVE).fetch_one(&mut connection).await?;
        let spoil = format!("update {schema}.payments set updated_at = now() where id = $1");
        let spoil = sqlx::query(AssertSqlSafe(spoil)).bind(PaymentId::of(order_id(SPOILT)).0);
        spoil.execute(&mut connection).await?;
        connection.close().await
    };
    spoil.await.map_err(Error::from)
}

async fn drop_one(url: &str, journal: &Journal, name: ProjectionName) -> Result<String, Error> {
    let all = projector::status(url, journal).await?;
    let unseen = all.iter().find(|it| it.projection == name && it.state != GenerationState::Live);
    let Some(unseen) = unseen else { return Ok("nothing to drop".to_owned()) };
    let dropped = drop_generation(url, name, unseen.generation).await;
    dropped.map(|it| format!("{} {it:?}", unseen.generation))
}

async fn rebuild(
    url: &str,
    journal: Journal,
    names: &[ProjectionName],
    promote: bool,
    restart: bool,
) -> Result<String, Error> {
    let options = RebuildOptions {
        // So little that events go to the disk.
        memory_bytes: 1_100_000,
        partitions: Some(6),
        folders: Some(2),
        threshold: Some(0),
        promote,
        restart,
        ..RebuildOptions::from(options("rebuild"))
    };
    let rebuild = Rebuild::start(url, journal, names, options).await?;
    let mut last = String::new();
    while !rebuild.is_finished() {
        let progress = rebuild.progress();
        let now = format!("phase {:?} {}", progress.phase, progress.partitions_done);
        if now != last {
            say(&now);
            last = now;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let done = rebuild.finish().await?;
    let gaps: u64 = done.projections.iter().map(|it| it.gaps_healed).sum();
    if gaps > 0 {
        say(&format!("drifted gaps {gaps}"));
    }
    Ok(format!("{:?}", done.projections))
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rebuild { which, promote, anew } => {
                let which = which.map_or("all".to_owned(), |name| name.to_string());
                write!(f, "rebuild {which} {promote} {anew}")
            }
            Self::Promote(name) => write!(f, "promote {name}"),
            Self::Rollback(name) => write!(f, "rollback {name}"),
            Self::Retry => f.write_str("retry"),
            Self::Skip(number) => write!(f, "skip {number}"),
            Self::Unskip(number) => write!(f, "unskip {number}"),
            Self::Verify => f.write_str("verify"),
            Self::Heal => f.write_str("heal"),
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Drop(name) => write!(f, "drop {name}"),
            Self::RebuildStream(number) => write!(f, "rebuild-stream {number}"),
        }
    }
}

impl FromStr for Errand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        Ok(match words[..] {
            ["rebuild", which, promote, anew] => Self::Rebuild {
                which: which.parse().ok(),
                promote: promote == "true",
                anew: anew == "true",
            },
            ["promote", name] => Self::Promote(name.parse().map_err(|_| text)?),
            ["rollback", name] => Self::Rollback(name.parse().map_err(|_| text)?),
            ["retry"] => Self::Retry,
            ["skip", number] => Self::Skip(number.parse().map_err(|_| text)?),
            ["unskip", number] => Self::Unskip(number.parse().map_err(|_| text)?),
            ["verify"] => Self::Verify,
            ["heal"] => Self::Heal,
            ["pause"] => Self::Pause,
            ["resume"] => Self::Resume,
            ["drop", name] => Self::Drop(name.parse().map_err(|_| text)?),
            ["rebuild-stream", number] => Self::RebuildStream(number.parse().map_err(|_| text)?),
            _ => return Err(text.to_owned()),
        })
    }
}
