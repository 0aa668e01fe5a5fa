//! The document of an order, taken apart into paths and values, and compared with what it was before.
//!
//! Whatever is added to the document appears here by itself. What is only bookkeeping, and what never
//! changes, is left out. A long order is compared line by line: only lines that differ are taken apart.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use async_graphql::{InputType, ScalarType};
use domain::order::{LineLedger, OrderDetails, PlacedOrder};
use domain::personal::Sealed;
use domain::pricing::Prices;
use serde_json::Value;

use super::{OrderReason, OrderStatus};

/// `details` and `prices` never change and the order itself shows them, `movements` and `supply` are
/// bookkeeping, `status` is told in the words of the schema.
const LEFT_OUT: &[&str] = &["details", "prices", "movements", "supply", "status"];
/// What a payment counts in minor units.
const PAYMENT_AMOUNTS: &[&str] = &[
    "requested",
    "authorised",
    "capturing",
    "captured",
    "voided",
    "refunding",
    "refunded",
    "chargedBack",
];

/// What stands at one path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf {
    Clear(Value),
    Sealed(Sealed),
}

pub(super) type Leaves = BTreeMap<String, Leaf>;

/// One path at which two states of an order are not the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    pub(super) field: String,
    pub(super) before: Option<Leaf>,
    pub(super) after: Option<Leaf>,
}

/// Compares the states of one order one after the other; each is taken apart once.
#[derive(Default)]
pub(crate) struct Comparison {
    last: Option<Snapshot>,
    bare: Option<Bare>,
}

struct Snapshot {
    /// Everything but the lines.
    leaves: Leaves,
    lines: Vec<LineLedger>,
}

/// What stands for details and prices: as they are, a long order would be written out for nothing.
struct Bare {
    details: Arc<OrderDetails>,
    prices: Arc<Prices>,
}

impl Comparison {
    /// Where to begin.
    pub(crate) fn begin(&mut self, order: Option<&PlacedOrder>) -> serde_json::Result<()> {
        self.last = self.snapshot(order)?;
        Ok(())
    }

    /// What is not as it was the last time. The lines of an order that was not there before are left
    /// out: nothing has happened to any of them.
    pub(crate) fn go_on(
        &mut self,
        order: Option<&PlacedOrder>,
    ) -> serde_json::Result<Vec<Difference>> {
        let after = self.snapshot(order)?;
        let before = mem::replace(&mut self.last, after);
        let Some(after) = &self.last else { return Ok(vec![]) };
        let Some(before) = before else { return Ok(differences(&Leaves::new(), &after.leaves)) };
        let mut all = differences(&before.leaves, &after.leaves);
        for n in 0..before.lines.len().max(after.lines.len()) {
            let (was, is) = (before.lines.get(n), after.lines.get(n));
            if was != is {
                all.extend(differences(&line(n, was)?, &line(n, is)?));
            }
        }
        Ok(all)
    }

    fn snapshot(&mut self, order: Option<&PlacedOrder>) -> serde_json::Result<Option<Snapshot>> {
        let Some(order) = order else { return Ok(None) };
        let bare = self.bare.get_or_insert_with(|| Bare::of(order));
        let mut shown = order.clone();
        shown.details = Arc::clone(&bare.details);
        shown.prices = Arc::clone(&bare.prices);
        shown.movements.clear();
        shown.supply.clear();
        let lines = mem::take(&mut shown.lines);
        let chargebacks = mem::take(&mut shown.chargebacks);
        let mut leaves = Leaves::new();
        if let Value::Object(fields) = serde_json::to_value(&shown)? {
            for (name, value) in fields {
                if !LEFT_OUT.contains(&name.as_str()) {
                    flatten(&name, value, &mut leaves);
                }
            }
        }
        tell_amounts(order, &mut leaves);
        for (reference, amount) in chargebacks {
            flatten(&format!("chargebacks.{reference}"), amount.to_string().into(), &mut leaves);
        }
        tell_status(order, &mut leaves);
        Ok(Some(Snapshot { leaves, lines }))
    }
}

impl Bare {
    fn of(order: &PlacedOrder) -> Self {
        let mut details = OrderDetails::clone(&order.details);
        details.lines.clear();
        let mut prices = Prices::clone(&order.prices);
        prices.lines.clear();
        Self { details: Arc::new(details), prices: Arc::new(prices) }
    }
}

