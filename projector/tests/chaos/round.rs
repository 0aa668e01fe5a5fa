//! Rounds: something is done, something happens, somebody dies.

use std::ops::AddAssign;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::errand::Errand;
use crate::lives::Dice;
use crate::process::{Part, Postgres, Process};
use crate::trade::trade;
use crate::verdict;
use crate::world::World;

/// After so many rounds everybody comes up again, and everything is compared.
const BETWEEN_VERDICTS: u32 = 16;

/// So much has happened before anybody dies.
const EVENTS_BEFORE: u64 = 800;

/// So much happens at most before somebody dies.
const MOST_EVENTS: u32 = 40;

/// What has come of many rounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rounds: u32,
    events: u64,
    kills: [u32; 4],
    errands_that_ended_well: u32,
    badly: u32,
    errands_killed: u32,
    promotions: u64,
    verdicts: u32,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.events += other.events;
        for (kills, more) in self.kills.iter_mut().zip(other.kills) {
            *kills += more;
        }
        self.errands_that_ended_well += other.errands_that_ended_well;
        self.badly += other.badly;
        self.errands_killed += other.errands_killed;
        self.promotions += other.promotions;
        self.verdicts += other.verdicts;
    }
}

/// A world in which people die.
pub(crate) struct Game {
    world: World,
    postgres: Postgres,
    store: Option<Process>,
    projectors: [Option<Process>; 2],
    errand: Option<(Errand, Process)>,
    trade: JoinHandle<()>,
    dice: Dice,
    tally: Tally,
    begun: Instant,
}

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Errand,
    Projector(usize),
    Postgres(Part),
    Store,
}

impl Game {
    pub(crate) async fn begin(seed: u32) -> Self {
        let world = World::open(seed);
        let postgres = Postgres::start(&world.postgres_folder()).await;
        let store = Some(world.start_store().await);
        let trade = tokio::spawn(trade(world.clone(), seed));
        Self {
            world,
            postgres,
            store,
            projectors: [None, None],
            errand: None,
            trade,
            dice: Dice::new(seed.into()),
            tally: Tally::default(),
            begun: Instant::now(),
        }
    }

    /// Plays some rounds, and then ends the world.
    pub(crate) async fn play(mut self, rounds: u32) -> Tally {
        self.world.allow(EVENTS_BEFORE);
        self.world.quiet().await;
        for round in 1..=rounds {
            self.round(round).await;
            if round % BETWEEN_VERDICTS == 0 || round == rounds {
                self.verdict().await;
            }
        }
        self.trade.abort();
        self.tally.events = self.world.appended();
        self.tally.promotions = verdict::promotions(&self.postgres.url).await;
        for process in self.projectors.iter_mut().chain([&mut self.store]).flatten() {
            process.kill().await;
        }
        self.postgres.stop().await;
        self.world.end();
        self.tally
    }

    async fn round(&mut self, number: u32) {
        self.tally.rounds += 1;
        self.revive(3).await;
        self.hear();
        if self.errand.is_none() && self.dice.roll(8) > 0 {
            let errand = Errand::of(&mut self.dice, self.world.orders(), &self.world.stuck());
            let process = self.world.start_errand(errand, &self.postgres).await;
            self.errand = Some((errand, process));
        }
        if self.dice.roll(4) == 0 && self.projectors.iter().any(Option::is_some) {
            let head = verdict::head(&self.world).await;
            verdict::live_is_at(&self.postgres.url, head).await;
        }
        self.moment().await;
        let victims = self.victims();
        let errand = self.errand.as_ref().map(|(errand, process)| (errand, process.said().last));
        println!(
            "  round {number} ({:.1} s): {errand:?}, at {}: {victims:?}",
            self.begun.elapsed().as_secs_f64(),
            self.world.appended()
        );
        for victim in victims {
            self.kill(victim).await;
        }
        if self.store.is_some() {
            let then = self.world.allow(self.dice.roll(10).into());
            self.world.happened(then).await;
        }
    }

    /// Starts those again who are dead; a projector only most of the time, if at all.
    async fn revive(&mut self, out_of_four: u32) {
        self.postgres.revive().await;
        if self.store.is_none() {
            self.store = Some(self.world.start_store().await);
        }
        for (at, name) in ["a", "b"].into_iter().enumerate() {
            if self.projectors[at].is_none() && self.dice.roll(4) < out_of_four {
                let projector = self.world.start_projector(name, &self.postgres).await;
                self.projectors[at] = Some(projector);
            }
        }
    }

