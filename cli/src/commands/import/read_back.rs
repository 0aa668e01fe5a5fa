//! Reads back what was imported, document by document, and compares it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
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
    pub(super) orders: HashMap<String, Order>,
    pub(super) credit_notes: HashMap<String, i128>,
    /// When the first and the last order were placed.
    pub(super) placed: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// An order that was imported, in minor units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) total: i128,
    /// What of it was paid back.
    pub(super) refunded: i128,
}

/// Reads through the public API.
pub(super) struct ReadBack<'a> {
    pub(super) client: &'a Client,
    pub(super) channel: &'a Channel,
    pub(super) currency: Currency,
}

const ORDERS: &str = "query($after: String, $where: OrderWhere) { \
    it: orders(first: 100, after: $after, where: $where) { \
    nodes { id status total: originalTotal { amount } captured { amount } refunded { amount } \
    refunds { status } } pageInfo { hasNextPage endCursor } } }";

const CREDIT_NOTES: &str = "query($after: String) { it: creditNotes(first: 100, after: $after) { \
    nodes { id number channel total { amount } } pageInfo { hasNextPage endCursor } } }";

impl ReadBack<'_> {
    /// Waits until every imported order has been delivered, so that goods of it can come back.
    pub(super) async fn delivered(
        &self,
        imported: &Imported,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let is_there = |node: &Value, order: &Order| {
            self.must_be(node, "total", order.total)?;
            Ok(node["status"] == "COMPLETED")
        };
        let filter = self.orders_of(imported);
        self.find_all(ORDERS, &filter, &imported.orders, is_there, bar).await.context("orders")
    }

    /// Waits until every document shows what was imported: orders paid, and paid back.
    pub(super) async fn compare(
        &self,
        imported: &Imported,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let is_settled = |node: &Value, order: &Order| {
            self.must_be(node, "total", order.total)?;
            let refunds = node["refunds"].as_array().context("no refunds")?;
            Ok(node["status"] == "COMPLETED"
                && self.amount(node, "captured")? == order.total
                && self.amount(node, "refunded")? == order.refunded
                && refunds.iter().all(|refund| refund["status"] == "DONE"))
        };
        let filter = self.orders_of(imported);
        self.find_all(ORDERS, &filter, &imported.orders, is_settled, bar)
            .await
            .context("orders")?;
        let is_there = |node: &Value, total: &i128| {
            self.must_be(node, "total", *total)?;
            Ok(true)
        };
        self.find_all(CREDIT_NOTES, &json!({}), &imported.credit_notes, is_there, bar)
            .await
            .context("credit notes")
    }

    /// Credit notes that were issued on the channel before: what they come to, by number.
    pub(super) async fn issued(&self) -> anyhow::Result<HashMap<String, i128>> {
        let mut issued = HashMap::new();
        self.for_each(CREDIT_NOTES, &json!({}), |node| {
            if node["channel"] == self.channel.as_str() {
                let number = node["number"].as_str().context("no number")?;
                issued.insert(number.to_owned(), self.amount(node, "total")?);
            }
            Ok(())
        })
        .await
        .context("credit notes")?;
        Ok(issued)
    }

    fn orders_of(&self, imported: &Imported) -> Value {
        json!({ "where": {
            "channel": self.channel.as_str(),
            "placedAt": imported.placed.map(|(first, last)| json!({ "gte": first, "lte": last })),
        } })
    }

    fn must_be(&self, node: &Value, field: &str, expected: i128) -> anyhow::Result<()> {
        let shown = self.amount(node, field)?;
        ensure!(
            shown == expected,
            "{} was imported with a {field} of {expected} minor units, but shows {shown}",
            node["id"]
        );
        Ok(())
    }

    fn amount(&self, node: &Value, field: &str) -> anyhow::Result<i128> {
        let shown = node[field]["amount"].as_str().unwrap_or("");
        Ok(i128::from(Money::parse(shown, self.currency)?.minor))
    }

    /// Looks again and again until all `expected` documents are there and as they should be.
    async fn find_all<T>(
        &self,
        query: &str,
        variables: &Value,
        expected: &HashMap<String, T>,
        is_settled: impl Fn(&Value, &T) -> anyhow::Result<bool>,
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
                "{settled} of {of} are as they were imported, then nothing moved"
            );
            if settled < of {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// How many of the `expected` documents are as they should be.
    async fn settled<T>(
        &self,
        query: &str,
        variables: &Value,
        expected: &HashMap<String, T>,
        is_settled: impl Fn(&Value, &T) -> anyhow::Result<bool>,
    ) -> anyhow::Result<usize> {
        let mut settled = 0;
        self.for_each(query, variables, |node| {
            let id = node["id"].as_str().context("no id")?;
            if let Some(expected) = expected.get(id) {
                settled += usize::from(is_settled(node, expected)?);
            }
            Ok(())
        })
        .await?;
        Ok(settled)
    }

    async fn for_each(
        &self,
        query: &str,
        variables: &Value,
        mut see: impl FnMut(&Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut variables = variables.clone();
        loop {
            let page: Value = self.client.run(query, variables.clone()).await?;
            let nodes = page.pointer("/it/nodes").and_then(Value::as_array).context("no page")?;
            nodes.iter().try_for_each(&mut see)?;
            if page.pointer("/it/pageInfo/hasNextPage") != Some(&Value::Bool(true)) {
                return Ok(());
            }
            variables["after"] = page["it"]["pageInfo"]["endCursor"].clone();
        }
    }
}
