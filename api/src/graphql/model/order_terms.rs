//! The terms on which an order is handled: policies, holds, what the caller attached.

use async_graphql::{ComplexObject, Context, Error, SimpleObject};
use domain::ids::{HoldName, OrderId};
use domain::order::{Hold, Policies};
use domain::personal::Sealed;

use super::personal::{Note, note};
use super::{Acceptance, CapturePolicy, DispatchPolicy, HoldReason};

/// How an order is handled where shops differ.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrderPolicies {
    /// What happens when not everything is in stock.
    acceptance: Acceptance,
    /// When the money is moved.
    capture: CapturePolicy,
    /// Who says when goods leave.
    dispatch: DispatchPolicy,
}

impl From<Policies> for OrderPolicies {
    fn from(policies: Policies) -> Self {
        Self {
            acceptance: policies.acceptance.into(),
            capture: policies.capture.into(),
            dispatch: policies.dispatch.into(),
        }
    }
}

/// What a caller attached to an order.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct MetadataEntry {
    /// Under which name.
    key: String,
    /// What.
    value: String,
}

impl From<(&String, &String)> for MetadataEntry {
    fn from((key, value): (&String, &String)) -> Self {
        Self { key: key.clone(), value: value.clone() }
    }
}

/// Something that keeps the goods of an order from leaving.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderHold {
    /// Its name; an order has each at most once.
    name: String,
    /// Why.
    reason: HoldReason,
    /// Whether a rule did it, not a person.
    automatic: bool,
    #[graphql(skip)]
    order: OrderId,
    #[graphql(skip)]
    sealed_note: Option<Sealed>,
}

impl OrderHold {
    pub(super) fn new(order: OrderId, name: &HoldName, hold: &Hold) -> Self {
        Self {
            name: name.to_string(),
            reason: hold.reason.into(),
            automatic: hold.automatic,
            order,
            sealed_note: hold.note.clone(),
        }
    }
}

#[ComplexObject]
impl OrderHold {
    /// In words; none without the scope `personal-data:read`.
    async fn note(&self, ctx: &Context<'_>) -> Result<Option<Note>, Error> {
        note(ctx, self.order, self.sealed_note.as_ref()).await
    }
}
