//! Measures. Every figure is a ratio against a limit that is taken in the same run, in alternation,
//! because absolute figures of one machine say little on another, or an hour later.

mod buyer;
mod journey;
mod place;
mod stage;
mod store;

use clap::{Parser, Subcommand};

/// Measures, and prints ratios against limits taken in the same run.
#[derive(Debug, Parser)]
struct Bench {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Placing an order through GraphQL against a bare append through the same client
    Place,
    /// Orders from placed to delivered, many at once, against bare appends of as many events
    Journey,
    /// Durable appends of many writers against a bare log with as many fsyncs
    Appends,
    /// Reading `$all` through the client against a bare gRPC stream of the same messages
    Reads,
    Opening(store::Opening),
}

fn main() -> anyhow::Result<()> {
    let bench = Bench::parse();
    journal::prepare_tls()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match bench.what {
        Some(What::Place) => runtime.block_on(place::run()),
        Some(What::Journey) => runtime.block_on(journey::run()),
        Some(What::Appends) => runtime.block_on(store::appends()),
        Some(What::Reads) => runtime.block_on(store::reads()),
        Some(What::Opening(opening)) => runtime.block_on(store::opening(opening)),
        None => runtime.block_on(async {
            place::run().await?;
            journey::run().await?;
            store::appends().await?;
            store::reads().await
        }),
    }
}
