//! `json/<event>.v<version>.schema.json` describes each event for readers in other languages.
//! `BLESS=1 cargo test -p schemas` rewrites them after a change; review the difference.

use std::path::PathBuf;

use domain::credit_note::CreditNoteIssued;
use domain::data_key::{DataKeyCreated, DataKeyDestroyed};
use domain::erasure::PersonErased;
use domain::fulfilment::{
    FulfilmentCancellationRequested, FulfilmentFinished, FulfilmentStarted,
    FulfilmentStepCompleted, FulfilmentStepFailed, FulfilmentStepParked, FulfilmentStepRefused,
    FulfilmentStepResumed,
};
use domain::numbering::NumbersReserved;
use domain::order::{
    OrderAllocated, OrderAuthorisationExpired, OrderBackorderFilled, OrderBillingAddressChanged,
    OrderCancelled, OrderCaptureFailed, OrderCaptureRequested, OrderChargedBack, OrderCompleted,
    OrderConfirmed, OrderContactChanged, OrderCustomerAttached, OrderHeld, OrderHoldReleased,
    OrderLinesCancelled, OrderNoteChanged, OrderPaymentAuthorised, OrderPaymentCaptured,
    OrderPaymentDeclined, OrderPaymentReceived, OrderPaymentRequested, OrderPaymentVoided,
    OrderPlaced, OrderRefundCompleted, OrderRefundFailed, OrderRefundRequested, OrderRejected,
    OrderReturnApproved, OrderReturnClosed, OrderReturnDeclined, OrderReturnReceived,
    OrderReturnRequested, OrderShipmentCancelled, OrderShipmentCleared, OrderShipmentDelivered,
    OrderShipmentDispatched, OrderShipmentRequested, OrderShipmentTracked, OrderShipped,
    OrderShippingAddressChanged, OrderTagsChanged, OrderVoidRequested,
};
use domain::payment::{
    PaymentAuthorisationPending, PaymentAuthorised, PaymentCaptureFailed, PaymentCapturePending,
    PaymentCaptured, PaymentChargedBack, PaymentDeclined, PaymentExpired, PaymentPaidManually,
    PaymentRefundFailed, PaymentRefundPending, PaymentRefunded, PaymentSettledElsewhere,
    PaymentVoidPending, PaymentVoided,
};
use domain::reference::ReferenceClaimed;
use domain::shipment::{
    ShipmentBooked, ShipmentCancelled, ShipmentDelivered, ShipmentHandedOver, ShipmentTracked,
};
use domain::stock::{
    StockAdjusted, StockBackorderFilled, StockClosed, StockCommitted, StockCounted,
    StockPolicyChanged, StockRanLow, StockRanOut, StockReceived, StockReleased,
    StockReservationExpired, StockReserved, StockRestocked, StockShipped, StockUnitsReleased,
};
use schemars::{JsonSchema, schema_for};
use schemas::EVENT_TYPES;
use serde_json::Value;

fn schema<T: JsonSchema>() -> Value {
    serde_json::to_value(schema_for!(T)).unwrap()
}

