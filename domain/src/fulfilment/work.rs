//! What a process is to do, and which event of an order asks for it. Stored: see `schemas`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::FulfilmentStarted;
use crate::ids::{
    CaptureId, LocationCode, MovementId, OrderId, PaymentId, PaymentToken, ProcessId, RefundId,
    ShipmentId, Sku, derive_uuid,
};
use crate::money::Money;
use crate::order::{
    Disposition, Handling, LineAllocation, LineUnits, OrderDetails, OrderEvent, ReceivedUnits,
    ShippedBy,
};
use crate::quantity::Quantity;
use crate::stock::{Acceptance, StockBackorderFilled};

/// What a process is to do, as the order asked for it. What may change while it runs (the total, the
/// address) and what lines are about, its steps read from the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "kind")]
pub enum Work {
    /// Have goods set aside and money held for an order, and promise delivery.
    Acceptance(AcceptanceWork),
    /// Have money held for an order once more, besides what it was placed with.
    Payment {
        /// Under which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// What the gateway charges.
        payment_token: PaymentToken,
    },
    /// Bring a shipment to the customer.
    Delivery(DeliveryWork),
    /// Have money moved to us.
    Capture {
        /// Which capture.
        capture: CaptureId,
        /// From which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// Whether the gateway may let go of the rest.
        is_final: bool,
    },
    /// Have held money let go.
    Void {
        /// Of which payment.
        payment: PaymentId,
    },
    /// Have money moved back to the customer.
    Refund {
        /// Which refund.
        refund: RefundId,
        /// From which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
    },
    /// Give back the stock of cancelled units.
    Release {
        /// Which giving back.
        movement: MovementId,
        /// What was set aside or awaited for them, per line.
        released: Vec<LineAllocation>,
    },
    /// Put goods that came back onto the shelf.
    Restock {
        /// Which receipt of a return.
        movement: MovementId,
        /// What came back, also what is not put onto the shelf.
        received: Vec<ReceivedUnits>,
    },
    /// Tell the order that goods have come that it awaited.
    Backorder {
        /// Which goods.
        sku: Sku,
        /// Where they are.
        location: LocationCode,
        /// How many.
        quantity: Quantity,
        /// Revision of the event of the SKU's stock that says so.
        stock_revision: u64,
    },
}

/// What has to be done before delivery can be promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AcceptanceWork {
    /// Goods to set aside, one entry per SKU, in the order of SKUs.
    pub reservations: Vec<Goods>,
    /// What was to be paid when the order was placed.
    pub total: Money,
    /// Who moves money and goods.
    pub handling: Handling,
    /// What happens when not everything is in stock.
    pub acceptance: Acceptance,
    /// Goods are taken from here first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer_location: Option<LocationCode>,
    /// When an order that is not paid by then is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_deadline: Option<DateTime<Utc>>,
}

impl AcceptanceWork {
    /// What has to be done for an order. The deadline counts only where something is to be paid to
    /// us.
    pub fn of(details: &OrderDetails, payment_deadline: DateTime<Utc>) -> Self {
        let goods = |(sku, units): (&Sku, u64)| Goods {
            sku: sku.clone(),
            quantity: Quantity::nearest(units),
        };
        let mut work = Self {
            reservations: details.goods().into_iter().map(goods).collect(),
            total: details.total,
            handling: details.handling.clone(),
            acceptance: details.policies.acceptance,
            prefer_location: details.prefer_location.clone(),
            payment_deadline: None,
        };
        work.payment_deadline = work.awaits_payment().then_some(payment_deadline);
        work
    }

    /// Whether the customer has to pay us before delivery is promised, through our gateway or by
    /// hand.
    pub const fn awaits_payment(&self) -> bool {
        self.total.is_positive() && matches!(self.handling, Handling::Partners { .. })
    }

    /// Whether our gateway holds the customer's money.
    pub const fn is_charged(&self) -> bool {
        self.total.is_positive()
            && matches!(self.handling, Handling::Partners { payment_token: Some(_) })
    }
}

