//! `orderstore stock receive`, `adjust`, `set` and `policy`: what people do to the stock of a SKU.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::shelf::{STOCK_ROW, Shelf, say_stocks};
use crate::asking::{Changing, fields};
use crate::wording::{ADJUST_REASON, STOCK_POLICY, one_of};

/// Where.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct At {
    /// Where: a warehouse, a shop. Default: main
    #[arg(long)]
    location: Option<String>,
}

/// Takes in goods that came; what orders await is set aside for them, oldest first
#[derive(Debug, clap::Args)]
pub(super) struct Receive {
    /// Which SKU; one that was never there before is there from now on
    sku: String,
    /// How many units came
    quantity: u32,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    changing: Changing,
}

/// Corrects what is on hand, up or down
#[derive(Debug, clap::Args)]
pub(super) struct Adjust {
    /// Which SKU
    sku: String,
    /// How many units more, such as 3, or less, such as -3
    #[arg(allow_negative_numbers = true)]
    delta: i32,
    /// Why
    #[arg(long, value_parser = one_of(&ADJUST_REASON))]
    reason: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    changing: Changing,
}

/// Takes over what was counted, unless something moved since
#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// Which SKU
    sku: String,
    /// How many units were counted there, set aside for orders or not
    quantity: u32,
    /// How many units the books said were on hand there when it was counted. If it is another number
    /// now, nothing is changed
    #[arg(long, value_name = "M")]
    from: u32,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    changing: Changing,
}

/// Says what happens when more of a SKU is wanted than there is
///
/// Nobody counts it (untracked), it is refused (deny), or it is promised (backorder).
#[derive(Debug, clap::Args)]
pub(super) struct Policy {
    /// Which SKU
    sku: String,
    /// What happens
    #[arg(value_name = "POLICY", value_parser = one_of(&STOCK_POLICY))]
    when_short: String,
    /// Warn when so many units, or fewer, are available. Default: never
    #[arg(long, value_name = "N")]
    low_at: Option<u32>,
    #[command(flatten)]
    changing: Changing,
}

#[derive(Deserialize)]
struct OfOne {
    stock: Shelf,
}

#[derive(Deserialize)]
struct OfSome {
    stocks: Vec<Shelf>,
}

impl Receive {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let items = json!([{ "sku": self.sku, "quantity": self.quantity }]);
        let input = fields([("location", json!(self.at.location)), ("items", items)]);
        let change = self.changing.begin()?;
        let wanted = format!("stocks {{ {STOCK_ROW} }}");
        let payload = change.run("stockReceive", &wanted, input).await?;
        change.print(payload, |OfSome { stocks }| say_stocks(&stocks))
    }
}

impl Adjust {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let input = fields([
            ("sku", json!(self.sku)),
            ("location", json!(self.at.location)),
            ("delta", json!(self.delta)),
            ("reason", json!(self.reason)),
        ]);
        change_one(&self.changing, "stockAdjust", input).await
    }
}

impl Set {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let input = fields([
            ("sku", json!(self.sku)),
            ("location", json!(self.at.location)),
            ("quantity", json!(self.quantity)),
            ("changeFromQuantity", json!(self.from)),
        ]);
        change_one(&self.changing, "stockSet", input).await
    }
}

impl Policy {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let input = fields([
            ("sku", json!(self.sku)),
            ("policy", json!(self.when_short)),
            ("lowStockAt", json!(self.low_at)),
        ]);
        change_one(&self.changing, "stockPolicySet", input).await
    }
}

async fn change_one(
    changing: &Changing,
    field: &str,
    input: Map<String, Value>,
) -> anyhow::Result<()> {
    let change = changing.begin()?;
    let payload = change.run(field, &format!("stock {{ {STOCK_ROW} }}"), input).await?;
    change.print(payload, |OfOne { stock }| say_stocks(std::slice::from_ref(&stock)))
}
