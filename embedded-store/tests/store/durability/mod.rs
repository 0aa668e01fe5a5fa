//! What the store promises about the disk, put to the test: kills at any moment, loss of power, a
//! disk that fails, a disk that is full, and files that were damaged.
//!
//! `faulty_disk.c` is the disk, `disk` controls it, `simulation` knows what it would hold after a
//! loss of power, `victim` is the server that suffers, `ledger` knows what was sent and what was
//! answered and compares it with what is there. Everything random
//! comes from a seed that a failing test prints; `STORE_TEST_SEED` repeats it, and
//! `STORE_TEST_ROUNDS` multiplies the rounds for a longer run.

mod damage;
mod disk;
mod failing_disk;
mod full_disk;
mod kill;
mod ledger;
mod power_loss;
mod simulation;
mod startup;
mod store;
mod victim;

use std::str::FromStr;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The source of everything random in a test. The seed is in the output of a test that fails.
fn random(test: &str) -> StdRng {
    let seed = setting("STORE_TEST_SEED").unwrap_or_else(|| rand::rng().random());
    println!("{test}: STORE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// So many rounds, or more if a longer run is asked for.
fn rounds(usual: u32) -> u32 {
    usual * setting("STORE_TEST_ROUNDS").unwrap_or(1)
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var_os(name)?.into_string().ok()?.parse().ok()
}