fn schema_of(event_type: &str) -> Value {
    match event_type {
        "order-placed" => schema::<OrderPlaced>(),
        "order-confirmed" => schema::<OrderConfirmed>(),
        "order-shipped" => schema::<OrderShipped>(),
        "order-completed" => schema::<OrderCompleted>(),
        "order-cancelled" => schema::<OrderCancelled>(),
        "order-rejected" => schema::<OrderRejected>(),
        "order-held" => schema::<OrderHeld>(),
        "order-hold-released" => schema::<OrderHoldReleased>(),
        "order-allocated" => schema::<OrderAllocated>(),
        "order-backorder-filled" => schema::<OrderBackorderFilled>(),
        "order-lines-cancelled" => schema::<OrderLinesCancelled>(),
        "order-payment-requested" => schema::<OrderPaymentRequested>(),
        "order-payment-authorised" => schema::<OrderPaymentAuthorised>(),
        "order-payment-declined" => schema::<OrderPaymentDeclined>(),
        "order-authorisation-expired" => schema::<OrderAuthorisationExpired>(),
        "order-payment-received" => schema::<OrderPaymentReceived>(),
        "order-capture-requested" => schema::<OrderCaptureRequested>(),
        "order-payment-captured" => schema::<OrderPaymentCaptured>(),
        "order-capture-failed" => schema::<OrderCaptureFailed>(),
        "order-void-requested" => schema::<OrderVoidRequested>(),
        "order-payment-voided" => schema::<OrderPaymentVoided>(),
        "order-refund-requested" => schema::<OrderRefundRequested>(),
        "order-refund-completed" => schema::<OrderRefundCompleted>(),
        "order-refund-failed" => schema::<OrderRefundFailed>(),
        "order-charged-back" => schema::<OrderChargedBack>(),
        "order-shipment-requested" => schema::<OrderShipmentRequested>(),
        "order-shipment-cleared" => schema::<OrderShipmentCleared>(),
        "order-shipment-dispatched" => schema::<OrderShipmentDispatched>(),
        "order-shipment-cancelled" => schema::<OrderShipmentCancelled>(),
        "order-shipment-tracked" => schema::<OrderShipmentTracked>(),
        "order-shipment-delivered" => schema::<OrderShipmentDelivered>(),
        "order-return-requested" => schema::<OrderReturnRequested>(),
        "order-return-approved" => schema::<OrderReturnApproved>(),
        "order-return-declined" => schema::<OrderReturnDeclined>(),
        "order-return-received" => schema::<OrderReturnReceived>(),
        "order-return-closed" => schema::<OrderReturnClosed>(),
        "order-customer-attached" => schema::<OrderCustomerAttached>(),
        "order-contact-changed" => schema::<OrderContactChanged>(),
        "order-shipping-address-changed" => schema::<OrderShippingAddressChanged>(),
        "order-billing-address-changed" => schema::<OrderBillingAddressChanged>(),
        "order-note-changed" => schema::<OrderNoteChanged>(),
        "order-tags-changed" => schema::<OrderTagsChanged>(),
        "stock-received" => schema::<StockReceived>(),
        "stock-adjusted" => schema::<StockAdjusted>(),
        "stock-counted" => schema::<StockCounted>(),
        "stock-policy-changed" => schema::<StockPolicyChanged>(),
        "stock-reserved" => schema::<StockReserved>(),
        "stock-committed" => schema::<StockCommitted>(),
        "stock-released" => schema::<StockReleased>(),
        "stock-units-released" => schema::<StockUnitsReleased>(),
        "stock-shipped" => schema::<StockShipped>(),
        "stock-closed" => schema::<StockClosed>(),
        "stock-reservation-expired" => schema::<StockReservationExpired>(),
        "stock-backorder-filled" => schema::<StockBackorderFilled>(),
        "stock-restocked" => schema::<StockRestocked>(),
        "stock-ran-low" => schema::<StockRanLow>(),
        "stock-ran-out" => schema::<StockRanOut>(),
        "payment-authorisation-pending" => schema::<PaymentAuthorisationPending>(),
        "payment-authorised" => schema::<PaymentAuthorised>(),
        "payment-declined" => schema::<PaymentDeclined>(),
        "payment-capture-pending" => schema::<PaymentCapturePending>(),
        "payment-captured" => schema::<PaymentCaptured>(),
        "payment-capture-failed" => schema::<PaymentCaptureFailed>(),
        "payment-void-pending" => schema::<PaymentVoidPending>(),
        "payment-voided" => schema::<PaymentVoided>(),
        "payment-refund-pending" => schema::<PaymentRefundPending>(),
        "payment-refunded" => schema::<PaymentRefunded>(),
        "payment-refund-failed" => schema::<PaymentRefundFailed>(),
        "payment-expired" => schema::<PaymentExpired>(),
        "payment-charged-back" => schema::<PaymentChargedBack>(),
        "payment-settled-elsewhere" => schema::<PaymentSettledElsewhere>(),
        "payment-paid-manually" => schema::<PaymentPaidManually>(),
        "shipment-booked" => schema::<ShipmentBooked>(),
        "shipment-handed-over" => schema::<ShipmentHandedOver>(),
        "shipment-tracked" => schema::<ShipmentTracked>(),
        "shipment-delivered" => schema::<ShipmentDelivered>(),
        "shipment-cancelled" => schema::<ShipmentCancelled>(),
        "credit-note-issued" => schema::<CreditNoteIssued>(),
        "numbers-reserved" => schema::<NumbersReserved>(),
        "reference-claimed" => schema::<ReferenceClaimed>(),
        "data-key-created" => schema::<DataKeyCreated>(),
        "data-key-destroyed" => schema::<DataKeyDestroyed>(),
        "person-erased" => schema::<PersonErased>(),
        "fulfilment-started" => schema::<FulfilmentStarted>(),
        "fulfilment-cancellation-requested" => schema::<FulfilmentCancellationRequested>(),
        "fulfilment-step-completed" => schema::<FulfilmentStepCompleted>(),
        "fulfilment-step-refused" => schema::<FulfilmentStepRefused>(),
        "fulfilment-step-failed" => schema::<FulfilmentStepFailed>(),
        "fulfilment-step-parked" => schema::<FulfilmentStepParked>(),
        "fulfilment-step-resumed" => schema::<FulfilmentStepResumed>(),
        "fulfilment-finished" => schema::<FulfilmentFinished>(),
        unknown => panic!("say here which type {unknown} has"),
    }
}

fn path(name: &str, version: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("json/{name}.v{version}.schema.json"))
}

#[test]
fn the_published_schemas_are_those_of_the_types() {
    let bless = std::env::var_os("BLESS").is_some();
    for row in EVENT_TYPES {
        let mut text = serde_json::to_string_pretty(&schema_of(row.name)).unwrap();
        text.push('\n');
        let path = path(row.name, row.version);
        if bless {
            std::fs::write(&path, &text).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(published, text, "{} is stale; run with BLESS=1 and review", path.display());
    }
}

#[test]
fn the_newest_sample_of_every_event_type_fits_its_schema() {
    for row in EVENT_TYPES {
        let validator = jsonschema::validator_for(&schema_of(row.name)).unwrap();
        let sample = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("samples/{}.v{}.json", row.name, row.version));
        let sample: Value = serde_json::from_slice(&std::fs::read(sample).unwrap()).unwrap();
        let errors: Vec<_> = validator.iter_errors(&sample).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", row.name);
    }
}
