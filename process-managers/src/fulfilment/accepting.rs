//! Accepting an order: its goods are set aside, delivery is promised, or all of it is given up.

use std::time::Duration;

use domain::fulfilment::{AcceptanceWork, Ending, Goods, Refusal};
use domain::ids::{MovementId, PaymentId, Sku};
use domain::order::{OrderCommand, OrderState, PlacedOrder, SkuAllocation};
use domain::stock::{Acceptance, StockCommand, StockRejection, StockState};
use futures::stream::{StreamExt, TryStreamExt, iter};
use journal::{ExecuteError, Executed};

use super::paying::Watched;
use super::{Failure, Performance, Performed, Place, SKUS_AT_ONCE, Steps, over, refused};
use super::{unavailable, unexpected};

/// How much longer than an order may wait for its payment its goods stay set aside: long enough for
/// a payment of the last moment to be recorded.
const GRACE: Duration = Duration::from_mins(15);

/// What came of asking the stock of one SKU.
enum Found {
    Some(SkuAllocation),
    Nothing(Refusal),
}

impl Steps {
    pub(super) async fn reserve_stock(&self, at: Place<'_>, work: &AcceptanceWork) -> Performance {
        let tries: Vec<_> =
            work.reservations.iter().map(|wanted| self.reserve_sku(at, work, wanted)).collect();
        let found: Vec<_> = iter(tries).buffer_unordered(SKUS_AT_ONCE).try_collect().await?;
        let (mut goods, mut refusals) = (vec![], vec![]);
        for one in found {
            match one {
                Found::Some(allocation) => goods.push(allocation),
                Found::Nothing(refusal) => refusals.push(refusal),
            }
        }
        // In the order of SKUs whichever answered first, so that a repeat tells the same story.
        goods.sort_by(|one, other| one.sku.cmp(&other.sku));
        let will_do = work.acceptance == Acceptance::Partial && !goods.is_empty();
        match refusals.into_iter().min_by_key(sku_of) {
            Some(first) if !will_do => Ok(Performed::Refused(first)),
            Some(_) | None => self.tell_what_was_found(at, goods).await,
        }
    }

