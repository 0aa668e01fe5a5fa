//! `json/<event>.v<version>.schema.json` describes each event for readers in other languages.
//! `BLESS=1 cargo test -p schemas` rewrites them after a change; review the difference.

use std::path::PathBuf;

use domain::credit_note::CreditNoteIssued;
use domain::fulfilment::{
    FulfilmentCancellationRequested, FulfilmentFinished, FulfilmentStarted,
    FulfilmentStepCompleted, FulfilmentStepFailed, FulfilmentStepParked, FulfilmentStepRefused,
    FulfilmentStepResumed,
};
use domain::order::{
    OrderCancelled, OrderCompleted, OrderConfirmed, OrderPlaced, OrderRejected, OrderShipped,
};
use domain::payment::{
    PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentSettledElsewhere,
    PaymentVoided,
};
use domain::shipment::{ShipmentBooked, ShipmentCancelled, ShipmentDelivered, ShipmentHandedOver};
use domain::stock::{StockClosed, StockReceived, StockReleased, StockReserved, StockShipped};
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
        "stock-received" => schema::<StockReceived>(),
        "stock-reserved" => schema::<StockReserved>(),
        "stock-released" => schema::<StockReleased>(),
        "stock-shipped" => schema::<StockShipped>(),
        "stock-closed" => schema::<StockClosed>(),
        "payment-authorised" => schema::<PaymentAuthorised>(),
        "payment-declined" => schema::<PaymentDeclined>(),
        "payment-captured" => schema::<PaymentCaptured>(),
        "payment-voided" => schema::<PaymentVoided>(),
        "payment-refunded" => schema::<PaymentRefunded>(),
        "payment-settled-elsewhere" => schema::<PaymentSettledElsewhere>(),
        "shipment-booked" => schema::<ShipmentBooked>(),
        "shipment-handed-over" => schema::<ShipmentHandedOver>(),
        "shipment-delivered" => schema::<ShipmentDelivered>(),
        "shipment-cancelled" => schema::<ShipmentCancelled>(),
        "credit-note-issued" => schema::<CreditNoteIssued>(),
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
