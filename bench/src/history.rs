//! A history: the log that a shop would have after a year, for benchmarks of whatever reads it.
//!
//! A year of a shop is played (`shop`): orders come in, more in the evening than at night, and go their
//! ways over days, so that the log holds them interleaved as they are in life. Every event is decided by
//! the domain's own rules (`log`) in the steps of the domain's own processes (`process`, `steps`,
//! `delivering`), under the ids and with the metadata that the API and the process managers would have
//! given it; only people, the payment gateway and the carrier are played (`open`, `placing`, `people`).
//! How much of it is written is a matter of `shape`; what becomes of how many orders, of `fate`. The same
//! parameters give the same log, byte for byte.
//!
//! The log is brought into the store by the store's own import (`folder`), which keeps the times of
//! events, and is faster than appends through the client can be: an append is one stream's, so that what
//! is interleaved would be very many small ones.

mod agenda;
mod catalogue;
mod chance;
mod delivering;
mod fate;
mod folder;
mod log;
mod open;
mod people;
mod placing;
mod process;
mod shape;
mod shop;
mod steps;
mod tally;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub(crate) use self::folder::{History, in_folder};
pub(crate) use self::shape::Shape;
pub(crate) use self::tally::Tally;

/// What a history is like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameters {
    /// Orders that come in within a year
    #[arg(long, default_value_t = 20_000)]
    pub(crate) orders: u64,
    /// How much of what a running system writes is written
    #[arg(long, value_enum, default_value_t = Shape::Lean)]
    pub(crate) shape: Shape,
    /// Different goods
    #[arg(long, default_value_t = 2_000)]
    pub(crate) skus: usize,
    /// Another number tells another history
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Writes the log that a shop would have after a year; keeps it if it is there already
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Writing {
    #[command(flatten)]
    parameters: Parameters,
    /// Folder of the history; the event store's own is `event-store` in it
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
}

pub(crate) fn run(writing: &Writing) -> anyhow::Result<()> {
    let start = Instant::now();
    let history = in_folder(&writing.parameters, &writing.dir)?;
    let took = start.elapsed().as_secs_f64();
    let size = history.size_on_disk()?;
    let tally = &history.tally;
    println!("{}", history.event_store.display());
    println!(
        "  {:>12} orders of {} customers and {} guests",
        tally.orders, tally.customers, tally.guests
    );
    println!("  {:>12} events in {} streams", tally.events, tally.streams);
    println!("  {:>12} bytes of data and metadata, {size} on disk", tally.bytes);
    println!(
        "  {:>12.1} events per order, {:.0} bytes of data and metadata per event, {:.0} on disk",
        per(tally.events, tally.orders),
        per(tally.bytes, tally.events),
        per(size, tally.events)
    );
    println!("  {}", serde_json::to_string(tally)?);
    if history.is_new {
        println!("  written in {took:.1} s, {:.0} events/s", rate(tally.events, took));
    } else {
        println!("  was there already");
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn per(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}
