//! One change of an order, as the schema shows it: who, when, why, and what was before and after.
//!
//! How two states of an order are compared is in `order_leaves`.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::{ComplexObject, Context, Error, Json, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::OrderId;
use domain::personal::Sealed;
use journal::Recorded;
use serde_json::Value;
use uuid::Uuid;

use super::order_leaves::{Difference, Leaf, Leaves, flatten};
use super::personal::{Note, note};
use super::{Revealed, reveal, small};
use crate::graphql::error::internal;

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
    /// Only when somebody asked for them.
    #[graphql(skip)]
    differences: Option<Vec<Difference>>,
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

impl OrderChange {
    /// What `event` did to `order`: `differences`, if somebody asked for them.
    pub(crate) fn new(
        order: OrderId,
        event: &Recorded,
        differences: Option<Vec<Difference>>,
    ) -> serde_json::Result<Self> {
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
    /// are the lines when the order was placed. `status` and `reason` have the words of the order's own
    /// fields, amounts are told with their currency, such as "5.00 GBP".
    #[graphql(complexity = "10 + child_complexity")]
    async fn changes(&self, ctx: &Context<'_>) -> Result<Vec<FieldChange>, Error> {
        let differences = self.differences.as_ref();
        let differences = differences.ok_or_else(|| internal(ctx, &NotCompared))?;
        let mut changes = vec![];
        for Difference { field, before, after } in differences {
            let before = self.opened(ctx, field, before.as_ref()).await?;
            let after = self.opened(ctx, field, after.as_ref()).await?;
            let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
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

/// Whoever made the change did not see that its fields were asked for.
#[derive(Debug, thiserror::Error)]
#[error("the states of the order were not compared")]
struct NotCompared;

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
