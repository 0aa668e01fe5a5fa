//! How many seconds of the processors somebody has had.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use anyhow::Context as _;

/// Linux counts in hundredths of a second, whatever its clock does.
const TICKS: f64 = 100.0;

/// Seconds of the processors in each phase of something.
#[derive(Debug, Clone)]
pub(super) struct Processors {
    postgres: i32,
    since: Instant,
    before: Spent,
    pub(super) laps: Vec<Lap>,
}

/// What a phase has taken.
#[derive(Debug, Clone)]
pub(super) struct Lap {
    pub(super) name: String,
    pub(super) seconds: f64,
    pub(super) spent: Spent,
}

/// Seconds of the processors.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    /// Of the process that tells about itself.
    pub(super) other: f64,
    /// Of our own process, which serves the event store.
    pub(super) own: f64,
    /// Of all of Postgres.
    pub(super) postgres: f64,
}

impl Processors {
    /// Counts from now on.
    pub(super) fn of(postgres: i32) -> Self {
        let mut new =
            Self { postgres, since: Instant::now(), before: Spent::default(), laps: vec![] };
        new.start();
        new
    }

    pub(super) fn start(&mut self) {
        self.since = Instant::now();
        self.before = self.so_far(0.0);
    }

    /// The phase `name` has ended, and the process that tells about itself has had `other` seconds.
    pub(super) fn lap_of(&mut self, name: &str, other: f64) {
        let (now, before) = (self.so_far(other), self.before);
        self.laps.push(Lap {
            name: name.to_owned(),
            seconds: self.since.elapsed().as_secs_f64(),
            spent: Spent {
                other: now.other - before.other,
                own: now.own - before.own,
                postgres: now.postgres - before.postgres,
            },
        });
        self.since = Instant::now();
        self.before = now;
    }

    fn so_far(&self, other: f64) -> Spent {
        Spent {
            other,
            own: own().unwrap_or_default(),
            postgres: tree(self.postgres).unwrap_or_default(),
        }
    }
}

/// Seconds of this process, all threads together.
pub(super) fn own() -> anyhow::Result<f64> {
    let stat = Stat::read("self").context("nothing is known about this process")?;
    Ok(stat.alive)
}

/// Seconds of a process and all that come from it, those that have ended included.
fn tree(root: i32) -> anyhow::Result<f64> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let Ok(pid) = name.parse::<i32>() else { continue };
        if let Some(stat) = Stat::read(&name) {
            all.insert(pid, stat);
        }
    }
    let is_below = |mut pid: i32| {
        while let Some(stat) = all.get(&pid) {
            if pid == root {
                return true;
            }
            pid = stat.parent;
        }
        false
    };
    Ok(all.iter().filter(|(pid, _)| is_below(**pid)).map(|(_, it)| it.alive + it.ended).sum())
}

struct Stat {
    parent: i32,
    alive: f64,
    /// Of children that have ended.
    ended: f64,
}

impl Stat {
    fn read(pid: &str) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may have anything in it, so fields are counted from its end.
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / TICKS);
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            alive: seconds(11)? + seconds(12)?,
            ended: seconds(13)? + seconds(14)?,
        })
    }
}
