//! The key that the personal data of one person are sealed under: one at a time, wrapped, and gone
//! once it is destroyed.
//!
//! What a key is made of and how it is wrapped is not here; neither is who may have it destroyed.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::decider::Decider;

/// The data key of one person; its id is a [`SubjectId`](crate::ids::SubjectId).
///
/// When a key is destroyed, its stream is deleted after that was recorded: the record is what stays
/// of the stream when the event store removes what was deleted, the wrapped key is not.
#[derive(Debug, Clone, Copy)]
pub struct DataKey;

/// What can be wanted of a data key.
#[derive(Debug, Clone, PartialEq)]
pub enum DataKeyCommand {
    /// Keep this one. No-op while the person has a key: the first one stays.
    Create(DataKeyCreated),
    /// Have this one destroyed. No-op unless it is the person's key.
    Destroy {
        /// Which one.
        key_id: Uuid,
    },
}

/// What can have happened to a data key. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq)]
pub enum DataKeyEvent {
    /// It was made.
    Created(DataKeyCreated),
    /// It counts no longer, and its stream is to be deleted.
    Destroyed(DataKeyDestroyed),
}

/// A key was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DataKeyCreated {
    /// What sealed data name it by. Never used again for another key.
    pub key_id: Uuid,
    /// Base64 (RFC 4648 §4): the key, encrypted under a master key.
    pub wrapped: String,
    /// Which master key.
    pub master_key_id: String,
}

/// A key counts no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DataKeyDestroyed {
    /// Which one.
    pub key_id: Uuid,
}

/// The key of a person, as later decisions need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataKeyState {
    /// The person has none.
    Missing,
    /// The person has this one.
    Kept(DataKeyCreated),
    /// The last one counts no longer, but the stream that it stands in is not deleted yet.
    Destroyed(DataKeyDestroyed),
}

/// The rule that a data key would have broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DataKeyRejection {
    /// A new key waits until nothing is left of the old one.
    #[error("the person's last key is destroyed but not removed yet; delete its stream first")]
    OldKeyStillThere,
}

impl Decider for DataKey {
    type State = DataKeyState;
    type Command = DataKeyCommand;
    type Event = DataKeyEvent;
    type Rejection = DataKeyRejection;

    fn initial() -> DataKeyState {
        DataKeyState::Missing
    }

    fn evolve(_: DataKeyState, event: &DataKeyEvent) -> DataKeyState {
        match event {
            DataKeyEvent::Created(created) => DataKeyState::Kept(created.clone()),
            DataKeyEvent::Destroyed(destroyed) => DataKeyState::Destroyed(destroyed.clone()),
        }
    }

    fn decide(
        state: &DataKeyState,
        command: &DataKeyCommand,
    ) -> Result<Vec<DataKeyEvent>, DataKeyRejection> {
        match command {
            DataKeyCommand::Create(key) => match state {
                DataKeyState::Missing => Ok(vec![DataKeyEvent::Created(key.clone())]),
                DataKeyState::Kept(_) => Ok(vec![]),
                DataKeyState::Destroyed(_) => Err(DataKeyRejection::OldKeyStillThere),
            },
            DataKeyCommand::Destroy { key_id } => match state {
                DataKeyState::Kept(kept) if kept.key_id == *key_id => {
                    Ok(vec![DataKeyEvent::Destroyed(DataKeyDestroyed { key_id: *key_id })])
                }
                DataKeyState::Kept(_) | DataKeyState::Missing | DataKeyState::Destroyed(_) => {
                    Ok(vec![])
                }
            },
        }
    }

    fn opens_stream(command: &DataKeyCommand) -> bool {
        matches!(command, DataKeyCommand::Create(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn key(number: u128) -> DataKeyCreated {
        DataKeyCreated {
            key_id: Uuid::from_u128(number),
            wrapped: format!("wrapped {number}"),
            master_key_id: "0badcafe".to_owned(),
        }
    }

    fn destroy(number: u128) -> DataKeyCommand {
        DataKeyCommand::Destroy { key_id: Uuid::from_u128(number) }
    }

    fn created(number: u128) -> DataKeyEvent {
        DataKeyEvent::Created(key(number))
    }

    fn destroyed(number: u128) -> DataKeyEvent {
        DataKeyEvent::Destroyed(DataKeyDestroyed { key_id: Uuid::from_u128(number) })
    }

    #[test]
    fn a_person_keeps_the_first_key() {
        given::<DataKey>([]).when(DataKeyCommand::Create(key(1))).then([created(1)]);
        given::<DataKey>([created(1)]).when(DataKeyCommand::Create(key(2))).then_nothing();
    }

    #[test]
    fn only_the_key_that_is_meant_is_destroyed_and_only_once() {
        given::<DataKey>([created(1)]).when(destroy(1)).then([destroyed(1)]);
        given::<DataKey>([created(1)]).when(destroy(2)).then_nothing();
        given::<DataKey>([created(1), destroyed(1)]).when(destroy(1)).then_nothing();
        given::<DataKey>([]).when(destroy(1)).then_nothing();
    }

    #[test]
    fn a_new_key_waits_until_the_old_one_is_removed() {
        given::<DataKey>([created(1), destroyed(1)])
            .when(DataKeyCommand::Create(key(2)))
            .then_rejected(DataKeyRejection::OldKeyStillThere);
        // What is read of the stream after it was deleted.
        given::<DataKey>([]).when(DataKeyCommand::Create(key(2))).then([created(2)]);
    }
}
