//! External references: each means one order of its channel.
//!
//! A reference is claimed before the order that has it is placed, so that no two orders are placed
//! under it. Between the two a process may die: a claim whose order was never placed gives way, once
//! no request can be about to place it any more.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{Channel, ExternalReference, OrderId, ReferenceId};
use domain::order::Order;
use domain::reference::{Reference, ReferenceCommand, ReferenceRejection};
use journal::{Context, ExecuteError, Journal, Repository, ids};

/// How often it is looked whether the order that has a reference is placed by now.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long that is done before the caller is asked to try again.
const LOOK_FOR: Duration = Duration::from_secs(2);
/// What a request that has run out of time may still do: appends that were begun.
const AFTERMATH: TimeDelta = TimeDelta::minutes(1);
/// An order that claims again renews a claim that is older. What is left of the aftermath then is
/// still left to the request that goes on without renewing it, however long requests may take.
const RENEW_AFTER: TimeDelta = TimeDelta::seconds(30);

/// Claims references for orders.
#[derive(Debug, Clone)]
pub(crate) struct References {
    repository: Repository<Reference>,
    orders: Repository<Order>,
    /// When a claim is older, nobody is about to place its order.
    stale_after: TimeDelta,
}

impl References {
    /// `request_time_limit` is how long a request may take from its claim to its order.
    pub(crate) fn new(
        journal: Journal,
        orders: Repository<Order>,
        request_time_limit: Duration,
    ) -> Self {
        let limit = TimeDelta::from_std(request_time_limit).unwrap_or(TimeDelta::MAX);
        let stale_after = limit.checked_add(&AFTERMATH).unwrap_or(TimeDelta::MAX);
        Self { repository: Repository::new(journal, 0), orders, stale_after }
    }

    /// Makes sure that on `channel` no order but `order` is placed under `reference`. To be called
    /// for an order that nothing else stands against, right before it is placed.
    ///
    /// # Errors
    /// [`ReferenceRejection::TakenBy`] when another order was placed under it.
    /// [`ExecuteError::Contended`] when another one may just be about to be.
    pub(crate) async fn claim(
        &self,
        channel: &Channel,
        reference: &ExternalReference,
        order: OrderId,
    ) -> Result<(), ExecuteError<ReferenceRejection>> {
        let start = tokio::time::Instant::now();
        let mut replaces = None;
        loop {
            let claimed = self.try_claim(channel, reference, order, replaces).await;
            let Err(ExecuteError::Rejected(rejection)) = claimed else { return claimed };
            let ReferenceRejection::TakenBy { order: other, claimed_at } = rejection;
            // Read first: what is not placed when nobody can be about to place it never will be.
            let stale = self.is_stale(claimed_at);
            if self.is_placed(other, channel, reference).await? {
                return Err(ExecuteError::Rejected(rejection));
            }
            if stale {
                replaces = Some((other, claimed_at));
            } else if start.elapsed() < LOOK_FOR {
                tokio::time::sleep(LOOK_AGAIN).await;
            } else {
                return Err(ExecuteError::Contended);
            }
        }
    }

    async fn try_claim(
        &self,
        channel: &Channel,
        reference: &ExternalReference,
        order: OrderId,
        replaces: Option<(OrderId, DateTime<Utc>)>,
    ) -> Result<(), ExecuteError<ReferenceRejection>> {
        let command = ReferenceCommand::Claim {
            order,
            channel: channel.clone(),
            reference: reference.clone(),
            replaces,
            at: self.now(),
            renew_after: RENEW_AFTER,
        };
        let id = ReferenceId::of(channel, reference);
        let command_id = ids::new_id();
        let context = Context {
            command_id,
            correlation_id: order.0,
            causation_id: command_id,
            actor: "process:external-references".to_owned(),
            traceparent: None,
        };
        self.repository.execute(&id, command, context).await.map(drop)
    }

    /// Whether `order` was placed under this very reference. One that was placed under another has
    /// claimed this one in vain.
    async fn is_placed(
        &self,
        order: OrderId,
        channel: &Channel,
        reference: &ExternalReference,
    ) -> Result<bool, journal::Error> {
        let Some(loaded) = self.orders.load(&order).await? else { return Ok(false) };
        let details = loaded.state.placed().map(|placed| &placed.details);
        Ok(details.is_some_and(|details| {
            details.channel == *channel && details.external_reference.as_ref() == Some(reference)
        }))
    }

    fn is_stale(&self, claimed_at: DateTime<Utc>) -> bool {
        self.now().signed_duration_since(claimed_at) > self.stale_after
    }

