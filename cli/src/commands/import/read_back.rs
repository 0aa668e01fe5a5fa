//! Reads back what was imported, document by document, and compares it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use domain::ids::Channel;
use domain::money::{Currency, Money};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::Client;

/// Nothing may stand still for so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// What was imported: documents by id, with what they sum up to in minor units.
#[derive(Debug, Default)]
pub(super) struct Imported {
    pub(super) orders: HashMap<String, i128>,
    pub(super) credit_notes: HashMap<String, i128>,
    /// When the first and the last order were placed.
    pub(super) placed: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// Reads through the public API.
pub(super) struct ReadBack<'a> {
    pub(super) client: &'a Client,
    pub(super) channel: &'a Channel,
    pub(super) currency: Currency,
}

const ORDERS: &str = "query($after: String, $where: OrderWhere) { \
    it: orders(first: 100, after: $after, where: $where) { \
    nodes { id status total { amount } } pageInfo { hasNextPage endCursor } } }";

const CREDIT_NOTES: &str = "query($after: String) { it: creditNotes(first: 100, after: $after) { \
    nodes { id total { amount } } pageInfo { hasNextPage endCursor } } }";

impl ReadBack<'_> {
    /// Waits until every imported order has reached its end, and every total is what it was.
    pub(super) async fn compare(
        &self,
        imported: &Imported,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let filter = json!({ "where": {
            "channel": self.channel.as_str(),
            "placedAt": imported.placed.map(|(first, last)| json!({ "gte": first, "lte": last })),
        } });
        let delivered = |node: &Value| node["status"] == "COMPLETED";
        self.find_all(ORDERS, &filter, &imported.orders, delivered, bar).await.context("orders")?;
        let any = |_: &Value| true;
        self.find_all(CREDIT_NOTES, &json!({}), &imported.credit_notes, any, bar)
            .await
            .context("credit notes")
    }

    /// Looks again and again until all `expected` documents are there and settled.
    async fn find_all(
        &self,
        query: &str,
        variables: &Value,
        expected: &HashMap<String, i128>,
        is_settled: impl Fn(&Value) -> bool,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let (mut settled, mut since) = (0, Instant::now());
        while settled < expected.len() {
            let found = self.settled(query, variables, expected, &is_settled).await?;
            if found != settled {
                (settled, since) = (found, Instant::now());
                bar.set_position(settled as u64);
            }
            let of = expected.len();
            ensure!(
                since.elapsed() < PATIENCE,
                "{settled} of {of} reached their end, then nothing moved"
            );
            if settled < of {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// How many of the `expected` documents are settled; fails if one has another total.
    async fn settled(
        &self,
        query: &str,
        variables: &Value,
        expected: &HashMap<String, i128>,
        is_settled: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<usize> {
        let (mut settled, mut variables) = (0, variables.clone());
        loop {
            let page: Value = self.client.run(query, variables.clone()).await?;
            let nodes = page.pointer("/it/nodes").and_then(Value::as_array).context("no page")?;
            for node in nodes {
                let id = node["id"].as_str().context("no id")?;
                let Some(&total) = expected.get(id) else { continue };
                let shown = node.pointer("/total/amount").and_then(Value::as_str).unwrap_or("");
                if i128::from(Money::parse(shown, self.currency)?.minor) != total {
                    bail!("{id} was imported with another total than the {shown} it shows");
                }
                settled += usize::from(is_settled(node));
            }
            if page.pointer("/it/pageInfo/hasNextPage") != Some(&Value::Bool(true)) {
                return Ok(settled);
            }
            variables["after"] = page["it"]["pageInfo"]["endCursor"].clone();
        }
    }
}
