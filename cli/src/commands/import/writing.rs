//! Writes documents through the public API. Everything may be written again: keys are made of the
//! channel and the numbers of documents.

use std::collections::BTreeMap;

use anyhow::bail;
use domain::ids::{Channel, CustomerRef};
use domain::money::Currency;
use serde_json::{Map, Value, json};

use super::totals::{decimal, gross};
use crate::client::Client;
use crate::import::country::code_of;
use crate::import::file::Row;
use crate::import::matching::Returned;
use crate::import::sorting::{Document, is_charge};

/// Items of one receipt of goods: few enough for one request to be short.
const ITEMS_PER_RECEIPT: usize = 200;

/// Writes the documents of one channel.
pub(super) struct Importer {
    pub(super) client: Client,
    pub(super) channel: Channel,
    pub(super) currency: Currency,
}

/// What came of one document.
pub(super) enum Fate {
    /// It is in the store, under this id if it has one.
    Taken(String),
    Refused(String),
}

/// One field of a mutation.
struct Step {
    field: &'static str,
    /// What is asked back, besides what is wrong.
    wanted: &'static str,
    input: Value,
}

impl Importer {
    /// Receives the goods of an invoice into stock and places its order.
    pub(super) async fn place(&self, document: &Document) -> anyhow::Result<Fate> {
        let mut goods: BTreeMap<&str, i64> = BTreeMap::new();
        for row in document.rows.iter().filter(|row| !is_charge(row.sku.as_str())) {
            *goods.entry(row.sku.as_str()).or_default() += row.quantity;
        }
        let items: Vec<_> = goods
            .into_iter()
            .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
            .collect();
        for items in items.chunks(ITEMS_PER_RECEIPT) {
            let input = json!({ "idempotencyKey": self.key(&document.number), "items": items });
            let received = self.mutate(&[Step::new("stockReceive", input)]).await?;
            if let Fate::Refused(why) = received {
                return Ok(Fate::Refused(why));
            }
        }
        let input = json!({
            "idempotencyKey": self.key(&document.number),
            "channel": self.channel.as_str(),
            "externalReference": document.number,
            "customer": customer(document),
            "country": code_of(&document.rows[0].country).as_str(),
            "currencyCode": self.currency.code(),
            "lines": self.lines(document),
            "total": self.money(gross(document)),
            "imported": {
                "placedAt": document.rows[0].date.to_rfc3339(),
                "reference": document.number,
            },
        });
        self.mutate(&[Step::new("orderPlace", input).wanting("made: order { id }")]).await
    }

    /// Takes goods back from an order and has them paid back. Charges are paid back without coming
    /// back, gifts come back without money.
    pub(super) async fn take_back(
        &self,
        order: &str,
        invoice: &Document,
        returned: &Returned,
    ) -> anyhow::Result<Fate> {
        // A note takes back from an order once, so the note's key names each step of that.
        let input = |more: Value| {
            let about = json!({ "idempotencyKey": self.key(&returned.note), "orderId": order });
            merged(about, more)
        };
        let units = |(&line, &units): (&usize, &i64)| json!({ "line": line, "quantity": units });
        let is_goods = |(line, _): &(&usize, &i64)| !is_charge(invoice.rows[**line].sku.as_str());
        let goods: Vec<_> = returned.lines.iter().filter(is_goods).map(units).collect();
        let all: Vec<_> = returned.lines.iter().map(units).collect();

        let mut refund = json!({ "lines": all, "reason": "OTHER" });
        let (mut before, mut after) = (vec![], vec![]);
        if !goods.is_empty() {
            let request = input(json!({ "lines": goods, "reason": "OTHER" }));
            let request = Step::new("returnRequest", request).wanting("returnId");
            let this = match self.mutate(&[request]).await? {
                Fate::Taken(id) => json!({ "returnId": id }),
                refused @ Fate::Refused(_) => return Ok(refused),
            };
            let restocked = |units| merged(units, json!({ "disposition": "RESTOCKED" }));
            let received: Vec<_> = goods.into_iter().map(restocked).collect();
            let receive = merged(this.clone(), json!({ "goods": received }));
            refund = merged(this.clone(), refund);
            before.push(Step::new("returnApprove", input(this.clone())));
            before.push(Step::new("returnReceive", input(receive)));
            after.push(Step::new("returnClose", input(this)));
        }
        let refund = (returned.gross < 0).then(|| Step::new("refundCreate", input(refund)));
        let steps: Vec<_> = before.into_iter().chain(refund).chain(after).collect();
        self.mutate(&steps).await
    }

