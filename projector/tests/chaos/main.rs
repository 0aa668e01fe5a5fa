//! Everybody who takes part in a read model is killed, again and again, under trade: projectors, a
//! rebuild and whoever else intervenes, Postgres, the event store. Whatever dies when, the tables
//! are a fold of the streams.
//!
//! In reading order: a `world` of processes that can be killed (`process`; what they do, in `role`
//! and `errand`), what is traded in it meanwhile (`trade`), one `round` of killing, and what has to
//! hold afterwards (`verdict`).
//!
//! `ORDERSTORE_CHAOS_ROUNDS` and `ORDERSTORE_CHAOS_SEED` choose how many rounds are played, and
//! which. A seed decides what is done, who dies, and after how much trade; not at which instruction.

#![expect(clippy::unwrap_used, reason = "a panic here fails the test that called, as it should")]

#[path = "../projector/history.rs"]
mod history;
#[path = "../projector/lives.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod lives;

mod errand;
mod process;
mod role;
mod round;
mod trade;
mod verdict;
mod world;

use crate::round::Game;

/// So many rounds are played if nobody says otherwise …
const ROUNDS: u32 = 64;
/// … so many in each world …
const ROUNDS_OF_A_WORLD: u32 = 32;
/// … with this seed.
const SEED: u32 = 1;

fn chosen(name: &str, otherwise: u32) -> u32 {
    let chosen = std::env::var_os(name);
    chosen.map_or(otherwise, |text| text.to_str().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_whenever_the_tables_are_a_fold_of_the_streams() {
    let mut left = chosen("ORDERSTORE_CHAOS_ROUNDS", ROUNDS);
    let first = chosen("ORDERSTORE_CHAOS_SEED", SEED);
    let mut tally = round::Tally::default();
    for seed in first.. {
        let rounds = left.min(ROUNDS_OF_A_WORLD);
        if rounds == 0 {
            break;
        }
        println!("{rounds} rounds, ORDERSTORE_CHAOS_SEED={seed}");
        tally += Game::begin(seed).await.play(rounds).await;
        left -= rounds;
    }
    println!("{tally:?}");
}
