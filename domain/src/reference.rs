//! Which order is known to another system by a reference: one order per reference and channel.
//!
//! A reference is claimed *before* the order that has it is placed. A claimant that was never placed
//! gives way to another one, who has to name it; who may do that, and when, is not decided here. A
//! claimant that comes again holds on to the reference from then on, so that it does not give way
//! while its order is placed after all.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decider::Decider;
use crate::ids::{Channel, ExternalReference, OrderId};

/// A reference of one channel; its id is a [`ReferenceId`](crate::ids::ReferenceId).
#[derive(Debug, Clone, Copy)]
pub struct Reference;

/// What can be wanted of a reference.
#[derive(Debug, Clone, PartialEq)]
pub enum ReferenceCommand {
    /// Keep it for an order. No-op when the order has it, and has not had it for long.
    Claim {
        /// For which order.
        order: OrderId,
        /// Where the order comes from.
        channel: Channel,
        /// What it is known by there.
        reference: ExternalReference,
        /// Which claim it is taken from, because the order was never placed: whose, and since when.
        replaces: Option<(OrderId, DateTime<Utc>)>,
        /// When.
        at: DateTime<Utc>,
        /// The order's own claim is made anew when it is older.
        renew_after: TimeDelta,
    },
}

/// What can have happened to a reference. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq)]
pub enum ReferenceEvent {
    /// It is kept for an order.
    Claimed(ReferenceClaimed),
}

/// A reference is kept for an order, and no longer for the one before; for the same one, from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReferenceClaimed {
    /// For which order.
    pub order: OrderId,
    /// Where the order comes from.
    pub channel: Channel,
    /// What it is known by there.
    pub reference: ExternalReference,
    /// When.
    pub claimed_at: DateTime<Utc>,
}

/// A reference, as later decisions need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceState {
    /// Nobody has asked for it.
    Free,
    /// It is kept for an order.
    Claimed {
        /// For which one.
        order: OrderId,
        /// Since when.
        claimed_at: DateTime<Utc>,
    },
}

/// The rule that a claim would have broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReferenceRejection {
    /// A reference means one order.
    #[error("the order {order} of this channel has this external reference already")]
    TakenBy {
        /// Which order has it.
        order: OrderId,
        /// Since when.
        claimed_at: DateTime<Utc>,
    },
}

impl Decider for Reference {
    type State = ReferenceState;
    type Command = ReferenceCommand;
    type Event = ReferenceEvent;
    type Rejection = ReferenceRejection;

    fn initial() -> ReferenceState {
        ReferenceState::Free
    }

    fn evolve(_: ReferenceState, event: &ReferenceEvent) -> ReferenceState {
        let ReferenceEvent::Claimed(ReferenceClaimed { order, claimed_at, .. }) = event;
        ReferenceState::Claimed { order: *order, claimed_at: *claimed_at }
    }

    fn decide(
        state: &ReferenceState,
        command: &ReferenceCommand,
    ) -> Result<Vec<ReferenceEvent>, ReferenceRejection> {
        let ReferenceCommand::Claim { order, channel, reference, replaces, at, renew_after } =
            command;
        if let ReferenceState::Claimed { order: has_it, claimed_at } = *state {
            let own = has_it == *order;
            if own && at.signed_duration_since(claimed_at) <= *renew_after {
                return Ok(vec![]);
            }
            if !own && *replaces != Some((has_it, claimed_at)) {
                return Err(ReferenceRejection::TakenBy { order: has_it, claimed_at });
            }
        }
        Ok(vec![ReferenceEvent::Claimed(ReferenceClaimed {
            order: *order,
            channel: channel.clone(),
            reference: reference.clone(),
            claimed_at: *at,
        })])
    }

    fn opens_stream(command: &ReferenceCommand) -> bool {
        let ReferenceCommand::Claim { replaces, .. } = command;
        replaces.is_none()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::testing::given;

    fn order(number: u128) -> OrderId {
        OrderId(Uuid::from_u128(number))
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn claim(number: u128, replaces: Option<(u128, i64)>) -> ReferenceCommand {
        ReferenceCommand::Claim {
            order: order(number),
            channel: Channel::new("web").unwrap(),
            reference: ExternalReference::new("#1001").unwrap(),
            replaces: replaces.map(|(number, second)| (order(number), at(second))),
            at: at(9),
            renew_after: TimeDelta::seconds(4),
        }
    }

    fn claimed(number: u128, second: i64) -> ReferenceEvent {
        ReferenceEvent::Claimed(ReferenceClaimed {
            order: order(number),
            channel: Channel::new("web").unwrap(),
            reference: ExternalReference::new("#1001").unwrap(),
            claimed_at: at(second),
        })
    }

    fn taken_by(number: u128, second: i64) -> ReferenceRejection {
        ReferenceRejection::TakenBy { order: order(number), claimed_at: at(second) }
    }

    #[test]
    fn a_reference_means_one_order() {
        given::<Reference>([]).when(claim(1, None)).then([claimed(1, 9)]);
        given::<Reference>([claimed(1, 5)]).when(claim(1, None)).then_nothing();
        given::<Reference>([claimed(1, 5)]).when(claim(2, None)).then_rejected(taken_by(1, 5));
    }

    #[test]
    fn an_order_that_claims_again_renews_a_claim_that_is_no_longer_fresh() {
        given::<Reference>([claimed(1, 5)]).when(claim(1, None)).then_nothing();
        given::<Reference>([claimed(1, 4)]).when(claim(1, None)).then([claimed(1, 9)]);
        given::<Reference>([claimed(1, 4), claimed(1, 9)]).when(claim(1, None)).then_nothing();
    }

    #[test]
    fn only_the_claim_that_is_named_gives_way() {
        given::<Reference>([claimed(1, 5)]).when(claim(2, Some((1, 5)))).then([claimed(2, 9)]);
        given::<Reference>([claimed(1, 5), claimed(3, 7)])
            .when(claim(2, Some((1, 5))))
            .then_rejected(taken_by(3, 7));
        given::<Reference>([claimed(1, 5), claimed(1, 7)])
            .when(claim(2, Some((1, 5))))
            .then_rejected(taken_by(1, 7));
        given::<Reference>([claimed(1, 5), claimed(2, 7)])
            .when(claim(2, Some((1, 5))))
            .then_nothing();
    }
}