    fn now(&self) -> DateTime<Utc> {
        self.repository.journal().clock().now()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use domain::ids::{CountryCode, PartnerReference, Sku};
    use domain::money::{Currency, Money};
    use domain::order::{
        Handling, Line, LineKind, OrderCommand, OrderDetails, OrderRejection, Policies,
    };
    use domain::quantity::Quantity;
    use embedded_store::Server;
    use futures::future::join_all;
    use journal::{Clock, ManualClock};
    use tokio::net::TcpListener;
    use uuid::Uuid;

    use super::*;

    const TIME_LIMIT: Duration = Duration::from_secs(15);

    struct World {
        orders: Repository<Order>,
        references: References,
        clock: Arc<ManualClock>,
        _store: Server,
    }

    impl World {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let store = embedded_store::serve(listener, embedded_store::Options::temporary());
            let store = store.await.unwrap();
            let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
            let options = journal::Options::new(store.connection_string().parse().unwrap());
            let journal = Journal::connect(options, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
            journal.wait_ready(Duration::from_mins(1)).await.unwrap();
            let orders = Repository::new(journal.clone(), 100);
            let references = References::new(journal, orders.clone(), TIME_LIMIT);
            Self { orders, references, clock, _store: store }
        }

        async fn claim(&self, order: u128) -> Result<(), ExecuteError<ReferenceRejection>> {
            self.references.claim(&channel(), &reference(), id(order)).await
        }

        async fn place(&self, order: u128) -> Result<(), ExecuteError<OrderRejection>> {
            let command = OrderCommand::Place {
                details: Arc::new(details()),
                number: None,
                holds: vec![],
                placed_at: self.clock.now(),
            };
            let command_id = ids::new_id();
            let context = Context {
                command_id,
                correlation_id: command_id,
                causation_id: command_id,
                actor: "client:test".to_owned(),
                traceparent: None,
            };
            self.orders.execute(&id(order), command, context).await.map(drop)
        }
    }

    fn id(number: u128) -> OrderId {
        OrderId(Uuid::from_u128(number))
    }

    fn channel() -> Channel {
        Channel::new("web").unwrap()
    }

    fn reference() -> ExternalReference {
        ExternalReference::new("A-1").unwrap()
    }

    fn details() -> OrderDetails {
        let pound = Money::new(100, Currency::GBP);
        OrderDetails {
            channel: channel(),
            external_reference: Some(reference()),
            customer: None,
            contact: None,
            shipping_address: None,
            billing_address: None,
            country: CountryCode::new("GB").unwrap(),
            lines: vec![Line {
                sku: Sku::new("MUG").unwrap(),
                title: String::new(),
                kind: LineKind::Goods,
                quantity: Quantity::ONE,
                unit_price: pound,
                discounts: vec![],
                taxes: vec![],
            }],
            discounts: vec![],
            prices_include_tax: false,
            currency: Currency::GBP,
            total: pound,
            handling: Handling::Elsewhere { reference: PartnerReference::new("A-1").unwrap() },
            policies: Policies::default(),
            prefer_location: None,
            risk_score: None,
            tags: BTreeSet::new(),
            note: None,
            metadata: BTreeMap::new(),
        }
    }

    #[track_caller]
    fn assert_taken_by(order: u128, claimed: Result<(), ExecuteError<ReferenceRejection>>) {
        match claimed {
            Err(ExecuteError::Rejected(ReferenceRejection::TakenBy { order: other, .. })) => {
                assert_eq!(other, id(order));
            }
            other => panic!("not taken by {order}: {other:?}"),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reference_that_an_order_was_placed_under_is_taken_for_ever() {
        let world = World::new().await;
        world.claim(1).await.unwrap();
        world.claim(1).await.unwrap();
        world.place(1).await.unwrap();
        assert_taken_by(1, world.claim(2).await);
        world.clock.advance(TimeDelta::days(365));
        assert_taken_by(1, world.claim(2).await);
        world.claim(1).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_claim_whose_order_was_never_placed_gives_way_in_the_end() {
        let world = World::new().await;
        world.claim(1).await.unwrap();
        assert_eq!(world.claim(2).await, Err(ExecuteError::Contended));
        world.clock.advance(TimeDelta::minutes(2));
        world.claim(2).await.unwrap();
        world.place(2).await.unwrap();
        assert_taken_by(2, world.claim(1).await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_claim_that_is_made_again_late_does_not_give_way_while_its_order_is_placed() {
        let world = World::new().await;
        world.claim(1).await.unwrap();
        let first = world.clock.now();
        world.clock.advance(TimeDelta::minutes(2));
        world.claim(1).await.unwrap();
        // Another one, which has found the first claim stale before it was made again.
        let (channel, reference, first) = (channel(), reference(), Some((id(1), first)));
        let late = world.references.try_claim(&channel, &reference, id(2), first);
        assert_taken_by(1, late.await);
        assert_eq!(world.claim(2).await, Err(ExecuteError::Contended));
        world.place(1).await.unwrap();
        assert_taken_by(1, world.claim(2).await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_claim_that_is_not_renewed_outlasts_the_request_that_goes_on_with_it() {
        let world = World::new().await;
        world.claim(1).await.unwrap();
        world.clock.advance(RENEW_AFTER);
        world.claim(1).await.unwrap();
        world.clock.advance(TimeDelta::from_std(TIME_LIMIT).unwrap());
        assert_eq!(world.claim(2).await, Err(ExecuteError::Contended));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_claims_while_another_order_is_being_placed_waits_for_it() {
        let world = World::new().await;
        world.claim(1).await.unwrap();
        let (claimed, placed) = tokio::join!(world.claim(2), world.place(1));
        placed.unwrap();
        assert_taken_by(1, claimed);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_orders_at_once_one_gets_the_reference() {
        let world = World::new().await;
        let attempts = (1..=20).map(async |order| {
            world.claim(order).await?;
            world.place(order).await.unwrap();
            Ok::<_, ExecuteError<ReferenceRejection>>(())
        });
        let placed = join_all(attempts).await.into_iter().flatten().count();
        assert_eq!(placed, 1);
    }
}
