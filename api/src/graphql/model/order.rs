//! An order, as the schema shows it: one rendering of one document, whether that comes from a
//! command, from the read model or from a look into the past.

use std::sync::Arc;

use async_graphql::{Context, Error, Object};
use chrono::{DateTime, Utc};
use domain::ids::OrderId;
use domain::order::{Handling, PlacedOrder};
use futures::TryStreamExt;
use journal::Executed;
use projector::read_model::OrderDocument;
use schemas::stream_of;
use uuid::Uuid;

use super::order_goods::{FulfilmentOrder, OrderReturn, OrderShipment};
use super::order_line::{Discount, OrderLine};
use super::order_money::{Chargeback, OrderCapture, OrderPayment, OrderRefund};
use super::order_terms::{MetadataEntry, OrderHold, OrderPolicies};
use super::personal::{Contact, Note, PostalAddress, address, contact, note};
use super::{
    Money, OrderAction, OrderFulfilmentStatus, OrderHandling, OrderPaymentStatus, OrderReason,
    OrderReturnStatus, OrderStatus, Payment, Process, ProcessStatus, small,
};
use crate::graphql::error::{internal, store_error};
use crate::graphql::loaders::Loaders;
use crate::graphql::request::Services;
use crate::graphql::scalars::{CountryCode, CurrencyCode};

/// An order as it was at one revision.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(super) id: OrderId,
    pub(super) placed: Arc<PlacedOrder>,
    revision: u64,
    /// When its last event was recorded; not known to a command.
    recorded_at: Option<DateTime<Utc>>,
    /// Whether it comes from the read model, which then knows of its processes too.
    listed: bool,
    quarantined: bool,
}

impl From<OrderDocument> for Order {
    fn from(document: OrderDocument) -> Self {
        let OrderDocument { row, order } = document;
        Self {
            id: OrderId(row.id),
            revision: row.revision.unsigned_abs(),
            recorded_at: Some(row.updated_at),
            listed: true,
            quarantined: row.quarantined,
            placed: Arc::new(order),
        }
    }
}

impl Order {
    /// The order as a command left it; `None` when there is none.
    pub(crate) fn executed(id: OrderId, executed: &Executed<domain::order::Order>) -> Option<Self> {
        let placed = executed.state.placed()?;
        Some(Self::at(id, placed.clone(), executed.revision, None))
    }

    /// The order as it was at `revision`.
    pub(crate) fn at(
        id: OrderId,
        placed: PlacedOrder,
        revision: u64,
        recorded_at: Option<DateTime<Utc>>,
    ) -> Self {
        let placed = Arc::new(placed);
        Self { id, placed, revision, recorded_at, listed: false, quarantined: false }
    }

    /// The same order, whose last event was recorded then.
    pub(crate) fn recorded_at(self, recorded_at: DateTime<Utc>) -> Self {
        Self { recorded_at: Some(recorded_at), ..self }
    }

    /// The same order, of which it is known whether a later event could not be understood.
    pub(crate) fn with_quarantine(self, quarantined: bool) -> Self {
        Self { quarantined, ..self }
    }

    /// Whether a later event is known that could not be understood.
    pub(crate) const fn is_quarantined(&self) -> bool {
        self.quarantined
    }

    pub(crate) const fn order_id(&self) -> OrderId {
        self.id
    }

    /// The document that all of this is made from.
    pub(crate) fn placed(&self) -> &PlacedOrder {
        &self.placed
    }

    fn money(&self, minor: i64) -> Money {
        self.placed.money(minor).into()
    }
}

/// An order. A mutation answers with the order as it is in the log, a query with the order as the
/// read model has it, or, with `asOf`, as it was.
#[Object]
impl Order {
    /// Its id.
    pub(crate) async fn id(&self) -> Uuid {
        self.id.0
    }

    /// What people call it; none for orders of the first days.
    async fn number(&self) -> Option<&str> {
        self.placed.number.as_ref().map(domain::ids::OrderNumber::as_str)
    }

    /// Where it comes from: a shop, a marketplace, a till.
    async fn channel(&self) -> &str {
        self.placed.details.channel.as_str()
    }

    /// How the shop, the marketplace or the till knows it: unique within the channel.
    async fn external_reference(&self) -> Option<&str> {
        self.placed.details.external_reference.as_ref().map(domain::ids::ExternalReference::as_str)
    }

    /// How far it has come as a whole.
    async fn status(&self) -> OrderStatus {
        (&self.placed.status).into()
    }

    /// Where its money is.
    async fn payment_status(&self) -> OrderPaymentStatus {
        self.placed.payment_status().into()
    }

    /// Where its goods are.
    async fn fulfilment_status(&self) -> OrderFulfilmentStatus {
        self.placed.fulfilment_status().into()
    }

    /// What came back of it.
    async fn return_status(&self) -> OrderReturnStatus {
        self.placed.return_status().into()
    }

    /// Why it was cancelled or rejected, if it was.
    async fn reason(&self) -> Option<OrderReason> {
        OrderReason::of(&self.placed.status)
    }

