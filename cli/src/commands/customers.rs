//! `orderstore customers`: what the orders of customers add up to, through the public API. Who a
//! customer is, is not shown.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use crate::asking::{Asking, find, list, read};
use crate::commands::orders::{Listed, ORDER_ROW, say_orders};
use crate::output::{say, say_table, table, to_the_right};
use crate::wording::{Money, time};

/// What a row of a table of customers needs.
const TOTALS: &str = "customer currencyCode orders cancelledOrders spent { amount currencyCode } \
    firstOrderAt lastOrderAt";

/// Customers, over the public API.
#[derive(Debug, clap::Args)]
pub(crate) struct Customers {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists customers, who ordered last first; one row per customer and currency
    List {
        /// At most so many rows
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        asking: Asking,
    },
    /// Shows what a customer's orders add up to, and the latest of them
    Show {
        /// The customer's id in the system that knows the person
        reference: String,
        #[command(flatten)]
        asking: Asking,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    customer: String,
    orders: u64,
    cancelled_orders: u64,
    spent: Money,
    first_order_at: DateTime<Utc>,
    last_order_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Customer {
    totals: Vec<Totals>,
    orders: Orders,
}

#[derive(Deserialize)]
struct Orders {
    nodes: Vec<Listed>,
}

impl Customers {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List { limit, asking } => list_all(&asking, limit).await,
            Command::Show { reference, asking } => show(&asking, &reference).await,
        }
    }
}

async fn list_all(asking: &Asking, limit: usize) -> anyhow::Result<()> {
    let query = format!(
        "query($first: Int!, $after: String) {{ it: customers(first: $first, after: $after) {{ \
         nodes {{ {TOTALS} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    let found = list(&asking.client()?, &query, json!({}), limit).await?;
    asking.print(found, |totals| say_totals(&totals))
}

async fn show(asking: &Asking, reference: &str) -> anyhow::Result<()> {
    let query = format!(
        "query($reference: String!) {{ it: customer(reference: $reference) {{ reference \
         totals {{ {TOTALS} }} orders(first: 20) {{ nodes {{ {ORDER_ROW} }} }} }} }}"
    );
    let found = find(&asking.client()?, &query, json!({ "reference": reference })).await?;
    let found = found.with_context(|| {
        format!("customer {reference} has no order; if it was placed just now, try again")
    })?;
    if asking.json {
        say(found);
        return Ok(());
    }
    let Customer { totals, orders } = read(found)?;
    say_totals(&totals);
    say("");
    say_orders(&orders.nodes);
    Ok(())
}

fn say_totals(all: &[Totals]) {
    let mut table =
        table(&["CUSTOMER", "ORDERS", "CANCELLED", "SPENT", "FIRST ORDER", "LATEST ORDER"]);
    for one in all {
        table.add_row([
            one.customer.clone(),
            one.orders.to_string(),
            one.cancelled_orders.to_string(),
            one.spent.to_string(),
            time(one.first_order_at),
            time(one.last_order_at),
        ]);
    }
    to_the_right(&mut table, 1..4);
    say_table(&table);
}
