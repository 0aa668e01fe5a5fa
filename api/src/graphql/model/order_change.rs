//! One change of an order, as the schema shows it: who, when, why, and what was before and after.
//!
//! The fields are those of the order's document, found by comparing it before and after: whatever is
//! added to it appears here by itself.

use std::collections::BTreeMap;

use async_graphql::{ComplexObject, Context, Error, Json, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::OrderId;
use domain::order::PlacedOrder;
use domain::personal::Sealed;
use journal::Recorded;
use serde_json::Value;
use uuid::Uuid;

use super::personal::{Note, note};
use super::{Revealed, reveal, small};

/// What is left out: it never changes, and the order itself shows it.
const CONSTANT: &[&str] = &["details", "prices"];
/// What is left out when an order is placed: nothing has happened to any of its lines.
const NEW: &[&str] = &["details", "prices", "lines"];

/// One change of an order.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderChange {
    /// Id of the event.
    id: Uuid,
    /// Number of the event in the order's stream, from 0: the version of the order after it.
    revision: i32,
    /// What happened, such as `order-held`.
    #[graphql(name = "type")]
    event_type: String,
    /// When it was recorded.
    at: DateTime<Utc>,
    /// Who wanted it: `client:…`, `user:…`, `process:…`.
    actor: String,
    /// The command that led to it.
    command_id: Uuid,
    /// What it belongs to: the order.
    correlation_id: Uuid,
    /// The event or command that directly caused it.
    causation_id: Uuid,
    /// Why, as a code, if the event says so, such as `fraud`.
    reason: Option<String>,
    #[graphql(skip)]
    order: OrderId,
    #[graphql(skip)]
    sealed_note: Option<Sealed>,
    #[graphql(skip)]
    differences: Vec<Difference>,
}

/// One field of an order that has changed.
#[derive(Debug, Clone, PartialEq, SimpleObject)]
pub(crate) struct FieldChange {
    /// Path of the field in the order's document, such as `status` or `lines.0.shipped`.
    field: String,
    /// What it was; nothing when it was not there. "hidden" without the scope `personal-data:read`,
    /// "erased" when the person was erased.
    before: Option<Json<Value>>,
    /// What it is; nothing when it is not there any more. The same words for personal data.
    after: Option<Json<Value>>,
}

/// What stands at one path.
#[derive(Debug, Clone, PartialEq)]
enum Leaf {
    Clear(Value),
    Sealed(Sealed),
}

type Leaves = BTreeMap<String, Leaf>;

#[derive(Debug, Clone, PartialEq)]
struct Difference {
    field: String,
    before: Option<Leaf>,
    after: Option<Leaf>,
}

impl OrderChange {
    /// What `event` did to `order`.
    pub(crate) fn new(
        order: OrderId,
        event: &Recorded,
        before: Option<&PlacedOrder>,
        after: Option<&PlacedOrder>,
    ) -> serde_json::Result<Self> {
        let left_out = if before.is_none() { NEW } else { CONSTANT };
        let differences = differences(leaves_of(before, left_out)?, leaves_of(after, left_out)?);
        let said: Value = serde_json::from_slice(&event.data)?;
        let reason = said.get("reason").map(|reason| reason.get("code").unwrap_or(reason));
        let note = said.get("note").filter(|note| note.is_object());
        Ok(Self {
            id: event.event_id,
            revision: small(event.revision),
            event_type: event.event_type.clone(),
            at: event.metadata.recorded_at,
            actor: event.metadata.actor.clone(),
            command_id: event.metadata.command_id,
            correlation_id: event.metadata.correlation_id,
            causation_id: event.metadata.causation_id,
            reason: reason.and_then(Value::as_str).map(ToOwned::to_owned),
            order,
            sealed_note: note.map(|note| serde_json::from_value(note.clone())).transpose()?,
            differences,
        })
    }

    /// Where to go on after this change.
    pub(crate) fn cursor(&self) -> String {
        self.revision.to_string()
    }
}

