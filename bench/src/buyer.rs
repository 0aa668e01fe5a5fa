//! A client of the public API that buys.

use anyhow::{Context as _, ensure};
use journal::Position;
use serde_json::{Value, json};

use crate::stage::Stage;

#[derive(Clone)]
pub(crate) struct Buyer {
    http: reqwest::Client,
    graphql: String,
    token: String,
}

impl Buyer {
    pub(crate) fn new(stage: &Stage) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().tcp_nodelay(true).build()?;
        Ok(Self { http, graphql: stage.graphql.clone(), token: stage.token.clone() })
    }

    /// Puts plenty of `count` SKUs into stock.
    pub(crate) async fn receive(&self, count: usize) -> anyhow::Result<()> {
        let query = "mutation($input: StockReceiveInput!) { it: stockReceive(input: $input) { \
            userErrors { message } } }";
        let item = |number| json!({ "sku": sku(number), "quantity": 1_000_000 });
        let items: Vec<_> = (0..count).map(item).collect();
        self.mutate(query, json!({ "idempotencyKey": "bench", "items": items })).await.map(drop)
    }

    /// Places an order of three lines for a SKU.
    /// Where it is in the log.
    pub(crate) async fn place(&self, number: usize) -> anyhow::Result<Position> {
        let query = "mutation($input: OrderPlaceInput!) { it: orderPlace(input: $input) { \
            order { id status } position userErrors { message } } }";
        let price = json!({ "amount": "12.50", "currencyCode": "GBP" });
        let line = json!({ "sku": sku(number), "title": "Mug", "quantity": 2, "unitPrice": price });
        let input = json!({
            "idempotencyKey": journal::ids::new_id(),
            "country": "GB",
            "currencyCode": "GBP",
            "lines": [line, line, line],
            "total": { "amount": "75.00", "currencyCode": "GBP" },
            "paymentToken": "tok_ok",
        });
        let answer = self.mutate(query, input).await?;
        let position = answer.pointer("/data/it/position").and_then(Value::as_str);
        Ok(position.context("an order without a position")?.parse()?)
    }

    async fn mutate(&self, query: &str, input: Value) -> anyhow::Result<Value> {
        let body = json!({ "query": query, "variables": { "input": input } });
        let request = self.http.post(&self.graphql).bearer_auth(&self.token).json(&body);
        let answer: Value = request.send().await?.json().await?;
        let errors = answer.pointer("/data/it/userErrors").context(answer.to_string())?;
        ensure!(errors.as_array().is_some_and(Vec::is_empty), "{answer}");
        Ok(answer)
    }
}

fn sku(number: usize) -> String {
    format!("MUG-{number}")
}
