//! `orderstore stock`: what is on which shelf, and what changes it, through the public API.

mod changing;
mod shelf;

use anyhow::Context as _;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use self::shelf::{Movement, STOCK_ROW, Shelf, say_locations, say_movements, say_stocks};
use crate::asking::{Asking, list, read};
use crate::output::say;

/// Stock, over the public API.
#[derive(Debug, clap::Args)]
pub(crate) struct Stock {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Receive(changing::Receive),
    Adjust(changing::Adjust),
    Set(changing::Set),
    Policy(changing::Policy),
}

/// Lists SKUs: how many units there are, set aside and available
#[derive(Debug, clap::Args)]
struct List {
    /// Only what runs short
    #[arg(long)]
    low: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    asking: Asking,
}

/// Shows a SKU: its locations, and the latest of what moved
#[derive(Debug, clap::Args)]
struct Show {
    /// Which SKU
    sku: String,
    /// How many movements, the latest first
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    movements: u8,
    #[command(flatten)]
    asking: Asking,
}

impl Stock {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Receive(receive) => receive.run().await,
            Command::Adjust(adjust) => adjust.run().await,
            Command::Set(set) => set.run().await,
            Command::Policy(policy) => policy.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let query = format!(
            "query($first: Int!, $after: String, $level: [StockLevel!]) {{ \
             it: stocks(first: $first, after: $after, level: $level) {{ \
             nodes {{ {STOCK_ROW} }} pageInfo {{ hasNextPage endCursor }} }} }}"
        );
        let level = self.low.then_some(["LOW", "OUT"]);
        let client = self.asking.client()?;
        let found = list(&client, &query, json!({ "level": level }), self.limit).await?;
        self.asking.print(found, |stocks: Vec<Shelf>| say_stocks(&stocks))
    }
}

#[derive(Deserialize)]
struct Found {
    stock: Option<serde_json::Value>,
    movements: Movements,
}

#[derive(Deserialize)]
struct Movements {
    nodes: Vec<serde_json::Value>,
}

impl Show {
    async fn run(self) -> anyhow::Result<()> {
        let Self { sku, movements, asking } = self;
        let query = format!(
            "query($sku: String!, $first: Int!) {{ \
             stock(sku: $sku) {{ {STOCK_ROW} locations {{ location onHand reserved free }} }} \
             movements: stockMovements(sku: $sku, first: $first) {{ nodes {{ recordedAt kind \
             location onHandDelta reservedDelta backorderedDelta orderId reason actor }} }} }}"
        );
        let client = asking.client()?;
        let variables = json!({ "sku": sku, "first": movements });
        let found: Found = client.run(&query, variables).await?;
        let unknown =
            || format!("{sku} was never received into stock; if it was just now, try again");
        let stock = found.stock.with_context(unknown)?;
        let movements = found.movements.nodes;
        if asking.json {
            say(json!({ "stock": stock, "movements": movements }));
            return Ok(());
        }
        let stock: Shelf = read(stock)?;
        say_stocks(std::slice::from_ref(&stock));
        say_locations(&stock);
        let movements = movements.into_iter().map(read);
        say_movements(&movements.collect::<anyhow::Result<Vec<Movement>>>()?);
        Ok(())
    }
}