    /// Issues what is left of a credit note.
    pub(super) async fn credit(&self, document: &Document) -> anyhow::Result<Fate> {
        let input = json!({
            "idempotencyKey": self.key(&document.number),
            "number": document.number,
            "channel": self.channel.as_str(),
            "customer": customer(document),
            "lines": self.lines(document),
            "total": self.money(-gross(document)),
            "issuedAt": document.rows[0].date.to_rfc3339(),
        });
        self.mutate(&[Step::new("creditNoteIssue", input).wanting("made: creditNote { id }")]).await
    }

    /// The same for the same document of the same channel, in whatever file it stands.
    fn key(&self, number: &str) -> String {
        // No channel has a colon in its name, so no two documents share a key.
        format!("import:{}:{number}", self.channel)
    }

    fn lines(&self, document: &Document) -> Vec<Value> {
        let line = |row: &Row| {
            json!({
                "sku": row.sku.as_str(),
                "title": row.title,
                "kind": if is_charge(row.sku.as_str()) { "CHARGE" } else { "GOODS" },
                "quantity": row.quantity.abs(),
                "unitPrice": self.money(i128::from(row.unit_price.minor)),
            })
        };
        document.rows.iter().map(line).collect()
    }

    fn money(&self, minor: i128) -> Value {
        json!({ "amount": decimal(minor, self.currency), "currencyCode": self.currency.code() })
    }

    /// Takes `steps` one after another, in one request; refused when one of them is.
    async fn mutate(&self, steps: &[Step]) -> anyhow::Result<Fate> {
        let declare = |Step { field, .. }: &Step| {
            format!("${field}: {}{}Input!", field[..1].to_uppercase(), &field[1..])
        };
        let take = |Step { field, wanted, .. }: &Step| {
            format!("{field}(input: ${field}) {{ {wanted} userErrors {{ code message field }} }}")
        };
        let [head, body] = [
            steps.iter().map(declare).collect::<Vec<_>>(),
            steps.iter().map(take).collect::<Vec<_>>(),
        ];
        let query = format!("mutation({}) {{ {} }}", head.join(" "), body.join(" "));
        let inputs = steps.iter().map(|it| (it.field.to_owned(), it.input.clone()));
        let variables: Map<String, Value> = inputs.collect();
        let answer: Value = self.client.run(&query, Value::Object(variables)).await?;
        let mut id = "";
        for Step { field, .. } in steps {
            let payload = &answer[field];
            match payload["userErrors"].as_array() {
                Some(none) if none.is_empty() => {}
                Some(errors) => return Ok(Fate::Refused(Value::Array(errors.clone()).to_string())),
                None => bail!("the API answered {field} with {answer}"),
            }
            let given = payload.pointer("/made/id").or_else(|| payload.get("returnId"));
            id = given.and_then(Value::as_str).unwrap_or(id);
        }
        Ok(Fate::Taken(id.to_owned()))
    }
}

impl Step {
    const fn new(field: &'static str, input: Value) -> Self {
        Self { field, wanted: "", input }
    }

    fn wanting(self, wanted: &'static str) -> Self {
        Self { wanted, ..self }
    }
}

/// One object with the fields of two.
fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

/// A reference that the order store accepts; anything else is a guest.
fn customer(document: &Document) -> Option<String> {
    let customer = document.rows[0].customer.as_ref()?;
    CustomerRef::new(customer).ok().map(String::from)
}
