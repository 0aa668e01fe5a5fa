//! The table of stored events: which name, which version, which shape. Nothing else names them.
//!
//! To add an event: add its variant in `domain` and its row here; the tests then ask for a sample
//! and a JSON Schema. To change a shape: raise the version, add the upcaster from the old one to
//! [`upcast`](crate::upcast), and leave the old sample where it is. A name or a version that has
//! been written is never reused and never removed.

use std::str::FromStr;

use domain::credit_note::{CreditNote, CreditNoteEvent};
use domain::data_key::{DataKey, DataKeyEvent};
use domain::erasure::{Erasure, ErasureEvent};
use domain::fulfilment::{Fulfilment, FulfilmentEvent};
use domain::ids::{
    CreditNoteId, NumberSeries, OrderId, PaymentId, ProcessId, ReferenceId, ShipmentId, Sku,
    SubjectId,
};
use domain::numbering::{Numbering, NumberingEvent};
use domain::order::{Order, OrderEvent};
use domain::payment::{Payment, PaymentEvent};
use domain::reference::{Reference, ReferenceEvent};
use domain::shipment::{Shipment, ShipmentEvent};
use domain::stock::{Stock, StockEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Aggregate, Encoded, StoredEvent, Undecodable};
use crate::state_format::StateFormat;
use crate::stream::StreamName;
use crate::upcast;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType {
    /// Category of the streams it stands in.
    pub category: &'static str,
    /// Stored name.
    pub name: &'static str,
    /// Version of the shape that this build writes.
    pub version: u32,
}

macro_rules! stored_events {
    ($($event:ident in $category:literal { $($variant:ident = $name:literal v $version:literal,)+ })+) => {
        /// Every event type, in the order of the table.
        pub const EVENT_TYPES: &[EventType] = &[
            $($(EventType { category: $category, name: $name, version: $version },)+)+
        ];

        $(impl StoredEvent for $event {
            fn encode(&self) -> Encoded {
                match self {
                    $(Self::$variant(data) => encode($name, $version, data),)+
                }
            }

            fn decode(event_type: &str, version: u32, data: &[u8]) -> Result<Self, Undecodable> {
                match event_type {
                    $($name => decode($name, $version, version, data).map(Self::$variant),)+
                    _ => Err(Undecodable::UnknownType { event_type: event_type.to_owned() }),
                }
            }
        })+
    };
}

stored_events! {
    OrderEvent in "order" {
        Placed = "order-placed" v 2,
        Confirmed = "order-confirmed" v 1,
        Shipped = "order-shipped" v 1,
        Completed = "order-completed" v 1,
        Cancelled = "order-cancelled" v 1,
        Rejected = "order-rejected" v 1,
        Held = "order-held" v 1,
        HoldReleased = "order-hold-released" v 1,
        Allocated = "order-allocated" v 1,
        BackorderFilled = "order-backorder-filled" v 1,
        LinesCancelled = "order-lines-cancelled" v 1,
        PaymentRequested = "order-payment-requested" v 1,
        PaymentAuthorised = "order-payment-authorised" v 1,
        PaymentDeclined = "order-payment-declined" v 1,
        AuthorisationExpired = "order-authorisation-expired" v 1,
        PaymentReceived = "order-payment-received" v 1,
        CaptureRequested = "order-capture-requested" v 1,
        PaymentCaptured = "order-payment-captured" v 1,
        CaptureFailed = "order-capture-failed" v 1,
        VoidRequested = "order-void-requested" v 1,
        PaymentVoided = "order-payment-voided" v 1,
        RefundRequested = "order-refund-requested" v 1,
        RefundCompleted = "order-refund-completed" v 1,
        RefundFailed = "order-refund-failed" v 1,
        ChargedBack = "order-charged-back" v 1,
        ShipmentRequested = "order-shipment-requested" v 1,
        ShipmentCleared = "order-shipment-cleared" v 1,
        ShipmentDispatched = "order-shipment-dispatched" v 1,
        ShipmentCancelled = "order-shipment-cancelled" v 1,
        ShipmentTracked = "order-shipment-tracked" v 1,
        ShipmentDelivered = "order-shipment-delivered" v 1,
        ReturnRequested = "order-return-requested" v 1,
        ReturnApproved = "order-return-approved" v 1,
        ReturnDeclined = "order-return-declined" v 1,
        ReturnReceived = "order-return-received" v 1,
        ReturnClosed = "order-return-closed" v 1,
        CustomerAttached = "order-customer-attached" v 1,
        ContactChanged = "order-contact-changed" v 1,
        ShippingAddressChanged = "order-shipping-address-changed" v 1,
        BillingAddressChanged = "order-billing-address-changed" v 1,
        NoteChanged = "order-note-changed" v 1,
        TagsChanged = "order-tags-changed" v 1,
    }
    StockEvent in "stock" {
        Received = "stock-received" v 2,
        Adjusted = "stock-adjusted" v 1,
        Counted = "stock-counted" v 1,
        PolicyChanged = "stock-policy-changed" v 1,
        Reserved = "stock-reserved" v 2,
        Committed = "stock-committed" v 1,
        Released = "stock-released" v 2,
        UnitsReleased = "stock-units-released" v 1,
        Shipped = "stock-shipped" v 2,
        Closed = "stock-closed" v 1,
        ReservationExpired = "stock-reservation-expired" v 1,
        BackorderFilled = "stock-backorder-filled" v 1,
        Restocked = "stock-restocked" v 1,
        RanLow = "stock-ran-low" v 1,
        RanOut = "stock-ran-out" v 1,
    }
    PaymentEvent in "payment" {
        AuthorisationPending = "payment-authorisation-pending" v 1,
        Authorised = "payment-authorised" v 2,
        Declined = "payment-declined" v 1,
        CapturePending = "payment-capture-pending" v 1,
        Captured = "payment-captured" v 2,
        CaptureFailed = "payment-capture-failed" v 1,
        VoidPending = "payment-void-pending" v 1,
        Voided = "payment-voided" v 1,
        RefundPending = "payment-refund-pending" v 1,
        Refunded = "payment-refunded" v 1,
        RefundFailed = "payment-refund-failed" v 1,
        Expired = "payment-expired" v 1,
        ChargedBack = "payment-charged-back" v 1,
        SettledElsewhere = "payment-settled-elsewhere" v 1,
        PaidManually = "payment-paid-manually" v 1,
    }
    ShipmentEvent in "shipment" {
        Booked = "shipment-booked" v 2,
        HandedOver = "shipment-handed-over" v 2,
        Tracked = "shipment-tracked" v 1,
        Delivered = "shipment-delivered" v 1,
        Cancelled = "shipment-cancelled" v 1,
    }
    CreditNoteEvent in "credit_note" {
        Issued = "credit-note-issued" v 1,
    }
    NumberingEvent in "numbering" {
        Reserved = "numbers-reserved" v 1,
    }
    ReferenceEvent in "reference" {
        Claimed = "reference-claimed" v 1,
    }
    DataKeyEvent in "data_key" {
        Created = "data-key-created" v 1,
        Destroyed = "data-key-destroyed" v 1,
    }
    ErasureEvent in "erasure" {
        Erased = "person-erased" v 1,
    }
    FulfilmentEvent in "fulfilment" {
        Started = "fulfilment-started" v 2,
        CancellationRequested = "fulfilment-cancellation-requested" v 1,
        StepCompleted = "fulfilment-step-completed" v 1,
        StepRefused = "fulfilment-step-refused" v 1,
        StepFailed = "fulfilment-step-failed" v 1,
        StepParked = "fulfilment-step-parked" v 1,
        StepResumed = "fulfilment-step-resumed" v 1,
        Finished = "fulfilment-finished" v 1,
    }
}