    /// What keeps its goods from leaving.
    async fn holds(&self) -> Vec<OrderHold> {
        let holds = self.placed.holds.iter();
        holds.map(|(name, hold)| OrderHold::new(self.id, name, hold)).collect()
    }

    /// Whether it is held.
    async fn on_hold(&self) -> bool {
        !self.placed.holds.is_empty()
    }

    /// What can be done with it as it is, by the rules that decide. `RESUME` depends on processes and
    /// is only known to orders that come from the read model: neither to the answer of a mutation nor
    /// to the past.
    #[graphql(complexity = "5")]
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<OrderAction>, Error> {
        let mut actions = OrderAction::allowed_by(&self.placed);
        if !self.listed {
            return Ok(actions);
        }
        let processes = Loaders::of(ctx).processes(ctx, self.id.0).await?;
        let parked = |status: ProcessStatus| status == ProcessStatus::Parked;
        if processes.iter().any(|row| parked(row.status.into())) {
            actions.push(OrderAction::Resume);
        }
        Ok(actions)
    }

    /// The customer's id in the system that knows the person, if that is known.
    async fn customer(&self) -> Option<&str> {
        self.placed.customer.as_ref().map(domain::ids::CustomerRef::as_str)
    }

    /// How to reach who ordered; none without the scope `personal-data:read`.
    async fn contact(&self, ctx: &Context<'_>) -> Result<Option<Contact>, Error> {
        contact(ctx, self.id, self.placed.contact.as_ref()).await
    }

    /// Where the goods go; none without the scope `personal-data:read`.
    async fn shipping_address(&self, ctx: &Context<'_>) -> Result<Option<PostalAddress>, Error> {
        address(ctx, self.id, self.placed.shipping_address.as_ref(), "shipping-address").await
    }

    /// Where the invoice goes, if elsewhere; none without the scope `personal-data:read`.
    async fn billing_address(&self, ctx: &Context<'_>) -> Result<Option<PostalAddress>, Error> {
        address(ctx, self.id, self.placed.billing_address.as_ref(), "billing-address").await
    }

    /// Its note; none without the scope `personal-data:read`.
    async fn note(&self, ctx: &Context<'_>) -> Result<Option<Note>, Error> {
        note(ctx, self.id, self.placed.note.as_ref()).await
    }

    /// Country that the goods go to.
    async fn country(&self) -> CountryCode {
        CountryCode(self.placed.country.to_string())
    }

    /// Words that it is sorted by.
    async fn tags(&self) -> Vec<&str> {
        self.placed.tags.iter().map(domain::ids::Tag::as_str).collect()
    }

    /// What the caller wanted to have back unchanged.
    async fn metadata(&self) -> Vec<MetadataEntry> {
        self.placed.details.metadata.iter().map(Into::into).collect()
    }

    /// How likely it is fraud, as whoever placed it saw it: 0 to 100.
    async fn risk_score(&self) -> Option<i32> {
        self.placed.details.risk_score.map(i32::from)
    }

    /// How it is handled where shops differ.
    async fn policies(&self) -> OrderPolicies {
        self.placed.details.policies.into()
    }

    /// Goods are taken from here first.
    async fn prefer_location(&self) -> Option<&str> {
        self.placed.details.prefer_location.as_ref().map(domain::ids::LocationCode::as_str)
    }

    /// What was bought and what became of it, in the customer's order.
    #[graphql(complexity = "20 + 2 * child_complexity")]
    async fn lines(&self) -> Vec<OrderLine> {
        (0..self.placed.details.lines.len())
            .filter_map(|n| OrderLine::of(&self.placed, n))
            .collect()
    }

    /// The one currency of the order.
    async fn currency_code(&self) -> CurrencyCode {
        CurrencyCode(self.placed.details.currency.code().to_owned())
    }

    /// Whether the lines' unit prices include the taxes.
    async fn prices_include_tax(&self) -> bool {
        self.placed.details.prices_include_tax
    }

    /// What was taken off the order as a whole.
    async fn discounts(&self) -> Vec<Discount> {
        self.placed.details.discounts.iter().map(Into::into).collect()
    }

    /// All lines before discounts, as they were placed.
    async fn subtotal(&self) -> Money {
        self.money(self.placed.prices.subtotal)
    }

    /// All that was taken off, lines and order together, as it was placed.
    async fn discount_total(&self) -> Money {
        self.money(self.placed.prices.discount)
    }

    /// All taxes, on top or included, as it was placed.
    async fn tax_total(&self) -> Money {
        self.money(self.placed.prices.tax)
    }

    /// What the customer agreed to pay when it was placed.
    async fn original_total(&self) -> Money {
        self.placed.details.total.into()
    }

    /// What the customer has to pay for everything that is still wanted.
    async fn total(&self) -> Money {
        self.money(self.placed.total())
    }

    /// Held by payment gateways, and not on its way to us.
    async fn authorised(&self) -> Money {
        self.money(self.placed.held())
    }

    /// Came to us in all.
    async fn captured(&self) -> Money {
        self.money(self.placed.captured())
    }

    /// Went back, or is on its way.
    async fn refunded(&self) -> Money {
        self.money(self.placed.refunded())
    }

