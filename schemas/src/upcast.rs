//! Lifts old shapes of events to the newest, one version at a time.
//!
//! An upcaster is a pure function from the JSON of one version to the JSON of the next. It is
//! written once and never edited: what it reads has been written. Consumers only ever see the
//! newest shape.

use serde_json::{Value, json};

use crate::codec::Undecodable;

/// One step from a version of an event type to the next.
#[derive(Debug, Clone, Copy)]
pub struct Upcaster {
    /// Stored name of the event type.
    pub event_type: &'static str,
    /// The version it reads; it writes the next one.
    pub from: u32,
    /// The step.
    pub step: fn(Value) -> Value,
}

/// Every upcaster, in the order of the table of event types.
pub const UPCASTERS: &[Upcaster] = &[
    // Nothing was taken off and no tax was told: a line cost its unit price × quantity.
    Upcaster { event_type: "order-placed", from: 1, step: with_plain_prices },
    // There was one place where goods were, and nothing was promised that was not there.
    Upcaster { event_type: "stock-received", from: 1, step: at_the_one_location },
    Upcaster { event_type: "stock-reserved", from: 1, step: as_one_allocation },
    Upcaster { event_type: "stock-released", from: 1, step: as_one_allocation },
    // An order was one shipment, which took everything; its id can be told from the order's.
    Upcaster { event_type: "stock-shipped", from: 1, step: at_the_one_location },
    // Nobody had said how long the money is held.
    Upcaster { event_type: "payment-authorised", from: 1, step: |old| old },
    // All was captured at once; there was no rest to let go of.
    Upcaster {
        event_type: "payment-captured",
        from: 1,
        step: |mut old| {
            if let Some(fields) = old.as_object_mut() {
                fields.insert("isFinal".to_owned(), json!(false));
            }
            old
        },
    },
    // A shipment was one parcel, from the one place where goods were, with the one carrier.
    Upcaster {
        event_type: "shipment-booked",
        from: 1,
        step: |old| {
            json!({
                "order": old["order"],
                "location": "main",
                "parcels": [{ "carrier": "carrier", "trackingNumber": old["trackingNumber"] }],
            })
        },
    },
    // Nobody had noted the time; it is whenever the event was recorded.
    Upcaster { event_type: "shipment-handed-over", from: 1, step: |old| old },
    // A process took one order all the way, and had the order's id. Where the goods go stands in
    // the order.
    Upcaster {
        event_type: "fulfilment-started",
        from: 1,
        step: |mut old| {
            old["kind"] = json!("acceptance");
            old["acceptance"] = json!("all-or-nothing");
            if let Some(fields) = old.as_object_mut() {
                fields.remove("country");
            }
            json!({ "work": old })
        },
    },
];

fn at_the_one_location(mut old: Value) -> Value {
    old["location"] = json!("main");
    old
}

fn as_one_allocation(mut old: Value) -> Value {
    json!({
        "order": old["order"].take(),
        "allocations": [{ "location": "main", "quantity": old["quantity"].take() }],
        "backordered": 0,
    })
}

/// An `order-placed` with the prices that follow from its lines. Sums are those that were checked
/// when the order was placed; what is no such event stays one that nobody can read.
fn with_plain_prices(mut old: Value) -> Value {
    let count = |value: &Value| value.as_i64().unwrap_or_default();
    let mut total = 0_i64;
    let lines = old["details"]["lines"].as_array().into_iter().flatten().map(|line| {
        let unit = count(&line["unitPrice"]["minor"]);
        let price = unit.saturating_mul(count(&line["quantity"]));
        total = total.saturating_add(price);
        json!({
            "subtotal": price,
            "discount": 0,
            "orderDiscount": 0,
            "tax": 0,
            "total": price,
            "unit": unit,
            "dearerUnits": 0,
        })
    });
    let lines: Vec<Value> = lines.collect();
    let prices =
        json!({ "lines": lines, "subtotal": total, "discount": 0, "tax": 0, "total": total });
    if let Some(event) = old.as_object_mut() {
        event.insert("prices".to_owned(), prices);
    }
    old
}

/// Lifts `data` of `event_type` from `version` to `newest` along `chain`.
///
/// # Errors
/// [`Undecodable::UnknownVersion`] when a step is missing, or when `version` is newer than `newest`.
/// [`Undecodable::Malformed`] when `data` is no JSON object, which every event is.
pub fn lift(
    chain: &[Upcaster],
    event_type: &str,
    version: u32,
    newest: u32,
    data: Value,
) -> Result<Value, Undecodable> {
    let unknown =
        || Undecodable::UnknownVersion { event_type: event_type.to_owned(), version, newest };
    if version == 0 || version > newest {
        return Err(unknown());
    }
    if !data.is_object() {
        // Steps may set fields of what they read.
        let (event_type, reason) = (event_type.to_owned(), "it is not an object".to_owned());
        return Err(Undecodable::Malformed { event_type, version, reason });
    }
    (version..newest).try_fold(data, |data, from| {
        let upcaster = chain.iter().find(|step| step.event_type == event_type && step.from == from);
        upcaster.map(|upcaster| (upcaster.step)(data)).ok_or_else(unknown)
    })
}

#[cfg(test)]
mod tests {
    use domain::fulfilment::{FulfilmentStarted, Work};
    use domain::order::OrderPlaced;
    use domain::pricing;