macro_rules! aggregates {
    ($($decider:ident in $category:literal by $id:ident $(, states v $version:literal)?;)+) => {$(
        impl Aggregate for $decider {
            const CATEGORY: &'static str = $category;
            type Id = $id;
            $(const STATES: Option<StateFormat<Self::State>> = Some(StateFormat::version($version));)?
        }
    )+};
}

aggregates! {
    Order in "order" by OrderId;
    Stock in "stock" by Sku, states v 1;
    Payment in "payment" by PaymentId;
    Shipment in "shipment" by ShipmentId;
    CreditNote in "credit_note" by CreditNoteId;
    Numbering in "numbering" by NumberSeries;
    Reference in "reference" by ReferenceId;
    DataKey in "data_key" by SubjectId;
    Erasure in "erasure" by SubjectId;
    Fulfilment in "fulfilment" by ProcessId;
}

/// The stream of aggregate `id`.
pub fn stream_of<A: Aggregate>(id: &A::Id) -> StreamName {
    StreamName::new(A::CATEGORY, id)
}

/// Which aggregate `stream` belongs to, if it is one of `A`'s.
pub fn id_in<A: Aggregate>(stream: &StreamName) -> Option<A::Id>
where
    A::Id: ParseId,
{
    if stream.category() == A::CATEGORY { A::Id::parse_id(stream.id()) } else { None }
}

/// Ids that can be read back from the name of a stream.
pub trait ParseId: Sized {
    /// The id, or `None` when `text` is none.
    fn parse_id(text: &str) -> Option<Self>;
}

macro_rules! uuid_ids_parse {
    ($($id:ident)+) => {$(impl ParseId for $id {
        fn parse_id(text: &str) -> Option<Self> {
            Self::from_str(text).ok()
        }
    })+};
}
uuid_ids_parse!(OrderId PaymentId ShipmentId ProcessId CreditNoteId SubjectId ReferenceId);

impl ParseId for Sku {
    fn parse_id(text: &str) -> Option<Self> {
        Self::new(text).ok()
    }
}

impl ParseId for NumberSeries {
    fn parse_id(text: &str) -> Option<Self> {
        Self::new(text).ok()
    }
}

#[expect(
    clippy::expect_used,
    reason = "our events are plain data with string keys: they serialise"
)]
fn encode<T: Serialize>(event_type: &'static str, version: u32, data: &T) -> Encoded {
    let data = serde_json::to_vec(data).expect("events serialise").into();
    Encoded { event_type, version, data }
}

fn decode<T: DeserializeOwned>(
    event_type: &'static str,
    newest: u32,
    version: u32,
    data: &[u8],
) -> Result<T, Undecodable> {
    let malformed = |error: serde_json::Error| Undecodable::Malformed {
        event_type: event_type.to_owned(),
        version,
        reason: error.to_string(),
    };
    if version == newest {
        return serde_json::from_slice(data).map_err(malformed);
    }
    let old = serde_json::from_slice(data).map_err(malformed)?;
    let lifted = upcast::lift(upcast::UPCASTERS, event_type, version, newest, old)?;
    serde_json::from_value(lifted).map_err(malformed)
}