#[ComplexObject]
impl OrderChange {
    /// Why, in somebody's own words; none without the scope `personal-data:read`.
    async fn note(&self, ctx: &Context<'_>) -> Result<Option<Note>, Error> {
        note(ctx, self.order, self.sealed_note.as_ref()).await
    }

    /// Every field that has changed. What was bought and agreed is left out, since that never does; so
    /// are the lines when the order was placed.
    #[graphql(complexity = "10 + child_complexity")]
    async fn changes(&self, ctx: &Context<'_>) -> Result<Vec<FieldChange>, Error> {
        let mut changes = vec![];
        for Difference { field, before, after } in &self.differences {
            let before = self.opened(ctx, field, before.as_ref()).await?;
            let after = self.opened(ctx, field, after.as_ref()).await?;
            let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
            changes.extend(paths.into_iter().filter_map(|path| {
                let (before, after) = (before.get(path), after.get(path));
                // Hidden and erased data look the same on both sides, but have changed.
                let same = before == after && !is_word(before);
                (!same).then(|| FieldChange {
                    field: path.clone(),
                    before: before.cloned().map(Json),
                    after: after.cloned().map(Json),
                })
            }));
        }
        Ok(changes)
    }
}

const HIDDEN: &str = "hidden";
const ERASED: &str = "erased";

fn is_word(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|word| word == HIDDEN || word == ERASED)
}

impl OrderChange {
    /// What the caller may know of a leaf: itself, or the leaves of what was sealed.
    async fn opened(
        &self,
        ctx: &Context<'_>,
        path: &str,
        leaf: Option<&Leaf>,
    ) -> Result<BTreeMap<String, Value>, Error> {
        let sealed = match leaf {
            None => return Ok(BTreeMap::new()),
            Some(Leaf::Clear(value)) => return Ok([(path.to_owned(), value.clone())].into()),
            Some(Leaf::Sealed(sealed)) => sealed,
        };
        let word = |word: &str| [(path.to_owned(), Value::from(word))].into();
        Ok(match reveal::<Value>(ctx, self.order, sealed, sealed_as(path)).await? {
            Revealed::Hidden => word(HIDDEN),
            Revealed::Erased => word(ERASED),
            Revealed::Clear(clear) => {
                let mut leaves = Leaves::new();
                flatten(path, clear, &mut leaves);
                let clear = |(path, leaf)| match leaf {
                    Leaf::Clear(value) => Some((path, value)),
                    Leaf::Sealed(_) => None,
                };
                leaves.into_iter().filter_map(clear).collect()
            }
        })
    }
}

/// The name of the field that personal data at `path` were sealed for.
fn sealed_as(path: &str) -> &str {
    match path.rsplit('.').next() {
        Some("shippingAddress") => "shipping-address",
        Some("billingAddress") => "billing-address",
        Some(other) => other,
        None => path,
    }
}

fn leaves_of(order: Option<&PlacedOrder>, left_out: &[&str]) -> serde_json::Result<Leaves> {
    let mut leaves = Leaves::new();
    let Some(order) = order else { return Ok(leaves) };
    if let Value::Object(fields) = serde_json::to_value(order)? {
        for (name, value) in fields {
            if !left_out.contains(&name.as_str()) {
                flatten(&name, value, &mut leaves);
            }
        }
    }
    Ok(leaves)
}

fn flatten(path: &str, value: Value, leaves: &mut Leaves) {
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

fn differences(mut before: Leaves, after: Leaves) -> Vec<Difference> {
    let mut all: BTreeMap<String, (Option<Leaf>, Option<Leaf>)> = BTreeMap::new();
    for (field, now) in after {
        let was = before.remove(&field);
        if was.as_ref() != Some(&now) {
            all.insert(field, (was, Some(now)));
        }
    }
    all.extend(before.into_iter().map(|(field, was)| (field, (Some(was), None))));
    all.into_iter().map(|(field, (before, after))| Difference { field, before, after }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        let told: Vec<_> = differences(before, after)
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