    /// Whether somebody has died or complained whom nobody has killed, and how an errand has ended.
    fn hear(&mut self) {
        for process in self.projectors.iter_mut().chain([&mut self.store]).flatten() {
            let said = process.said();
            let complaint = said.complaint.is_some() || process.has_ended();
            assert!(!complaint, "{said:?}, see {}", process.log.display());
        }
        let Some((errand, process)) = &mut self.errand else { return };
        let said = process.said();
        let log = process.log.display();
        assert_eq!(said.complaint, None, "{errand}, see {log}");
        let Some(ended) = said.ended else {
            assert!(!said.silent, "{errand} has died of itself, see {log}");
            return;
        };
        println!("  {errand} ended {}", ended.chars().take(300).collect::<String>());
        if ended.starts_with("well") {
            self.tally.errands_that_ended_well += 1;
        } else {
            self.tally.badly += 1;
        }
        self.errand = None;
    }

    /// Waits for the moment to die.
    async fn moment(&mut self) {
        if let Some((errand, process)) = &mut self.errand
            && errand.is_rebuild()
            && self.dice.roll(3) > 0
        {
            let wanted = self.dice.roll(12);
            // The rest of the time is that of the trade below.
            self.world.allow(MOST_EVENTS.into());
            process.until(|said| said.silent || depth_of(&said.last) >= wanted).await;
            return;
        }
        let then = self.world.allow(self.dice.roll(MOST_EVENTS).into());
        self.world.happened(then).await;
    }

    fn victims(&mut self) -> Vec<Victim> {
        use Victim::{Errand, Projector, Store};
        let one = Projector(self.dice.roll(2) as usize);
        let both = [Projector(0), Projector(1)];
        let postgres = Victim::Postgres(match self.dice.roll(5) {
            0..=2 => Part::Everything,
            3 => Part::Postmaster,
            _ => Part::Backend(self.dice.roll(100)),
        });
        // Where there is no errand, nobody would die.
        let first = if self.errand.is_some() { 0 } else { 3 };
        match first + self.dice.roll(16 - first) {
            0..=2 => vec![Errand],
            3..=4 => vec![one],
            5 => both.to_vec(),
            6..=9 => vec![postgres],
            10..=11 => vec![Store],
            12 => vec![Errand, one],
            13 => vec![Errand, postgres],
            14 => vec![Store, postgres],
            _ => vec![postgres, Store, both[0], both[1], Errand],
        }
    }

    async fn kill(&mut self, victim: Victim) {
        let (process, kind) = match victim {
            Victim::Errand => {
                self.hear();
                let errand = self.errand.take();
                self.tally.errands_killed += u32::from(errand.is_some());
                (errand.map(|(_, process)| process), 0)
            }
            Victim::Projector(at) => (self.projectors[at].take(), 1),
            Victim::Postgres(part) => {
                self.postgres.kill(part).await;
                (None, 2)
            }
            Victim::Store => (self.store.take(), 3),
        };
        if let Some(mut process) = process {
            process.kill().await;
            self.tally.kills[kind] += 1;
        } else if matches!(victim, Victim::Postgres(_)) {
            self.tally.kills[kind] += 1;
        }
    }

    /// Everybody comes up again and does what is left to do. Then everything is compared.
    async fn verdict(&mut self) {
        self.revive(4).await;
        if let Some((errand, process)) = &mut self.errand {
            let said = process.until(|said| said.ended.is_some() || said.silent).await;
            assert!(said.ended.is_some(), "{errand} has died of itself: {}", process.log.display());
        }
        self.hear();
        self.world.quiet().await;
        let alive: Vec<i64> =
            self.projectors.iter().flatten().filter_map(|it| Some(it.id()?.into())).collect();
        verdict::pass(&self.world, &self.postgres.url, &alive).await;
        println!("  well ({:.1} s)", self.begun.elapsed().as_secs_f64());
        self.hear();
        self.tally.verdicts += 1;
    }
}

/// How far a rebuild is that has said this.
fn depth_of(said: &str) -> u32 {
    let words: Vec<&str> = said.split(' ').collect();
    match words[..] {
        ["phase", "Scan", _] => 1,
        ["phase", "Fold", done] => 2 + done.parse::<u32>().unwrap(),
        ["phase", "Finish", _] => 9,
        ["phase", "CatchUp", _] => 10,
        ["phase", _, _] | ["ended", ..] => 12,
        _ => 0,
    }
}