/// A shipment that is to be brought to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeliveryWork {
    /// Which shipment.
    pub shipment: ShipmentId,
    /// From where.
    pub location: LocationCode,
    /// What is in it.
    pub lines: Vec<LineUnits>,
    /// Who brings it.
    pub by: ShippedBy,
}

/// Units of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Goods {
    /// Which goods.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// What a process does, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// [`Work::Acceptance`].
    Acceptance,
    /// [`Work::Payment`].
    Payment,
    /// [`Work::Delivery`].
    Delivery,
    /// [`Work::Capture`].
    Capture,
    /// [`Work::Void`].
    Void,
    /// [`Work::Refund`].
    Refund,
    /// [`Work::Release`].
    Release,
    /// [`Work::Restock`].
    Restock,
    /// [`Work::Backorder`].
    Backorder,
}

impl Kind {
    /// The name it is stored and shown under.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acceptance => "acceptance",
            Self::Payment => "payment",
            Self::Delivery => "delivery",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
            Self::Release => "release",
            Self::Restock => "restock",
            Self::Backorder => "backorder",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Work {
    /// What it is, in one word.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Acceptance(_) => Kind::Acceptance,
            Self::Payment { .. } => Kind::Payment,
            Self::Delivery(_) => Kind::Delivery,
            Self::Capture { .. } => Kind::Capture,
            Self::Void { .. } => Kind::Void,
            Self::Refund { .. } => Kind::Refund,
            Self::Release { .. } => Kind::Release,
            Self::Restock { .. } => Kind::Restock,
            Self::Backorder { .. } => Kind::Backorder,
        }
    }

    /// What has to be done before delivery can be promised, if that is what it is about.
    pub const fn acceptance(&self) -> Option<&AcceptanceWork> {
        match self {
            Self::Acceptance(work) => Some(work),
            Self::Payment { .. }
            | Self::Delivery(_)
            | Self::Capture { .. }
            | Self::Void { .. }
            | Self::Refund { .. }
            | Self::Release { .. }
            | Self::Restock { .. }
            | Self::Backorder { .. } => None,
        }
    }

    /// Which shipment is to be brought, if that is what it is about.
    pub const fn delivery(&self) -> Option<&DeliveryWork> {
        match self {
            Self::Delivery(work) => Some(work),
            Self::Acceptance(_)
            | Self::Payment { .. }
            | Self::Capture { .. }
            | Self::Void { .. }
            | Self::Refund { .. }
            | Self::Release { .. }
            | Self::Restock { .. }
            | Self::Backorder { .. } => None,
        }
    }
}

