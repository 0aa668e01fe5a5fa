//! Lifts old shapes of events to the newest, one version at a time.
//!
//! An upcaster is a pure function from the JSON of one version to the JSON of the next. It is
//! written once and never edited: what it reads has been written. Consumers only ever see the
//! newest shape.

use serde_json::Value;

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

/// Every upcaster. No shape has changed so far.
pub const UPCASTERS: &[Upcaster] = &[];

/// Lifts `data` of `event_type` from `version` to `newest` along `chain`.
///
/// # Errors
/// [`Undecodable::UnknownVersion`] when a step is missing, or when `version` is newer than `newest`.
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
    (version..newest).try_fold(data, |data, from| {
        let upcaster = chain.iter().find(|step| step.event_type == event_type && step.from == from);
        upcaster.map(|upcaster| (upcaster.step)(data)).ok_or_else(unknown)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
}
