//! Random operations on one stream, judged by the rules and by a plain model of them at once. The
//! model keeps every event in a vector and looks at all of it, so that it has no cleverness to be
//! wrong about.

use std::convert::Infallible;

use proptest::prelude::*;
use uuid::Uuid;

use super::append::{
    Expected, History, Removal, StreamState, Verdict, judge_append, judge_delete, judge_tombstone,
};

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Append(Expected, Vec<u8>),
    Delete(Expected),
    Tombstone(Expected),
    SetMetadata(Limits),
}

/// What a stream's metadata hides.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) truncate_before: Option<u64>,
    pub(crate) max_count: Option<u64>,
}

fn limits() -> impl Strategy<Value = Limits> {
    (proptest::option::of(0_u64..12), proptest::option::of(1_u64..6))
        .prop_map(|(truncate_before, max_count)| Limits { truncate_before, max_count })
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        Just(Expected::Any),
        Just(Expected::NoStream),
        Just(Expected::StreamExists),
        (0_u64..6).prop_map(Expected::Revision),
    ]
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    // Few ids, so that repetitions happen by themselves.
    let ids = proptest::collection::vec(0_u8..6, 1..4);
    prop_oneof![
        8 => (expected(), ids).prop_map(|(expected, ids)| Operation::Append(expected, ids)),
        2 => expected().prop_map(Operation::Delete),
        1 => expected().prop_map(Operation::Tombstone),
        2 => limits().prop_map(Operation::SetMetadata),
    ]
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) events: Vec<Uuid>,
    limits: Limits,
    /// So many of the first events are destroyed.
    destroyed: usize,
    pub(crate) tombstoned: bool,
    pub(crate) deleted: bool,
    has_metadata: bool,
}

impl Model {
    /// What a read finds, with revisions; nothing also for a stream that is not there.
    pub(crate) fn visible(&self) -> Vec<(u64, Uuid)> {
        let numbered = (0..).zip(self.events.iter().copied());
        let truncated = self.limits.truncate_before.unwrap_or_default();
        let by_count = self
            .limits
            .max_count
            .map_or(0, |count| self.events.len().saturating_sub(usize::try_from(count).unwrap()));
        let hidden = by_count.max(usize::try_from(truncated).unwrap());
        numbered
            .skip(hidden.max(self.destroyed))
            .filter(|_| !self.deleted && !self.tombstoned)
            .collect()
    }

    /// How many events the log does not show.
    pub(crate) fn destroyed(&self) -> u64 {
        self.destroyed as u64
    }

    /// Writes metadata: whatever they say, they do not show events from before a delete.
    pub(crate) fn set_metadata(&mut self, limits: Limits) {
        self.limits = limits;
        if self.deleted {
            self.limits.truncate_before = Some(self.events.len() as u64);
        }
        self.has_metadata = true;
        self.deleted = false;
    }

    fn state(&self) -> StreamState {
        StreamState {
            last: (self.events.len() as u64).checked_sub(1),
            tombstoned: self.tombstoned,
            deleted: self.deleted,
            has_metadata: self.has_metadata,
        }
    }

    /// Whether a write that brings something new may happen; `None` when the stream counts as
    /// deleted.
    fn holds(&self, expected: Expected) -> Option<bool> {
        if self.tombstoned || (self.deleted && expected == Expected::StreamExists) {
            return None;
        }
        Some(match expected {
            Expected::Any => true,
            Expected::NoStream => self.events.is_empty() || self.deleted,
            Expected::StreamExists => !self.events.is_empty() || self.has_metadata,
            Expected::Revision(revision) => self.events.len() as u64 == revision + 1,
        })
    }

    /// Whether `ids` are all in the stream already where `expected` says they would have been
    /// written.
    fn repeats(&self, expected: Expected, ids: &[Uuid]) -> bool {
        let start = match expected {
            Expected::Any | Expected::StreamExists => {
                return ids.iter().all(|id| self.events.contains(id));
            }
            Expected::NoStream => 0,
            Expected::Revision(revision) => usize::try_from(revision).unwrap() + 1,
        };
        self.events.get(start..start + ids.len()) == Some(ids)
    }