    /// Can still go back.
    async fn refundable(&self) -> Money {
        self.money(self.placed.refundable())
    }

    /// Still to be moved to us.
    async fn outstanding(&self) -> Money {
        self.money(self.placed.outstanding())
    }

    /// Its payments, as the order knows them.
    async fn payments(&self) -> Vec<OrderPayment> {
        let payments = self.placed.payments.iter();
        payments.map(|(&id, book)| OrderPayment::new(self, id, book)).collect()
    }

    /// The payment that it was placed with, as the read model knows it; none when that was not asked
    /// for so far. See `payments` for all.
    async fn payment(&self, ctx: &Context<'_>) -> Result<Option<Payment>, Error> {
        let payment = domain::ids::PaymentId::of(self.id);
        let rows = Loaders::of(ctx).payments(ctx, self.id.0).await?;
        Ok(rows.into_iter().find(|row| row.id == payment.0).map(Into::into))
    }

    /// Money moved to us, or on its way.
    async fn captures(&self) -> Vec<OrderCapture> {
        let captures = self.placed.captures.iter();
        captures.map(|(&id, capture)| OrderCapture::new(&self.placed, id, capture)).collect()
    }

    /// Money moved back, or on its way.
    async fn refunds(&self) -> Vec<OrderRefund> {
        let refunds = self.placed.refunds.iter();
        refunds.map(|(&id, refund)| OrderRefund::new(self, id, refund)).collect()
    }

    /// Money that customers' banks took back.
    async fn chargebacks(&self) -> Vec<Chargeback> {
        self.placed.chargebacks.iter().map(Into::into).collect()
    }

    /// What left, or is to leave, parcel by parcel.
    async fn shipments(&self) -> Vec<OrderShipment> {
        let shipments = self.placed.shipments.iter();
        shipments.map(|(&id, book)| OrderShipment::new(self.id, id, book)).collect()
    }

    /// What each location has to do for it.
    async fn fulfilment_orders(&self) -> Vec<FulfilmentOrder> {
        self.placed.fulfilment_orders().into_iter().map(Into::into).collect()
    }

    /// What came back, or is to come back.
    async fn returns(&self) -> Vec<OrderReturn> {
        let returns = self.placed.returns.iter();
        returns.map(|(&id, book)| OrderReturn::new(self.id, id, book)).collect()
    }

    /// Who moves its money and its goods.
    async fn handling(&self) -> OrderHandling {
        match self.placed.details.handling {
            Handling::Partners { .. } => OrderHandling::Partners,
            Handling::Elsewhere { .. } => OrderHandling::Elsewhere,
        }
    }

    /// How the other system knows an order that was handled elsewhere.
    async fn reference(&self) -> Option<&str> {
        match &self.placed.details.handling {
            Handling::Elsewhere { reference } => Some(reference.as_str()),
            Handling::Partners { .. } => None,
        }
    }

    /// The process that accepts it, as far as the read model knows; none when it has not begun.
    async fn process(&self, ctx: &Context<'_>) -> Result<Option<Process>, Error> {
        let rows = Loaders::of(ctx).processes(ctx, self.id.0).await?;
        Ok(rows.into_iter().find(|row| row.id == self.id.0).map(Into::into))
    }

    /// All processes that work for it, as far as the read model knows: its acceptance, deliveries,
    /// captures, refunds. In the order in which they began.
    #[graphql(complexity = "5 + child_complexity")]
    async fn processes(&self, ctx: &Context<'_>) -> Result<Vec<Process>, Error> {
        let rows = Loaders::of(ctx).processes(ctx, self.id.0).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// When the customer placed it.
    async fn placed_at(&self) -> DateTime<Utc> {
        self.placed.placed_at
    }

    /// When its last event was recorded.
    async fn updated_at(&self, ctx: &Context<'_>) -> Result<DateTime<Utc>, Error> {
        match self.recorded_at {
            Some(recorded_at) => Ok(recorded_at),
            None => recorded_at_in_log(ctx, self.id, self.revision).await,
        }
    }

    /// Number of its last event, from 0: grows with every change. What mutations take as
    /// `expectedVersion`.
    async fn version(&self) -> i32 {
        small(self.revision)
    }

    /// The same as `version`.
    async fn revision(&self) -> i32 {
        small(self.revision)
    }

    /// Whether a later event could not be understood: what is here is right, but may be out of date.
    async fn quarantined(&self) -> bool {
        self.quarantined
    }
}

async fn recorded_at_in_log(
    ctx: &Context<'_>,
    id: OrderId,
    revision: u64,
) -> Result<DateTime<Utc>, Error> {
    let stream = stream_of::<domain::order::Order>(&id);
    let mut events = Services::of(ctx).journal.read(&stream, revision);
    match events.try_next().await {
        Ok(Some(event)) => Ok(event.metadata.recorded_at),
        Ok(None) => Err(internal(ctx, &Shorter { id, revision })),
        Err(error) => Err(store_error(ctx, &error)),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the stream of order {id} has no event {revision}, but had one before")]
struct Shorter {
    id: OrderId,
    revision: u64,
}
