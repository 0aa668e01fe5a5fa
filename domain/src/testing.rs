//! The sentence every rule is tested in: given these events, when this command, then that.

use crate::decider::{Decider, fold};

/// What has happened.
pub(crate) struct Given<D: Decider>(D::State);

/// What came of a command.
pub(crate) struct Then<D: Decider>(Result<Vec<D::Event>, D::Rejection>);

pub(crate) fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let events: Vec<_> = events.into_iter().collect();
    Given(fold::<D>(D::initial(), &events))
}

impl<D: Decider> Given<D> {
    #[expect(clippy::needless_pass_by_value, reason = "reads as a sentence at every call")]
    pub(crate) fn when(self, command: D::Command) -> Then<D> {
        Then(D::decide(&self.0, &command))
    }
}

impl<D: Decider> Then<D> {
    #[track_caller]
    pub(crate) fn then(self, events: impl IntoIterator<Item = D::Event>) {
        assert_eq!(self.0, Ok(events.into_iter().collect()));
    }

    #[track_caller]
    pub(crate) fn then_nothing(self) {
        self.then([]);
    }

    #[track_caller]
    pub(crate) fn then_rejected(self, rejection: D::Rejection) {
        assert_eq!(self.0, Err(rejection));
    }
}

/// Runs `commands` one after another as the write path does, each of them twice; panics when the
/// second time changes anything. Returns the events and the final state.
#[track_caller]
pub(crate) fn run_each_twice<D: Decider>(
    commands: impl IntoIterator<Item = D::Command>,
) -> (Vec<D::Event>, D::State) {
    let mut log = Vec::new();
    let mut state = D::initial();
    for command in commands {
        let Ok(events) = D::decide(&state, &command) else { continue };
        state = fold::<D>(state, &events);
        log.extend(events);
        let again = D::decide(&state, &command);
        assert_eq!(again, Ok(vec![]), "repeating {command:?} changed something");
    }
    (log, state)
}
