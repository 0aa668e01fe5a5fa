//! Measures. Every figure is a ratio against a limit that is taken in the same run, in alternation,
//! because absolute figures of one machine say little on another, or an hour later.

mod buyer;
mod history;
mod journey;
mod live;
mod load;
mod place;
mod rebuild;
mod restart;
mod stage;
mod store;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// The one that the product has.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
    Restart(restart::Restart),
    History(history::Writing),
    Rebuild(rebuild::Rebuilding),
    Beside(rebuild::Beside),
    Live(live::Live),
    /// The rebuilding process of `rebuild` and `beside`
    #[command(hide = true)]
    RebuildAlone,
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
        Some(What::Restart(restart)) => runtime.block_on(restart::run(restart)),
        Some(What::History(writing)) => history::run(&writing),
        Some(What::Rebuild(rebuilding)) => runtime.block_on(rebuild::run(rebuilding)),
        Some(What::Beside(beside)) => runtime.block_on(rebuild::beside(beside)),
        Some(What::Live(live)) => runtime.block_on(live::run(live)),
        Some(What::RebuildAlone) => runtime.block_on(rebuild::alone()),
        None => runtime.block_on(async {
            place::run().await?;
            journey::run().await?;
            store::appends().await?;
            store::reads().await
        }),
    }
}