    use super::*;

    const CHAIN: &[Upcaster] = &[
        Upcaster {
            event_type: "mug-sold",
            from: 1,
            step: |old| json!({ "amount": { "minor": old["pence"], "currency": "GBP" } }),
        },
        Upcaster {
            event_type: "mug-sold",
            from: 2,
            step: |mut old| {
                old["gift"] = json!(false);
                old
            },
        },
    ];

    #[test]
    fn an_order_of_the_days_without_discounts_costs_the_sum_of_its_lines() {
        let gbp = |minor: i64| json!({ "minor": minor, "currency": "GBP" });
        let line = |sku: &str, kind: &str, quantity: u32, minor| {
            let unit_price = gbp(minor);
            json!({ "sku": sku, "kind": kind, "quantity": quantity, "unitPrice": unit_price })
        };
        let old = json!({
            "details": {
                "channel": "till",
                "country": "GB",
                "lines": [
                    line("MUG", "goods", 3, 499),
                    line("BAG", "charge", 1, 0),
                    line("POST", "charge", 2, 250),
                ],
                "currency": "GBP",
                "total": gbp(1997),
                "handling": { "by": "partners", "paymentToken": "tok_visa" },
            },
            "placedAt": "2026-03-01T12:00:00Z",
        });
        let lifted = lift(UPCASTERS, "order-placed", 1, 2, old).unwrap();
        let placed: OrderPlaced = serde_json::from_value(lifted).unwrap();
        assert_eq!(pricing::price(&placed.details).as_ref(), Ok(&*placed.prices));
        let lines = [(1497, 499, 0), (0, 0, 0), (500, 250, 0)];
        for (line, (total, unit, dearer_units)) in placed.prices.lines.iter().zip(lines) {
            assert_eq!((line.total, line.unit, line.dearer_units), (total, unit, dearer_units));
        }
    }

    #[test]
    fn what_is_no_order_is_not_lifted_to_one() {
        for nonsense in [json!(null), json!([]), json!("order")] {
            let lifted = lift(UPCASTERS, "order-placed", 1, 2, nonsense);
            assert!(matches!(lifted, Err(Undecodable::Malformed { version: 1, .. })));
        }
        let lifted = lift(UPCASTERS, "order-placed", 1, 2, json!({ "details": 7 })).unwrap();
        assert!(serde_json::from_value::<OrderPlaced>(lifted).is_err());
    }

    #[test]
    fn an_old_shape_is_lifted_through_every_version() {
        let lifted = lift(CHAIN, "mug-sold", 1, 3, json!({ "pence": 499 })).unwrap();
        assert_eq!(lifted, json!({ "amount": { "minor": 499, "currency": "GBP" }, "gift": false }));
    }

    #[test]
    fn a_version_without_an_upcaster_and_one_from_the_future_are_unknown() {
        for (event_type, version) in [("mug-sold", 0), ("mug-sold", 4), ("cup-sold", 1)] {
            let refused = lift(CHAIN, event_type, version, 3, json!({}));
            assert!(matches!(refused, Err(Undecodable::UnknownVersion { .. })), "{event_type}");
        }
    }

    #[test]
    fn a_shipment_of_the_first_days_is_one_parcel_from_the_main_location() {
        let booked = json!({ "order": "o", "trackingNumber": "SIM1" });
        let lifted = lift(UPCASTERS, "shipment-booked", 1, 2, booked).unwrap();
        let parcels = json!([{ "carrier": "carrier", "trackingNumber": "SIM1" }]);
        assert_eq!(lifted, json!({ "order": "o", "location": "main", "parcels": parcels }));
    }

    #[test]
    fn a_capture_of_the_first_days_let_go_of_nothing() {
        let lifted = lift(UPCASTERS, "payment-captured", 1, 2, json!({ "capture": "c" })).unwrap();
        assert_eq!(lifted, json!({ "capture": "c", "isFinal": false }));
    }

    #[test]
    fn a_process_of_the_first_days_is_the_acceptance_of_the_order_with_its_id() {
        let old = include_bytes!("../samples/fulfilment-started.v1.json");
        let old = serde_json::from_slice(old).unwrap();
        let lifted = lift(UPCASTERS, "fulfilment-started", 1, 2, old).unwrap();
        let started: FulfilmentStarted = serde_json::from_value(lifted).unwrap();
        assert_eq!(started.order, None);
        let Work::Acceptance(work) = started.work else { panic!("{started:?}") };
        assert_eq!((work.total.minor, work.reservations.len()), (3330, 1));
        assert!(work.is_charged() && work.payment_deadline.is_some());
    }

    #[test]
    fn goods_of_the_first_days_were_at_the_main_location() {
        let old = || json!({ "order": "o", "quantity": 6 });
        let lifted = lift(UPCASTERS, "stock-shipped", 1, 2, old()).unwrap();
        assert_eq!(lifted, json!({ "order": "o", "location": "main", "quantity": 6 }));
        let allocations = json!([{ "location": "main", "quantity": 6 }]);
        for event_type in ["stock-reserved", "stock-released"] {
            let lifted = lift(UPCASTERS, event_type, 1, 2, old()).unwrap();
            let wanted = json!({ "order": "o", "allocations": allocations, "backordered": 0 });
            assert_eq!(lifted, wanted, "{event_type}");
        }
    }
}
