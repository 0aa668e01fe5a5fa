//! The numbers that people call orders by: a series that is given out block by block, each number
//! once.
//!
//! Whoever hands numbers out has a block reserved first. What is left of a block when its process ends
//! is never handed out: there are gaps, and there is never the same number twice.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::decider::Decider;
use crate::quantity::Quantity;

/// A series of numbers; its id is a [`NumberSeries`](crate::ids::NumberSeries).
#[derive(Debug, Clone, Copy)]
pub struct Numbering;

/// What can be wanted of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum NumberingCommand {
    /// Set the next numbers aside for whoever asks. No-op when this was the last request. One that
    /// is repeated later gets other numbers, and those of the first time are a gap.
    Reserve {
        /// How many.
        count: Quantity,
        /// Chosen by whoever asks, another one for each block.
        request: Uuid,
        /// Where a series begins; says nothing once it has begun.
        first: u64,
    },
}

/// What can have happened to a series. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq)]
pub enum NumberingEvent {
    /// Numbers were set aside.
    Reserved(NumbersReserved),
}

/// Numbers were set aside: `count` of them, beginning with `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NumbersReserved {
    /// The first of them.
    pub from: u64,
    /// How many.
    pub count: Quantity,
    /// For which request.
    pub request: Uuid,
}

impl NumbersReserved {
    /// The first number after them.
    pub fn end(&self) -> u64 {
        self.from.saturating_add(self.count.into())
    }
}

/// A series, as later decisions need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberingState {
    /// Nobody has asked for a number.
    Unused,
    /// The last numbers that were set aside; the series goes on after them.
    Used(NumbersReserved),
}

/// The rule that a series would have broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NumberingRejection {
    /// Numbers are finite.
    #[error("the series has no numbers left")]
    Exhausted,
}

impl Decider for Numbering {
    type State = NumberingState;
    type Command = NumberingCommand;
    type Event = NumberingEvent;
    type Rejection = NumberingRejection;

    fn initial() -> NumberingState {
        NumberingState::Unused
    }

    fn evolve(_: NumberingState, event: &NumberingEvent) -> NumberingState {
        match event {
            NumberingEvent::Reserved(reserved) => NumberingState::Used(reserved.clone()),
        }
    }

    fn decide(
        state: &NumberingState,
        command: &NumberingCommand,
    ) -> Result<Vec<NumberingEvent>, NumberingRejection> {
        let NumberingCommand::Reserve { count, request, first } = *command;
        let from = match state {
            NumberingState::Unused => first,
            NumberingState::Used(last) if last.request == request => return Ok(vec![]),
            NumberingState::Used(last) => last.end(),
        };
        if from.checked_add(count.into()).is_none() {
            return Err(NumberingRejection::Exhausted);
        }
        Ok(vec![NumberingEvent::Reserved(NumbersReserved { from, count, request })])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{given, run_each_twice};

    fn reserve(count: i64, request: u128) -> NumberingCommand {
        let request = Uuid::from_u128(request);
        NumberingCommand::Reserve { count: Quantity::new(count).unwrap(), request, first: 1001 }
    }

    fn reserved(from: u64, count: i64, request: u128) -> NumberingEvent {
        let request = Uuid::from_u128(request);
        let count = Quantity::new(count).unwrap();
        NumberingEvent::Reserved(NumbersReserved { from, count, request })
    }

    #[test]
    fn a_series_begins_where_it_is_told_to_and_goes_on_after_what_was_set_aside() {
        given::<Numbering>([]).when(reserve(100, 1)).then([reserved(1001, 100, 1)]);
        given::<Numbering>([reserved(7, 100, 1)]).when(reserve(5, 2)).then([reserved(107, 5, 2)]);
    }

    #[test]
    fn the_last_request_is_recognised() {
        given::<Numbering>([reserved(1001, 100, 1)]).when(reserve(100, 1)).then_nothing();
    }

    #[test]
    fn a_series_ends_rather_than_begin_again() {
        given::<Numbering>([reserved(u64::MAX - 101, 100, 1)])
            .when(reserve(2, 2))
            .then_rejected(NumberingRejection::Exhausted);
    }

    proptest! {
        #[test]
        fn no_number_is_set_aside_twice(requests in prop::collection::vec((1_i64..200, 0_u128..9), 0..40)) {
            let commands = requests.into_iter().map(|(count, request)| reserve(count, request));
            let (log, _) = run_each_twice::<Numbering>(commands);
            let mut next = 1001;
            for NumberingEvent::Reserved(reserved) in log {
                prop_assert_eq!(reserved.from, next);
                next = reserved.end();
            }
        }
    }
}
