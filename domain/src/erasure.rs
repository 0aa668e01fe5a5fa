//! The proof that a person was erased: when, on whose word, and which keys went with them.
//!
//! It says nothing about the person but the id that their events go on carrying.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::decider::Decider;

/// The erasures of one person; its id is a [`SubjectId`](crate::ids::SubjectId). There may be several:
/// who was erased can become a customer again.
#[derive(Debug, Clone, Copy)]
pub struct Erasure;

/// What can be wanted of an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureCommand {
    /// Note that this key is going to be destroyed. No-op when that was noted before.
    Record {
        /// Which key.
        key_id: Uuid,
        /// On whose request: the id of the command, the same when it is repeated.
        request: Uuid,
    },
}

/// What can have happened. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureEvent {
    /// The person was erased. When and on whose word stands in the metadata.
    Erased(PersonErased),
}

/// A person was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PersonErased {
    /// The keys that were destroyed: what they sealed cannot be opened any more.
    pub keys: Vec<Uuid>,
    /// The command that wanted it.
    pub request: Uuid,
}

/// The erasures of a person, as later decisions need to know them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErasureState {
    /// Every key that was noted, and on which request.
    pub keys: BTreeMap<Uuid, Uuid>,
}

/// The rule that an erasure would have broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ErasureRejection {
    /// A request that comes again does not erase what the person has told us since.
    #[error("this request was carried out before; a person who came back is erased by a new one")]
    CarriedOutBefore,
}

impl Decider for Erasure {
    type State = ErasureState;
    type Command = ErasureCommand;
    type Event = ErasureEvent;
    type Rejection = ErasureRejection;

    fn initial() -> ErasureState {
        ErasureState::default()
    }

    fn evolve(mut state: ErasureState, event: &ErasureEvent) -> ErasureState {
        let ErasureEvent::Erased(erased) = event;
        state.keys.extend(erased.keys.iter().map(|key| (*key, erased.request)));
        state
    }

    fn decide(
        state: &ErasureState,
        command: &ErasureCommand,
    ) -> Result<Vec<ErasureEvent>, ErasureRejection> {
        let ErasureCommand::Record { key_id, request } = command;
        if state.keys.contains_key(key_id) {
            return Ok(vec![]);
        }
        if state.keys.values().any(|earlier| earlier == request) {
            return Err(ErasureRejection::CarriedOutBefore);
        }
        Ok(vec![ErasureEvent::Erased(PersonErased { keys: vec![*key_id], request: *request })])
    }

    fn opens_stream(_: &ErasureCommand) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn record(key: u128, request: u128) -> ErasureCommand {
        ErasureCommand::Record { key_id: Uuid::from_u128(key), request: Uuid::from_u128(request) }
    }

    fn erased(key: u128, request: u128) -> ErasureEvent {
        let keys = vec![Uuid::from_u128(key)];
        ErasureEvent::Erased(PersonErased { keys, request: Uuid::from_u128(request) })
    }

    #[test]
    fn an_erasure_is_noted_once_per_key() {
        given::<Erasure>([]).when(record(1, 10)).then([erased(1, 10)]);
        given::<Erasure>([erased(1, 10)]).when(record(1, 10)).then_nothing();
        given::<Erasure>([erased(1, 10)]).when(record(1, 20)).then_nothing();
    }

    #[test]
    fn who_came_back_is_erased_by_a_new_request_only() {
        given::<Erasure>([erased(1, 10)])
            .when(record(2, 10))
            .then_rejected(ErasureRejection::CarriedOutBefore);
        given::<Erasure>([erased(1, 10)]).when(record(2, 20)).then([erased(2, 20)]);
    }
}
