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

/// So long one document may take to be as it should be, once those before it are.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pause before another look at it.
const PAUSE: Duration = Duration::from_millis(50);

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

const ORDER: &str = "query($id: UUID!) { it: order(id: $id) { id status \
    total: originalTotal { amount } captured { amount } refunded { amount } refunds { status } } }";

const CREDIT_NOTES: &str = "query($after: String) { it: creditNotes(first: 100, after: $after) { \
    nodes { id number channel total { amount } } pageInfo { hasNextPage endCursor } } }";

impl ReadBack<'_> {
    /// Waits until every imported order has been delivered, so that goods of it can come back.
    pub(super) async fn delivered(
        &self,
        imported: &Imported,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let is_delivered = |node: &Value, order: &Order| {
            self.must_be(node, "total", order.total)?;
            Ok(node["status"] == "COMPLETED")
        };
        self.orders_are(imported, is_delivered, bar).await
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
        self.orders_are(imported, is_settled, bar).await?;
        self.credit_notes_are(imported).await
    }

    /// Waits until all imported orders are as they should be: looks at all of them once, and then at
    /// those that were not, one after another.
    async fn orders_are(
        &self,
        imported: &Imported,
        is_settled: impl Fn(&Value, &Order) -> anyhow::Result<bool>,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let mut waiting = imported.orders.clone();
        self.for_each(ORDERS, &self.orders_of(imported), |node| {
            let id = node["id"].as_str().context("no id")?;
            if let Some(order) = waiting.get(id)
                && is_settled(node, order)?
            {
                waiting.remove(id);
                bar.inc(1);
            }
            Ok(())
        })
        .await
        .context("orders")?;
        for (id, order) in waiting {
            let since = Instant::now();
            loop {
                let shown: Value = self.client.run(ORDER, json!({ "id": id })).await?;
                if !shown["it"].is_null() && is_settled(&shown["it"], &order)? {
                    break;
                }
                ensure!(
                    since.elapsed() < PATIENCE,
                    "the order {id} is not as it was imported: {shown}; expected {order:?}"
                );
                tokio::time::sleep(PAUSE).await;
            }
            bar.inc(1);
        }
        Ok(())
    }

    /// Waits until all imported credit notes are there.
    async fn credit_notes_are(&self, imported: &Imported) -> anyhow::Result<()> {
        let (mut waiting, since) = (imported.credit_notes.clone(), Instant::now());
        while !waiting.is_empty() {
            self.for_each(CREDIT_NOTES, &json!({}), |node| {
                let id = node["id"].as_str().context("no id")?;
                waiting.remove(id).map_or(Ok(()), |total| self.must_be(node, "total", total))
            })
            .await
            .context("credit notes")?;
            let missing = waiting.len();
            ensure!(
                missing == 0 || since.elapsed() < PATIENCE,
                "{missing} credit notes are missing"
            );
            if missing > 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
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