/// What `event` of `order` asks for, the one with the number `revision` in its stream: which
/// process, and what that is to do. `None` when it asks for nothing new. An order that was just
/// placed is given up at `payment_deadline` if it is not paid by then.
pub fn asked_for(
    order: OrderId,
    event: &OrderEvent,
    revision: u64,
    payment_deadline: DateTime<Utc>,
) -> Option<(ProcessId, FulfilmentStarted)> {
    let (process, work) = match event {
        OrderEvent::Placed(placed) => {
            let work = AcceptanceWork::of(&placed.details, payment_deadline);
            (order.into(), Work::Acceptance(work))
        }
        OrderEvent::PaymentRequested(requested) => {
            let (payment, amount) = (requested.payment, requested.amount);
            let payment_token = requested.payment_token.clone();
            (payment.into(), Work::Payment { payment, amount, payment_token })
        }
        OrderEvent::ShipmentRequested(requested) => {
            let work = DeliveryWork {
                shipment: requested.shipment,
                location: requested.location.clone(),
                lines: requested.lines.clone(),
                by: requested.by.clone(),
            };
            (requested.shipment.into(), Work::Delivery(work))
        }
        OrderEvent::CaptureRequested(requested) => {
            let (capture, payment) = (requested.capture, requested.payment);
            let (amount, is_final) = (requested.amount, requested.is_final);
            (capture.into(), Work::Capture { capture, payment, amount, is_final })
        }
        OrderEvent::VoidRequested(requested) => {
            let payment = requested.payment;
            // A payment may be let go of again, when a capture fails that was on its way before.
            (derived(["void", &payment.to_string(), &revision.to_string()]), Work::Void { payment })
        }
        OrderEvent::RefundRequested(requested) => {
            let (refund, amount) = (requested.refund, requested.amount);
            let payment = match requested.payment {
                PaymentId::OF_THE_FIRST_DAYS => PaymentId::of(order),
                payment => payment,
            };
            (refund.into(), Work::Refund { refund, payment, amount })
        }
        OrderEvent::LinesCancelled(cancelled) if !cancelled.released.is_empty() => {
            let (movement, released) = (cancelled.movement, cancelled.released.clone());
            (movement.into(), Work::Release { movement, released })
        }
        OrderEvent::ReturnReceived(back) if back.goods.iter().any(goes_back_onto_the_shelf) => {
            let (movement, received) = (back.movement, back.goods.clone());
            (movement.into(), Work::Restock { movement, received })
        }
        OrderEvent::LinesCancelled(_)
        | OrderEvent::ReturnReceived(_)
        | OrderEvent::Confirmed(_)
        | OrderEvent::Shipped(_)
        | OrderEvent::Completed(_)
        | OrderEvent::Cancelled(_)
        | OrderEvent::Rejected(_)
        | OrderEvent::Held(_)
        | OrderEvent::HoldReleased(_)
        | OrderEvent::Allocated(_)
        | OrderEvent::BackorderFilled(_)
        | OrderEvent::PaymentAuthorised(_)
        | OrderEvent::PaymentDeclined(_)
        | OrderEvent::AuthorisationExpired(_)
        | OrderEvent::PaymentReceived(_)
        | OrderEvent::PaymentCaptured(_)
        | OrderEvent::CaptureFailed(_)
        | OrderEvent::PaymentVoided(_)
        | OrderEvent::RefundCompleted(_)
        | OrderEvent::RefundFailed(_)
        | OrderEvent::ChargedBack(_)
        | OrderEvent::ShipmentCleared(_)
        | OrderEvent::ShipmentDispatched(_)
        | OrderEvent::ShipmentCancelled(_)
        | OrderEvent::ShipmentTracked(_)
        | OrderEvent::ShipmentDelivered(_)
        | OrderEvent::ReturnRequested(_)
        | OrderEvent::ReturnApproved(_)
        | OrderEvent::ReturnDeclined(_)
        | OrderEvent::ReturnClosed(_)
        | OrderEvent::CustomerAttached(_)
        | OrderEvent::ContactChanged(_)
        | OrderEvent::ShippingAddressChanged(_)
        | OrderEvent::BillingAddressChanged(_)
        | OrderEvent::NoteChanged(_)
        | OrderEvent::TagsChanged(_) => return None,
    };
    Some((process, FulfilmentStarted { order: Some(order), work }))
}

/// Which process tells the order of `filled`, the event number `revision` of the stock of `sku`, and
/// what it is to do.
pub fn asked_by_stock(
    sku: Sku,
    filled: &StockBackorderFilled,
    revision: u64,
) -> (ProcessId, FulfilmentStarted) {
    let process = derived(["backorder", sku.as_str(), &revision.to_string()]);
    let work = Work::Backorder {
        sku,
        location: filled.location.clone(),
        quantity: filled.quantity,
        stock_revision: revision,
    };
    (process, FulfilmentStarted { order: Some(filled.order), work })
}

fn derived(parts: [&str; 3]) -> ProcessId {
    let [kind, id, number] = parts;
    ProcessId(derive_uuid(&["process", kind, id, number]))
}

fn goes_back_onto_the_shelf(units: &ReceivedUnits) -> bool {
    units.disposition == Disposition::Restocked
}