    async fn reserve_sku(
        &self,
        at: Place<'_>,
        work: &AcceptanceWork,
        wanted: &Goods,
    ) -> Result<Found, Failure> {
        let Goods { sku, quantity } = wanted;
        let command = StockCommand::Reserve {
            order: at.order,
            quantity: *quantity,
            acceptance: work.acceptance,
            prefer: work.prefer_location.clone(),
            now: self.clock.now(),
            expires_at: work.payment_deadline.map(|deadline| deadline + GRACE),
        };
        match self.stock.execute(sku, command, at.context_of(sku.as_str())).await {
            Ok(executed) => Ok(Found::Some(allocation(at, sku, &executed))),
            Err(ExecuteError::Rejected(rejection)) => {
                refusal_of(sku, &rejection).map(Found::Nothing)
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn tell_what_was_found(&self, at: Place<'_>, goods: Vec<SkuAllocation>) -> Performance {
        let command = OrderCommand::RecordAllocation { goods };
        match self.orders.execute(&at.order, command, at.context_of("order")).await {
            // It may have been given up for want of goods.
            Ok(executed) => match executed.state.as_ref() {
                OrderState::Placed(order) => {
                    Ok(over(&order.status).map_or(Performed::Done, Performed::Refused))
                }
                OrderState::NotPlaced => Ok(Performed::Done),
            },
            Err(error) => refused(error),
        }
    }

    /// Makes permanent what the order counts on, and gives back what it does not: a repeat of the
    /// reservation may have found more than was told.
    pub(super) async fn commit_stock(&self, at: Place<'_>, work: &AcceptanceWork) -> Performance {
        let order = self.order_at(at).await?;
        if let Some(refusal) = over(&order.status) {
            return Ok(Performed::Refused(refusal));
        }
        let tries: Vec<_> =
            work.reservations.iter().map(|it| self.commit_sku(at, &order, &it.sku)).collect();
        let lost: Vec<_> = iter(tries).buffer_unordered(SKUS_AT_ONCE).try_collect().await?;
        let first = lost.into_iter().flatten().min_by_key(sku_of);
        Ok(first.map_or(Performed::Done, Performed::Refused))
    }

    async fn commit_sku(
        &self,
        at: Place<'_>,
        order: &PlacedOrder,
        sku: &Sku,
    ) -> Result<Option<Refusal>, Failure> {
        let command = if counts_on(order, sku) {
            StockCommand::Commit { order: at.order }
        } else {
            StockCommand::Release { order: at.order }
        };
        match self.stock.execute(sku, command, at.context_of(sku.as_str())).await {
            Ok(_) => Ok(None),
            Err(ExecuteError::Rejected(StockRejection::ReservationExpired)) => {
                Ok(Some(Refusal::ReservationExpired { sku: sku.clone() }))
            }
            // Units may have been cancelled and given back in between: look at the order again.
            Err(ExecuteError::Rejected(rejection)) => {
                Err(Failure::Transient(format!("{sku}: {rejection}")))
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    pub(super) async fn release_stock(&self, at: Place<'_>, work: &AcceptanceWork) -> Performance {
        let release =
            |wanted: &Goods| (wanted.sku.clone(), StockCommand::Release { order: at.order });
        self.for_each_sku(at, work.reservations.iter().map(release)).await?;
        Ok(Performed::Done)
    }

    /// Promises delivery, unless the order was cancelled: then the cancellation wins. While the
    /// order is held nobody else looks after its payment.
    pub(super) async fn confirm_order(&self, at: Place<'_>) -> Performance {
        let command = OrderCommand::Confirm { order: at.order };
        let Err(error) = self.orders.execute(&at.order, command, at.context()).await else {
            return Ok(Performed::Done);
        };
        let performed = refused(error)?;
        if performed != Performed::Awaits(None) {
            return Ok(performed);
        }
        match self.watch(at, PaymentId::of(at.order)).await? {
            Watched::Until(time) => Ok(Performed::Awaits(Some(time))),
            Watched::Over => Ok(performed),
        }
    }

    pub(super) async fn close_order(&self, at: Place<'_>) -> Performance {
        let command = match at.progress.ending.clone() {
            Some(Ending::Rejected(reason)) => OrderCommand::Reject { reason },
            Some(Ending::Cancelled(reason)) => {
                let movement = MovementId::derive(at.order, "given-up");
                OrderCommand::Cancel { reason, movement }
            }
            None => return Ok(Performed::Done),
        };
        self.orders.execute(&at.order, command, at.context()).await.map_err(unexpected)?;
        Ok(Performed::Done)
    }
}

/// What is set aside for the order as of the last event of the stock.
fn allocation(
    at: Place<'_>,
    sku: &Sku,
    executed: &Executed<domain::stock::Stock>,
) -> SkuAllocation {
    let state: &StockState = &executed.state;
    let found = state.allocation_of(at.order);
    SkuAllocation {
        sku: sku.clone(),
        units: found.map(|found| found.allocations.clone()).unwrap_or_default(),
        backordered: found.map_or(0, |found| found.backordered),
        as_of: executed.revision,
    }
}

/// Whether the order takes units of `sku` to be set aside for it, or promised to it.
fn counts_on(order: &PlacedOrder, sku: &Sku) -> bool {
    let ledgers = order.lines_of(sku).filter_map(|line| order.lines.get(line as usize));
    ledgers.into_iter().any(|ledger| ledger.allocated_units() > 0 || ledger.backordered > 0)
}

fn refusal_of(sku: &Sku, rejection: &StockRejection) -> Result<Refusal, Failure> {
    let sku = sku.clone();
    if let StockRejection::InsufficientStock { requested, available } = *rejection {
        return Ok(Refusal::InsufficientStock { sku, requested, available });
    }
    if *rejection == StockRejection::UnknownSku {
        return Ok(Refusal::UnknownSku { sku });
    }
    if *rejection == StockRejection::ReservationExpired {
        return Ok(Refusal::ReservationExpired { sku });
    }
    Err(Failure::Permanent(format!("{sku}: {rejection}")))
}

fn sku_of(refusal: &Refusal) -> Option<Sku> {
    match refusal {
        Refusal::InsufficientStock { sku, .. }
        | Refusal::UnknownSku { sku }
        | Refusal::ReservationExpired { sku } => Some(sku.clone()),
        Refusal::PaymentDeclined | Refusal::OrderCancelled { .. } | Refusal::ShipmentCancelled => {
            None
        }
    }
}
