//! Whether a write may happen, given what the log knows about its stream: the four expectations,
//! and both rules by which a repeated append is recognised and answered like the first.

use uuid::Uuid;

/// What the writer says the stream looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Whatever it looks like.
    Any,
    /// No event was ever written, or the stream was deleted.
    NoStream,
    /// Something was written to it or to its metadata, and it is not deleted.
    StreamExists,
    /// Its newest event has this revision.
    Revision(u64),
}

/// What the log knows about a stream before a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StreamState {
    /// Revision of the newest event.
    pub(crate) last: Option<u64>,
    /// Ended for ever.
    pub(crate) tombstoned: bool,
    /// Deleted, until the next append revives it.
    pub(crate) deleted: bool,
    pub(crate) has_metadata: bool,
}

/// What an append looks up in the past of its stream.
pub(crate) trait History {
    type Error;

    /// Revision of the event with this id, if it was written to the stream recently.
    fn recent(&mut self, id: Uuid) -> Result<Option<u64>, Self::Error>;

    /// Id of the event at this revision.
    fn id_at(&mut self, revision: u64) -> Result<Option<Uuid>, Self::Error>;
}

/// What becomes of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Write it, the first event at this revision.
    Write { first: u64 },
    /// These very events are in the stream already; the last of them has this revision.
    Repeated { last: u64 },
    /// The stream does not look as expected; its newest event has this revision.
    WrongExpected { current: Option<u64> },
    /// The stream is deleted, and the expectation does not allow for it.
    Deleted,
}

/// Judges an append of events with these ids, in this order.
pub(crate) fn judge_append<H: History>(
    state: StreamState,
    expected: Expected,
    ids: &[Uuid],
    history: &mut H,
) -> Result<Verdict, H::Error> {
    if state.tombstoned {
        return Ok(Verdict::Deleted);
    }
    let wrong = Verdict::WrongExpected { current: state.last };
    let next = state.last.map_or(0, |last| last + 1);
    let first = match expected {
        Expected::StreamExists if state.deleted => return Ok(Verdict::Deleted),
        Expected::StreamExists if state.last.is_none() && !state.has_metadata => return Ok(wrong),
        Expected::Any | Expected::StreamExists => {
            return judge_unordered(wrong, next, ids, history);
        }
        Expected::NoStream => 0,
        Expected::Revision(revision) => revision.saturating_add(1),
    };
    if first == next {
        return Ok(Verdict::Write { first });
    }
    if first > next {
        return Ok(wrong);
    }
    match matching(first, ids, history)? {
        Matching::All => Ok(Verdict::Repeated { last: first + ids.len() as u64 - 1 }),
        Matching::None if expected == Expected::NoStream && state.deleted => {
            Ok(Verdict::Write { first: next })
        }
        Matching::None | Matching::Some => Ok(wrong),
    }
}

/// Without an expected revision, ids alone tell a repetition, and the first decides: if it is new,
/// so is the append, whatever follows. One that begins as a repetition has to be one to its end.
fn judge_unordered<H: History>(
    wrong: Verdict,
    next: u64,
    ids: &[Uuid],
    history: &mut H,
) -> Result<Verdict, H::Error> {
    let mut known = None;
    for id in ids {
        match (history.recent(*id)?, known) {
            (Some(revision), _) => known = Some(revision),
            (None, None) => break,
            (None, Some(_)) => return Ok(wrong),
        }
    }
    Ok(known.map_or(Verdict::Write { first: next }, |last| Verdict::Repeated { last }))
}

enum Matching {
    None,
    Some,
    All,
}

/// How many of `ids` stand in the stream from `first` on, in order.
fn matching<H: History>(first: u64, ids: &[Uuid], history: &mut H) -> Result<Matching, H::Error> {
    for (revision, id) in (first..).zip(ids) {
        if history.id_at(revision)? != Some(*id) {
            return Ok(if revision == first { Matching::None } else { Matching::Some });
        }
    }
    Ok(if ids.is_empty() { Matching::None } else { Matching::All })
}

/// What becomes of a delete or a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    Remove,
    WrongExpected { current: Option<u64> },
    Deleted,
}

/// Judges a delete, which a later append can revive. A stream that has neither events nor metadata
/// cannot be deleted.
pub(crate) fn judge_delete(state: StreamState, expected: Expected) -> Removal {
    if state.last.is_none() && !state.has_metadata && !state.tombstoned {
        return Removal::WrongExpected { current: None };
    }
    judge_tombstone(state, expected)
}