    pub(crate) fn append(&mut self, expected: Expected, ids: &[Uuid]) -> Verdict {
        let state = self.state();
        let wrong = Verdict::WrongExpected { current: state.last };
        let loose = matches!(expected, Expected::Any | Expected::StreamExists);
        let begins_known = loose && self.events.contains(&ids[0]);
        let first = self.events.len() as u64;
        match self.holds(expected) {
            None => Verdict::Deleted,
            Some(holds) if self.repeats(expected, ids) && (loose || !self.events.is_empty()) => {
                if loose && !holds {
                    return wrong;
                }
                let last_id = ids.last().unwrap();
                let last = match expected {
                    Expected::Any | Expected::StreamExists => {
                        self.events.iter().rposition(|id| id == last_id).unwrap() as u64
                    }
                    Expected::NoStream => ids.len() as u64 - 1,
                    Expected::Revision(revision) => revision + ids.len() as u64,
                };
                Verdict::Repeated { last }
            }
            Some(false) => wrong,
            Some(true) if begins_known => wrong,
            Some(true) if expected == Expected::NoStream && self.events.first() == ids.first() => {
                wrong
            }
            Some(true) => {
                if self.deleted {
                    let truncate_before = Some(self.events.len() as u64);
                    self.limits = Limits { truncate_before, max_count: None };
                    self.deleted = false;
                    self.has_metadata = true;
                }
                self.events.extend(ids);
                Verdict::Write { first }
            }
        }
    }

    pub(crate) fn remove(&mut self, expected: Expected, for_ever: bool) -> Removal {
        let current = self.state().last;
        match self.holds(expected) {
            None => Removal::Deleted,
            Some(false) => Removal::WrongExpected { current },
            Some(true) if !for_ever && self.events.is_empty() && !self.has_metadata => {
                Removal::WrongExpected { current }
            }
            Some(true) => {
                self.tombstoned = for_ever;
                self.deleted = !for_ever || self.deleted;
                self.has_metadata |= !for_ever;
                self.destroyed = self.events.len().saturating_sub(usize::from(!for_ever));
                Removal::Remove
            }
        }
    }
}

impl History for &Model {
    type Error = Infallible;

    fn recent(&mut self, id: Uuid) -> Result<Option<u64>, Infallible> {
        Ok(self.events.iter().rposition(|known| *known == id).map(|index| index as u64))
    }

    fn id_at(&mut self, revision: u64) -> Result<Option<Uuid>, Infallible> {
        Ok(usize::try_from(revision).ok().and_then(|index| self.events.get(index).copied()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn every_history_is_judged_as_the_model_judges_it(
        operations in proptest::collection::vec(operation(), 1..24),
    ) {
        let mut model = Model::default();
        for operation in operations {
            let state = model.state();
            match &operation {
                Operation::Append(expected, ids) => {
                    let ids: Vec<_> =
                        ids.iter().map(|id| Uuid::from_u128(u128::from(*id))).collect();
                    let Ok(judged) = judge_append(state, *expected, &ids, &mut &model);
                    prop_assert_eq!(judged, model.append(*expected, &ids), "{:?} on {:?}", operation, state);
                }
                Operation::Delete(expected) => {
                    let judged = judge_delete(state, *expected);
                    prop_assert_eq!(judged, model.remove(*expected, false), "{:?} on {:?}", operation, state);
                }
                Operation::Tombstone(expected) => {
                    let judged = judge_tombstone(state, *expected);
                    prop_assert_eq!(judged, model.remove(*expected, true), "{:?} on {:?}", operation, state);
                }
                Operation::SetMetadata(limits) => model.set_metadata(*limits),
            }
        }
    }
}