fn line(n: usize, line: Option<&LineLedger>) -> serde_json::Result<Leaves> {
    let mut leaves = Leaves::new();
    if let Some(line) = line {
        flatten(&format!("lines.{n}"), serde_json::to_value(line)?, &mut leaves);
    }
    Ok(leaves)
}

/// Amounts as people write them, such as `5.00 GBP`.
fn tell_amounts(order: &PlacedOrder, leaves: &mut Leaves) {
    for (path, leaf) in leaves {
        if let Leaf::Clear(value) = leaf
            && is_amount(path)
            && let Some(minor) = value.as_i64()
        {
            *value = order.money(minor).to_string().into();
        }
    }
}

fn is_amount(path: &str) -> bool {
    let parts: Vec<_> = path.split('.').collect();
    match parts[..] {
        ["payments", _, what] => PAYMENT_AMOUNTS.contains(&what),
        ["captures" | "refunds", _, "amount"] => true,
        _ => false,
    }
}

/// `status` and `reason` as the schema has them.
fn tell_status(order: &PlacedOrder, leaves: &mut Leaves) {
    let status = InputType::to_value(&OrderStatus::from(&order.status));
    let mut told = vec![("status", Some(status))];
    if let Some(reason) = OrderReason::of(&order.status) {
        let OrderReason { code, sku, requested, available } = reason;
        told.extend([
            ("reason", Some(InputType::to_value(&code))),
            ("reason.sku", sku.map(Into::into)),
            ("reason.requested", requested.map(|units| ScalarType::to_value(&units))),
            ("reason.available", available.map(|units| ScalarType::to_value(&units))),
        ]);
    }
    for (path, value) in told {
        if let Some(Ok(value)) = value.map(async_graphql::Value::into_json) {
            leaves.insert(path.to_owned(), Leaf::Clear(value));
        }
    }
}

pub(super) fn flatten(path: &str, value: Value, leaves: &mut Leaves) {
    match value {
        Value::Null => {}
        Value::Object(fields) if fields.contains_key("ciphertext") => {
            // What is not sealed after all is shown as nothing: it might be personal.
            if let Ok(sealed) = serde_json::from_value(Value::Object(fields)) {
                leaves.insert(path.to_owned(), Leaf::Sealed(sealed));
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&format!("{path}.{name}"), value, leaves);
            }
        }
        Value::Array(items) => {
            for (n, value) in items.into_iter().enumerate() {
                flatten(&format!("{path}.{n}"), value, leaves);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            leaves.insert(path.to_owned(), Leaf::Clear(value));
        }
    }
}

fn differences(before: &Leaves, after: &Leaves) -> Vec<Difference> {
    let mut all = BTreeMap::new();
    for (field, now) in after {
        let was = before.get(field);
        if was != Some(now) {
            all.insert(field, (was, Some(now)));
        }
    }
    let gone = before.iter().filter(|(field, _)| !after.contains_key(*field));
    all.extend(gone.map(|(field, was)| (field, (Some(was), None))));
    let difference = |(field, (before, after)): (&String, (Option<&Leaf>, Option<&Leaf>))| {
        Difference { field: field.clone(), before: before.cloned(), after: after.cloned() }
    };
    all.into_iter().map(difference).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn leaves(value: Value) -> Leaves {
        let mut leaves = Leaves::new();
        flatten("it", value, &mut leaves);
        leaves
    }

    #[test]
    fn a_difference_has_the_path_of_the_field_and_both_values() {
        let before = leaves(json!({ "a": 1, "b": [true, { "c": "x" }], "gone": 2 }));
        let after = leaves(json!({ "a": 1, "b": [true, { "c": "y" }], "new": 3 }));
        let told: Vec<_> = differences(&before, &after)
            .into_iter()
            .map(|it| (it.field, it.before, it.after))
            .collect();
        let clear = |value: Value| Some(Leaf::Clear(value));
        assert_eq!(
            told,
            [
                ("it.b.1.c".to_owned(), clear(json!("x")), clear(json!("y"))),
                ("it.gone".to_owned(), clear(json!(2)), None),
                ("it.new".to_owned(), None, clear(json!(3))),
            ]
        );
    }

    #[test]
    fn sealed_data_are_one_leaf() {
        let sealed = json!({
            "subject": Uuid::nil(), "key": Uuid::nil(), "sealedIn": "order-placed", "ciphertext": "",
        });
        let leaves = leaves(json!({ "contact": sealed }));
        assert!(matches!(leaves["it.contact"], Leaf::Sealed(_)));
        assert_eq!(leaves.len(), 1);
    }
}