/// Judges a tombstone. A stream that was never written to can be ended too.
pub(crate) fn judge_tombstone(state: StreamState, expected: Expected) -> Removal {
    if state.tombstoned {
        return Removal::Deleted;
    }
    let wrong = Removal::WrongExpected { current: state.last };
    match expected {
        Expected::StreamExists if state.deleted => Removal::Deleted,
        Expected::StreamExists if state.last.is_none() && !state.has_metadata => wrong,
        Expected::Any | Expected::StreamExists => Removal::Remove,
        Expected::NoStream if state.last.is_none() || state.deleted => Removal::Remove,
        Expected::Revision(revision) if state.last == Some(revision) => Removal::Remove,
        Expected::NoStream | Expected::Revision(_) => wrong,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// A stream that holds exactly these ids.
    struct Stream(Vec<Uuid>);

    impl History for Stream {
        type Error = Infallible;

        fn recent(&mut self, id: Uuid) -> Result<Option<u64>, Infallible> {
            Ok(self.0.iter().rposition(|known| *known == id).map(|index| index as u64))
        }

        fn id_at(&mut self, revision: u64) -> Result<Option<Uuid>, Infallible> {
            Ok(usize::try_from(revision).ok().and_then(|index| self.0.get(index).copied()))
        }
    }

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// The verdict on appending `ids` to a stream that holds the ids 1, 2 and 3.
    fn append(expected: Expected, ids: &[u128]) -> Verdict {
        let state = StreamState { last: Some(2), ..StreamState::default() };
        let ids: Vec<_> = ids.iter().copied().map(id).collect();
        let Ok(verdict) =
            judge_append(state, expected, &ids, &mut Stream(vec![id(1), id(2), id(3)]));
        verdict
    }

    const WRONG: Verdict = Verdict::WrongExpected { current: Some(2) };

    #[test]
    fn an_append_at_the_newest_revision_is_written_after_it() {
        assert_eq!(append(Expected::Revision(2), &[9]), Verdict::Write { first: 3 });
        assert_eq!(append(Expected::Any, &[9]), Verdict::Write { first: 3 });
        assert_eq!(append(Expected::StreamExists, &[9]), Verdict::Write { first: 3 });
    }

    #[test]
    fn an_append_at_any_other_revision_is_refused() {
        assert_eq!(append(Expected::Revision(1), &[9]), WRONG);
        assert_eq!(append(Expected::Revision(3), &[9]), WRONG);
        assert_eq!(append(Expected::Revision(u64::MAX), &[9]), WRONG);
        assert_eq!(append(Expected::NoStream, &[9]), WRONG);
    }

    #[test]
    fn the_same_ids_at_the_same_revisions_are_a_repetition() {
        assert_eq!(append(Expected::Revision(0), &[2, 3]), Verdict::Repeated { last: 2 });
        assert_eq!(append(Expected::Revision(0), &[2]), Verdict::Repeated { last: 1 });
        assert_eq!(append(Expected::NoStream, &[1, 2]), Verdict::Repeated { last: 1 });
    }

    #[test]
    fn a_repetition_that_goes_on_past_the_first_append_is_refused() {
        assert_eq!(append(Expected::Revision(1), &[3, 4]), WRONG);
        assert_eq!(append(Expected::Revision(0), &[2, 9]), WRONG);
    }

    #[test]
    fn without_a_revision_the_ids_alone_tell_a_repetition() {
        assert_eq!(append(Expected::Any, &[2, 3]), Verdict::Repeated { last: 2 });
        assert_eq!(append(Expected::StreamExists, &[1]), Verdict::Repeated { last: 0 });
    }

    #[test]
    fn of_known_and_new_ids_the_first_decides() {
        assert_eq!(append(Expected::Any, &[3, 4]), WRONG);
        assert_eq!(append(Expected::Any, &[4, 3]), Verdict::Write { first: 3 });
    }

    #[test]
    fn an_append_of_nothing_holds_only_where_the_expectation_does() {
        assert_eq!(append(Expected::Revision(2), &[]), Verdict::Write { first: 3 });
        assert_eq!(append(Expected::Revision(1), &[]), WRONG);
    }
}
