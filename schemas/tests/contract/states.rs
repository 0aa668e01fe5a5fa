//! `states/<category>.v<version>.json` are events, `states/<category>.v<version>.postcard` is the
//! state after them as that version wrote it. A build that understands it in another way must have
//! another version, or it would go on from a state that its own fold does not lead to.
//!
//! `BLESS=1 cargo test -p schemas` writes what is missing, and never what is there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;
use domain::stock::Stock;
use schemas::{Aggregate, EVENT_TYPES, StateFormat, StoredEvent};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    name: String,
    version: u32,
    data: Box<RawValue>,
}

fn path(category: &str, version: u32, extension: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("states");
    folder.join(format!("{category}.v{version}.{extension}"))
}

fn format<A: Aggregate>() -> &'static StateFormat<A::State> {
    const { &A::STATES }.as_ref().unwrap()
}

/// The events of the version in use, and the state they lead to.
fn folded<A: Aggregate>() -> (Vec<Event>, A::State) {
    let path = path(A::CATEGORY, format::<A>().number(), "json");
    let file = std::fs::read(&path).unwrap_or_else(|_| panic!("{} is missing", path.display()));
    let events: Vec<Event> = serde_json::from_slice(&file).unwrap();
    let state = events.iter().fold(A::initial(), |state, event| {
        let data = event.data.get().as_bytes();
        A::evolve(state, &A::Event::decode(&event.name, event.version, data).unwrap())
    });
    (events, state)
}

fn written<A: Aggregate>(state: &A::State) -> Bytes {
    let path = path(A::CATEGORY, format::<A>().number(), "postcard");
    if std::env::var_os("BLESS").is_some() && !path.exists() {
        std::fs::write(&path, format::<A>().write(state).unwrap()).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|_| panic!("{} is missing", path.display())).into()
}

#[test]
fn a_state_that_an_earlier_build_of_this_version_wrote_is_what_its_events_lead_to() {
    let (_, state) = folded::<Stock>();
    let read = format::<Stock>().read(&written::<Stock>(&state));
    let advice = "what events do to a state of stock, or its fields, has changed: raise the version \
                  of its states in event_types.rs, and write down its events and its state anew";
    assert_eq!(read.as_ref(), Ok(&state), "{advice}");
}

#[test]
fn those_events_are_of_every_type_that_there_is() {
    let (events, _) = folded::<Stock>();
    let types: BTreeSet<_> = events.iter().map(|event| event.name.as_str()).collect();
    let known = EVENT_TYPES.iter().filter(|row| row.name.starts_with("stock-"));
    assert_eq!(types, known.map(|row| row.name).collect());
}

#[test]
fn bytes_that_are_no_state_are_not_taken_for_one() {
    let (_, state) = folded::<Stock>();
    let bytes = format::<Stock>().write(&state).unwrap();
    assert!(format::<Stock>().read(&bytes[..bytes.len() - 1]).is_err());
    assert!(format::<Stock>().read(&[&bytes[..], &[0]].concat()).is_err());
    assert!(format::<Stock>().read(&[]).is_err());
}
