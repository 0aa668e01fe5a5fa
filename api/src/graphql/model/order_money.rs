//! The money of an order, as the order knows it: payments, and what was moved to us and back.

use async_graphql::{ComplexObject, Context, Error, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::{CaptureId, OrderId, PaymentId, RefundId};
use domain::order::{self as domain_order, Capture, PaymentBook, PlacedOrder, Refund};
use domain::personal::Sealed;
use uuid::Uuid;

use super::order_line::LineUnits;
use super::personal::{Note, note};
use super::{Money, MovementStatus, Order, Payment, RefundCause, RefundReason};
use crate::graphql::loaders::Loaders;

/// One payment of an order, as the order knows it. An order may have several.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderPayment {
    /// Its id: what mutations call `paymentId`.
    id: Uuid,
    /// Held at first, or received.
    authorised: Money,
    /// Still held, and not on its way to us.
    held: Money,
    /// On its way to us.
    capturing: Money,
    /// Came to us.
    captured: Money,
    /// Let go, by us or by time.
    voided: Money,
    /// On its way back.
    refunding: Money,
    /// Went back.
    refunded: Money,
    /// Taken back by the customer's bank.
    charged_back: Money,
    /// Can still go back.
    refundable: Money,
    /// Whether letting go was asked for.
    voiding: bool,
    /// Until when the gateway holds the money.
    expires_at: Option<DateTime<Utc>>,
    /// Whether the gateway let go by itself.
    expired: bool,
    /// The gateway's code when it declined.
    decline_code: Option<String>,
    /// How others know it, if no gateway of ours does.
    received_as: Option<String>,
    #[graphql(skip)]
    order: OrderId,
}

impl OrderPayment {
    pub(super) fn new(order: &Order, id: PaymentId, book: &PaymentBook) -> Self {
        let money = |minor| Money::from(order.placed.money(minor));
        Self {
            id: id.0,
            authorised: money(book.authorised),
            held: money(book.held()),
            capturing: money(book.capturing),
            captured: money(book.captured),
            voided: money(book.voided),
            refunding: money(book.refunding),
            refunded: money(book.refunded),
            charged_back: money(book.charged_back),
            refundable: money(book.refundable()),
            voiding: book.voiding,
            expires_at: book.expires_at,
            expired: book.expired,
            decline_code: book.declined.clone(),
            received_as: book.received_as.as_ref().map(ToString::to_string),
            order: order.id,
        }
    }
}

#[ComplexObject]
impl OrderPayment {
    /// What the gateway did, as far as the read model knows.
    async fn record(&self, ctx: &Context<'_>) -> Result<Option<Payment>, Error> {
        let rows = Loaders::of(ctx).payments(ctx, self.order.0).await?;
        Ok(rows.into_iter().find(|row| row.id == self.id).map(Into::into))
    }
}

/// Money of an order that was moved to us, or is on its way.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrderCapture {
    /// Its id.
    id: Uuid,
    /// From which payment.
    payment_id: Uuid,
    /// How much.
    amount: Money,
    /// Whether the gateway may let go of the rest.
    #[graphql(name = "final")]
    is_final: bool,
    /// How far it is.
    status: MovementStatus,
    /// The gateway's code when it failed.
    error: Option<String>,
}

impl OrderCapture {
    pub(super) fn new(order: &PlacedOrder, id: CaptureId, capture: &Capture) -> Self {
        Self {
            id: id.0,
            payment_id: capture.payment.0,
            amount: order.money(capture.amount).into(),
            is_final: capture.is_final,
            status: (&capture.status).into(),
            error: error_of(&capture.status),
        }
    }
}

/// Money of an order that was moved back, or is on its way.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderRefund {
    /// Its id.
    id: Uuid,
    /// From which payment.
    payment_id: Uuid,
    /// How much.
    amount: Money,
    /// For which units, if for some.
    lines: Vec<LineUnits>,
    /// What led to it.
    cause: RefundCause,
    /// Why.
    reason: RefundReason,
    /// How far it is.
    status: MovementStatus,
    /// The gateway's code when it failed.
    error: Option<String>,
    #[graphql(skip)]
    order: OrderId,
    #[graphql(skip)]
    sealed_note: Option<Sealed>,
}

impl OrderRefund {
    pub(super) fn new(order: &Order, id: RefundId, refund: &Refund) -> Self {
        Self {
            id: id.0,
            payment_id: refund.payment.0,
            amount: order.placed.money(refund.amount).into(),
            lines: refund.lines.iter().map(Into::into).collect(),
            cause: refund.cause.into(),
            reason: refund.reason.into(),
            status: (&refund.status).into(),
            error: error_of(&refund.status),
            order: order.id,
            sealed_note: refund.note.clone(),
        }
    }
}

#[ComplexObject]
impl OrderRefund {
    /// In words; none without the scope `personal-data:read`.
    async fn note(&self, ctx: &Context<'_>) -> Result<Option<Note>, Error> {
        note(ctx, self.order, self.sealed_note.as_ref()).await
    }
}

/// Money that a customer's bank took back.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Chargeback {
    /// How the gateway knows it.
    reference: String,
    /// How much.
    amount: Money,
}

impl From<(&String, &domain::money::Money)> for Chargeback {
    fn from((reference, &amount): (&String, &domain::money::Money)) -> Self {
        Self { reference: reference.clone(), amount: amount.into() }
    }
}

fn error_of(status: &domain_order::MovementStatus) -> Option<String> {
    match status {
        domain_order::MovementStatus::Failed(code) => Some(code.clone()),
        domain_order::MovementStatus::Pending | domain_order::MovementStatus::Done => None,
    }
}
