//! `samples/<event>.v<version>.json` is what was really written. Files are added, never changed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use domain::order::OrderEvent;
use domain::pricing::price;
use schemas::{AnyEvent, EVENT_TYPES, StoredEvent, Undecodable};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn read(name: &str, version: u32) -> Option<Vec<u8>> {
    std::fs::read(folder().join(format!("{name}.v{version}.json"))).ok()
}

fn encode(event: &AnyEvent) -> schemas::Encoded {
    match event {
        AnyEvent::Order(event) => event.encode(),
        AnyEvent::Stock(event) => event.encode(),
        AnyEvent::Payment(event) => event.encode(),
        AnyEvent::Shipment(event) => event.encode(),
        AnyEvent::CreditNote(event) => event.encode(),
        AnyEvent::Numbering(event) => event.encode(),
        AnyEvent::Reference(event) => event.encode(),
        AnyEvent::DataKey(event) => event.encode(),
        AnyEvent::Erasure(event) => event.encode(),
        AnyEvent::Fulfilment(event) => event.encode(),
    }
}

#[test]
fn every_version_of_every_event_type_has_a_sample_that_reads() {
    for row in EVENT_TYPES {
        for version in 1..=row.version {
            let bytes = read(row.name, version)
                .unwrap_or_else(|| panic!("samples/{}.v{version}.json is missing", row.name));
            let event = AnyEvent::decode(row.name, version, &bytes);
            assert!(event.is_ok(), "{} v{version}: {event:?}", row.name);
        }
    }
}

#[test]
fn every_sample_belongs_to_a_known_version() {
    let known: BTreeSet<_> = EVENT_TYPES
        .iter()
        .flat_map(|row| (1..=row.version).map(|version| format!("{}.v{version}.json", row.name)))
        .collect();
    for file in std::fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "{name} belongs to no event type that is known");
    }
}

#[test]
fn what_is_read_is_written_back_in_the_same_bytes() {
    for row in EVENT_TYPES {
        let bytes = read(row.name, row.version).unwrap();
        let event = AnyEvent::decode(row.name, row.version, &bytes).unwrap();
        let encoded = encode(&event);
        assert_eq!((encoded.event_type, encoded.version), (row.name, row.version));
        let compact: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&encoded.data).unwrap();
        assert_eq!(written, compact, "{}", row.name);
    }
}

#[test]
fn the_prices_of_every_placed_order_follow_from_what_was_bought() {
    for version in 1..=2 {
        let bytes = read("order-placed", version).unwrap();
        let Ok(OrderEvent::Placed(placed)) = OrderEvent::decode("order-placed", version, &bytes)
        else {
            panic!("order-placed v{version} does not read");
        };
        assert_eq!(price(&placed.details).as_ref(), Ok(&*placed.prices), "v{version}");
    }
}

#[test]
fn unknown_types_unknown_versions_and_malformed_bytes_are_told_apart() {
    let decode = |name, version, data: &str| AnyEvent::decode(name, version, data.as_bytes());
    assert!(matches!(decode("order-lost", 1, "{}"), Err(Undecodable::UnknownType { .. })));
    assert!(matches!(decode("order-shipped", 9, "{}"), Err(Undecodable::UnknownVersion { .. })));
    assert!(matches!(decode("order-cancelled", 1, "{}"), Err(Undecodable::Malformed { .. })));
    assert!(matches!(decode("order-cancelled", 1, "{"), Err(Undecodable::Malformed { .. })));
}
