//! The shape every aggregate and every process has: fold the past, decide the next.
//!
//! A decider is a value-free namespace of three pure functions. It never waits, never reads a clock,
//! never draws a random number: time and new ids come in with the command. That is what makes a
//! decision repeatable, and a test of it one line long.

/// An aggregate or process, as three pure functions over its events (Chassaing's *Decider*).
pub trait Decider: Sized + Send + Sync + 'static {
    /// What has happened so far, as far as later decisions care.
    type State: Clone + std::fmt::Debug + Send + Sync + 'static;
    /// What somebody wants to happen.
    type Command: Clone + std::fmt::Debug + Send + Sync + 'static;
    /// What happened.
    type Event: Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static;
    /// Why a command was refused: the rule it would have broken.
    type Rejection: std::error::Error + Clone + PartialEq + Send + Sync + 'static;

    /// The state of a stream without events.
    fn initial() -> Self::State;

    /// The state after one more event. Total: it never fails and never panics, because what is in
    /// the log has happened, whatever today's rules say.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;

    /// The events that carry out `command`, or the rule that forbids it.
    ///
    /// A command that is already in effect yields *no events*: repeating it is not an error.
    ///
    /// # Errors
    /// The rejection names the broken rule and carries the numbers a caller needs to react.
    fn decide(
        state: &Self::State,
        command: &Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Whether `command` normally opens its stream.
    ///
    /// A hint, never a rule: the write path then tries the append without reading first, and a
    /// stream that turns out to exist is read and decided upon as usual.
    fn opens_stream(command: &Self::Command) -> bool {
        let _ = command;
        false
    }
}

/// The state after `events`, starting from `state`.
pub fn fold<'a, D: Decider>(
    state: D::State,
    events: impl IntoIterator<Item = &'a D::Event>,
) -> D::State {
    events.into_iter().fold(state, D::evolve)
}
