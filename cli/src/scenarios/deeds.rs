//! What people do in stories: mutations of the public API.

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{Deed, Purchase};
use crate::client::Client;

/// Price of one mug, in pence.
const PRICE: i64 = 1_250;
/// Postage of an order, in pence.
const POSTAGE: i64 = 395;

/// Does things in one story.
pub(super) struct Doer<'a> {
    pub(super) client: &'a Client,
    /// Name of the story: what is done in it is done under keys of its own.
    pub(super) story: &'a str,
    pub(super) sku: &'a str,
}

impl Doer<'_> {
    pub(super) async fn receive(&self, location: &str, units: i64) -> anyhow::Result<()> {
        let items = json!([{ "sku": self.sku, "quantity": units }]);
        let key = format!("{}-{location}-{units}", self.story);
        let input = json!({ "idempotencyKey": key, "location": location, "items": items });
        self.mutate("stockReceive", "", input).await.map(drop)
    }

    pub(super) async fn allow_backorders(&self) -> anyhow::Result<()> {
        let input = json!({ "idempotencyKey": self.story, "sku": self.sku, "policy": "BACKORDER" });
        self.mutate("stockPolicySet", "", input).await.map(drop)
    }

    /// Places the order: its id and what people call it.
    pub(super) async fn place(&self, order: &Purchase) -> anyhow::Result<(String, String)> {
        let lines = json!([
            { "sku": self.sku, "title": "Mug", "quantity": order.units, "unitPrice": pounds(PRICE) },
            { "sku": "POST", "title": "Postage", "kind": "CHARGE", "quantity": 1,
              "unitPrice": pounds(POSTAGE) },
        ]);
        let input = json!({
            "idempotencyKey": self.story,
            "country": "GB",
            "currencyCode": "GBP",
            "lines": lines,
            "total": pounds(order.units * PRICE + POSTAGE),
            "paymentToken": order.payment_token,
            "policies": { "capture": order.capture, "dispatch": order.dispatch },
        });
        let placed = self.mutate("orderPlace", "order { id number }", input).await?;
        let text = |path: &str| placed.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let id = text("/order/id").context("the order has no id")?;
        Ok((id, text("/order/number").unwrap_or_default()))
    }

    /// Does it, and says so.
    pub(super) async fn act(
        &self,
        order: &str,
        deed: Deed,
        say: impl Fn(&str),
    ) -> anyhow::Result<()> {
        match deed {
            Deed::Cancel => {
                say("the customer cancels");
                let input = json!({ "reason": "CUSTOMER" });
                self.to_order("orderCancel", "id", order, input).await.map(drop)
            }
            Deed::Hold => {
                say("somebody holds the order, to look at it");
                let input = json!({ "name": "look-at-it", "reason": "FRAUD" });
                self.to_order("orderHold", "id", order, input).await.map(drop)
            }
            Deed::Release => {
                say("somebody releases it");
                let input = json!({ "name": "look-at-it" });
                self.to_order("orderHoldRelease", "id", order, input).await.map(drop)
            }
            Deed::Ship(location) => {
                say(&format!("the warehouse {location} sends what it has"));
                self.ship(order, location).await
            }
            Deed::TryToShip(location) => {
                let refused = self.ship(order, location).await.err();
                let refused = refused.context("goods of a held order left")?.to_string();
                ensure!(refused.contains("held"), "{refused}");
                say(&format!("the warehouse {location} may not send anything: {refused}"));
                Ok(())
            }
            Deed::Receive(location, units) => {
                say(&format!("{units} × {} received into stock", self.sku));
                self.receive(location, units).await
            }
            Deed::Return(units) => {
                say(&format!("{units} × {} come back and are paid back", self.sku));
                self.take_back(order, units).await
            }
        }
    }

    async fn ship(&self, order: &str, location: &str) -> anyhow::Result<()> {
        let input = json!({ "location": location });
        let made = self.to_order_under("shipmentCreate", order, location, input).await?;
        let input = json!({ "shipmentId": made["shipmentId"] });
        self.to_order_under("shipmentClear", order, location, input).await.map(drop)
    }

    async fn take_back(&self, order: &str, units: i64) -> anyhow::Result<()> {
        let lines = json!([{ "line": 0, "quantity": units }]);
        let input = json!({ "lines": lines, "reason": "UNWANTED" });
        let asked = self.to_order("returnRequest", "orderId", order, input).await?;
        let this = &asked["returnId"];
        let received = json!([{ "line": 0, "quantity": units, "disposition": "RESTOCKED" }]);
        for (field, input) in [
            ("returnApprove", json!({ "returnId": this })),
            ("returnReceive", json!({ "returnId": this, "goods": received })),
            ("refundCreate", json!({ "returnId": this, "lines": lines, "reason": "CUSTOMER" })),
            ("returnClose", json!({ "returnId": this })),
        ] {
            self.to_order(field, "orderId", order, input).await?;
        }
        Ok(())
    }

    /// A mutation of the order, which its input calls `called`.
    async fn to_order(
        &self,
        field: &str,
        called: &str,
        order: &str,
        mut input: Value,
    ) -> anyhow::Result<Value> {
        input[called] = json!(order);
        input["idempotencyKey"] = json!(self.story);
        self.mutate(field, wanted(field), input).await
    }

    /// A mutation of the order that is done more than once, each time under another `name`.
    async fn to_order_under(
        &self,
        field: &str,
        order: &str,
        name: &str,
        mut input: Value,
    ) -> anyhow::Result<Value> {
        input["orderId"] = json!(order);
        input["idempotencyKey"] = json!(format!("{}-{name}", self.story));
        self.mutate(field, wanted(field), input).await
    }

    async fn mutate(&self, field: &str, wanted: &str, input: Value) -> anyhow::Result<Value> {
        let input_type = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
        let query = format!(
            "mutation($input: {input_type}!) {{ it: {field}(input: $input) {{ \
             {wanted} userErrors {{ message }} }} }}"
        );
        let mut answer: Value = self.client.run(&query, json!({ "input": input })).await?;
        let payload = answer.get_mut("it").map(Value::take).unwrap_or_default();
        let errors = payload.get("userErrors").and_then(Value::as_array);
        if let Some(error) = errors.and_then(|errors| errors.first()) {
            bail!("{}", error.get("message").and_then(Value::as_str).unwrap_or("refused"));
        }
        Ok(payload)
    }
}

/// What a mutation has made.
fn wanted(field: &str) -> &'static str {
    match field {
        "shipmentCreate" => "shipmentId",
        "returnRequest" => "returnId",
        _ => "",
    }
}

fn pounds(pence: i64) -> Value {
    json!({ "amount": format!("{}.{:02}", pence / 100, pence % 100), "currencyCode": "GBP" })
}
